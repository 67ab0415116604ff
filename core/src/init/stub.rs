//! The stub: what stands for an action until an init brings one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::config::{Config, Durability, Stub};
use crate::error::InitError;

use super::install::{NEW_STUB, sync};

/// Whether a file is a stub, by its text.
fn is_marked(text: &[u8]) -> bool {
    text.starts_with(b"#!") && text.split(|b| *b == b'\n').nth(1) == Some(Stub::MARKER.as_bytes())
}

/// How much of a file is looked at for the marker: a line as long as a path may be stands before.
const MAX_STUB: u64 = 16 << 10;

/// What stands at the executable's path now.
pub(crate) enum Put {
    /// The stub.
    Stands,
    /// Nothing: there is no stub.
    Nothing,
    /// Something else, which stays.
    Other,
}

/// Puts the stub where nothing stands; knows it again where an earlier start put it.
pub(crate) fn put(config: &Config) -> Result<Put, InitError> {
    let path = config.executable_path();
    let parent = config.working_dir();
    let Some(stub) = &config.stub else {
        return Ok(match read_start(&path, MAX_STUB) {
            Ok(found) if is_marked(&found) => Put::Stands,
            Err(_) if path.symlink_metadata().is_err() => Put::Nothing,
            Ok(_) | Err(_) => Put::Other,
        });
    };
    if !parent.is_dir() {
        sync::make_dir(config.durability, &parent)?;
    }
    loop {
        let replacing = match read_start(&path, MAX_STUB.max(stub.0.len() as u64 + 1)) {
            Ok(found) if found == stub.0.as_bytes() => return Ok(Put::Stands),
            Ok(found) if is_marked(&found) => RenameFlags::empty(),
            Err(_) if path.symlink_metadata().is_err() => RenameFlags::NOREPLACE,
            Ok(_) | Err(_) => return Ok(Put::Other),
        };
        // By a rename: half a stub, or none of its text, would be taken for somebody's executable.
        match write(
            &path,
            &config.action_dir.join(NEW_STUB),
            stub,
            config.durability,
            replacing,
        ) {
            Ok(()) => return Ok(Put::Stands),
            // Another proxy was faster: what stands now is looked at again.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(InitError::io("write the stub", &path)(e)),
        }
    }
}

fn write(
    path: &Path,
    new: &Path,
    stub: &Stub,
    durability: Durability,
    replacing: RenameFlags,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(new)?;
    file.write_all(stub.0.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    if durability == Durability::PowerLoss {
        file.sync_all()?;
    }
    // Not synced: where it is lost, the next start puts it again.
    match renameat_with(CWD, new, CWD, path, replacing) {
        Ok(()) => Ok(()),
        // Another proxy, which began in the same moment, has moved it.
        Err(Errno::NOENT) => Err(io::ErrorKind::AlreadyExists.into()),
        // Not every file system knows the flag.
        Err(Errno::INVAL) => fs::rename(new, path),
        Err(e) => Err(e.into()),
    }
}

/// The first bytes of a regular file, at most `limit`; from others, a read might never return.
fn read_start(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut start = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut start)?;
    Ok(start)
}
