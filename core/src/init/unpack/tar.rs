//! Unpacks a tar archive (POSIX ustar and pax, and GNU) that is compressed with gzip.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};

use ::tar::{Archive, Entry, EntryType};
use flate2::bufread::GzDecoder;

use crate::config::UnpackLimits;
use crate::error::InitError;
use crate::init::decode::foreign;

use super::refusal::{printable, refused};
use super::remark::Remark;
use super::stage::StageWriter;

/// What the headers of one entry may take, long names and pax records included. The `tar` crate
/// reads those into memory whatever length they claim.
const MAX_HEADERS: u64 = 1 << 20;

/// What the archive may take beside the contents of its entries, per entry: two headers with
/// padding, and names of some length.
const HEADERS_PER_ENTRY: u64 = 4096;

/// What a gzip stream begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// What may follow the last gzip stream and means nothing: the rest of a block of a tape, and the
/// line break that an editor or a form puts at the end.
const FILL: &[u8] = b"\0 \t\r\n";

/// A block of a tar.
const BLOCK: usize = 512;

/// Unpacks every entry, in one pass and with memory that does not depend on the archive. The gzip
/// stream is read to its end, so that its checksum has been looked at.
pub(super) fn unpack(archive: &[u8], mut stage: StageWriter<'_>) -> Result<Vec<Remark>, InitError> {
    let meter = Meter::new(stage.limits());
    let mut source = Metered {
        inner: GzDecoder::new(archive),
        length: archive.len(),
        meter: &meter,
    };
    let mut last = None;
    let head = first_block(&mut source).map_err(|e| meter.between(&last, &e))?;
    refuse_other(&head)?;
    let mut archive = Archive::new(head.as_slice().chain(source));
    let mut entries = archive.entries().map_err(|e| meter.between(&last, &e))?;
    loop {
        meter.begin_headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| meter.between(&last, &e))?;
        meter.end_headers();
        let name = entry.path_bytes().into_owned();
        unpack_entry(&name, &mut entry, &mut stage, &meter)?;
        // Left to the crate it would be skipped while the next headers are read.
        io::copy(&mut entry, &mut io::sink()).map_err(|e| meter.within(&name, &e))?;
        if meter.ended.get() {
            // Each reads no further than its own content.
            return Err(refused(&name, "the tar ends within it: it was cut off"));
        }
        last = Some(name);
    }
    meter.end_headers();
    let end = meter.ended.get();
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| meter.behind(&last, &e))?;
    let mut remarks = stage.finish()?;
    if let Some(last) = last
        && end
    {
        remarks.push(Remark::NoEnd {
            last: printable(&last),
        });
    }
    Ok(remarks)
}

/// The first block of the tar, or what there is of it.
fn first_block(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(BLOCK as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Refuses what is compressed with gzip and no tar, if it can be told what it is.
fn refuse_other(head: &[u8]) -> Result<(), InitError> {
    if head.is_empty() {
        return Err(refused(b"", "it is gzip of nothing"));
    }
    if foreign::is_tar(head)
        && head[156] == b'V'
        && let Some(what) = kind_name(EntryType::new(b'V'))
    {
        // Its size is blank, which the crate does not take for a number.
        let name = head[..100].split(|&byte| byte == 0).next();
        return Err(refused(name.unwrap_or_default(), format!("it is {what}")));
    }
    if foreign::is_tar(head) || head.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let Some(name) = foreign::name(head).or(foreign::is_text(head).then_some("text")) else {
        // A damaged tar, or noise.
        return Ok(());
    };
    Err(refused(
        b"",
        format!(
            "it is gzip of {name}, not of a tar: send that without gzip, or make a tar.gz of it \
             (`tar -czf`)"
        ),
    ))
}

fn unpack_entry<R: Read>(
    name: &[u8],
    entry: &mut Entry<'_, R>,
    stage: &mut StageWriter<'_>,
    meter: &Meter,
) -> Result<(), InitError> {
    let refuse = |reason: &str| Err(refused(name, reason));
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        // What git puts in front: a comment.
        return Ok(());
    }
    refuse_pax_sparse(entry, name)?;
    let mode = match entry.header().mode() {
        Ok(mode) => Some(mode),
        Err(e) => return refuse(&format!("its mode is no number: {}", shown(&e))),
    };
    let at = stage.parse(name)?;
    match kind {
        EntryType::Directory => stage.directory(&at, mode),
        // Archives from before POSIX name a directory by its slash alone.
        EntryType::Regular if at.ends_in_slash => stage.directory(&at, mode),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let content = &mut Content {
                inner: entry,
                meter,
            };
            stage.file(&at, mode, content)
        }
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if kind == EntryType::Symlink {
                stage.symlink(&at, &target)
            } else {
                stage.hard_link(&at, &target)
            }
        }
        other => match kind_name(other) {
            Some(what) => refuse(&format!("it is {what}")),
            None => refuse(&format!(
                "it is an entry of the unknown type `{}`",
                char::from(other.as_byte()).escape_debug()
            )),
        },
    }
}

/// What is refused, and how to make the archive without it. The letters are GNU tar's.
fn kind_name(kind: EntryType) -> Option<&'static str> {
    Some(match kind.as_byte() {
        b'6' => "a fifo: leave it out of the archive",
        b'3' => "a character device: leave it out of the archive",
        b'4' => "a block device: leave it out of the archive",
        b'V' => "a volume label: make the archive without `--label`",
        b'M' => "the rest of a file of another volume: make the archive in one piece",
        b'D' => "an incremental backup's: make the archive without `--listed-incremental`",
        _ => return None,
    })
}

/// An error on one line: the crate quotes what it found where a number should be.
fn shown(e: &io::Error) -> String {
    printable(e.to_string().as_bytes())
}

/// A sparse file in the pax format is a map and data under another name, which the `tar` crate
/// hands out as if that were the file.
fn refuse_pax_sparse<R: Read>(entry: &mut Entry<'_, R>, name: &[u8]) -> Result<(), InitError> {
    let damaged =
        |e: io::Error| refused(name, format!("its pax records are damaged: {}", shown(&e)));
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

/// Bytes that may still be read, of one entry's headers and of the archive, and what came of
/// reading.
struct Meter {
    headers: Cell<Option<u64>>,
    total: Cell<u64>,
    limit: u64,
    /// How much of the compressed archive has been read.
    read: Cell<usize>,
    /// Whether more was asked for than there is.
    ended: Cell<bool>,
    trouble: Cell<Option<Trouble>>,
}

/// Why reading failed, apart from what the `tar` crate finds wrong with what was read.
#[derive(Clone, Copy)]
enum Trouble {
    /// What the error says, in our words.
    Told,
    /// The compressed archive ends too early.
    CutOff,
    /// The compressed archive is damaged.
    Damaged,
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
            read: Cell::new(0),
            ended: Cell::new(false),
            trouble: Cell::new(None),
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
                return Err(self.over(format!(
                    "the headers of an entry take more than {MAX_HEADERS} bytes"
                )));
            };
            self.headers.set(Some(left));
        }
        let Some(left) = self.total.get().checked_sub(bytes) else {
            return Err(self.over(format!(
                "the archive unpacks to more than {} bytes with all headers",
                self.limit
            )));
        };
        self.total.set(left);
        Ok(())
    }

    fn over(&self, reason: String) -> io::Error {
        self.trouble.set(Some(Trouble::Told));
        io::Error::new(ErrorKind::InvalidData, reason)
    }

    /// Where the reading of the tar has come to, and of the tar.gz.
    fn place(&self) -> String {
        format!(
            "byte {} of the tar, {} of the tar.gz",
            self.limit - self.total.get(),
            self.read.get()
        )
    }

    /// What `e` means in the content of an entry.
    fn in_content(&self, e: &io::Error) -> String {
        let e = shown(e);
        match self.trouble.get() {
            Some(Trouble::CutOff) => {
                format!(
                    "the tar.gz ends within it, at {}: it was cut off",
                    self.place()
                )
            }
            Some(Trouble::Damaged) => {
                format!(
                    "the tar.gz is damaged within it, near {}: {e}",
                    self.place()
                )
            }
            Some(Trouble::Told) | None => e,
        }
    }

    /// The refusal for `e`, met within the entry `name`.
    fn within(&self, name: &[u8], e: &io::Error) -> InitError {
        refused(name, self.in_content(e))
    }

    /// The refusal for `e`, met behind the entry `last` and all others. The checksum stands there.
    fn behind(&self, last: &Option<Vec<u8>>, e: &io::Error) -> InitError {
        match self.trouble.get() {
            Some(Trouble::Damaged) => refused(
                b"",
                format!(
                    "the tar.gz is damaged in one of its entries or at its end, byte {}: {}",
                    self.read.get(),
                    shown(e)
                ),
            ),
            _ => self.between(last, e),
        }
    }

    /// The refusal for `e`, met after the entry `last` and before another.
    fn between(&self, last: &Option<Vec<u8>>, e: &io::Error) -> InitError {
        let behind = match last {
            Some(name) => format!("after `{}`", printable(name)),
            None => "before its first entry".to_owned(),
        };
        let e = shown(e);
        let reason = match self.trouble.get() {
            Some(Trouble::CutOff) => {
                format!(
                    "the tar.gz ends {behind}, at {}: it was cut off",
                    self.place()
                )
            }
            _ if self.ended.get() => {
                let at = self.limit - self.total.get();
                format!("the tar ends {behind}, at its byte {at}: it was cut off")
            }
            Some(Trouble::Damaged) => {
                format!("the tar.gz is damaged {behind}, near {}: {e}", self.place())
            }
            Some(Trouble::Told) => format!("not a valid tar.gz: {e}"),
            None => format!("not a valid tar.gz: {behind}, at {}: {e}", self.place()),
        };
        refused(b"", reason)
    }
}

/// Reads the tar, spends from a [`Meter`] and tells it what happened.
struct Metered<'a> {
    /// Reads one gzip stream; a tar.gz may be several, one behind the other (RFC 1952 section 2.2).
    inner: GzDecoder<&'a [u8]>,
    length: usize,
    meter: &'a Meter,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let meter = self.meter;
        loop {
            let result = self.inner.read(buffer);
            let rest = *self.inner.get_ref();
            meter.read.set(self.length - rest.len());
            match result {
                // The end of a stream, unless nothing was asked for.
                Ok(0) if !buffer.is_empty() && rest.starts_with(GZIP) => {
                    self.inner.reset(rest);
                }
                Ok(0) if !buffer.is_empty() && !rest.iter().all(|byte| FILL.contains(byte)) => {
                    meter.trouble.set(Some(Trouble::Told));
                    let reason = format!("{} bytes follow that are no gzip", rest.len());
                    return Err(io::Error::new(ErrorKind::InvalidData, reason));
                }
                Ok(length) => {
                    meter.ended.set(length == 0 && !buffer.is_empty());
                    meter.spend(length as u64)?;
                    return Ok(length);
                }
                Err(e) => {
                    meter.trouble.set(Some(match e.kind() {
                        ErrorKind::UnexpectedEof => Trouble::CutOff,
                        _ => Trouble::Damaged,
                    }));
                    return Err(e);
                }
            }
        }
    }
}

/// The content of an entry; what is wrong with it is said in our words.
struct Content<'a, R> {
    inner: R,
    meter: &'a Meter,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .read(buffer)
            .map_err(|e| io::Error::new(e.kind(), self.meter.in_content(&e)))
    }
}
