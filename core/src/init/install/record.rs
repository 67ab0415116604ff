//! What an init installed, written down for the processes that come after: an executable with a
//! record is an init's, and one without is the image's own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{InitError, VerifyError};
use crate::init::checksum;

/// The record's name in the action directory. It is a line as `sha256sum` writes it. It comes, and
/// is replaced, together with the executable, as one more staged file.
pub(super) const NAME: &str = ".actionproxy-installed";

/// Writes down in `stage` that `executable`, which is relative to it, has this digest.
pub(super) fn write(stage: &Path, executable: &Path, digest: &Digest) -> Result<(), InitError> {
    let path = stage.join(NAME);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(super::reserved(NAME)),
        other => other.map_err(InitError::io("create", &path))?,
    };
    file.write_all(checksum::line(digest, &executable.to_string_lossy()).as_bytes())
        .map_err(InitError::io("write", path))
}

/// The digest of the executable that an init installed in `action_dir`; `None` where no init did.
///
/// # Errors
/// [`VerifyError::BadChecksumFile`] and [`VerifyError::Io`] when there is a record that cannot be
/// read.
pub(crate) fn read(action_dir: &Path, executable: &Path) -> Result<Option<Digest>, VerifyError> {
    checksum::read_checksum_file(&path(action_dir), &executable.to_string_lossy())
}

/// Removes the record: what it was for is gone.
pub(crate) fn remove(action_dir: &Path) -> Result<(), InitError> {
    let path = path(action_dir);
    // Looked for first: a file system that is mounted read-only refuses to remove nothing.
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::remove_file(&path).map_err(InitError::io("remove", path))
}

/// Where the record of `action_dir` lies.
pub(crate) fn path(action_dir: &Path) -> PathBuf {
    action_dir.join(NAME)
}
