//! How a proxy fared from round to round: what it took at rest, and how fast it had answered.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// By how much the least resident memory at rest may rise from the first half of the rounds to the
/// second. The allocator keeps up to 8 MiB at the end of a heap for the next large message, after
/// some rounds and not after others, so single rounds tell nothing: what leaks never goes.
const MEMORY_SLACK: u64 = 4 << 20;

/// What a proxy at rest takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census {
    pub descriptors: usize,
    pub threads: usize,
    /// Children, zombies among them.
    pub children: usize,
    /// Resident, in bytes.
    pub memory: u64,
    /// In its temporary directory and beside the action.
    pub files: Vec<PathBuf>,
}

/// A round of load and the rest behind it.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// From the start of the load to the end of this round.
    pub elapsed: Duration,
    /// In this round.
    pub answered: u64,
    /// Of the activations that do nothing odd, beside those that do.
    pub times: Times,
    /// The most resident memory in this round, in bytes.
    pub peak: u64,
    pub rest: Census,
}

/// How long answers took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub median: Duration,
    /// One of a hundred took longer.
    pub slow: Duration,
    pub longest: Duration,
}

impl Times {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |hundredth: usize| {
            let index = (all.len() * hundredth / 100).min(all.len().saturating_sub(1));
            all.get(index).copied().unwrap_or_default()
        };
        Times {
            median: at(50),
            slow: at(99),
            longest: at(100),
        }
    }
}

/// What is not as it was after the first round.
pub(crate) fn faults(rounds: &[Round]) -> Vec<String> {
    let Some((first, later)) = rounds.split_first() else {
        return vec!["there was no round".to_owned()];
    };
    let mut faults = Vec::new();
    let before = &first.rest;
    for round in rounds.iter().filter(|round| round.rest.children > 0) {
        faults.push(format!("children at rest: {:?}", round.rest));
    }
    for Round { rest: after, .. } in later {
        if (before.descriptors, before.threads, &before.files)
            != (after.descriptors, after.threads, &after.files)
        {
            faults.push(format!("left behind: before {before:?}, after {after:?}"));
        }
    }
    let (early, late) = rounds.split_at(rounds.len().div_ceil(2));
    let least = |rounds: &[Round]| rounds.iter().map(|round| round.rest.memory).min();
    if let (Some(before), Some(after)) = (least(early), least(late))
        && after > before + MEMORY_SLACK
    {
        faults.push(format!(
            "resident at rest: at least {before} bytes at first, {after} later"
        ));
    }
    faults
}

/// The rounds as a table in Markdown.
pub(crate) fn table(title: &str, rounds: &[Round]) -> String {
    let mut table = format!(
        "| {title} | answered | descriptors | threads | children | files | resident, KiB | peak, KiB \
         | median, ms | 99 %, ms | longest, ms |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for round in rounds {
        let Round { rest, times, .. } = round;
        let _ = writeln!(
            table,
            "| {} s | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} |",
            round.elapsed.as_secs(),
            round.answered,
            rest.descriptors,
            rest.threads,
            rest.children,
            rest.files.len(),
            rest.memory >> 10,
            round.peak >> 10,
            milliseconds(times.median),
            milliseconds(times.slow),
            milliseconds(times.longest),
        );
    }
    table
}

/// For axes and tables.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
