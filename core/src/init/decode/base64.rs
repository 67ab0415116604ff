//! Decodes base64 in its own buffer, and knows it where it should not be.

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::form::{BYTE_ORDER_MARK, Form};

/// Base64 symbols decoded at a time. A multiple of four, so that a block ends at a byte.
const BLOCK: usize = 4096;

/// How much of the text a refusal looks at, in bytes: decoding overwrites it.
const START: usize = 256;

/// The fewest base64 symbols that are taken for base64 where a program's text should be.
const FEWEST_SYMBOLS: usize = 16;

/// Bits below the last byte are ignored, as nearly every decoder does; padding is looked at here.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The beginning of a text, which is gone when it has been decoded.
pub(super) struct Start {
    bytes: [u8; START],
    length: usize,
}

impl Start {
    pub(super) fn of(text: &[u8]) -> Start {
        let length = text.len().min(START);
        let mut bytes = [0; START];
        bytes[..length].copy_from_slice(&text[..length]);
        Start { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Why something is no base64.
pub(super) enum Fault {
    /// A byte that is no symbol.
    NotBase64 { byte: u8, offset: usize },
    /// The symbols do not add up to bytes. `lost_plus`: how many `+` may have become spaces.
    Length { reason: String, lost_plus: usize },
}

/// Replaces base64 by what it stands for. What may be around and between its symbols is told at
/// [`decode`](super::decode).
///
/// # Errors
/// The first fault.
pub(super) fn decode_in_place(buffer: &mut Vec<u8>) -> Result<(), Fault> {
    let mut symbols = [0; BLOCK];
    let mut decoded = [0; BLOCK / 4 * 3];
    // What is written never passes what was read: four symbols make three bytes.
    let (mut read, mut written, mut total) = (0, 0, 0);
    let (mut spaces, mut pluses) = (0, 0);
    if buffer.starts_with(BYTE_ORDER_MARK) {
        read = BYTE_ORDER_MARK.len();
    }
    let length_fault = |reason, spaces, pluses| Fault::Length {
        reason,
        lost_plus: if pluses == 0 { spaces } else { 0 },
    };
    loop {
        // Most base64 is one line: a block without white space is decoded where it stands.
        if let Some(block) = buffer.get(read..read + BLOCK)
            && let Ok(length) = ENGINE.decode_slice(block, &mut decoded)
        {
            pluses += usize::from(block.contains(&b'+'));
            buffer[written..written + length].copy_from_slice(&decoded[..length]);
            (read, written, total) = (read + BLOCK, written + length, total + BLOCK);
            continue;
        }
        let mut filled = 0;
        while filled < BLOCK && read < buffer.len() && buffer[read] != b'=' {
            let symbol = buffer[read];
            match standard(symbol) {
                Some(symbol) => {
                    symbols[filled] = symbol;
                    filled += 1;
                    pluses += usize::from(symbol == b'+');
                }
                None if symbol == b' ' => spaces += 1,
                None if symbol.is_ascii_whitespace() => {}
                None => {
                    return Err(Fault::NotBase64 {
                        byte: symbol,
                        offset: read,
                    });
                }
            }
            read += 1;
        }
        total += filled;
        let length = ENGINE
            .decode_slice(&symbols[..filled], &mut decoded)
            .map_err(|_| {
                let reason = format!("the base64 ends within a byte, after {total} characters");
                length_fault(reason, spaces, pluses)
            })?;
        buffer[written..written + length].copy_from_slice(&decoded[..length]);
        written += length;
        if filled < BLOCK {
            break;
        }
    }
    let padding = padding(buffer, read)?;
    if padding > 0 && (padding > 2 || !(total + padding).is_multiple_of(4)) {
        let reason = format!("the base64 ends in {padding} `=` after {total} characters");
        return Err(length_fault(reason, spaces, pluses));
    }
    buffer.truncate(written);
    Ok(())
}

/// The symbol of the standard alphabet (RFC 4648 section 4) for one of it or of the URL-safe one
/// (section 5).
fn standard(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => Some(symbol),
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ => None,
    }
}

/// How many `=` follow the last symbol: only white space may stand there too.
fn padding(buffer: &[u8], start: usize) -> Result<usize, Fault> {
    let mut padding = 0;
    for (offset, &byte) in buffer.iter().enumerate().skip(start) {
        match byte {
            b'=' => padding += 1,
            byte if byte.is_ascii_whitespace() => {}
            byte => return Err(Fault::NotBase64 { byte, offset }),
        }
    }
    Ok(padding)
}

/// The form of what the text is base64 of: `None` if it is not all base64, or of something else.
pub(super) fn starts_as(text: &[u8]) -> Option<Form> {
    let mut head = Vec::with_capacity(FEWEST_SYMBOLS);
    let mut form = None;
    for &byte in text {
        match standard(byte) {
            Some(symbol) if form.is_none() => {
                head.push(symbol);
                if head.len() == FEWEST_SYMBOLS {
                    // Most text is a program: it is read no further.
                    form = Some(Form::of_start(&ENGINE.decode(&head).ok()?)?);
                }
            }
            Some(_) => {}
            None if byte == b'=' || byte.is_ascii_whitespace() => {}
            None => return None,
        }
    }
    form
}

/// What follows the comma of a `data:` URI (RFC 2397) of base64.
pub(super) fn data_uri(text: &[u8]) -> Option<&[u8]> {
    let head = text.get(..text.len().min(START))?;
    if !head.get(..5)?.eq_ignore_ascii_case(b"data:") {
        return None;
    }
    let comma = head.iter().position(|&byte| byte == b',')?;
    head[..comma]
        .to_ascii_lowercase()
        .ends_with(b";base64")
        .then(|| &text[comma + 1..])
}

/// The symbols that decoded bytes began with.
pub(super) fn encode_start(bytes: &[u8]) -> String {
    ENGINE.encode(&bytes[..bytes.len().min(9)])
}
