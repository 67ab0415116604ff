//! Why an init failed, or a hook refused.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Fault, StartError, VerifyError};
use crate::confinement::ConfinementError;
use crate::digest::Digest;
use crate::init::contents::Contents;
use crate::limits::explained;

/// Why an init failed. The action that was there before is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// A second init where only one is allowed.
    AlreadyInitialized,
    /// The code is not valid base64, or holds none of the known forms.
    Decode {
        /// What is wrong, with the first bytes or the offset.
        reason: String,
    },
    /// The code is not what the request said it would be.
    Checksum {
        /// What was hashed: `code`, or the executable's name.
        what: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest that was found.
        actual: Digest,
    },
    /// The archive was refused.
    Unpack {
        /// The entry's name, made printable; empty where the archive as a whole is at fault.
        entry: String,
        /// Why.
        reason: String,
    },
    /// A hook refused.
    Hook {
        /// The hook's name: `preinit`, `epilogue`, `build`, `verify` or `env`.
        hook: &'static str,
        /// Its reason.
        source: HookError,
    },
    /// The archive does not hold the executable, and none stands that could run it.
    NoExecutable(Contents),
    /// There is nothing fit to run.
    Verify(VerifyError),
    /// No code came, and a resident process needs some.
    NoCode,
    /// The resident process could not be started.
    Start(StartError),
    /// Its [`Stop`](crate::Stop) was requested.
    Stopped,
    /// A hook, or the start of the resident process, took longer than the limit.
    TimedOut {
        /// The limit.
        limit: Duration,
        /// The hook that was at work, by its name, if it was one.
        hook: Option<&'static str>,
    },
    /// What was to be taken from the action's processes cannot be taken here.
    Confinement(ConfinementError),
    /// The machine failed.
    Io {
        /// What was being done, as a verb and its object.
        doing: String,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl InitError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            InitError::AlreadyInitialized | InitError::NoCode | InitError::Stopped => Fault::Caller,
            InitError::Start(e) => e.fault(),
            InitError::Decode { .. }
            | InitError::Checksum { .. }
            | InitError::Unpack { .. }
            | InitError::Hook { .. }
            | InitError::TimedOut { .. }
            | InitError::NoExecutable(_)
            | InitError::Verify(_) => Fault::Action,
            InitError::Io { .. } | InitError::Confinement(_) => Fault::Host,
        }
    }

    /// An [`InitError::Io`] from its parts: `map_err(InitError::io("create", &path))`.
    pub(crate) fn io(doing: &str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> InitError {
        let doing = doing.to_owned();
        let path = path.into();
        move |source| InitError::Io {
            doing,
            path,
            source,
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::AlreadyInitialized => f.write_str("the action is already initialized"),
            InitError::Decode { reason } => write!(f, "failed to decode `code`: {reason}"),
            InitError::Checksum {
                what,
                expected,
                actual,
            } => write!(
                f,
                "checksum of {what} does not match: expected sha256 {expected}, actual {actual}"
            ),
            InitError::Unpack { entry, reason } if entry.is_empty() => {
                write!(f, "failed to unpack the archive: {reason}")
            }
            InitError::Unpack { entry, reason } => {
                write!(f, "failed to unpack `{entry}`: {reason}")
            }
            InitError::Hook { hook, source } => write!(f, "{hook} failed: {source}"),
            InitError::NoExecutable(contents) => contents.fmt(f),
            InitError::Verify(e) => e.fmt(f),
            InitError::NoCode => f.write_str("there is no code"),
            InitError::Start(e) => e.fmt(f),
            InitError::Stopped => f.write_str("init was stopped"),
            InitError::TimedOut { limit, hook } => {
                f.write_str("init was stopped")?;
                if let Some(hook) = hook {
                    write!(f, " in {hook},")?;
                }
                write!(f, " after its time limit of {limit:?}")
            }
            InitError::Confinement(e) => e.fmt(f),
            InitError::Io {
                doing,
                path,
                source,
            } => {
                let cause = explained(source);
                write!(f, "failed to {doing} {}: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InitError::Verify(e) => Some(e),
            InitError::Start(e) => Some(e),
            InitError::Confinement(e) => Some(e),
            InitError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a hook refused: its own words. Not an [`std::error::Error`] itself, so that `?` turns every
/// error into one.
#[derive(Debug)]
pub struct HookError(HookCause);

#[derive(Debug)]
enum HookCause {
    TimedOut,
    Stopped,
    Own(Box<dyn std::error::Error + Send + Sync>),
}

impl HookError {
    /// A tool that the hook ran passed init's time limit.
    pub(crate) fn timed_out() -> Self {
        HookError(HookCause::TimedOut)
    }

    /// A tool that the hook ran was ended by init's stop.
    pub(crate) fn stopped() -> Self {
        HookError(HookCause::Stopped)
    }

    pub(crate) fn is_timed_out(&self) -> bool {
        matches!(self.0, HookCause::TimedOut)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.0, HookCause::Stopped)
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HookError {
    fn from(cause: E) -> Self {
        HookError(HookCause::Own(cause.into()))
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HookCause::TimedOut => f.write_str("its time limit passed"),
            HookCause::Stopped => f.write_str("it was stopped"),
            HookCause::Own(cause) => cause.fmt(f),
        }
    }
}
