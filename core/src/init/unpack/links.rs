//! The last look at symlinks whose `..` comes after a name, when every entry has been written.
//!
//! Where `a/b/../c` leads is known only once `a/b` is: as a directory it is `a/c`, as a symlink it
//! is beside whatever that points to. So each such prefix has to be a directory of the tree.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use crate::error::InitError;

use super::path;
use super::refusal::refused;
use crate::init::fs_at::{open_below, open_dir};

/// Checks every symlink below `root`. No list of them is kept while unpacking: it could grow to
/// the entry limit times the length of a path.
pub(super) fn check(root: &OwnedFd) -> Result<(), InitError> {
    check_below(root, root, &mut Vec::new())
}

fn check_below(root: &OwnedFd, dir: &OwnedFd, at: &mut Vec<u8>) -> Result<(), InitError> {
    let length = at.len();
    for entry in Dir::read_from(dir).map_err(|e| look(at, e))? {
        let entry = entry.map_err(|e| look(at, e))?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if !at.is_empty() {
            at.push(b'/');
        }
        at.extend_from_slice(name);
        let name = OsStr::from_bytes(name);
        // Not every file system tells the type of an entry.
        let stat =
            rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| look(at, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = open_dir(dir, name).map_err(|e| look(at, e))?;
                check_below(root, &inner, at)?;
            }
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|e| look(at, e))?;
                check_link(root, at, &at[..length], target.as_bytes())?;
            }
            _ => {}
        }
        at.truncate(length);
    }
    Ok(())
}

fn look(at: &[u8], e: Errno) -> InitError {
    InitError::io("look at", OsStr::from_bytes(at))(e.into())
}

/// Checks the symlink `at` in the directory `parent`: every name that a `..` leaves is a directory.
fn check_link(root: &OwnedFd, at: &[u8], parent: &[u8], target: &[u8]) -> Result<(), InitError> {
    let mut place: Vec<&[u8]> = path::components(parent).collect();
    let mut went_down = false;
    for component in path::components(target) {
        if component != b".." {
            place.push(component);
            went_down = true;
            continue;
        }
        if went_down && open_below(root, place.iter().copied()).is_err() {
            return Err(refused(
                at,
                format!(
                    "it is a symlink to `{}`, which goes up from `{}`, no directory of the archive",
                    String::from_utf8_lossy(target).escape_debug(),
                    String::from_utf8_lossy(&place.join(&b'/')).escape_debug()
                ),
            ));
        }
        place.pop();
    }
    Ok(())
}
