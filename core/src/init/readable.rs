//! Makes what an init brings readable to the user that runs it, and no more than that.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Stat, Uid};

use super::fs_at;
use super::install::tree;
use crate::confinement::User;
use crate::error::InitError;

/// Has the group of `user` read what the owner may read of all that lies in `dir`, and execute what
/// the owner may execute. What everybody may read already stays as it is. Nothing becomes writable,
/// nothing open to others. Symlinks are left alone and not followed.
///
/// # Errors
/// [`InitError::Io`] where the file system takes no groups or modes.
pub(crate) fn make_readable(dir: &Path, user: User) -> Result<(), InitError> {
    fs_at::open_dir(CWD, dir)
        .and_then(|opened| below(opened.as_fd(), Gid::from_raw(user.gid)))
        .map_err(|e| error(dir)(e.into()))
}

/// The same of the directory itself, and not of what lies in it.
///
/// # Errors
/// As above.
pub(crate) fn make_enterable(dir: &Path, user: User) -> Result<(), InitError> {
    entry(CWD, dir, Gid::from_raw(user.gid))
        .map(|_| ())
        .map_err(|e| error(dir)(e.into()))
}

/// A directory that is the user's alone, and empty.
///
/// # Errors
/// [`InitError::Io`] where one cannot be made, or an earlier one not be removed.
pub(crate) fn make_private(dir: &Path, user: Option<User>) -> Result<(), InitError> {
    tree::remove(dir).map_err(InitError::io("empty", dir))?;
    let made = rustix::fs::mkdir(dir, Mode::RWXU).and_then(|()| match user {
        None => Ok(()),
        Some(User { uid, gid }) => {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(CWD, dir, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
    });
    made.map_err(|e| InitError::io("make", dir)(e.into()))
}

fn error(dir: &Path) -> impl FnOnce(std::io::Error) -> InitError {
    InitError::io("make readable to the action's user", dir)
}

fn below(dir: BorrowedFd<'_>, group: Gid) -> rustix::io::Result<()> {
    for name in tree::names(dir)? {
        let stat = entry(dir, &*name, group)?;
        if tree::is_dir(&stat) {
            below(fs_at::open_dir(dir, &*name)?.as_fd(), group)?;
        }
    }
    Ok(())
}

fn entry(
    dir: BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
    group: Gid,
) -> rustix::io::Result<Stat> {
    let stat = tree::stat(dir, name)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory | FileType::RegularFile => {}
        _ => return Ok(stat),
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let owners = (mode & (Mode::RUSR | Mode::XUSR)).as_raw_mode();
    let (groups, others) = (owners >> 3, owners >> 6);
    if mode.contains(Mode::from_raw_mode(others)) {
        return Ok(stat);
    }
    // Nobody else writes here: an init has its directory to itself.
    rustix::fs::chownat(dir, name, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::chmodat(
        dir,
        name,
        mode | Mode::from_raw_mode(groups),
        AtFlags::empty(),
    )?;
    Ok(stat)
}
