//! How a process ended, in words.

use std::fmt;
use std::path::Path;

use rustix::process::WaitIdStatus;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal of this number.
    Signaled(i32),
}

impl Ended {
    pub(crate) fn from_wait(status: &WaitIdStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Ended::Signaled(signal),
            None => Ended::Exited(status.exit_status().unwrap_or_default()),
        }
    }

    /// What else can be said where there is no result: status 126 and 127 may come from an
    /// emulator or a wrapper that could not execute the file and has no other way to say so.
    pub(crate) fn hint(self, executable: &Path) -> Option<String> {
        match self {
            Ended::Exited(126 | 127) => super::diagnose::diagnose(executable),
            _ => None,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Ended::Exited(status) => write!(f, "the action exited with status {status}"),
            Ended::Signaled(signal) => {
                match signal_name(signal) {
                    Some(name) => write!(f, "the action was killed by {name}")?,
                    None => write!(f, "the action was killed by signal {signal}")?,
                }
                if signal == libc::SIGKILL {
                    f.write_str(" (the memory limit may have been reached)")?;
                }
                Ok(())
            }
        }
    }
}

/// The name of a signal; real-time signals have none.
fn signal_name(signal: i32) -> Option<&'static str> {
    // By the C library's constants: some numbers differ between architectures.
    const NAMES: [(i32, &str); 29] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGCONT, "SIGCONT"),
        (libc::SIGSTOP, "SIGSTOP"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGTTIN, "SIGTTIN"),
        (libc::SIGTTOU, "SIGTTOU"),
        (libc::SIGURG, "SIGURG"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGPWR, "SIGPWR"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_by_its_name_and_kill_with_a_hint() {
        let said = Ended::Signaled(libc::SIGSEGV).to_string();
        assert_eq!(said, "the action was killed by SIGSEGV");
        let said = Ended::Signaled(libc::SIGKILL).to_string();
        assert!(
            said.contains("SIGKILL") && said.contains("memory"),
            "{said}"
        );
        let said = Ended::Signaled(34).to_string();
        assert_eq!(said, "the action was killed by signal 34");
    }
}
