//! Says what bytes are that have none of the known forms, and how to make one of them.

use std::fmt::Write as _;

use super::base64::{self, Fault, Start};
use super::form::{BYTE_ORDER_MARK, Form};

/// How to archive with one of the forms.
const ARCHIVE: &str = "send a zip or a tar.gz (`tar -czf`)";

/// How to get an executable.
const BUILD: &str = "build it for Linux";

/// How an archive is kept from being changed before it is encoded.
const READ_BYTES: &str = "read the file as bytes, not as text, before it is encoded as base64";

/// A kind of file that is told by its first bytes.
struct Kind {
    magic: &'static [u8],
    name: &'static str,
    advice: &'static str,
}

const fn kind(magic: &'static [u8], name: &'static str, advice: &'static str) -> Kind {
    Kind {
        magic,
        name,
        advice,
    }
}

/// The first that fits counts.
const KINDS: &[Kind] = &[
    kind(b"\xfd7zXZ\0", "a file compressed with xz", ARCHIVE),
    kind(b"BZh", "a file compressed with bzip2", ARCHIVE),
    kind(b"\x28\xb5\x2f\xfd", "a file compressed with zstd", ARCHIVE),
    kind(b"\x04\x22\x4d\x18", "a file compressed with lz4", ARCHIVE),
    kind(b"\x5d\0\0", "a file compressed with lzma", ARCHIVE),
    kind(b"LZIP", "a file compressed with lzip", ARCHIVE),
    kind(b"\x1f\x9d", "a file compressed with compress", ARCHIVE),
    kind(b"7z\xbc\xaf\x27\x1c", "a 7z archive", ARCHIVE),
    kind(b"Rar!\x1a\x07", "a rar archive", ARCHIVE),
    kind(b"MSCF\0", "a cab archive", ARCHIVE),
    kind(b"070701", "a cpio archive", ARCHIVE),
    kind(b"070707", "a cpio archive", ARCHIVE),
    kind(b"\xed\xab\xee\xdb", "an rpm package", ARCHIVE),
    kind(
        b"!<arch>\n",
        "an ar archive, as a Debian package is",
        ARCHIVE,
    ),
    kind(b"MZ", "a Windows program", BUILD),
    kind(b"\xcf\xfa\xed\xfe", "a macOS program", BUILD),
    kind(b"\xce\xfa\xed\xfe", "a macOS program", BUILD),
    kind(
        b"\xca\xfe\xba\xbe",
        "a macOS program or a Java class",
        BUILD,
    ),
    kind(b"\0asm", "a WebAssembly module", BUILD),
    kind(
        b"\x1f\xef\xbf\xbd\x08",
        "a gzip file that was read as text",
        READ_BYTES,
    ),
    kind(
        b"\x1f\xc2\x8b\x08",
        "a gzip file that was read as text",
        READ_BYTES,
    ),
];

/// Lines that base64 is put behind (RFC 7468 section 2, POSIX uuencode), as `certutil -encode`
/// on Windows does, whose characters may all be symbols of the URL-safe alphabet.
const ARMOURS: [&[u8]; 2] = [b"-----BEGIN ", b"begin-base64 "];

/// The longest beginning of a text that a refusal shows, in characters.
const SHOWN: usize = 40;

/// What some bytes are, for a sentence that refuses them: `a zip archive`, `a 7z archive`.
/// `None` for what has no such mark, as text has none.
pub fn name(bytes: &[u8]) -> Option<&'static str> {
    match Form::of_start(bytes) {
        Some(form) => Some(form.name()),
        None => known(bytes).map(|(name, _)| name),
    }
}

/// The name of the kind and how to send it right.
pub(in crate::init) fn known(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if is_tar(bytes) {
        return Some((
            "a tar archive that is not compressed",
            "compress it with gzip (`tar -czf`)",
        ));
    }
    let kind = KINDS.iter().find(|kind| bytes.starts_with(kind.magic))?;
    // `MZ` and `BZh` are letters.
    let is_text = kind.magic.len() < 4 && kind.magic.is_ascii() && text_start(bytes).is_some();
    (!is_text).then_some((kind.name, kind.advice))
}

/// What bytes are that have none of the known forms, with how to send it right.
pub(in crate::init) fn describe(bytes: &[u8]) -> String {
    if let Some((name, advice)) = known(bytes) {
        return format!("{name}: {advice}");
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return "text in UTF-16: save it as UTF-8".to_owned();
    }
    if bytes.starts_with(b"PK\x07\x08") {
        // Whole, it would have been found by its end.
        return "a part of a split zip: send it in one piece (`zip -s 0`)".to_owned();
    }
    let script = trim_start(bytes);
    if script.starts_with(b"#!") {
        let before = if bytes.starts_with(BYTE_ORDER_MARK) {
            "a byte order mark: save it as UTF-8 without one"
        } else {
            "white space: `#!` must be its first two bytes"
        };
        return format!("a `#!` script behind {before}");
    }
    if let Some(form) = base64::starts_as(script) {
        return format!("base64 of {}: encode it only once", form.name());
    }
    if let Some(hint) = hexadecimal(bytes) {
        return hint;
    }
    if let Some(start) = text_start(bytes) {
        return format!(
            "text that begins with `{start}`: a script names its interpreter in its first line, \
             as `#!/usr/bin/env python3` does"
        );
    }
    let mut first = String::new();
    for byte in bytes.iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(first, " {byte:02x}");
    }
    format!("{} bytes that begin with{first}", bytes.len())
}

/// Text that can be no program, since it is what should have been sent as binary code.
///
/// # Errors
/// What it is and how to send it.
pub(super) fn check_text(text: &[u8]) -> Result<(), String> {
    let start = trim_start(text);
    if base64::data_uri(start).is_some() {
        return Err(
            "it is text that holds a `data:` URI: send what follows its comma, with `binary` true"
                .to_owned(),
        );
    }
    if let Some(form) = base64::starts_as(start) {
        return Err(format!(
            "it is text that holds base64 of {}: send it with `binary` true",
            form.name()
        ));
    }
    let form = match Form::of_start(text) {
        Some(form @ (Form::Zip | Form::TarGz)) => Some(form.name()),
        // Whoever links this library may have the bytes of an ELF file for text. As part of JSON
        // they are UTF-8, in which bytes above 127 have become others.
        Some(Form::Elf) if was_text(text) => Some(Form::Elf.name()),
        _ => None,
    };
    // What is printable may be a program all the same: `070707` is a number.
    let other = || known(text).filter(|_| text_start(text).is_none());
    let (name, advice) = match form {
        Some(name) => (name, READ_BYTES),
        None => match other() {
            Some(kind) => kind,
            None => return Ok(()),
        },
    };
    Err(match advice {
        READ_BYTES => {
            format!("it is {name}, sent as text: send base64 of its bytes, with `binary` true")
        }
        advice => format!("it is {name}, sent as text: {advice}, in base64, with `binary` true"),
    })
}

/// Whether bytes that should be binary are UTF-8 beyond ASCII: they were read as text, and each
/// byte that is none was replaced.
pub(in crate::init) fn was_text(bytes: &[u8]) -> bool {
    !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok()
}

/// What [`was_text`] finds out, for a refusal.
pub(in crate::init) fn read_as_text() -> String {
    format!("it was read as text, which changes its bytes: {READ_BYTES}")
}

/// Refuses text that begins with one of the [`ARMOURS`]: decoded with the rest, it would be noise.
pub(super) fn check_armour(start: &Start) -> Result<(), Fault> {
    match armoured(start.bytes()) {
        None => Ok(()),
        Some(offset) => Err(Fault::NotBase64 {
            byte: start.bytes()[offset],
            offset,
        }),
    }
}

/// Where one of the [`ARMOURS`] begins.
fn armoured(start: &[u8]) -> Option<usize> {
    let trimmed = trim_start(start);
    ARMOURS
        .iter()
        .any(|armour| trimmed.starts_with(armour))
        .then_some(start.len() - trimmed.len())
}

/// The words for a fault of the base64 that begins with `start`.
pub(super) fn explain(fault: Fault, start: &Start) -> String {
    match fault {
        Fault::NotBase64 { byte, offset } => {
            let line = format!("not base64: byte 0x{byte:02x} at offset {offset}");
            if let Some(mistake) = mistaken_for_base64(start.bytes()) {
                format!("{line}: {mistake}")
            } else if let Some(text) = text_start(start.bytes()) {
                format!("{line} of text that begins with `{text}`")
            } else {
                line
            }
        }
        Fault::Length { reason, lost_plus } if lost_plus > 0 => format!(
            "{reason}; it has {lost_plus} spaces and no `+`, which becomes a space where base64 \
             is sent as a form without `%2B` for it"
        ),
        Fault::Length { reason, .. } => reason,
    }
}

/// What was given for base64 and is none, told by its beginning.
fn mistaken_for_base64(start: &[u8]) -> Option<&'static str> {
    let start = trim_start(start);
    let begins = |prefix: &[u8]| start.starts_with(prefix);
    if base64::data_uri(start).is_some() {
        Some("it is a `data:` URI: send only what follows its comma")
    } else if begins(b"#!") {
        Some("it is the text of a script: send it with `binary` false, or as base64")
    } else if begins(b"b'") || begins(b"b\"") {
        Some("it is a Python `bytes` object printed: call `.decode()` on it")
    } else if begins(b"\"") || begins(b"'") {
        Some("it stands in quotes of its own: leave them out")
    } else if armoured(start).is_some() {
        Some("it stands between a first and a last line of another format: leave them out")
    } else {
        name(start).map(|_| "it is the file itself: send it as base64")
    }
}

/// The beginning of `bytes` if they are text, printable: of its first line and at most [`SHOWN`]
/// characters.
fn text_start(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut within a character.
        Err(e) if e.error_len().is_none() && bytes.len() > head.len() => {
            std::str::from_utf8(&head[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    let line = text.trim().lines().next()?;
    if !text.chars().all(is_text) {
        return None;
    }
    let mut shown = String::new();
    for c in line.chars().take(SHOWN) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if line.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    Some(shown)
}

/// Whether bytes are printable text, as far as their beginning tells.
pub(in crate::init) fn is_text(bytes: &[u8]) -> bool {
    text_start(bytes).is_some()
}

/// Digits of a number in base 16 are base64 symbols too.
fn hexadecimal(bytes: &[u8]) -> Option<String> {
    let symbols = base64::encode_start(bytes);
    let digits = symbols.as_bytes().chunks_exact(2);
    let decoded: Vec<u8> = digits
        .map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let name = name(&decoded).filter(|_| decoded.len() >= 4)?;
    Some(format!("{name} as hexadecimal digits: send it as base64"))
}

/// Whether the bytes begin with a header of a tar archive, told by the header's own checksum
/// (POSIX pax, ustar interchange format; the oldest tars have no other mark).
pub(in crate::init) fn is_tar(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..512) else {
        return false;
    };
    let field = String::from_utf8_lossy(&header[148..156]);
    let field = field.trim_matches([' ', '\0']);
    let Ok(expected) = u64::from_str_radix(field, 8) else {
        return false;
    };
    // Taken over the header with its own field blank; some old tars take bytes as signed.
    let rest = || header[..148].iter().chain(&header[156..]);
    let unsigned = rest().map(|&byte| u64::from(byte)).sum::<u64>() + 8 * 32;
    let signed = rest()
        .map(|&byte| i64::from(byte.cast_signed()))
        .sum::<i64>()
        + 8 * 32;
    expected == unsigned || i64::try_from(expected) == Ok(signed)
}

/// Without a byte order mark and white space in front.
fn trim_start(bytes: &[u8]) -> &[u8] {
    bytes
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(bytes)
        .trim_ascii_start()
}
