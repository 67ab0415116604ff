//! Why a resident process could not be started.

use std::fmt;
use std::path::PathBuf;

use super::{Fault, RunError};
use crate::config::Greeting;
use crate::run::status::Ended;

/// Why a resident process could not be started. What ran before it still runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// `exec.env` is missing, or does not hold what it has to.
    OtherEnvironment {
        /// The file.
        path: PathBuf,
        /// What it has to hold.
        expected: String,
        /// What it holds, white space at its ends aside. `None`: there is no such file.
        found: Option<String>,
    },
    /// The process could not be started, or not be waited for.
    Run(Box<RunError>),
    /// It ended, or closed descriptor 3, before it counted as started.
    Ended {
        /// When it should have counted as started.
        greeting: Greeting,
        /// How it ended.
        ended: Ended,
    },
    /// Its first line on descriptor 3 is no ack.
    BadAck {
        /// What is wrong with it.
        reason: String,
    },
    /// It took longer than the limit of init or of the run that needed it.
    TimedOut,
    /// The stop of the init or of the run that needed it was requested.
    Stopped,
}

impl StartError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            StartError::Run(e) => e.fault(),
            StartError::Stopped => Fault::Caller,
            _ => Fault::Action,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::OtherEnvironment {
                path,
                expected,
                found,
            } => {
                let path = path.display();
                match found {
                    None => write!(f, "there is no {path}; expected it to hold {expected:?}"),
                    Some(found) => write!(f, "{path}: expected {expected:?}, found {found:?}"),
                }
            }
            StartError::Run(e) => e.fmt(f),
            StartError::Ended { ended, .. } => {
                write!(f, "{ended} before it counted as started")
            }
            StartError::BadAck { reason } => {
                write!(f, "the first line on descriptor 3 is no ack: {reason}")
            }
            StartError::TimedOut => f.write_str("the action did not start within its time limit"),
            StartError::Stopped => f.write_str("the action was stopped while it started"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Run(e) => Some(e),
            _ => None,
        }
    }
}
