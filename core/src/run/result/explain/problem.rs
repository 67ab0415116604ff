//! What is wrong with a line that begins like an object or an array, and where.

use serde::de::IgnoredAny;

use super::super::earlier::Earlier;
use super::super::{is_space, trim};
use super::foreign;
use super::show::{control, grouped, shown};

/// What a pipe holds, unless somebody changed it.
const PIPE: u64 = 64 << 10;
/// What a buffer of a C library holds is a multiple of this.
const BUFFER: u64 = 4 << 10;

/// What is wrong with a line that begins like an object or an array. Places are indices.
pub(super) enum Problem<'a> {
    /// The value is not closed.
    EndsInTheMiddle {
        length: u64,
        hint: &'static str,
    },
    /// A value stands there, and this behind it.
    Behind {
        at: usize,
        rest: &'a [u8],
    },
    NotUtf8 {
        at: usize,
        byte: u8,
    },
    /// A control character in a string, and what follows it.
    Control {
        at: usize,
        rest: &'a [u8],
    },
    SingleQuotes {
        at: usize,
    },
    TrailingComma {
        at: usize,
    },
    KeyWithoutQuotes {
        at: usize,
        key: &'a [u8],
    },
    RubyHash {
        at: usize,
    },
    ObjectObject,
    /// A word that JSON does not know.
    Foreign {
        at: usize,
        words: String,
    },
    Word {
        at: usize,
        word: &'a [u8],
    },
    Other {
        at: usize,
        error: serde_json::Error,
    },
}

impl<'a> Problem<'a> {
    pub(super) fn of(text: &'a [u8], line: &[u8], earlier: &Earlier) -> Self {
        let total = earlier.total() + line.len() as u64;
        let hint = match total {
            _ if line.ends_with(b"\n") => "",
            total if total % PIPE == 0 => {
                ": a pipe holds 65,536 bytes, the process ended before the rest was taken from it"
            }
            total if total % BUFFER == 0 => {
                ": what stands in a buffer must be flushed before the process ends"
            }
            _ => "",
        };
        let middle = || Problem::EndsInTheMiddle {
            length: trim(line).len() as u64,
            hint,
        };
        // Up to what is no text, it is judged as JSON.
        let invalid = std::str::from_utf8(text).err();
        let valid = &text[..invalid.map_or(text.len(), |e| e.valid_up_to())];
        let mut values = serde_json::Deserializer::from_slice(valid).into_iter::<IgnoredAny>();
        let error = match values.next() {
            Some(Ok(IgnoredAny)) => {
                let at = values.byte_offset();
                let at = at + text[at..].iter().take_while(|b| is_space(**b)).count();
                let rest = &text[at..];
                return Problem::Behind { at, rest };
            }
            Some(Err(error)) if !error.is_eof() => error,
            _ => {
                return match invalid {
                    Some(e) if e.error_len().is_some() => Problem::NotUtf8 {
                        at: valid.len(),
                        byte: text[valid.len()],
                    },
                    _ => middle(),
                };
            }
        };
        if text.starts_with(b"[object ") {
            return Problem::ObjectObject;
        }
        let at = place(valid, &error);
        if let Some(at) = control_near(valid, at) {
            let rest = &valid[at..];
            return Problem::Control { at, rest };
        }
        Self::of_token(valid, at, error)
    }

    /// By what stands at the place of the error.
    fn of_token(text: &'a [u8], at: usize, error: serde_json::Error) -> Self {
        let (at, word) = word_around(text, at);
        let before = text[..at].trim_ascii_end().last();
        let behind = text[at + word.len()..].trim_ascii_start();
        match (word, behind) {
            ([], [b'\'', ..]) => Problem::SingleQuotes { at },
            ([], [b'}' | b']', ..]) if before == Some(&b',') => Problem::TrailingComma { at },
            ([], [b'=', b'>', ..]) => Problem::RubyHash { at },
            ([], _) => Problem::Other { at, error },
            (key, [b':', ..]) if matches!(before, Some(b'{' | b',')) => {
                Problem::KeyWithoutQuotes { at, key }
            }
            (word, _) => match foreign(word) {
                Some(words) => Problem::Foreign { at, words },
                None if word[0].is_ascii_alphabetic() => Problem::Word { at, word },
                None => Problem::Other { at, error },
            },
        }
    }

    /// `start` is where the text begins in its line.
    pub(super) fn words(&self, start: usize) -> String {
        // People count from 1.
        let byte = |at: &usize| format!("byte {} of the line", grouped((start + at + 1) as u64));
        match self {
            Problem::EndsInTheMiddle { length, hint } => format!(
                "it ends in the middle of the value, after {} bytes{hint}",
                grouped(*length)
            ),
            Problem::Behind { at, rest } => {
                let what = match rest {
                    [b'{' | b'[', ..] => "a second value",
                    [b'}' | b']', ..] => "a bracket too many",
                    [0, ..] => "a NUL byte",
                    _ => "text",
                };
                let rest = match rest {
                    [byte, ..] if byte.is_ascii_control() => control(rest),
                    rest => shown(rest),
                };
                format!("{what} stands behind the value, from {}: {rest}", byte(at))
            }
            Problem::NotUtf8 { at, byte: value } => format!(
                "{} is 0x{value:02x}, which is no UTF-8: write UTF-8, not Latin-1 or binary data",
                byte(at)
            ),
            Problem::Control { at, rest } => {
                format!("{} stands in a string, at {}", control(rest), byte(at))
            }
            Problem::SingleQuotes { at } => format!(
                "single quotes at {}, where JSON has double quotes (Python: print \
                 `json.dumps(value)`; JavaScript: `JSON.stringify(value)`)",
                byte(at)
            ),
            Problem::TrailingComma { at } => {
                format!("a comma stands before the closing bracket at {}", byte(at))
            }
            Problem::KeyWithoutQuotes { at, key } => format!(
                "the key {} at {} has no double quotes (JavaScript: `JSON.stringify(value)`)",
                shown(key),
                byte(at)
            ),
            Problem::RubyHash { at } => {
                format!("`=>` at {} is Ruby's (`value.to_json`)", byte(at))
            }
            Problem::ObjectObject => {
                "it is how JavaScript shows an object: print `JSON.stringify(value)`".to_owned()
            }
            Problem::Foreign { at, words } => format!("{words}, at {}", byte(at)),
            Problem::Word { at, word } => {
                format!("{} at {} is no JSON", shown(word), byte(at))
            }
            Problem::Other { at, error } => {
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                format!("{text} at {}", byte(at))
            }
        }
    }
}

/// The index of an error's place.
fn place(text: &[u8], error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + error.column()).saturating_sub(1).min(text.len())
}

/// A control character where a parser stopped: it may have taken it already.
fn control_near(text: &[u8], at: usize) -> Option<usize> {
    let is_it = |at: &usize| {
        let byte = text.get(*at);
        byte.is_some_and(|byte| byte.is_ascii_control() && *byte != b'\r')
    };
    [Some(at), at.checked_sub(1), Some(at + 1)]
        .into_iter()
        .flatten()
        .find(is_it)
}

/// The word that `at` lies in, which a parser may have taken in part; empty where there is none.
fn word_around(text: &[u8], at: usize) -> (usize, &[u8]) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-');
    let before = text[..at].iter().rev().take_while(|byte| is_word(byte));
    let start = at - before.count();
    let length = text[start..]
        .iter()
        .take_while(|byte| is_word(byte))
        .count();
    (start, &text[start..start + length])
}
