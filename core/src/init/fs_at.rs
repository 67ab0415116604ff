//! Directories by descriptor, never through a symlink.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags};
use rustix::path::Arg;

/// Opens the directory `name` of `parent`, unless it is a symlink.
pub(super) fn open_dir(parent: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens the directory that `components` lead to from `root`, none of which may be a symlink.
pub(super) fn open_below<'a>(
    root: &OwnedFd,
    components: impl Iterator<Item = &'a [u8]>,
) -> rustix::io::Result<OwnedFd> {
    let top = open_dir(root, ".");
    let mut components = components;
    components.try_fold(top?, |dir, component| {
        open_dir(dir, OsStr::from_bytes(component))
    })
}
