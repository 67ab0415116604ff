//! Why an executable is not fit to run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

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
