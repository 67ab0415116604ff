//! Moves a staged tree into the tree that stands: checks first, then moves.

use std::ffi::CStr;
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, Stat};
use rustix::io::Errno;

use crate::error::InitError;

use super::{RESERVED_PREFIX, tree};
use crate::init::fs_at;

const CHECKSUM_SUFFIX: &[u8] = b".sha256";

/// One merge of a staged tree.
pub(super) struct Merge<'a> {
    step: &'a mut dyn FnMut(),
}

impl<'a> Merge<'a> {
    /// `step` is called before each change.
    pub(super) fn new(step: &'a mut dyn FnMut()) -> Self {
        Merge { step }
    }

    /// Looks for everything that would stop [`Merge::run`] half-way and can be known before.
    pub(super) fn check(
        &self,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        for name in names(stage, path)? {
            if name.to_bytes().starts_with(RESERVED_PREFIX.as_bytes()) {
                return Err(InitError::Unpack {
                    entry: name.to_string_lossy().into_owned(),
                    reason: format!("names that begin with `{RESERVED_PREFIX}` are the proxy's"),
                });
            }
        }
        let device = rustix::fs::fstat(stage).map_err(look(path))?.st_dev;
        check_level(stage, target, path, device)
    }

    /// Moves every entry of `stage` into `target`, which is `path`. What was moved by a run that
    /// was cut off is no longer in `stage`, so running again completes it.
    ///
    /// A checksum goes with the file that it is for: where a file is replaced, a `<name>.sha256`
    /// that stands beside it is removed first, unless the stage holds a new one. New ones are moved
    /// last, so a file that is still in `stage` without one never had one, even when this run
    /// completes another.
    pub(super) fn run(
        &mut self,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        let (checksums, others): (Vec<_>, Vec<_>) = names(stage, path)?
            .into_iter()
            .partition(|name| name.to_bytes().ends_with(CHECKSUM_SUFFIX));
        for name in others.into_iter().chain(checksums) {
            self.drop_stale_checksum(stage, target, &name, path)?;
            let path = join(path, &name);
            self.move_entry(stage, target, &name, &path)?;
        }
        Ok(())
    }

    fn drop_stale_checksum(
        &mut self,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> Result<(), InitError> {
        let checksum = [name.to_bytes(), CHECKSUM_SUFFIX].concat();
        let path = || path.join(OsStr::from_bytes(&checksum));
        let find = |dir| match tree::stat(dir, &*checksum) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            Err(e) => Err(look(&path())(e)),
        };
        let Some(standing) = find(target)? else {
            return Ok(());
        };
        let replaced = tree::stat(stage, name).map_err(look(&path()))?;
        if tree::is_dir(&standing) || tree::is_dir(&replaced) || find(stage)?.is_some() {
            return Ok(());
        }
        (self.step)();
        rustix::fs::unlinkat(target, &*checksum, AtFlags::empty())
            .map_err(|e| InitError::io("remove", path())(e.into()))
    }

    fn move_entry(
        &mut self,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> Result<(), InitError> {
        let staged = tree::stat(stage, name).map_err(look(path))?;
        let standing = standing(target, name).map_err(look(path))?;
        let replace = |e: Errno| InitError::io("replace", path)(e.into());
        match standing {
            Some(standing) if tree::is_dir(&standing) && tree::is_dir(&staged) => {
                return self.merge_directory(stage, target, name, path, &staged);
            }
            // A rename does not replace a directory by a file, nor a file by a directory.
            Some(standing) if tree::is_dir(&standing) => {
                (self.step)();
                tree::remove(path).map_err(InitError::io("replace", path))?;
            }
            Some(_) if tree::is_dir(&staged) => {
                (self.step)();
                rustix::fs::unlinkat(target, name, AtFlags::empty()).map_err(replace)?;
            }
            _ => {}
        }
        (self.step)();
        match rustix::fs::renameat(stage, name, target, name) {
            // Moving a directory changes its `..`, which takes permission to write it.
            Err(Errno::ACCESS) if tree::is_dir(&staged) => {
                chmod(stage, name, 0o700).map_err(replace)?;
                rustix::fs::renameat(stage, name, target, name).map_err(replace)?;
                chmod(target, name, staged.st_mode).map_err(replace)
            }
            other => other.map_err(replace),
        }
    }

    fn merge_directory(
        &mut self,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        staged: &Stat,
    ) -> Result<(), InitError> {
        use std::os::fd::AsFd;
        let merge = |e: Errno| InitError::io("merge", path)(e.into());
        let from = fs_at::open_dir(stage, name).map_err(merge)?;
        let to = fs_at::open_dir(target, name).map_err(merge)?;
        self.run(from.as_fd(), to.as_fd(), path)?;
        (self.step)();
        match rustix::fs::fchmod(&to, permissions(staged.st_mode)) {
            // Another user's directory that this one may write keeps its mode.
            Ok(()) | Err(Errno::PERM) => {}
            Err(e) => return Err(merge(e)),
        }
        (self.step)();
        rustix::fs::unlinkat(stage, name, AtFlags::REMOVEDIR).map_err(merge)
    }
}

fn check_level(
    stage: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    path: &Path,
    device: u64,
) -> Result<(), InitError> {
    use std::os::fd::AsFd;
    rustix::fs::accessat(
        target,
        ".",
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .map_err(|e| InitError::io("write into", path)(e.into()))?;
    for name in names(stage, path)? {
        let path = join(path, &name);
        let Some(standing) = standing(target, &name).map_err(look(&path))? else {
            continue;
        };
        if !tree::is_dir(&standing) {
            continue;
        }
        if standing.st_dev != device {
            return Err(InitError::io("replace", path)(Errno::XDEV.into()));
        }
        if tree::is_dir(&tree::stat(stage, &*name).map_err(look(&path))?) {
            let from = fs_at::open_dir(stage, &*name).map_err(look(&path))?;
            let to = fs_at::open_dir(target, &*name).map_err(look(&path))?;
            check_level(from.as_fd(), to.as_fd(), &path, device)?;
        }
    }
    Ok(())
}

fn names(dir: BorrowedFd<'_>, path: &Path) -> Result<Vec<std::ffi::CString>, InitError> {
    tree::names(dir).map_err(|e| InitError::io("read the directory", path)(e.into()))
}

fn standing(target: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Option<Stat>> {
    match tree::stat(target, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

fn chmod(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::chmodat(dir, name, permissions(mode), AtFlags::empty())
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

fn join(path: &Path, name: &CStr) -> PathBuf {
    path.join(OsStr::from_bytes(name.to_bytes()))
}

fn look(path: &Path) -> impl FnOnce(Errno) -> InitError {
    let error = InitError::io("look at", path);
    move |e| error(io::Error::from(e))
}
