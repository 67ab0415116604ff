//! What a commit will do, found out before it does anything: what stands, what is staged, and
//! everything that would stop it half-way and can be known before.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Stat};
use rustix::io::Errno;

use crate::error::InitError;

use super::tree;
use crate::init::fs_at;

const CHECKSUM_SUFFIX: &[u8] = b".sha256";

/// What becomes of the entries of one staged directory.
#[derive(Debug)]
pub(super) struct Plan {
    /// All but checksums.
    pub(super) entries: Vec<Entry>,
    /// Moved last: see [`Merge::run`](super::merge::Merge::run).
    pub(super) checksums: Vec<Entry>,
}

/// One staged name.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: CString,
    /// A `<name>.sha256` that stands and is for what is replaced.
    pub(super) stale_checksum: Option<CString>,
    pub(super) how: How,
}

/// What becomes of one staged name.
#[derive(Debug)]
pub(super) enum How {
    /// It is moved, over whatever a rename replaces.
    Move(Kind),
    /// It is moved when what stands, which a rename does not replace, has been removed.
    Replace {
        /// What stands.
        standing: Kind,
        /// What is staged.
        staged: Kind,
    },
    /// Two directories: the entries of the staged one are moved, and its mode is taken over.
    Merge {
        /// Of the staged directory.
        mode: u32,
        /// Its entries.
        plan: Plan,
    },
}

/// Of a staged or a standing entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its mode.
    Directory(u32),
    /// A file, a symlink or anything else.
    Other,
}

impl Kind {
    fn of(stat: &Stat) -> Self {
        if tree::is_dir(stat) {
            Kind::Directory(stat.st_mode)
        } else {
            Kind::Other
        }
    }
}

impl Plan {
    /// Looks at every entry of `stage` and at what stands under its name in `target`, which is
    /// `path`. Changes nothing.
    ///
    /// # Errors
    /// [`InitError::Io`] when `target`, or a directory of it to merge with, may not be written,
    /// or a directory that stands is on another file system.
    pub(super) fn draw(
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<Plan, InitError> {
        let device = rustix::fs::fstat(stage).map_err(look(path))?.st_dev;
        draw_level(stage, target, path, device)
    }

    /// All entries, in the order in which they are moved.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.checksums)
    }

    /// Whether any directories are merged.
    pub(super) fn merges(&self) -> bool {
        let is_merge = |entry: &Entry| matches!(entry.how, How::Merge { .. });
        self.entries.iter().any(is_merge)
    }

    /// Whether anything that stands is removed and not just replaced, at any depth.
    pub(super) fn removes(&self) -> bool {
        self.all().any(|entry| {
            entry.stale_checksum.is_some()
                || match &entry.how {
                    How::Move(_) => false,
                    How::Replace { .. } => true,
                    How::Merge { plan, .. } => plan.removes(),
                }
        })
    }
}

fn draw_level(
    stage: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    path: &Path,
    device: u64,
) -> Result<Plan, InitError> {
    rustix::fs::accessat(
        target,
        ".",
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .map_err(|e| InitError::io("write into", path)(e.into()))?;
    let mut names =
        tree::names(stage).map_err(|e| InitError::io("read the directory", path)(e.into()))?;
    names.sort_unstable();
    let mut plan = Plan {
        entries: Vec::with_capacity(names.len()),
        checksums: Vec::new(),
    };
    for name in &names {
        let at = join(path, name);
        let staged = tree::stat(stage, &**name).map_err(look(&at))?;
        let standing = find(target, name).map_err(look(&at))?;
        if let Some(standing) = &standing
            && tree::is_dir(standing)
            && standing.st_dev != device
        {
            return Err(InitError::io("replace", at)(Errno::XDEV.into()));
        }
        let staged = Kind::of(&staged);
        let how = match (standing.as_ref().map(Kind::of), staged) {
            (Some(Kind::Directory(_)), Kind::Directory(mode)) => {
                let from = fs_at::open_dir(stage, &**name).map_err(look(&at))?;
                let to = fs_at::open_dir(target, &**name).map_err(look(&at))?;
                How::Merge {
                    mode,
                    plan: draw_level(from.as_fd(), to.as_fd(), &at, device)?,
                }
            }
            (Some(standing @ Kind::Directory(_)), staged @ Kind::Other)
            | (Some(standing @ Kind::Other), staged @ Kind::Directory(_)) => {
                How::Replace { standing, staged }
            }
            (None, staged) | (Some(Kind::Other), staged @ Kind::Other) => How::Move(staged),
        };
        let stale_checksum = match staged {
            Kind::Directory(_) => None,
            Kind::Other => stale_checksum(target, name, &names).map_err(look(&at))?,
        };
        let entry = Entry {
            name: name.clone(),
            stale_checksum,
            how,
        };
        if staged == Kind::Other && name.to_bytes().ends_with(CHECKSUM_SUFFIX) {
            plan.checksums.push(entry);
        } else {
            plan.entries.push(entry);
        }
    }
    Ok(plan)
}

/// A checksum goes with the file that it is for: one that stands beside a file that is replaced
/// without a new one.
fn stale_checksum(
    target: BorrowedFd<'_>,
    name: &CStr,
    staged: &[CString],
) -> rustix::io::Result<Option<CString>> {
    let checksum = [name.to_bytes(), CHECKSUM_SUFFIX].concat();
    let Ok(checksum) = CString::new(checksum) else {
        return Ok(None);
    };
    if staged.binary_search(&checksum).is_ok() {
        return Ok(None);
    }
    match find(target, &checksum) {
        Ok(Some(standing)) if !tree::is_dir(&standing) => Ok(Some(checksum)),
        Ok(_) | Err(Errno::NAMETOOLONG) => Ok(None),
        Err(e) => Err(e),
    }
}

fn find(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Option<Stat>> {
    match tree::stat(dir, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The path of `name` in `path`, for errors.
pub(super) fn join(path: &Path, name: &CStr) -> PathBuf {
    path.join(OsStr::from_bytes(name.to_bytes()))
}

fn look(path: &Path) -> impl FnOnce(Errno) -> InitError {
    let error = InitError::io("look at", path);
    move |e| error(io::Error::from(e))
}
