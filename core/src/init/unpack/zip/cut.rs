//! Says where a zip breaks off that has no central directory, as one does whose upload was cut
//! short: its entries stand one behind the other, each with a header of its own.

use flate2::{Decompress, FlushDecompress, Status};

use crate::config::UnpackLimits;
use crate::error::InitError;

use super::super::refusal::{printable, refused};

/// The signature of an entry (APPNOTE 4.3.7).
pub(super) const ENTRY: &[u8] = b"PK\x03\x04";

/// The signature of an entry's header in the central directory (APPNOTE 4.3.12).
pub(super) const DIRECTORY: &[u8] = b"PK\x01\x02";

/// The signature of a data descriptor, which may stand behind an entry (APPNOTE 4.3.9).
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

/// The refusal of a zip whose directory could not be read for the reason `cause`.
pub(super) fn explain(archive: &[u8], limits: &UnpackLimits, cause: &str) -> InitError {
    let whole = |reason: String| refused(b"", reason);
    if !archive.starts_with(ENTRY) {
        return whole(cause.to_owned());
    }
    let length = archive.len();
    let walk = Walk::along(archive, limits);
    let after = match &walk.last_whole {
        Some(name) => format!("after the whole `{}`", printable(name)),
        None => "with no entry whole".to_owned(),
    };
    match walk.end {
        End::Within { name, start } => refused(
            name,
            format!(
                "the zip ends within it, {} bytes behind its beginning and {after}: it was cut \
                 off at {length} bytes",
                length - start
            ),
        ),
        End::Header => whole(format!(
            "the zip ends within the header of an entry, {after}: it was cut off at {length} bytes"
        )),
        End::Directory => whole(format!(
            "the zip ends within its directory of entries, {after}, its last: it was cut off at \
             {length} bytes, or is damaged ({cause})"
        )),
        End::Clean => whole(format!(
            "the zip ends {after}, without its directory of entries: it was cut off at {length} \
             bytes"
        )),
        End::Damaged { offset } => whole(format!(
            "the zip is damaged {after}, at byte {offset} of {length} ({cause})"
        )),
    }
}

/// What is met on the way from entry to entry.
struct Walk<'a> {
    last_whole: Option<&'a [u8]>,
    end: End<'a>,
}

enum End<'a> {
    /// The bytes end within the content of the entry `name`, which starts at `start`.
    Within { name: &'a [u8], start: usize },
    /// They end within a header.
    Header,
    /// They end behind an entry.
    Clean,
    /// They go on with the central directory.
    Directory,
    /// They go on with what is neither entry nor directory.
    Damaged { offset: usize },
}

impl<'a> Walk<'a> {
    fn along(archive: &'a [u8], limits: &UnpackLimits) -> Walk<'a> {
        let mut walk = Walk {
            last_whole: None,
            end: End::Clean,
        };
        // Content is inflated where its length is not told: no more than would be unpacked.
        let mut left = limits.max_bytes;
        let mut offset = 0;
        for _ in 0..limits.max_entries {
            let rest = &archive[offset..];
            if rest.is_empty() {
                return walk;
            }
            if !rest.starts_with(ENTRY) {
                walk.end = if rest.starts_with(DIRECTORY) {
                    End::Directory
                } else if ENTRY.starts_with(rest) || DIRECTORY.starts_with(rest) {
                    End::Header
                } else {
                    End::Damaged { offset }
                };
                return walk;
            }
            let Some(header) = Header::read(rest) else {
                walk.end = End::Header;
                return walk;
            };
            if header.name.is_empty() {
                break;
            }
            match header.content_end(rest, &mut left) {
                ContentEnd::At(end) => {
                    walk.last_whole = Some(header.name);
                    offset += end;
                }
                ContentEnd::Beyond => {
                    walk.end = End::Within {
                        name: header.name,
                        start: offset,
                    };
                    return walk;
                }
                ContentEnd::Unknown => break,
            }
        }
        walk.end = End::Damaged { offset };
        walk
    }
}

/// Where the content of an entry ends.
enum ContentEnd {
    /// At this offset from the entry's beginning, its data descriptor included.
    At(usize),
    /// Behind the last byte.
    Beyond,
    /// That cannot be told.
    Unknown,
}

/// The header of an entry.
struct Header<'a> {
    name: &'a [u8],
    /// From the entry's beginning.
    content: usize,
    method: u16,
    has_descriptor: bool,
    /// The content's length as the header tells it.
    length: u64,
}

impl<'a> Header<'a> {
    /// Reads the header at the beginning of `bytes`: `None` if it is not all there.
    fn read(bytes: &'a [u8]) -> Option<Header<'a>> {
        let fixed = bytes.get(..30)?;
        let number = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let (name_length, extra_length) = (usize::from(number(26)), usize::from(number(28)));
        let content = 30 + name_length + extra_length;
        let name = bytes.get(30..30 + name_length)?;
        let extra = bytes.get(30 + name_length..content)?;
        let length = u32::from_le_bytes([fixed[18], fixed[19], fixed[20], fixed[21]]);
        let length = match length {
            u32::MAX => zip64_length(extra).unwrap_or(u64::MAX),
            length => u64::from(length),
        };
        Some(Header {
            name,
            content,
            method: number(8),
            has_descriptor: number(6) & 1 << 3 != 0,
            length,
        })
    }

    /// `entry` begins with this header; `left` is how many bytes may still be inflated.
    fn content_end(&self, entry: &[u8], left: &mut u64) -> ContentEnd {
        let content = &entry[self.content..];
        let length = if !self.has_descriptor || self.length != 0 {
            match usize::try_from(self.length) {
                Ok(length) if length <= content.len() => length,
                _ => return ContentEnd::Beyond,
            }
        } else if self.method == 8 {
            match inflated_length(content, left) {
                Some(length) if length < content.len() => length,
                Some(_) => return ContentEnd::Beyond,
                None => return ContentEnd::Unknown,
            }
        } else {
            // Stored, as a stream: only a signature tells where it ends.
            let mut windows = content.windows(DESCRIPTOR.len());
            match windows.position(|window| window == DESCRIPTOR) {
                Some(length) => length,
                None => return ContentEnd::Beyond,
            }
        };
        let end = self.content + length;
        if !self.has_descriptor {
            return ContentEnd::At(end);
        }
        // With or without a signature, with sizes of four or eight bytes: what follows tells.
        let behind = &entry[end..];
        let sizes = match behind.starts_with(DESCRIPTOR) {
            true => [16, 24],
            false => [12, 20],
        };
        let follows = |size: &&usize| {
            behind.get(**size..).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with(ENTRY) || rest.starts_with(DIRECTORY)
            })
        };
        match sizes.iter().find(follows) {
            Some(size) => ContentEnd::At(end + size),
            None if behind.len() < 24 + ENTRY.len() => ContentEnd::Beyond,
            None => ContentEnd::Unknown,
        }
    }
}

/// The compressed size in a zip64 extra field, which has the uncompressed one before it (APPNOTE
/// 4.5.3).
fn zip64_length(mut extra: &[u8]) -> Option<u64> {
    loop {
        let (head, rest) = extra.split_at_checked(4)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (field, rest) = rest.split_at_checked(length)?;
        if head[..2] == [1, 0] {
            return Some(u64::from_le_bytes(field.get(8..16)?.try_into().ok()?));
        }
        extra = rest;
    }
}

/// How many bytes of `content` a deflate stream takes: all of them if it does not end in there.
/// `None` if it is damaged, or inflates to more than `left`, which is lowered.
fn inflated_length(content: &[u8], left: &mut u64) -> Option<usize> {
    let mut stream = Decompress::new(false);
    let mut sink = [0; 16 << 10];
    loop {
        let (read, made) = (stream.total_in() as usize, stream.total_out());
        let status = stream
            .decompress(content.get(read..)?, &mut sink, FlushDecompress::None)
            .ok()?;
        *left = left.checked_sub(stream.total_out() - made)?;
        match status {
            Status::StreamEnd => return Some(stream.total_in() as usize),
            _ if stream.total_in() as usize == read && stream.total_out() == made => {
                // Nothing is left to read.
                return Some(content.len());
            }
            _ => {}
        }
    }
}
