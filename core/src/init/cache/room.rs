//! Keeps the cache within its limit: what was not used for the longest time goes first.
//!
//! No lock is needed. Two that make room at the same time remove the same files, and each looks after
//! it has added its own, so the last one sees all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW};

use super::entry::NEW_PREFIX;

/// Digits of a key.
const KEY_LENGTH: usize = 64;

/// The entry was used just now.
pub(super) fn note_use(entry: &File) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW as _,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    // A cache that can only be read is used all the same.
    let _ = rustix::fs::futimens(entry, &times);
}

struct Entry {
    used: (i64, i64),
    length: u64,
    path: PathBuf,
}

/// Removes entries until those that are left, but for the one called `replaced`, take no more than
/// `max_bytes`; and what processes have begun to write that are gone.
pub(super) fn make(dir: &Path, max_bytes: u64, replaced: Option<&OsStr>) -> io::Result<()> {
    let mut entries = Vec::new();
    for found in fs::read_dir(dir)? {
        let found = found?;
        let (name, path) = (found.file_name(), found.path());
        if name.as_bytes().starts_with(NEW_PREFIX.as_bytes()) {
            remove_leftover(&path)?;
            continue;
        }
        let is_key = name.len() == KEY_LENGTH && name.as_bytes().iter().all(u8::is_ascii_hexdigit);
        if !is_key || Some(&*name) == replaced {
            continue;
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => entries.push(Entry {
                used: (metadata.mtime(), metadata.mtime_nsec()),
                length: metadata.len(),
                path,
            }),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let mut total = entries
        .iter()
        .map(|entry| entry.length)
        .fold(0, u64::saturating_add);
    entries.sort_unstable_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    for entry in entries {
        if total <= max_bytes {
            break;
        }
        remove(&entry.path)?;
        total -= entry.length;
    }
    Ok(())
}

/// Removes what nobody writes any more.
fn remove_leftover(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        // Another user's: whoever may read it removes it.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => return Ok(()),
        other => other?,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(()),
        // Its writer may have given it its name meanwhile, and another have begun one under this.
        _ if !is_still(path, &file)? => Ok(()),
        _ => remove(path),
    }
}

/// Whether `path` names this file.
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
