//! Loads proxies with activations of every bad kind, for as long as asked, and checks every answer
//! and every log line; at the end nothing may have been left behind.
//!
//! ```text
//! cargo run --release -p actionproxy-tests --bin soak -- --duration 20m
//! ```
//! Two proxies run at the same time: one that runs an activation at a time, one that lets them
//! overlap. `--seed` repeats the choices of an earlier run, though not its timing. The load comes in
//! rounds; what the proxies take is read at rest behind each, and told as a table and a plot.

mod action;
mod dice;
mod growth;
mod history;
mod ledger;
mod lines;
mod load;
mod plan;
mod plot;
mod site;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io, thread};

use history::Round;
use site::{Overlap, Site};

/// How long the load runs before what the proxy takes is measured for the first time.
const WARM_UP: Duration = Duration::from_secs(60);
/// Rounds of a long soak behind the first, and the shortest that one is worth.
const ROUNDS: u32 = 20;
const SHORTEST: Duration = Duration::from_secs(5);

/// What is asked for.
struct Options {
    duration: Duration,
    seed: u64,
    /// Where table and plot go.
    report: PathBuf,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("action") => action::main(),
        Some("descendant") => action::descendant(&words[1..]),
        _ => match options(&words) {
            Ok(options) => soak(&options),
            Err(e) => {
                eprintln!(
                    "soak: {e}\nusage: soak [--duration 30s|20m|1h] [--seed NUMBER] [--report DIRECTORY]\n\
                     default: an hour, a seed of the clock, target/soak"
                );
                ExitCode::from(2)
            }
        },
    }
}

fn soak(options: &Options) -> ExitCode {
    let &Options { duration, seed, .. } = options;
    println!("soak for {duration:?} with seed {seed}");
    let threads = [Overlap::No, Overlap::Yes].map(|overlap| {
        thread::spawn(move || {
            let site = Site::open(overlap);
            let rounds = rounds(&site, duration, seed);
            let mut faults = history::faults(&rounds);
            faults.extend(site.close());
            (overlap, rounds, faults)
        })
    });
    let mut faults = Vec::new();
    let mut histories = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok((overlap, rounds, found)) => {
                faults.extend(found.iter().map(|fault| format!("{overlap}: {fault}")));
                histories.push((overlap, rounds));
            }
            Err(_) => faults.push("the soak itself failed".to_owned()),
        }
    }
    if let Err(e) = report(&options.report, &histories) {
        faults.push(format!("no report in {}: {e}", options.report.display()));
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

/// The first load, whose end the others are held against, and then `duration` in equal rounds.
fn rounds(site: &Site, duration: Duration, seed: u64) -> Vec<Round> {
    let started = Instant::now();
    let count = (duration.as_secs() / SHORTEST.as_secs()).clamp(1, u64::from(ROUNDS)) as u32;
    let mut rounds = vec![site.round(started, WARM_UP.min(duration / 3), seed)];
    for number in 1..=count {
        rounds.push(site.round(started, duration / count, seed + u64::from(number)));
    }
    rounds
}

/// Prints the table, and writes it and the plot into `directory`.
fn report(directory: &Path, histories: &[(Overlap, Vec<Round>)]) -> io::Result<()> {
    let tables = histories
        .iter()
        .map(|(overlap, rounds)| history::table(&overlap.to_string(), rounds));
    let tables = tables.collect::<Vec<_>>().join("\n");
    println!("{tables}");
    fs::create_dir_all(directory)?;
    fs::write(directory.join("soak.md"), tables)?;
    fs::write(directory.join("soak.svg"), plot::plot(histories))?;
    println!(
        "table and plot: {}/soak.md and soak.svg",
        directory.display()
    );
    Ok(())
}

fn options(words: &[String]) -> Result<Options, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut options = Options {
        duration: Duration::from_secs(3600),
        seed: now.map_or(1, |since| u64::from(since.subsec_nanos())),
        report: "target/soak".into(),
    };
    for pair in words.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("expected a value behind {:?}", pair[0]));
        };
        match name.as_str() {
            "--duration" => {
                options.duration = time(value)
                    .ok_or_else(|| format!("--duration: expected a time, found {value:?}"))?;
            }
            "--seed" => {
                options.seed = value
                    .parse()
                    .map_err(|_| format!("--seed: expected a number, found {value:?}"))?;
            }
            "--report" => options.report = value.into(),
            other => return Err(format!("unknown flag {other:?}")),
        }
    }
    Ok(options)
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
