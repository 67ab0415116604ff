//! From the start of the process to the first connection, and to the first answered `/init`.

use std::time::Instant;

use super::Bench;
use crate::programs::Answering;
use crate::report::{Report, Row};
use crate::stats::Samples;
use crate::subject::{How, text_init};

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    report.group("start of the process");
    let script = std::fs::read(bench.actions.answering(Answering::Bash))
        .map_err(|e| format!("answer.sh: {e}"))?;
    let init = text_init(&script);
    let subjects: Vec<_> = bench
        .subjects
        .iter()
        .filter(|subject| !matches!(subject.how, How::Address(_)))
        .collect();
    let mut samples = vec![[Samples::default(), Samples::default()]; subjects.len()];
    let mut failed = vec![None; subjects.len()];
    for _ in 0..bench.runs(60) {
        for (at, subject) in subjects.iter().enumerate() {
            if failed[at].is_some() {
                continue;
            }
            let once = || -> Result<[Instant; 3], String> {
                let running = subject.spawn().map_err(|e| e.to_string())?;
                drop(running.connect().map_err(|e| e.to_string())?);
                let connected = Instant::now();
                running.init(&init)?;
                Ok([running.started, connected, Instant::now()])
            };
            match once() {
                Ok([started, connected, initialized]) => {
                    samples[at][0].push((connected - started).as_secs_f64() * 1e3);
                    samples[at][1].push((initialized - started).as_secs_f64() * 1e3);
                }
                Err(e) => failed[at] = Some(e),
            }
        }
    }
    let ours = samples.first().cloned();
    for (at, subject) in subjects.iter().enumerate() {
        for (event, what) in ["the first connection", "the first answered /init"]
            .into_iter()
            .enumerate()
        {
            let against = ours.as_ref().filter(|_| at > 0);
            report.row(&Row {
                subject: &format!("{}, to {what}", subject.name),
                unit: "ms",
                samples: &samples[at][event],
                against: against.map(|ours| ("proxy", &ours[event])),
            });
        }
        if let Some(e) = &failed[at] {
            report.note(&format!("{}: {e}", subject.name));
        }
    }
    Ok(())
}
