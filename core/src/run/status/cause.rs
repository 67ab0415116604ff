//! Why a process was killed: which limit it reached, by what the kernel tells of it afterwards.

use std::time::Duration;

use rustix::process::Pid;

use super::Ended;
use super::memory::MemoryWatch;
use super::zombie::{self, Limits};

/// What is known of why a process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It used up its processor time (`RLIMIT_CPU`).
    ProcessorTime {
        /// The limit in seconds.
        seconds: u64,
    },
    /// It wrote a file over the limit (`RLIMIT_FSIZE`).
    FileSize {
        /// The limit in bytes.
        bytes: u64,
    },
    /// The kernel ended it, or another process of its control group, because memory ran out.
    Memory {
        /// The group's limit in bytes; `None` where the group has none of its own, and a group
        /// above it or the machine ran out.
        limit: Option<u64>,
    },
    /// Not known, but no process of its control group was ended for want of memory.
    NotMemory,
    /// Not known.
    Unknown,
}

/// Looks for the reason of the end of `pid`, which has exited and is not reaped.
pub(crate) fn find(pid: Pid, ended: Ended, memory: Option<&MemoryWatch<'_>>) -> Cause {
    let Some(signal) = ended.signal() else {
        return Cause::Unknown;
    };
    let found = match signal {
        libc::SIGXCPU => {
            // Whenever the kernel sends it, it moves the soft limit by a second.
            let soft = Limits::of(pid).processor_seconds.soft;
            soft.and_then(|seconds| used_up(pid, seconds.saturating_sub(1)))
        }
        libc::SIGXFSZ => {
            let soft = Limits::of(pid).file_bytes.soft;
            soft.map(|bytes| Cause::FileSize { bytes })
        }
        libc::SIGKILL => {
            // First what is certain: the group's count moves when the kernel kills for memory.
            let ran_out = memory.and_then(MemoryWatch::has_killed);
            match ran_out {
                Some(true) => Some(Cause::Memory {
                    limit: memory.and_then(MemoryWatch::limit),
                }),
                // At the hard limit. `ulimit -t` of a shell sets both limits to one number: then
                // there is no SIGXCPU before.
                ran_out => Limits::of(pid)
                    .processor_seconds
                    .hard
                    .and_then(|seconds| used_up(pid, seconds))
                    .or_else(|| ran_out.is_some().then_some(Cause::NotMemory)),
            }
        }
        _ => None,
    };
    found.unwrap_or(Cause::Unknown)
}

/// Whether it used its processor time up, which is `seconds`.
fn used_up(pid: Pid, seconds: u64) -> Option<Cause> {
    let used = zombie::processor_time(pid)?;
    // The kernel holds the limit against whole ticks, of which a process on a busy machine used
    // less than it is charged for: what is told afterwards may fall short by a quarter and more.
    let charged = used + used / 2 + Duration::from_millis(100);
    (charged >= Duration::from_secs(seconds)).then_some(Cause::ProcessorTime { seconds })
}

impl Cause {
    /// The reason in words; without one, what commonly sends this signal.
    pub(crate) fn words(self, signal: i32) -> Option<String> {
        let words = match self {
            Cause::ProcessorTime { seconds } => {
                format!("it used up its processor time of {seconds} s (`ulimit -t`)")
            }
            Cause::FileSize { bytes } => {
                format!("it wrote a file larger than {bytes} bytes, its limit (`ulimit -f`)")
            }
            Cause::Memory { limit: Some(limit) } => {
                format!("memory ran out, its cgroup's limit is {}", size(limit))
            }
            Cause::Memory { limit: None } => "memory ran out, of the machine or of a group above \
                 its cgroup, which has no limit"
                .to_owned(),
            Cause::NotMemory if signal == libc::SIGKILL => "memory did not run out; commonly \
                 that is a `kill -9`, a `timeout -s KILL`, a limit of processor time (`ulimit -t`) \
                 or the end of a container"
                .to_owned(),
            Cause::NotMemory | Cause::Unknown => return commonly(signal).map(str::to_owned),
        };
        Some(words)
    }
}

fn commonly(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGKILL => {
            "commonly the kernel's when memory runs out, a `kill -9`, a `timeout -s KILL`, a limit \
             of processor time (`ulimit -t`) or the end of a container"
        }
        libc::SIGXCPU => "commonly a limit of processor time (`ulimit -t`)",
        libc::SIGXFSZ => "commonly a limit of file size (`ulimit -f`)",
        libc::SIGSYS => {
            "it made a system call that is forbidden here, commonly by a container's seccomp profile"
        }
        libc::SIGILL => {
            "commonly an instruction that this processor does not have: build for an older one"
        }
        libc::SIGBUS => {
            "commonly memory that is backed by a file or by /dev/shm where no space is left"
        }
        _ => return None,
    })
}

/// `64 MiB`, or bytes where that is no whole number.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.trailing_zeros() >= 20 => {
            format!("{} MiB", bytes >> 20)
        }
        bytes => format!("{bytes} bytes"),
    }
}
