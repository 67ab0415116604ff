//! Loads proxies with activations of every bad kind, for as long as asked, and checks every answer
//! and every log line; at the end nothing may have been left behind.
//!
//! ```text
//! cargo run --release -p actionproxy-tests --bin soak -- --duration 20m
//! ```
//! Two proxies run at the same time: one that runs an activation at a time, one that lets them
//! overlap. `--seed` repeats the choices of an earlier run, though not its timing.

mod action;
mod dice;
mod ledger;
mod lines;
mod load;
mod plan;
mod site;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use site::{Overlap, Site};

/// How long the load runs before what the proxy takes is measured for the first time.
const WARM_UP: Duration = Duration::from_secs(60);
/// Between two lines of the report.
const REPORT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("action") => action::main(),
        Some("descendant") => action::descendant(&words[1..]),
        _ => match options(&words) {
            Ok((duration, seed)) => soak(duration, seed),
            Err(e) => {
                eprintln!("soak: {e}\nusage: soak [--duration 30s|20m|1h] [--seed NUMBER]");
                ExitCode::from(2)
            }
        },
    }
}

fn soak(duration: Duration, seed: u64) -> ExitCode {
    println!("soak for {duration:?} with seed {seed}");
    let threads = [Overlap::No, Overlap::Yes].map(|overlap| {
        thread::spawn(move || {
            let site = Site::open(overlap);
            site.load(WARM_UP.min(duration / 3), REPORT, seed);
            let before = site.census();
            site.load(duration, REPORT, seed + 1);
            let after = site.census();
            site.close(&before, &after)
        })
    });
    let mut faults = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(found) => faults.extend(found),
            Err(_) => faults.push("the soak itself failed".to_owned()),
        }
    }
    for fault in faults.iter().take(40) {
        println!("FAULT {fault}");
    }
    match faults.len() {
        0 => {
            println!("soak passed: {duration:?}, seed {seed}");
            ExitCode::SUCCESS
        }
        count => {
            println!("soak failed: {count} faults, seed {seed}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[String]) -> Result<(Duration, u64), String> {
    let mut duration = Duration::from_secs(60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut seed = now.map_or(1, |since| u64::from(since.subsec_nanos()));
    for pair in words.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("expected a value behind {:?}", pair[0]));
        };
        match name.as_str() {
            "--duration" => {
                duration = time(value)
                    .ok_or_else(|| format!("--duration: expected a time, found {value:?}"))?;
            }
            "--seed" => {
                seed = value
                    .parse()
                    .map_err(|_| format!("--seed: expected a number, found {value:?}"))?;
            }
            other => return Err(format!("unknown flag {other:?}")),
        }
    }
    Ok((duration, seed))
}

fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        "h" => Some(Duration::from_secs(number * 3600)),
        _ => None,
    }
}
