//! What has to be on disk before the next step, where a loss of power is to be outlived.
//!
//! A file's sync writes its content and mode, a directory's its names and mode; neither says
//! anything of the other, nor of the order of what was not synced (fsync(2)). Only a rename is
//! taken to be one change: journals, logs and checkpoints keep it so.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::config::Durability;
use crate::error::InitError;

use super::tree;
use crate::init::fs_at;

/// Syncs one file or directory, which is `path`.
pub(super) fn entry(
    durability: Durability,
    entry: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), InitError> {
    match durability {
        Durability::Process => Ok(()),
        Durability::PowerLoss => {
            rustix::fs::fsync(entry).map_err(|e| InitError::io("sync", path)(e.into()))
        }
    }
}

/// Syncs the directory `path` and everything below it.
pub(super) fn everything(
    durability: Durability,
    dir: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), InitError> {
    match durability {
        Durability::Process => Ok(()),
        Durability::PowerLoss => match below(dir) {
            // A file that its owner may not read. The whole file system takes longer, but takes
            // no permission.
            Err(Errno::ACCESS) => rustix::fs::syncfs(dir),
            other => other,
        }
        .map_err(|e| InitError::io("sync what is below", path)(e.into())),
    }
}

fn below(dir: BorrowedFd<'_>) -> rustix::io::Result<()> {
    for name in tree::names(dir)? {
        match FileType::from_raw_mode(tree::stat(dir, &*name)?.st_mode) {
            FileType::Directory => below(fs_at::open_dir(dir, &*name)?.as_fd())?,
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::fsync(rustix::fs::openat(dir, &*name, flags, Mode::empty())?)?;
            }
            // A symlink is its name; of the others nothing is on disk but the name.
            _ => {}
        }
    }
    rustix::fs::fsync(dir)
}

/// Makes the directory `path` with those above it, each to be found after a loss of power.
///
/// # Errors
/// [`InitError::Io`] when one cannot be made or synced.
pub(crate) fn make_dir(durability: Durability, path: &Path) -> Result<(), InitError> {
    let missing = match durability {
        Durability::Process => 0,
        Durability::PowerLoss => path.ancestors().take_while(|dir| !dir.exists()).count(),
    };
    fs::create_dir_all(path).map_err(InitError::io("create", path))?;
    if durability == Durability::Process {
        return Ok(());
    }
    // One that stands may have been made by a process that was killed before it synced.
    for parent in path.ancestors().skip(1).take(missing.max(1)) {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(InitError::io("sync", parent))?;
    }
    Ok(())
}
