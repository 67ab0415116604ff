//! Unpacks a tar archive (POSIX ustar and pax, and GNU) that is compressed with gzip.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};

use ::tar::{Archive, Entry, EntryType};
use flate2::bufread::MultiGzDecoder;

use crate::config::UnpackLimits;
use crate::error::InitError;

use super::refusal::refused;
use super::stage::StageWriter;

/// What the headers of one entry may take, long names and pax records included. The `tar` crate
/// reads those into memory whatever length they claim.
const MAX_HEADERS: u64 = 1 << 20;

/// What the archive may take beside the contents of its entries, per entry: two headers with
/// padding, and names of some length.
const HEADERS_PER_ENTRY: u64 = 4096;

/// Unpacks every entry, in one pass and with memory that does not depend on the archive. The gzip
/// stream is read to its end, so that its checksum has been looked at.
pub(super) fn unpack(archive: &[u8], mut stage: StageWriter<'_>) -> Result<(), InitError> {
    let meter = Meter::new(stage.limits());
    let mut archive = Archive::new(Metered {
        inner: MultiGzDecoder::new(archive),
        meter: &meter,
    });
    let mut entries = archive.entries().map_err(whole)?;
    loop {
        meter.begin_headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(whole)?;
        meter.end_headers();
        unpack_entry(&mut entry, &mut stage)?;
        // Left to the crate it would be skipped while the next headers are read.
        io::copy(&mut entry, &mut io::sink()).map_err(whole)?;
    }
    meter.end_headers();
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(whole)?;
    stage.finish()
}

fn whole(e: io::Error) -> InitError {
    refused(b"", format!("not a valid tar.gz: {e}"))
}

fn unpack_entry<R: Read>(
    entry: &mut Entry<'_, R>,
    stage: &mut StageWriter<'_>,
) -> Result<(), InitError> {
    let name = entry.path_bytes().into_owned();
    let refuse = |reason: &str| Err(refused(&name, reason));
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        // What git puts in front: a comment.
        return Ok(());
    }
    refuse_pax_sparse(entry, &name)?;
    let mode = match entry.header().mode() {
        Ok(mode) => Some(mode),
        Err(e) => return refuse(&format!("its mode is no number: {e}")),
    };
    let at = stage.parse(&name)?;
    match kind {
        EntryType::Directory => stage.directory(&at, mode),
        // Archives from before POSIX name a directory by its slash alone.
        EntryType::Regular if at.ends_in_slash => stage.directory(&at, mode),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            stage.file(&at, mode, entry)
        }
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if kind == EntryType::Symlink {
                stage.symlink(&at, &target)
            } else {
                stage.hard_link(&at, &target)
            }
        }
        EntryType::Fifo => refuse("it is a fifo"),
        EntryType::Char => refuse("it is a character device"),
        EntryType::Block => refuse("it is a block device"),
        other => refuse(&format!(
            "it is an entry of the unknown type `{}`",
            char::from(other.as_byte()).escape_debug()
        )),
    }
}

/// A sparse file in the pax format is a map and data under another name, which the `tar` crate
/// hands out as if that were the file.
fn refuse_pax_sparse<R: Read>(entry: &mut Entry<'_, R>, name: &[u8]) -> Result<(), InitError> {
    let damaged = |e: io::Error| refused(name, format!("its pax records are damaged: {e}"));
    let Some(records) = entry.pax_extensions().map_err(damaged)? else {
        return Ok(());
    };
    for record in records {
        if record
            .map_err(damaged)?
            .key_bytes()
            .starts_with(b"GNU.sparse.")
        {
            return Err(refused(
                name,
                "sparse files in the pax format are not supported: use `--format=gnu`",
            ));
        }
    }
    Ok(())
}

/// Bytes that may still be read: of one entry's headers, and of the archive.
struct Meter {
    headers: Cell<Option<u64>>,
    total: Cell<u64>,
    limit: u64,
}

impl Meter {
    fn new(limits: &UnpackLimits) -> Self {
        let limit = limits
            .max_entries
            .saturating_mul(HEADERS_PER_ENTRY)
            .saturating_add(MAX_HEADERS)
            .saturating_add(limits.max_bytes);
        Meter {
            headers: Cell::new(None),
            total: Cell::new(limit),
            limit,
        }
    }

    fn begin_headers(&self) {
        self.headers.set(Some(MAX_HEADERS));
    }

    fn end_headers(&self) {
        self.headers.set(None);
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        if let Some(left) = self.headers.get() {
            let Some(left) = left.checked_sub(bytes) else {
                return Err(invalid(format!(
                    "the headers of an entry take more than {MAX_HEADERS} bytes"
                )));
            };
            self.headers.set(Some(left));
        }
        let Some(left) = self.total.get().checked_sub(bytes) else {
            return Err(invalid(format!(
                "it unpacks to more than {} bytes with all headers",
                self.limit
            )));
        };
        self.total.set(left);
        Ok(())
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// A reader that spends from a [`Meter`].
struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.meter.spend(length as u64)?;
        Ok(length)
    }
}
