//! What `/proc` still tells of a process that has exited and is not reaped: its limits, and the
//! processor time it used (`proc_pid_limits(5)`, `proc_pid_stat(5)`).

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

/// The resource limits of one process. Its own: it may have set them itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) processor_seconds: Limit,
    pub(super) file_bytes: Limit,
}

/// `None` where there is no limit, or none can be read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
}

impl Limits {
    pub(super) fn of(pid: Pid) -> Self {
        let text = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()));
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let limit = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let mut numbers = line.unwrap_or_default().split_ascii_whitespace();
            let mut next = || numbers.next()?.parse().ok();
            Limit {
                soft: next(),
                hard: next(),
            }
        };
        Limits {
            processor_seconds: limit("Max cpu time"),
            file_bytes: limit("Max file size"),
        }
    }
}

/// What it and the children that it waited for used, in both modes.
pub(super) fn processor_time(pid: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let ticks = ticks(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(
        ticks.saturating_mul(1000) / per_second,
    ))
}

/// utime, stime, cutime, cstime: the 14th to the 17th field.
fn ticks(stat: &str) -> Option<u64> {
    // The name in brackets, the second field, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    let times: Option<Vec<u64>> = times.map(|time| time.parse().ok()).collect();
    Some(times?.iter().fold(0, |sum, time| sum.saturating_add(*time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_unlimited_is_none() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              1                    unlimited            seconds   \n\
                    Max file size             unlimited            2048                 bytes     \n";
        let limits = Limits::parse(text);
        let (soft, hard) = (Some(1), None);
        assert_eq!(limits.processor_seconds, Limit { soft, hard });
        let (soft, hard) = (None, Some(2048));
        assert_eq!(limits.file_bytes, Limit { soft, hard });
        assert_eq!(Limits::parse("").file_bytes, Limit::default());
    }

    #[test]
    fn processor_time_is_read_whatever_the_name() {
        let stat = "7 (a) b) S) Z 1 7 7 0 -1 4228172 70 0 0 0 95 5 20 1 20 0 1 0 80529 0 0";
        assert_eq!(ticks(stat), Some(121));
        assert_eq!(ticks("7 (a"), None);
        assert!(processor_time(rustix::process::getpid()).is_some());
    }
}
