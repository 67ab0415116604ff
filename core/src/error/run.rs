//! Why an activation has no result.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{Fault, StartError, VerifyError};
use crate::message::TimeLimit;
use crate::run::status::Ended;

/// The steps from nothing to a program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnStep {
    /// Strings, pipes, the new process itself, its group and descriptors.
    Prepare,
    /// Putting limits on it, making it another user's, and taking from it what it may not do.
    Confine,
    /// Entering the working directory.
    EnterDirectory,
    /// Executing the program.
    Execute,
}

/// In which activation a resident process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In the one that has no result now.
    Now,
    /// In an earlier one, or between two.
    Earlier,
}

/// Why an activation has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// There is nothing fit to run.
    Verify(VerifyError),
    /// The process could not be started.
    Spawn {
        /// The executable.
        path: PathBuf,
        /// At which step.
        step: SpawnStep,
        /// The kernel's word.
        source: io::Error,
        /// What else was found out: wrong architecture, missing interpreter or loader.
        hint: Option<String>,
    },
    /// The last line of stdout is no JSON object or array.
    NoResult {
        /// What is wrong with the line.
        reason: String,
        /// How the process ended.
        ended: Ended,
        /// What else was found out: about the executable, the limit that was reached, the argument.
        hint: Option<String>,
    },
    /// No init has succeeded, and nothing else stands that could be run.
    NotInitialized,
    /// The resident process ended without a result.
    Ended {
        /// In which activation.
        when: When,
        /// How.
        ended: Ended,
        /// What was wrong before that, where it did not end by itself.
        reason: Option<&'static str>,
    },
    /// The resident process could not be started again.
    Restart(StartError),
    /// The line on descriptor 3 is no JSON object or array.
    BadLine {
        /// What is wrong with it.
        reason: String,
    },
    /// The result line is over the limit.
    ResultTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A limit passed; the action was stopped.
    TimedOut {
        /// Which limit.
        limit: TimeLimit,
    },
    /// Its [`Stop`](crate::Stop) was requested.
    Stopped,
    /// The runner refused to run.
    Refused(String),
    /// The machine failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl RunError {
    /// The line for the log's stdout, where the action was not started: the platform's own tests
    /// look for the word there. [`Action::run`](crate::Action::run) writes it.
    pub(crate) fn stdout_line(&self) -> Option<String> {
        match self {
            RunError::Verify(_) | RunError::Spawn { .. } | RunError::Refused(_) => {
                Some(format!("error: {self}\n"))
            }
            // By these statuses `env` and emulators tell that they could not start it.
            RunError::NoResult {
                ended: Ended::Exited(126 | 127),
                hint: Some(_),
                ..
            } => Some(format!("error: {self}\n")),
            RunError::NoResult { .. }
            | RunError::ResultTooLarge { .. }
            | RunError::TimedOut { .. }
            | RunError::Stopped
            | RunError::NotInitialized
            | RunError::Ended { .. }
            | RunError::Restart(_)
            | RunError::BadLine { .. }
            | RunError::Io { .. } => None,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            RunError::Io { .. } => Fault::Host,
            RunError::Stopped => Fault::Caller,
            RunError::Restart(e) => e.fault(),
            _ => Fault::Action,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Verify(e) => e.fmt(f),
            RunError::Spawn {
                path, source, hint, ..
            } => {
                write!(f, "failed to start {}: {source}", path.display())?;
                match hint {
                    Some(hint) => write!(f, ": {hint}"),
                    None => Ok(()),
                }
            }
            RunError::NoResult {
                reason,
                ended,
                hint,
            } => {
                f.write_str(reason)?;
                if *ended != Ended::Exited(0) {
                    write!(f, "; {ended}")?;
                }
                match hint {
                    Some(hint) => write!(f, "; {hint}"),
                    None => Ok(()),
                }
            }
            RunError::NotInitialized => f.write_str("no action is initialized"),
            RunError::Ended {
                when,
                ended,
                reason,
            } => {
                if let Some(reason) = reason {
                    write!(f, "{reason}; ")?;
                }
                ended.fmt(f)?;
                f.write_str(match when {
                    When::Now => ", without a result",
                    When::Earlier => ", before this activation",
                })
            }
            RunError::Restart(e) => write!(f, "failed to start the action again: {e}"),
            RunError::BadLine { reason } => f.write_str(reason),
            RunError::ResultTooLarge { limit } => {
                write!(f, "the result line is over the limit of {limit} bytes")
            }
            RunError::TimedOut { limit } => {
                let (name, d) = match limit {
                    TimeLimit::Timeout(d) => ("time limit", d),
                    TimeLimit::Deadline(d) => ("deadline", d),
                };
                write!(
                    f,
                    "the action was stopped: it passed its {name} of {} ms",
                    d.as_millis()
                )
            }
            RunError::Stopped => f.write_str("the action was stopped"),
            RunError::Refused(reason) => f.write_str(reason),
            RunError::Io { doing, source } => write!(f, "failed to {doing}: {source}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Verify(e) => Some(e),
            RunError::Restart(e) => Some(e),
            RunError::Spawn { source, .. } | RunError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
