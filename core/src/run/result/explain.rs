//! What is odd about a last line that is no result, in words for whoever wrote the action.

mod problem;
mod show;

use serde::de::IgnoredAny;

use super::earlier::{Earlier, Start};
use super::{trim, value};
use problem::Problem;
use show::{control, grouped, shown};

const NO_VALUE: &str = "is no JSON object or array";
const NOT_VALID: &str = "is not valid JSON";

/// Says why `line`, the last of stdout, is no result. It may end in a newline; `earlier` stood before
/// it.
pub(super) fn explain(line: &[u8], earlier: &Earlier) -> String {
    match earlier.total() + line.len() as u64 {
        0 => "stdout is empty; expected a JSON object or array as its last line".to_owned(),
        _ => format!("the last line of stdout {}", predicate(line, earlier)),
    }
}

/// The same of any line, without saying which.
pub(super) fn predicate(line: &[u8], earlier: &Earlier) -> String {
    let text = trim(line);
    if text.is_empty() {
        return format!(
            "is empty; expected a JSON object or array{}",
            after_result(earlier)
        );
    }
    let begins_as_value = matches!(text, [b'{' | b'[', ..]);
    let verdict = if begins_as_value { NOT_VALID } else { NO_VALUE };
    if let Some(words) = utf16_cut_at_newline(text, earlier).or_else(|| encoding(text)) {
        return format!("{verdict}: {words}");
    }
    if let Some(start) = earlier.start_of_value(line) {
        return format!("{verdict}: it is the end of a value that began {start}");
    }
    if begins_as_value {
        let start = text.as_ptr() as usize - line.as_ptr() as usize;
        let problem = Problem::of(text, line, earlier);
        let after = match problem {
            Problem::Word { .. } => after_result(earlier),
            _ => String::new(),
        };
        return format!("{NOT_VALID}: {}{after}", problem.words(start));
    }
    let words = scalar(text).or_else(|| text_before_value(text));
    let words = words.unwrap_or_else(|| format!("it is {}", shown(text)));
    format!("{NO_VALUE}: {words}{}", after_result(earlier))
}

/// As [`explain`], of a line so long that only its first bytes are known.
pub(super) fn explain_long(head: &[u8], length: u64) -> String {
    let text = head.trim_ascii_start();
    let words = encoding(text).unwrap_or_else(|| match text {
        [] => "it begins with white space".to_owned(),
        text => format!("it begins with {}", shown(text)),
    });
    let length = grouped(length);
    format!("the last line of stdout {NO_VALUE}: {words}, and has {length} bytes")
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Start::LinesBefore(1) => f.write_str("a line earlier")?,
            Start::LinesBefore(lines) => write!(f, "{lines} lines earlier")?,
            Start::MoreThan(lines) => write!(f, "more than {lines} lines earlier")?,
        }
        f.write_str(
            "; the result must stand on one line (Python: `json.dumps` without `indent`; \
             JavaScript: `JSON.stringify` without its third argument; `jq -c`)",
        )
    }
}

/// A result that something else was written after.
fn after_result(earlier: &Earlier) -> String {
    let lines = match earlier.lines_since_result() {
        None => return String::new(),
        Some(1) => "on the line".to_owned(),
        Some(lines) => format!("{lines} lines"),
    };
    format!("; one stands {lines} before it: nothing may be written to stdout after the result")
}

/// What stands before the JSON, or takes its place, because of how text was turned into bytes.
fn encoding(text: &[u8]) -> Option<String> {
    let words = match text {
        [0xef, 0xbb, 0xbf, ..] => {
            "a byte order mark stands at its beginning: write UTF-8 without one"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => UTF_16,
        text if is_utf16(text) => UTF_16,
        [0x1b, ..] => return Some(format!("it begins with {}", control(text))),
        [byte, ..] if byte.is_ascii_control() => {
            return Some(format!("it begins with {}", control(text)));
        }
        _ => return None,
    };
    Some(words.to_owned())
}

const UTF_16: &str = "it is UTF-16: write UTF-8";

/// Every second of the first bytes is NUL, and the others are not.
fn is_utf16(text: &[u8]) -> bool {
    let start = &text[..text.len().min(64)];
    let zeros = |from: usize| start.iter().skip(from).step_by(2).all(|byte| *byte == 0);
    start.len() >= 4 && zeros(0) != zeros(1)
}

/// The newline of little-endian UTF-16 is a newline and a NUL: all that stands on the last line.
fn utf16_cut_at_newline(text: &[u8], earlier: &Earlier) -> Option<String> {
    let before = earlier.last_line().filter(|_| text == [0])?;
    let is_it = before.starts_with(&[0xff, 0xfe]) || is_utf16(before);
    is_it.then(|| UTF_16.to_owned())
}

/// One value that is no object or array, in JSON or in the words of a language.
fn scalar(text: &[u8]) -> Option<String> {
    if let Ok(string) = serde_json::from_slice::<String>(text) {
        return Some(match value(string.as_bytes()) {
            Some(_) => "it is a JSON string that holds the JSON: it was encoded twice".to_owned(),
            None => format!("it is a JSON string, {}", shown(text)),
        });
    }
    if let [b'\'', inner @ .., b'\''] = text
        && value(inner).is_some()
    {
        return Some("single quotes stand around the JSON".to_owned());
    }
    if text.starts_with(b"b'") || text.starts_with(b"b\"") {
        return Some(
            "it is how Python shows bytes: decode them before they are printed".to_owned(),
        );
    }
    if let Some(words) = foreign(text) {
        return Some(words);
    }
    let value = serde_json::from_slice::<IgnoredAny>(text).ok()?;
    let IgnoredAny = value;
    let kind = match text {
        [b'n', ..] => "JSON's null",
        [b't' | b'f', ..] => "a JSON boolean",
        _ => "a JSON number",
    };
    Some(format!("it is {kind}, {}", shown(text)))
}

/// `Result: {"a":1}`.
fn text_before_value(text: &[u8]) -> Option<String> {
    let at = [b'{', b'[']
        .into_iter()
        .filter_map(|bracket| memchr::memchr(bracket, text))
        .find(|at| value(&text[*at..]).is_some())?;
    Some(format!(
        "text stands before the JSON, {}: the result needs a line of its own",
        shown(&text[..at])
    ))
}

/// A word that is a value in some language and not in JSON.
fn foreign(word: &[u8]) -> Option<String> {
    let words = match word {
        b"None" | b"True" | b"False" => "is Python's, not JSON: print `json.dumps(value)`",
        b"undefined" => "is JavaScript's, JSON has no such value",
        b"NaN" | b"nan" | b"NAN" | b"Infinity" | b"-Infinity" | b"inf" | b"-inf" => {
            "is no JSON: JSON has no such number"
        }
        _ => return None,
    };
    Some(format!("{} {words}", shown(word)))
}

#[cfg(test)]
mod tests;
