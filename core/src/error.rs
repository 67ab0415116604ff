//! Errors, one enum a phase, each able to say whose [`Fault`] it is.
//!
//! The texts go to the logs. What a client is told is the platform's business.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Greeting;
use crate::confinement::ConfinementError;
use crate::digest::Digest;
use crate::init::contents::Contents;
use crate::limits::explained;
use crate::message::TimeLimit;
use crate::run::status::Ended;

/// Who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong, or taken back, whatever the action.
    Caller,
    /// The action: its code, its archive, its process.
    Action,
    /// The machine: disk, memory, descriptors.
    Host,
}

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
        /// The hook's name: `preinit`, `epilogue` or `build`.
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
            InitError::TimedOut { limit } => {
                write!(f, "init was stopped after its time limit of {limit:?}")
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

/// Why an executable is not fit to run.
#[derive(Debug)]
#[non_exhaustive]
pub enum VerifyError {
    /// Nothing is there.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A directory, device or other thing that is no regular file.
    NotAFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What is there: `a directory`, or another thing.
        found: &'static str,
    },
    /// No permission to execute it.
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What else keeps it from being executed: where it lies.
        hint: Option<&'static str>,
    },
    /// The content is not what it was when init ended, or not what `exec.sha256` says.
    Changed {
        /// The file.
        path: PathBuf,
        /// What it should hash to.
        expected: Digest,
        /// What it hashes to.
        actual: Digest,
    },
    /// `exec.sha256` is not a line as `sha256sum` writes it.
    BadChecksumFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A runner's own reason.
    Refused(String),
    /// It could not be looked at.
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl VerifyError {
    /// The same, its path told relative to `dir` if it lies in there.
    pub(crate) fn relative_to(mut self, dir: &Path) -> Self {
        match &mut self {
            VerifyError::Missing { path }
            | VerifyError::NotAFile { path, .. }
            | VerifyError::NotExecutable { path, .. }
            | VerifyError::Changed { path, .. }
            | VerifyError::BadChecksumFile { path, .. }
            | VerifyError::Io { path, .. } => {
                if let Ok(relative) = path.strip_prefix(dir) {
                    *path = relative.to_path_buf();
                }
            }
            VerifyError::Refused(_) => {}
        }
        self
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Missing { path } => {
                write!(f, "there is no executable at {}", path.display())
            }
            VerifyError::NotAFile { path, found } => {
                write!(f, "{} is {found}, not a regular file", path.display())
            }
            VerifyError::NotExecutable { path, mode, hint } => {
                write!(f, "{} is not executable: ", path.display())?;
                match hint {
                    Some(hint) => f.write_str(hint),
                    None => write!(f, "its mode is {mode:04o}"),
                }
            }
            VerifyError::Changed {
                path,
                expected,
                actual,
            } => write!(
                f,
                "{} has changed: expected sha256 {expected}, actual {actual}",
                path.display()
            ),
            VerifyError::BadChecksumFile { path, reason } => {
                write!(f, "{} is not usable: {reason}", path.display())
            }
            VerifyError::Refused(reason) => f.write_str(reason),
            VerifyError::Io { path, source } => {
                write!(f, "failed to look at {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            VerifyError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

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
