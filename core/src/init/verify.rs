//! Is the executable fit to run: permission and checksum.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::checksum;
use crate::config::VerifyPolicy;
use crate::digest::Digest;
use crate::error::VerifyError;
use crate::run::diagnose;

/// The executable as [`ActionRunner::verify`](crate::ActionRunner::verify) sees it: staged, or
/// installed.
pub struct Executable<'a> {
    pub(crate) path: &'a Path,
    pub(crate) policy: VerifyPolicy,
    pub(crate) recorded: Option<&'a Recorded>,
}

impl Executable<'_> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.path
    }

    /// Permission, then checksum. Before a run, the checksum is the one recorded when init ended,
    /// and costs one stat unless the file changed. During init it is the one that a
    /// `<name>.sha256` beside the executable asks for, if there is one.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(&self) -> Result<(), VerifyError> {
        let metadata = self.regular_file()?;
        let recorded = self
            .recorded
            .filter(|_| self.policy == VerifyPolicy::Digest);
        // Who may execute it cannot have changed either: that would show in the change time.
        if recorded.is_some_and(|recorded| recorded.is_known(&metadata)) {
            return Ok(());
        }
        self.permission(&metadata)?;
        match (self.recorded, recorded) {
            (None, _) => self.stated(),
            (Some(_), Some(recorded)) => recorded.compare(self.path, &metadata),
            (Some(_), None) => Ok(()),
        }
    }

    fn regular_file(&self) -> Result<Metadata, VerifyError> {
        let path = || self.path.to_path_buf();
        match std::fs::metadata(self.path) {
            Ok(metadata) if metadata.is_file() => Ok(metadata),
            Ok(metadata) => Err(VerifyError::NotAFile {
                path: path(),
                found: match metadata.is_dir() {
                    true => "a directory",
                    false => "a device, a fifo or a socket",
                },
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(VerifyError::Missing { path: path() })
            }
            Err(source) => Err(VerifyError::Io {
                path: path(),
                source,
            }),
        }
    }

    /// This process may execute it.
    fn permission(&self, metadata: &Metadata) -> Result<(), VerifyError> {
        // By the effective user, as exec asks.
        if accessat(CWD, self.path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() {
            return Ok(());
        }
        Err(VerifyError::NotExecutable {
            path: self.path.to_path_buf(),
            mode: metadata.mode() & 0o7777,
            hint: diagnose::noexec(self.path),
        })
    }

    /// What `<name>.sha256` states, if it stands beside the executable.
    fn stated(&self) -> Result<(), VerifyError> {
        let Some(name) = self.path.file_name().and_then(|n| n.to_str()) else {
            return Ok(());
        };
        let beside = self.path.with_file_name(format!("{name}.sha256"));
        let Some(expected) = checksum::read_checksum_file(&beside, name)? else {
            return Ok(());
        };
        let actual = digest(self.path)?;
        if expected == actual {
            Ok(())
        } else {
            Err(VerifyError::Changed {
                path: self.path.to_path_buf(),
                expected,
                actual,
            })
        }
    }
}

/// What the executable was when init ended, in this process or an earlier one.
#[derive(Debug)]
pub(crate) struct Recorded {
    digest: Digest,
    /// The last state of the file known to have this digest; none before it was first read.
    known: Mutex<Option<Fingerprint>>,
}

/// What changes when a file's content does: a write moves the change time, which no unprivileged
/// call can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Fingerprint {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Recorded {
    /// Reads and records the executable at `path`; nothing where a runner does without one.
    pub(crate) fn record(path: &Path) -> Result<Option<Self>, VerifyError> {
        // The state before the content: a change in between is then seen as a change.
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(Recorded {
                digest: digest(path)?,
                known: Mutex::new(Some(Fingerprint::of(&metadata))),
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(VerifyError::Io {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// This, if it is the same as `known`.
    pub(crate) fn expect(self, known: &Recorded, path: &Path) -> Result<Self, VerifyError> {
        if self.digest == known.digest {
            Ok(self)
        } else {
            Err(VerifyError::Changed {
                path: path.to_path_buf(),
                expected: known.digest,
                actual: self.digest,
            })
        }
    }

    /// What an earlier process wrote down. The file is read before its first run.
    pub(crate) fn earlier(digest: Digest) -> Self {
        Recorded {
            digest,
            known: Mutex::new(None),
        }
    }

    /// The digest.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The executable was moved to `path`: the next run need not read it again for that.
    pub(crate) fn moved_to(&self, path: &Path) {
        if let Ok(metadata) = std::fs::metadata(path) {
            *self.known() = Some(Fingerprint::of(&metadata));
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Fingerprint>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is as it was when its content was last looked at.
    fn is_known(&self, metadata: &Metadata) -> bool {
        *self.known() == Some(Fingerprint::of(metadata))
    }

    fn compare(&self, path: &Path, metadata: &Metadata) -> Result<(), VerifyError> {
        let found = Fingerprint::of(metadata);
        let mut known = self.known();
        let actual = digest(path)?;
        if actual != self.digest {
            return Err(VerifyError::Changed {
                path: path.to_path_buf(),
                expected: self.digest,
                actual,
            });
        }
        *known = Some(found);
        Ok(())
    }
}

fn digest(path: &Path) -> Result<Digest, VerifyError> {
    Digest::of_file(path).map_err(|source| VerifyError::Io {
        path: path.to_path_buf(),
        source,
    })
}
