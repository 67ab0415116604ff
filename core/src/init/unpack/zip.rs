//! Unpacks a zip archive (PKWARE APPNOTE 6.3) that lies in memory.

use std::io::{self, Cursor, Read};

use ::zip::read::{ArchiveOffset, Config, ZipFileEntry};
use ::zip::result::{ZipError, ZipResult};
use ::zip::unstable::read::ZipIterable;
use ::zip::{CompressionMethod, System, ZipReadOptions};
use rustix::fs::FileType;

use crate::error::InitError;

use super::refusal::{printable, refused};
use super::remark::Remark;
use super::stage::StageWriter;

mod cut;

/// The longest target of a symlink, which a zip holds as the content of the entry. One byte more
/// than the rules of paths allow, so that a longer one is refused by them.
const MAX_TARGET: u64 = 4096;

/// Unpacks every entry of the central directory. The directory is walked, not loaded: memory
/// does not depend on the number of entries, and two entries of one name are both seen.
pub(super) fn unpack(archive: &[u8], mut stage: StageWriter<'_>) -> Result<Vec<Remark>, InitError> {
    let mut content = Cursor::new(archive);
    let mut directory = match open(archive) {
        Ok(directory) => directory,
        Err(e) => return Err(cut::explain(archive, stage.limits(), &cause(e))),
    };
    let (count, limit) = (directory.len(), stage.limits().max_entries);
    if count as u64 > limit {
        return Err(refused(
            b"",
            format!("it has {count} entries, over the limit of {limit}"),
        ));
    }
    let mut names = Names::new(archive);
    let mut last: Option<(u64, String)> = None;
    for entry in directory.files().map_err(|e| refused(b"", cause(e)))? {
        let entry = entry.map_err(|e| {
            let after = match &last {
                Some((_, name)) => format!("after `{name}`"),
                None => "at its beginning".to_owned(),
            };
            let cause = cause(e);
            refused(
                b"",
                format!("its directory of entries is damaged {after}: {cause}"),
            )
        })?;
        last = Some((entry.central_header_start(), printable(entry.name_raw())));
        unpack_entry(entry, &mut content, &mut names, &mut stage)?;
    }
    if !is_last(archive, last.map(|(start, _)| start)) {
        return Err(refused(
            b"",
            format!("it has more entries than the {count} that its end record tells of"),
        ));
    }
    stage.finish()
}

fn open(archive: &[u8]) -> ZipResult<ZipIterable<Cursor<&[u8]>>> {
    let archive_offset = if archive.starts_with(cut::ENTRY) {
        // Nothing stands in front. An end record that only fits further on is that of a zip inside
        // this one, whose own was cut off.
        ArchiveOffset::Known(0)
    } else {
        ArchiveOffset::Detect
    };
    ZipIterable::try_new(Cursor::new(archive), Config { archive_offset })
}

/// Whether no header follows the one at `last` in the central directory. The number of entries has
/// 16 bits; a maker without zip64 that passes them leaves the others unseen.
fn is_last(archive: &[u8], last: Option<u64>) -> bool {
    let Some(last) = last else {
        return !archive.starts_with(cut::ENTRY);
    };
    // The header was just read from there: 46 bytes, at 28 the lengths of the name, extra field
    // and comment that follow them (APPNOTE 4.3.12).
    let end = usize::try_from(last).ok().and_then(|start| {
        let header = archive.get(start..start.checked_add(46)?)?;
        let lengths = header[28..34].chunks_exact(2);
        Some(
            start
                + 46
                + lengths
                    .map(|l| usize::from(u16::from_le_bytes([l[0], l[1]])))
                    .sum::<usize>(),
        )
    });
    let rest = end.and_then(|end| archive.get(end..)).unwrap_or_default();
    !rest.starts_with(cut::DIRECTORY)
}

fn unpack_entry(
    entry: ZipFileEntry<'_>,
    archive: &mut Cursor<&[u8]>,
    names: &mut Names<'_>,
    stage: &mut StageWriter<'_>,
) -> Result<(), InitError> {
    let name = names.of(&entry)?;
    let at = stage.parse(&name)?;
    let refuse = |reason: String| refused(&name, reason);
    if entry.encrypted() {
        return Err(refuse(
            "it is encrypted: make the archive without a password".to_owned(),
        ));
    }
    let method = entry.compression();
    if !matches!(
        method,
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        return Err(refuse(format!(
            "it is compressed with {}, not with deflate: make the zip with `zip`, or with \
             `7z a -tzip -mm=Deflate`",
            method_name(method)
        )));
    }
    let mode = unix_mode(entry.external_attributes());
    let kind = match mode.map(FileType::from_raw_mode) {
        _ if at.ends_in_slash => FileType::Directory,
        // Only permission bits were written, as Python's `writestr` does.
        None | Some(FileType::Unknown) => FileType::RegularFile,
        Some(kind) => kind,
    };
    match kind {
        FileType::Directory => stage.directory(&at, mode),
        FileType::RegularFile => {
            let content = entry
                .with_reader(archive, ZipReadOptions::new())
                .map_err(|e| refuse(cause(e)))?;
            stage.file(&at, mode, &mut Content(content))
        }
        FileType::Symlink => {
            let mut target = Vec::new();
            let content = entry
                .with_reader(archive, ZipReadOptions::new())
                .map_err(|e| refuse(cause(e)))?;
            Content(content)
                .take(MAX_TARGET)
                .read_to_end(&mut target)
                .map_err(|e| refuse(e.to_string()))?;
            stage.symlink(&at, &target)
        }
        other => Err(refuse(format!(
            "it is a {}: leave it out of the archive",
            kind_name(other)
        ))),
    }
}

/// Reads the names of entries.
struct Names<'a> {
    archive: &'a [u8],
    /// Whether the archive uses no slash: looked at when the first backslash is met.
    without_slash: Option<bool>,
}

impl<'a> Names<'a> {
    fn new(archive: &'a [u8]) -> Self {
        Names {
            archive,
            without_slash: None,
        }
    }

    /// The name, with backslashes turned where they separate directories: some makers on Windows
    /// write the separators of their system, against APPNOTE 4.4.17. Older .NET, and with it
    /// PowerShell 5, says that it was Windows; others say Unix.
    fn of(&mut self, entry: &ZipFileEntry<'_>) -> Result<Vec<u8>, InitError> {
        // What is no UTF-8 is read as code page 437 (APPNOTE appendix D).
        let mut name = match entry.name() {
            Ok(name) => name.into_owned().into_bytes(),
            Err(e) => return Err(refused(entry.name_raw(), cause(e))),
        };
        if name.contains(&b'\\') && !name.contains(&b'/') {
            let windows = matches!(entry.system(), System::Dos | System::WindowsNTFS);
            if windows || self.archive_has_no_slash() {
                for byte in name.iter_mut().filter(|byte| **byte == b'\\') {
                    *byte = b'/';
                }
            }
        }
        Ok(name)
    }

    fn archive_has_no_slash(&mut self) -> bool {
        *self.without_slash.get_or_insert_with(|| {
            open(self.archive).is_ok_and(|mut directory| {
                directory.files().is_ok_and(|files| {
                    files
                        .flatten()
                        .all(|entry| !entry.name_raw().contains(&b'/'))
                })
            })
        })
    }
}

/// The content of an entry; what is wrong with it is said in our words.
struct Content<R>(R);

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            kind => io::Error::new(kind, format!("its content is damaged: {e}")),
        })
    }
}

/// The mode in the upper half of the external attributes. Makers on systems without modes leave
/// it zero.
fn unix_mode(attributes: u32) -> Option<u32> {
    Some(attributes >> 16).filter(|&mode| mode != 0)
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        _ => "file of an unknown type",
    }
}

/// The name of a compression method by its number (APPNOTE 4.4.5).
fn method_name(method: CompressionMethod) -> String {
    #[expect(deprecated, reason = "the crate has no other way to the number")]
    let number = method.to_u16();
    let name = match number {
        1 => "shrink",
        2..=5 => "reduce",
        6 | 10 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "LZMA",
        16 => "CMPSC",
        18 => "TERSE",
        19 => "LZ77",
        20 | 93 => "zstd",
        94 => "MP3",
        95 => "xz",
        96 => "JPEG",
        97 => "WavPack",
        98 => "PPMd",
        other => return format!("the unknown method {other}"),
    };
    name.to_owned()
}

/// The crate's words for it, on one line; those for input errors without a prefix.
fn cause(e: ZipError) -> String {
    let words = match e {
        ZipError::Io(e) => e.to_string(),
        ZipError::InvalidArchive(reason) if reason.starts_with("Multi-disk") => {
            "it is a part of a split zip: send it in one piece (`zip -s 0`)".to_owned()
        }
        ZipError::InvalidArchive(reason) => format!("not a valid zip: {reason}"),
        e => e.to_string(),
    };
    printable(words.as_bytes())
}
