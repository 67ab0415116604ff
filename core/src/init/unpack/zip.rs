//! Unpacks a zip archive (PKWARE APPNOTE 6.3) that lies in memory.

use std::io::{Cursor, Read};

use ::zip::read::{Config, ZipFileEntry};
use ::zip::result::ZipError;
use ::zip::unstable::read::ZipIterable;
use ::zip::{CompressionMethod, System, ZipReadOptions};
use rustix::fs::FileType;

use crate::error::InitError;

use super::refusal::refused;
use super::stage::StageWriter;

/// The longest target of a symlink, which a zip holds as the content of the entry. One byte more
/// than the rules of paths allow, so that a longer one is refused by them.
const MAX_TARGET: u64 = 4096;

/// Unpacks every entry of the central directory. The directory is walked, not loaded: memory
/// does not depend on the number of entries, and two entries of one name are both seen.
pub(super) fn unpack(archive: &[u8], mut stage: StageWriter<'_>) -> Result<(), InitError> {
    let whole = |e: ZipError| refused(b"", cause(e));
    let mut content = Cursor::new(archive);
    let mut directory =
        ZipIterable::try_new(Cursor::new(archive), Config::default()).map_err(whole)?;
    let (count, limit) = (directory.len(), stage.limits().max_entries);
    if count as u64 > limit {
        return Err(refused(
            b"",
            format!("it has {count} entries, over the limit of {limit}"),
        ));
    }
    let mut last = None;
    for entry in directory.files().map_err(whole)? {
        let entry = entry.map_err(whole)?;
        last = Some(entry.central_header_start());
        unpack_entry(entry, &mut content, &mut stage)?;
    }
    if !is_last(archive, last) {
        return Err(refused(
            b"",
            format!("it has more entries than the {count} that its end record tells of"),
        ));
    }
    stage.finish()
}

/// Whether no header follows the one at `last` in the central directory. The number of entries has
/// 16 bits; a maker without zip64 that passes them leaves the others unseen.
fn is_last(archive: &[u8], last: Option<u64>) -> bool {
    let Some(last) = last else {
        return !archive.starts_with(b"PK\x03\x04");
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
    !rest.starts_with(b"PK\x01\x02")
}

fn unpack_entry(
    entry: ZipFileEntry<'_>,
    archive: &mut Cursor<&[u8]>,
    stage: &mut StageWriter<'_>,
) -> Result<(), InitError> {
    // What is no UTF-8 is read as code page 437 (APPNOTE appendix D).
    let mut name = match entry.name() {
        Ok(name) => name.into_owned().into_bytes(),
        Err(e) => return Err(refused(entry.name_raw(), cause(e))),
    };
    // Some makers on Windows write the separators of their system (older .NET, and with it
    // PowerShell 5), against APPNOTE 4.4.17.
    if matches!(entry.system(), System::Dos | System::WindowsNTFS) && !name.contains(&b'/') {
        for byte in name.iter_mut().filter(|byte| **byte == b'\\') {
            *byte = b'/';
        }
    }
    let at = stage.parse(&name)?;
    let refuse = |reason: String| refused(&name, reason);
    if entry.encrypted() {
        return Err(refuse("it is encrypted".to_owned()));
    }
    match entry.compression() {
        CompressionMethod::Stored | CompressionMethod::Deflated => {}
        other => {
            return Err(refuse(format!(
                "its compression is {other}, not stored or deflated"
            )));
        }
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
            let mut content = entry
                .with_reader(archive, ZipReadOptions::new())
                .map_err(|e| refuse(cause(e)))?;
            stage.file(&at, mode, &mut content)
        }
        FileType::Symlink => {
            let mut target = Vec::new();
            entry
                .with_reader(archive, ZipReadOptions::new())
                .map_err(|e| refuse(cause(e)))?
                .take(MAX_TARGET)
                .read_to_end(&mut target)
                .map_err(|e| refuse(e.to_string()))?;
            stage.symlink(&at, &target)
        }
        other => Err(refuse(format!("it is a {}", kind_name(other)))),
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

/// The crate's words for it; those for input errors without a prefix.
fn cause(e: ZipError) -> String {
    match e {
        ZipError::Io(e) => e.to_string(),
        ZipError::InvalidArchive(reason) => format!("not a valid zip: {reason}"),
        e => e.to_string(),
    }
}
