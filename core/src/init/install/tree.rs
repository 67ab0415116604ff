//! Directory trees, walked by descriptor and never through a symlink.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::path::Arg;

/// What `name` of `dir` is, itself and not what it points to.
pub(crate) fn stat(dir: impl AsFd, name: impl Arg) -> rustix::io::Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether it is a directory.
pub(crate) fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The names in `dir`, read whole, so that `dir` may be changed while going through them.
pub(crate) fn names(dir: impl AsFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes the directory `path` and everything in it. Nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = fs::remove_dir_all(path).or_else(|e| match e.kind() {
        // A directory that its owner may not write, which a hook or the action left.
        io::ErrorKind::PermissionDenied => {
            grant_access(path)?;
            fs::remove_dir_all(path)
        }
        _ => Err(e),
    });
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn grant_access(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            grant_access(&entry.path())?;
        }
    }
    Ok(())
}
