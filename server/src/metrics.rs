//! What the proxy counts, and the text in which Prometheus reads it.
//!
//! Names and units follow Prometheus' conventions: base units, `_total` for counters, and the
//! text format of version 0.0.4.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actionproxy_core::{Fault, InitError, RunError};
use actionproxy_platforms::Done;

/// The upper bounds of the histograms, in seconds: from a process that only starts to an action
/// that takes minutes.
const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0,
];

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The message was wrong.
    CallerError,
    /// The action failed.
    ActionError,
    /// A limit of time or size was passed.
    Limit,
    /// The machine, or the proxy, failed.
    HostError,
    /// The client went before its turn.
    Abandoned,
    /// The proxy was stopping.
    Refused,
}

impl Outcome {
    const ALL: [(Outcome, &str); 7] = [
        (Outcome::Ok, "ok"),
        (Outcome::CallerError, "caller_error"),
        (Outcome::ActionError, "action_error"),
        (Outcome::Limit, "limit"),
        (Outcome::HostError, "host_error"),
        (Outcome::Abandoned, "abandoned"),
        (Outcome::Refused, "refused"),
    ];

    pub(crate) fn of(done: &Done) -> Self {
        let by = |fault| match fault {
            Fault::Caller => Outcome::CallerError,
            Fault::Action => Outcome::ActionError,
            Fault::Host => Outcome::HostError,
        };
        match done {
            Done::Init(Ok(())) | Done::Run(Ok(_)) => Outcome::Ok,
            Done::Init(Err(InitError::TimedOut { .. } | InitError::Stopped)) => Outcome::Limit,
            Done::Init(Err(error)) => by(error.fault()),
            Done::Run(Err(
                RunError::TimedOut { .. } | RunError::Stopped | RunError::ResultTooLarge { .. },
            )) => Outcome::Limit,
            Done::Run(Err(error)) => by(error.fault()),
            Done::Failed(_) => Outcome::HostError,
            Done::ShuttingDown => Outcome::Refused,
        }
    }
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Init,
    Run,
}

/// All counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inits: Counted,
    runs: Counted,
    log_bytes: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct Counted {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Not cumulated; the last is for what is over every bound.
    times: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// What is not counted but looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present {
    pub waiting: usize,
    pub running: usize,
    pub connections: usize,
}

impl Metrics {
    /// A request has ended. Only one that was begun has a time.
    pub(crate) fn count(&self, kind: Kind, outcome: Outcome, time: Option<Duration>) {
        let counted = match kind {
            Kind::Init => &self.inits,
            Kind::Run => &self.runs,
        };
        if let Some(place) = Outcome::ALL.iter().position(|(known, _)| *known == outcome) {
            counted.outcomes[place].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(time) = time {
            let seconds = time.as_secs_f64();
            let place = BOUNDS.iter().position(|bound| seconds <= *bound);
            counted.times[place.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            counted.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// An activation or init has written so many bytes to stdout (0) or stderr (1).
    pub(crate) fn count_log(&self, stream: usize, bytes: usize) {
        if let Some(counter) = self.log_bytes.get(stream) {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The whole page.
    pub(crate) fn page(&self, present: Present) -> String {
        let mut page = String::with_capacity(4 << 10);
        let version = env!("CARGO_PKG_VERSION");
        let architecture = std::env::consts::ARCH;
        family(
            &mut page,
            "actionproxy_build_info",
            "gauge",
            "The build that runs.",
        );
        line(
            &mut page,
            format_args!(
                "actionproxy_build_info{{version=\"{version}\",architecture=\"{architecture}\"}} 1"
            ),
        );
        self.inits.write(
            &mut page,
            "actionproxy_inits_total",
            "Inits by outcome.",
            "actionproxy_init_duration_seconds",
            "Time of the inits that were begun, from the message to the reply.",
        );
        self.runs.write(
            &mut page,
            "actionproxy_activations_total",
            "Activations by outcome.",
            "actionproxy_activation_duration_seconds",
            "Time of the activations that were begun, from the message to the reply, without waiting.",
        );
        for (name, help, value) in [
            (
                "actionproxy_activations_waiting",
                "Requests that wait for others to end.",
                present.waiting,
            ),
            (
                "actionproxy_activations_running",
                "Inits and activations in progress.",
                present.running,
            ),
            (
                "actionproxy_connections",
                "Open connections to the port of activations.",
                present.connections,
            ),
        ] {
            family(&mut page, name, "gauge", help);
            line(&mut page, format_args!("{name} {value}"));
        }
        let name = "actionproxy_log_bytes_total";
        let help = "Bytes of logs, without the lines that end them.";
        family(&mut page, name, "counter", help);
        for (stream, bytes) in ["stdout", "stderr"].iter().zip(&self.log_bytes) {
            let bytes = bytes.load(Ordering::Relaxed);
            line(
                &mut page,
                format_args!("{name}{{stream=\"{stream}\"}} {bytes}"),
            );
        }
        if let Some(bytes) = resident_bytes() {
            let name = "process_resident_memory_bytes";
            family(&mut page, name, "gauge", "Resident memory of the proxy.");
            line(&mut page, format_args!("{name} {bytes}"));
        }
        page
    }
}

impl Counted {
    fn write(&self, page: &mut String, total: &str, what: &str, time: &str, how_long: &str) {
        family(page, total, "counter", what);
        for ((_, label), count) in Outcome::ALL.iter().zip(&self.outcomes) {
            let count = count.load(Ordering::Relaxed);
            line(page, format_args!("{total}{{outcome=\"{label}\"}} {count}"));
        }
        family(page, time, "histogram", how_long);
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(&self.times) {
            below += count.load(Ordering::Relaxed);
            line(
                page,
                format_args!("{time}_bucket{{le=\"{bound}\"}} {below}"),
            );
        }
        below += self.times[BOUNDS.len()].load(Ordering::Relaxed);
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        line(page, format_args!("{time}_bucket{{le=\"+Inf\"}} {below}"));
        line(page, format_args!("{time}_sum {sum}"));
        line(page, format_args!("{time}_count {below}"));
    }
}

fn family(page: &mut String, name: &str, kind: &str, help: &str) {
    line(page, format_args!("# HELP {name} {help}"));
    line(page, format_args!("# TYPE {name} {kind}"));
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{line}");
}

/// proc(5): the second number of `statm` is the resident set, in pages.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cumulated_and_what_is_over_every_bound_counts() {
        let metrics = Metrics::default();
        for millis in [1, 2, 400_000] {
            let time = Some(Duration::from_millis(millis));
            metrics.count(Kind::Run, Outcome::Ok, time);
        }
        metrics.count(Kind::Run, Outcome::Abandoned, None);
        metrics.count_log(1, 7);
        let page = metrics.page(Present {
            waiting: 1,
            running: 2,
            connections: 3,
        });
        for line in [
            "actionproxy_activations_total{outcome=\"ok\"} 3",
            "actionproxy_activations_total{outcome=\"abandoned\"} 1",
            "actionproxy_activation_duration_seconds_bucket{le=\"0.001\"} 1",
            "actionproxy_activation_duration_seconds_bucket{le=\"0.0025\"} 2",
            "actionproxy_activation_duration_seconds_bucket{le=\"300\"} 2",
            "actionproxy_activation_duration_seconds_bucket{le=\"+Inf\"} 3",
            "actionproxy_activation_duration_seconds_sum 400.003",
            "actionproxy_activation_duration_seconds_count 3",
            "actionproxy_inits_total{outcome=\"ok\"} 0",
            "actionproxy_activations_waiting 1",
            "actionproxy_connections 3",
            "actionproxy_log_bytes_total{stream=\"stderr\"} 7",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
