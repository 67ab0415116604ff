//! How a process ended, in words.

mod cause;
mod memory;
mod signals;
mod zombie;

use std::fmt;

use rustix::process::WaitIdStatus;

pub use cause::Cause;
pub(crate) use cause::find;
pub(crate) use memory::{MemoryGroup, MemoryWatch};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Signaled(Killed),
}

/// The signal that ended a process, and why it was sent, where that could be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Killed {
    /// The signal's number on this machine.
    pub signal: i32,
    /// What is known of its reason.
    pub cause: Cause,
}

impl Ended {
    /// With its cause still to be found: see [`find`].
    pub(crate) fn from_wait(status: &WaitIdStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Ended::Signaled(Killed {
                signal,
                cause: Cause::Unknown,
            }),
            None => Ended::Exited(status.exit_status().unwrap_or_default()),
        }
    }

    /// The signal that ended it, or that ended a program which it ran: shells and many launchers
    /// then exit with 128 and the signal's number.
    pub(crate) fn signal(self) -> Option<i32> {
        match self {
            Ended::Signaled(killed) => Some(killed.signal),
            Ended::Exited(status) => told_by_shell(status),
        }
    }

    /// The cause, where the status only tells of a signal; by a signal itself it is told already.
    pub(crate) fn words_behind_status(self, cause: Cause) -> Option<String> {
        match self {
            Ended::Exited(status) => cause.words(told_by_shell(status)?),
            Ended::Signaled(_) => None,
        }
    }
}

/// Only signals that end a process from outside or for a fault: other statuses over 128 are more
/// often a program's own.
fn told_by_shell(status: i32) -> Option<i32> {
    let signal = status - 128;
    signals::END_PROGRAMS.contains(&signal).then_some(signal)
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Ended::Signaled(killed) => write!(f, "the action was {killed}"),
            Ended::Exited(status) => {
                write!(f, "the action exited with status {status}")?;
                match told_by_shell(status) {
                    Some(signal) => write!(
                        f,
                        ", by which a shell tells that a program was killed by {}",
                        signals::Name(signal)
                    ),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Killed {
    /// Without a subject: `killed by SIGXCPU: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed by {}", signals::Name(self.signal))?;
        match self.cause.words(self.signal) {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(signal: i32, cause: Cause) -> String {
        Ended::Signaled(Killed { signal, cause }).to_string()
    }

    #[test]
    fn a_signal_is_told_by_its_name() {
        assert_eq!(
            said(libc::SIGSEGV, Cause::Unknown),
            "the action was killed by SIGSEGV"
        );
        assert_eq!(
            said(34, Cause::Unknown),
            "the action was killed by signal 34"
        );
    }

    #[test]
    fn the_limit_that_was_reached_is_named() {
        assert_eq!(
            said(libc::SIGXCPU, Cause::ProcessorTime { seconds: 3 }),
            "the action was killed by SIGXCPU: it used up its processor time of 3 s (`ulimit -t`)"
        );
        assert_eq!(
            said(libc::SIGXFSZ, Cause::FileSize { bytes: 1024 }),
            "the action was killed by SIGXFSZ: it wrote a file larger than 1024 bytes, its limit (`ulimit -f`)"
        );
        let limit = Some(64 << 20);
        assert_eq!(
            said(libc::SIGKILL, Cause::Memory { limit }),
            "the action was killed by SIGKILL: memory ran out, its cgroup's limit is 64 MiB"
        );
    }

    #[test]
    fn where_nothing_is_known_what_commonly_sends_kill_is_told() {
        let unknown = said(libc::SIGKILL, Cause::Unknown);
        assert!(unknown.contains("memory runs out"), "{unknown}");
        let other = said(libc::SIGKILL, Cause::NotMemory);
        assert!(other.contains("memory did not run out"), "{other}");
        assert!(other.contains("kill -9"), "{other}");
    }

    #[test]
    fn a_status_by_which_shells_tell_a_signal_is_explained() {
        let said = Ended::Exited(137).to_string();
        assert!(
            said.contains("status 137") && said.ends_with("SIGKILL"),
            "{said}"
        );
        for own in [1, 127, 128, 129, 255] {
            let said = Ended::Exited(own).to_string();
            assert_eq!(said, format!("the action exited with status {own}"));
        }
    }
}
