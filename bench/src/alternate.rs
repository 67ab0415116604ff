//! Measuring several things in turns, so that whatever the machine does meanwhile hits them all.

use std::time::{Duration, Instant};

use crate::report::{Report, Row};
use crate::stats::Samples;

/// Rounds that do not count: they fill caches.
const WARM_UP: usize = 2;

/// One thing to measure.
pub(crate) struct Turn<'a> {
    name: String,
    /// Whose ratio is shown, by name.
    against: Option<&'a str>,
    once: Box<dyn FnMut() -> Result<(), String> + 'a>,
    samples: Samples,
}

impl<'a> Turn<'a> {
    /// What `once` does is measured, from call to return.
    pub(crate) fn new(
        name: impl Into<String>,
        against: Option<&'a str>,
        once: impl FnMut() -> Result<(), String> + 'a,
    ) -> Self {
        Turn {
            name: name.into(),
            against,
            once: Box::new(once),
            samples: Samples::default(),
        }
    }
}

/// How a time is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown {
    Micros,
    Millis,
    /// As throughput of this many megabytes.
    MegabytesPerSecond(f64),
}

impl Shown {
    fn unit(self) -> &'static str {
        match self {
            Shown::Micros => "us",
            Shown::Millis => "ms",
            Shown::MegabytesPerSecond(_) => "MB/s",
        }
    }

    fn of(self, time: Duration) -> f64 {
        match self {
            Shown::Micros => time.as_secs_f64() * 1e6,
            Shown::Millis => time.as_secs_f64() * 1e3,
            Shown::MegabytesPerSecond(megabytes) => megabytes / time.as_secs_f64(),
        }
    }
}

/// Measures each of `turns` `rounds` times and reports them.
///
/// Each round has another order, the same in every run: what comes after a slow one, when the
/// caches have cooled, is not always the same. One that fails is left out from then on, with a note.
pub(crate) fn measure(report: &mut Report, rounds: usize, shown: Shown, mut turns: Vec<Turn<'_>>) {
    let mut failed = Vec::new();
    for round in 0..rounds + WARM_UP {
        let mut order: Vec<_> = (0..turns.len()).collect();
        order.sort_by_key(|at| shuffled(round * turns.len() + at));
        for at in order {
            if failed.iter().any(|(found, _)| *found == at) {
                continue;
            }
            let turn = &mut turns[at];
            let started = Instant::now();
            match (turn.once)() {
                Ok(()) if round < WARM_UP => {}
                Ok(()) => turn.samples.push(shown.of(started.elapsed())),
                Err(e) => failed.push((at, e)),
            }
        }
    }
    for turn in &turns {
        let base = turn
            .against
            .and_then(|name| turns.iter().find(|t| t.name == name));
        report.row(&Row {
            subject: &turn.name,
            unit: shown.unit(),
            samples: &turn.samples,
            against: base.map(|base| (base.name.as_str(), &base.samples)),
        });
    }
    for (at, error) in failed {
        report.note(&format!("{}: {error}", turns[at].name));
    }
}

/// Numbers in no order: the output function of SplitMix64 (Steele, Lea, Flood 2014).
fn shuffled(number: usize) -> u64 {
    let mut bits = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
