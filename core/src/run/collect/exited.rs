//! The time after the exit of the main process, while descendants keep its output open.

use std::time::{Duration, Instant};

use super::Limits;

/// A descendant that keeps writing is given this many times the silence it is allowed.
const FACTOR: u32 = 10;

/// A main process that was seen to have exited.
#[derive(Clone, Copy)]
pub(super) struct Exited {
    pub(super) at: Instant,
    pub(super) last_output: Instant,
    pub(super) waits: Waits,
    /// Since when it is so.
    since: Instant,
    /// What was in stdout's and stderr's pipe then. The process itself may have written it, so it
    /// is read whatever the limits say and however long the log takes it.
    pub(super) owed: [u64; 2],
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// Silence of `linger`. Then it is seen whether a result stands.
    Lingering,
    /// No result stood: `late_result` is given for one.
    ForResult,
}

impl Exited {
    pub(super) fn now(owed: [u64; 2]) -> Self {
        let now = Instant::now();
        Exited {
            at: now,
            last_output: now,
            waits: Waits::Lingering,
            since: now,
            owed,
        }
    }

    pub(super) fn wait(&mut self, what: Waits) {
        // Under a flood of output, what stands is looked at once in a while and not each time.
        if self.waits != what {
            self.waits = what;
            self.since = Instant::now();
        }
    }

    /// When nobody is waited for any longer. `None`: never.
    pub(super) fn patience_ends(&self, limits: &Limits<'_>) -> Option<Instant> {
        let linger = limits.linger?;
        let late = limits.late_result.map(|late| late.max(linger));
        let in_all = after(self.at, late.map(|late| late.saturating_mul(FACTOR)));
        let ends = match self.waits {
            Waits::Lingering => [
                after(self.last_output, Some(linger)),
                after(self.since, Some(linger.saturating_mul(FACTOR))),
                in_all,
            ],
            Waits::ForResult => [after(self.last_output, late), in_all, None],
        };
        ends.into_iter().flatten().min()
    }
}

/// `None` where the time is too far away to come.
fn after(from: Instant, time: Option<Duration>) -> Option<Instant> {
    from.checked_add(time?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(linger: Option<Duration>, late_result: Option<Duration>) -> Limits<'static> {
        Limits {
            until: None,
            kill_grace: Duration::ZERO,
            linger,
            late_result,
            memory: None,
        }
    }

    #[test]
    fn patience_is_longer_while_no_result_stands() {
        let [short, long] = [1, 5].map(|seconds| Some(Duration::from_secs(seconds)));
        let mut exited = Exited::now([0, 0]);
        let at = exited.at;
        let after_exit = |seconds| Some(at + Duration::from_secs(seconds));
        let mut ends = |waits, linger, late| {
            exited.waits = waits;
            exited.patience_ends(&limits(linger, late))
        };
        assert_eq!(ends(Waits::Lingering, short, long), after_exit(1));
        assert_eq!(ends(Waits::ForResult, short, long), after_exit(5));
        // What is shorter than `linger` is as long.
        assert_eq!(ends(Waits::ForResult, long, short), after_exit(5));
        assert_eq!(ends(Waits::ForResult, short, None), None);
        assert_eq!(ends(Waits::ForResult, None, short), None);
        assert_eq!(ends(Waits::ForResult, short, Some(Duration::MAX)), None);
        let far = ends(Waits::Lingering, Some(Duration::MAX), Some(Duration::MAX));
        assert_eq!(far, None);
    }

    #[test]
    fn what_goes_on_writing_is_given_ten_times_the_silence() {
        let second = Duration::from_secs(1);
        let mut exited = Exited::now([0, 0]);
        exited.last_output = exited.at + 100 * second;
        let limits = limits(Some(second), Some(5 * second));
        assert_eq!(exited.patience_ends(&limits), Some(exited.at + 10 * second));
        exited.waits = Waits::ForResult;
        assert_eq!(exited.patience_ends(&limits), Some(exited.at + 50 * second));
    }
}
