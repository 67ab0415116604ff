//! What a line can be, told by how it begins.

use super::{is_space, is_white};

/// What the first character that is no white space makes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// There is none yet, or not all of its bytes.
    Open,
    /// An object or an array.
    Result,
    /// Anything else.
    Log,
}

/// Judges a line that was white space up to `part`, but perhaps for the first bytes of a character
/// at the end of `held`.
pub(super) fn judge(held: &[u8], part: &[u8]) -> Opening {
    match begun(held) {
        [] => opening(part),
        begun => opening(&[begun, part].concat()),
    }
}

/// The first bytes of a character whose last ones are missing at the end of `text`.
fn begun(text: &[u8]) -> &[u8] {
    let tail = &text[text.len().saturating_sub(3)..];
    match tail.iter().rposition(|byte| *byte >= 0xc0) {
        Some(start) if decode(&tail[start..]).is_none() => &tail[start..],
        _ => &[],
    }
}

fn opening(mut text: &[u8]) -> Opening {
    loop {
        text = match text {
            [] => return Opening::Open,
            [b'{' | b'[', ..] => return Opening::Result,
            [byte, rest @ ..] if is_space(*byte) => rest,
            _ => match decode(text) {
                None => return Opening::Open,
                Some(c) if is_white(c) => &text[c.len_utf8()..],
                Some(_) => return Opening::Log,
            },
        }
    }
}

/// The character that `text`, which is not empty, begins with; the replacement character where that
/// is none. `None` where bytes of it are missing.
fn decode(text: &[u8]) -> Option<char> {
    let first = &text[..text.len().min(4)];
    let chunk = first.utf8_chunks().next()?;
    if let Some(c) = chunk.valid().chars().next() {
        return Some(c);
    }
    let is_cut = std::str::from_utf8(first).is_err_and(|e| e.error_len().is_none());
    (!is_cut).then_some(char::REPLACEMENT_CHARACTER)
}
