//! Cost as work grows: where it is linear and where it is not.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::run::expect_200;
use super::{Bench, size_name};
use crate::client::{self, Client};
use crate::memory::{self, mib};
use crate::programs::Answering;
use crate::report::{Report, Row};
use crate::stats::Samples;
use crate::subject::Running;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    for (at, subject) in bench.subjects.iter().enumerate() {
        let mut start = |executable: PathBuf| match subject.start(&executable) {
            Ok(running) => Ok(Some(running)),
            Err(e) if at == 0 => Err(e),
            Err(e) => {
                report.note(&e);
                Ok(None)
            }
        };
        let answering = start(bench.actions.answering(Answering::StaticC))?;
        let logging = start(bench.actions.logs())?;
        let (Some(answering), Some(logging)) = (answering, logging) else {
            continue;
        };
        report.group(format!("growth with idle connections: {}", subject.name));
        connections(&answering, bench, report);
        report.group(format!("growth with the argument: {}", subject.name));
        for megabytes in [1, 10, 100] {
            // As much as a request may have, by default, is 100 MiB with everything in it.
            let request = client::run_request(megabytes * 1_000_000);
            work(&answering, megabytes, &request, bench, report);
        }
        report.group(format!("growth with the log: {}", subject.name));
        for megabytes in [1, 10, 100] {
            let request = client::run_with(format!("{{\"megabytes\":{megabytes}}}").as_bytes());
            work(&logging, megabytes, &request, bench, report);
        }
    }
    Ok(())
}

fn connections(running: &Running, bench: &Bench, report: &mut Report) {
    let request = client::run_request(100);
    let mut idle = Vec::new();
    for count in [0, 10, 100, 1000] {
        while idle.len() < count {
            match Client::connect(running.address) {
                Ok(client) => idle.push(client),
                Err(e) => return report.note(&format!("connection {}: {e}", idle.len())),
            }
        }
        let samples = repeat(bench.runs(200), 1e6, || {
            expect_200(client::exchange(running.address, &request))
        });
        show(report, &format!("/run beside {count}"), "us", samples);
        if let Some(memory) = running.pid().and_then(memory::of) {
            let what = format!("resident memory with {count}");
            report.value(&what, "MiB", mib(memory.resident));
        }
    }
}

fn work(running: &Running, megabytes: usize, request: &[u8], bench: &Bench, report: &mut Report) {
    let name = size_name(megabytes * 1_000_000);
    // What the work before took is given back meanwhile.
    thread::sleep(Duration::from_millis(300));
    let before = running.pid().and_then(memory::of);
    if let Some(pid) = running.pid() {
        memory::forget_peak(pid);
    }
    let samples = repeat(bench.runs(200 / megabytes.clamp(20, 40)), 1e3, || {
        expect_200(client::exchange(running.address, request))
    });
    show(report, &name, "ms", samples);
    if let (Some(before), Some(after)) = (before, running.pid().and_then(memory::of)) {
        let above = mib(after.peak - before.resident);
        report.value(&format!("{name}, most memory above before"), "MiB", above);
    }
}

fn repeat(
    rounds: usize,
    scale: f64,
    mut once: impl FnMut() -> Result<(), String>,
) -> Result<Samples, String> {
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let started = Instant::now();
        once()?;
        samples.push(started.elapsed().as_secs_f64() * scale);
    }
    Ok(samples)
}

fn show(report: &mut Report, what: &str, unit: &'static str, samples: Result<Samples, String>) {
    match samples {
        Ok(samples) => report.row(&Row {
            subject: what,
            unit,
            samples: &samples,
            against: None,
        }),
        Err(e) => report.note(&format!("{what}: {e}")),
    }
}
