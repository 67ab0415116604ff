//! One entry as a file: a line that tells what it is, the digest of the rest, the rest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::digest::{Digest, Hasher};

/// The first bytes.
const MAGIC: &[u8; 20] = b"actionproxy build 1\n";
/// Where the content begins: behind a digest.
const CONTENT: u64 = MAGIC.len() as u64 + 32;

/// What the name of an entry begins with that is being written.
pub(super) const NEW_PREFIX: &str = ".new-";

/// Bytes moved at a time.
const PIECE: usize = 64 << 10;

/// An entry that is being written. It is locked as long as its process lives, and removed when this is
/// dropped, unless it was finished.
pub(super) struct New {
    path: PathBuf,
    writer: BufWriter<File>,
    hasher: Hasher,
    length: u64,
    max_bytes: u64,
}

impl New {
    /// An empty one in `dir`, which takes no more than `max_bytes`.
    pub(super) fn create(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let mut number = 0_u64;
        loop {
            let path = dir.join(format!("{NEW_PREFIX}{}-{number}", process::id()));
            number += 1;
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            // Where there are no locks, another process may take it for a leftover: then it is not
            // there when it is to be renamed, and nothing is kept.
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) || file.metadata()?.nlink() == 0 {
                // It was taken for one between the two calls.
                continue;
            }
            let mut new = New {
                path,
                writer: BufWriter::with_capacity(PIECE, file),
                hasher: Hasher::default(),
                length: CONTENT,
                max_bytes,
            };
            new.writer.write_all(MAGIC)?;
            new.writer.write_all(&[0; 32])?;
            return Ok(new);
        }
    }

    /// Its length so far, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Gives it its name: it is there now.
    pub(super) fn finish(mut self, name: &str) -> io::Result<()> {
        self.writer.flush()?;
        let digest = std::mem::take(&mut self.hasher).finish();
        self.writer
            .get_ref()
            .write_all_at(digest.bytes(), MAGIC.len() as u64)?;
        let to = self.path.with_file_name(name);
        fs::rename(&self.path, to)?;
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Write for New {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.length.saturating_add(bytes.len() as u64);
        if length > self.max_bytes {
            let most = self.max_bytes;
            return Err(io::Error::other(format!(
                "what was built is over the limit of the cache, {most} bytes"
            )));
        }
        self.writer.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length = length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // A leftover is removed by whoever makes room next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the entry at `path`; `None` where there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<BufReader<File>>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(BufReader::with_capacity(PIECE, file))),
        Ok(_) => Err(io::Error::other("expected a file")),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether it is whole. It is then to be read from where its content begins.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check(file: &mut BufReader<File>) -> io::Result<()> {
    let mut magic = [0; MAGIC.len()];
    let mut stated = [0; 32];
    let begun = file
        .read_exact(&mut magic)
        .and_then(|()| file.read_exact(&mut stated));
    match begun {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(damaged("it is cut off")),
        other => other?,
    }
    if &magic != MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    if Digest::of_rest(file)?.bytes() != &stated {
        return Err(damaged("its checksum is another"));
    }
    file.seek(SeekFrom::Start(CONTENT)).map(drop)
}

/// The error for an entry that is not what it should be.
pub(super) fn damaged(how: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the entry is damaged: {how}"),
    )
}
