//! Log throughput against `action | cat`.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Bench;
use super::run::expect_200;
use crate::alternate::{self, Shown, Turn};
use crate::client;
use crate::memory::{self, mib};
use crate::report::Report;

const MEGABYTES: usize = 100;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let executable = bench.actions.logs();
    let request = client::run_with(format!("{{\"megabytes\":{MEGABYTES}}}").as_bytes());
    report.group(format!("{MEGABYTES} MB of log in one activation"));
    let mut started = Vec::new();
    for subject in &bench.subjects {
        match subject.start(&executable) {
            Ok(running) => started.push((subject.name.as_str(), running)),
            Err(e) => report.note(&e),
        }
    }
    // Before the others: what is measured is a proxy that has done nothing else.
    for (name, running) in &started {
        let Some(pid) = running.pid() else { continue };
        let before = memory::of(pid);
        memory::forget_peak(pid);
        let done = expect_200(client::exchange(running.address, &request));
        if let (Some(before), Some(after), Ok(())) = (before, memory::of(pid), done) {
            let above = mib(after.peak - before.resident);
            report.value(&format!("{name}, most memory above idle"), "MiB", above);
        }
    }

    let mut turns = vec![Turn::new(CAT, None, || through_cat(&executable, MEGABYTES))];
    for (name, running) in &started {
        turns.push(Turn::new(*name, Some(CAT), || {
            expect_200(client::exchange(running.address, &request))
        }));
    }
    let shown = Shown::MegabytesPerSecond(MEGABYTES as f64);
    alternate::measure(report, bench.runs(15), shown, turns);
    Ok(())
}

const CAT: &str = "action | cat";

fn through_cat(executable: &Path, megabytes: usize) -> Result<(), String> {
    let named = |e: std::io::Error| e.to_string();
    let mut action = Command::new(executable)
        .arg(megabytes.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(named)?;
    let output = action.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let cat = Command::new("cat")
        .stdin(output)
        .stdout(Stdio::null())
        .status()
        .map_err(named)?;
    let action = action.wait().map_err(named)?;
    match (cat.success(), action.success()) {
        (true, true) => Ok(()),
        _ => Err(format!("cat: {cat}, action: {action}")),
    }
}
