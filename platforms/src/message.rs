//! Reading messages: JSON objects whose values stay the bytes that were received.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use actionproxy_core::RawValue;
use actionproxy_core::init::decode::{self, BYTE_ORDER_MARK};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// More fields than any platform sends or any environment holds.
const MAX_FIELDS: usize = 65_536;

/// The fields of a JSON object, unparsed. Of a repeated name the last one counts, as for Python.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The value of `name`; `null` is as good as absent.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.raw(name).filter(|raw| !is_null(raw))
    }

    /// The value of `name`, `null` included.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rfind(|(known, _)| known == name);
        found.map(|(_, raw)| *raw)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// A string field.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, String> {
        self.value(name)
            .map(|raw| string(raw).map_err(|found| wrong_type(name, "a string", found)))
            .transpose()
    }

    /// A boolean field.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, String> {
        self.value(name)
            .map(|raw| {
                serde_json::from_str(raw.get())
                    .map_err(|_| wrong_type(name, "true or false", kind(raw)))
            })
            .transpose()
    }

    /// An object field.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, String> {
        self.value(name)
            .map(|raw| {
                serde_json::from_str(raw.get()).map_err(|e| match kind(raw) {
                    "an object" => format!("Field `{name}`: {e}."),
                    found => wrong_type(name, "an object", found),
                })
            })
            .transpose()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if fields.len() == MAX_FIELDS {
                        return Err(A::Error::custom(format_args!(
                            "an object of more than {MAX_FIELDS} fields"
                        )));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A name, borrowed where it holds no escapes: `Cow` alone would always copy.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// What a body is.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// An object; nothing at all and `null` count as an empty one.
    Object(Fields<'a>),
    /// Other JSON, of this kind.
    Other(&'static str),
}

/// Reads a body. A byte order mark before it is no part of the JSON (RFC 8259 section 8.1) and
/// ignored, as upstream ignores it.
///
/// # Errors
/// Where it is not JSON: a sentence with the place, or with what it is instead.
pub(crate) fn parse(body: &[u8]) -> Result<Body<'_>, String> {
    let json = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let invalid = |e| match other_than_json(body) {
        Some(other) => format!("The body is {other}: expected JSON in UTF-8."),
        None => format!("The body is not valid JSON: {e}."),
    };
    match json.trim_ascii_start().first() {
        None => return Ok(Body::Object(Fields::default())),
        // In one pass: bodies are large.
        Some(b'{') => {
            return serde_json::from_slice(json)
                .map(Body::Object)
                .map_err(invalid);
        }
        Some(_) => {}
    }
    let raw: &RawValue = serde_json::from_slice(json).map_err(invalid)?;
    match kind(raw) {
        "null" => Ok(Body::Object(Fields::default())),
        other => Ok(Body::Other(other)),
    }
}

/// What a body is that cannot be read as JSON, told by its first bytes.
fn other_than_json(body: &[u8]) -> Option<&'static str> {
    // Of UTF-16 and UTF-32 without a mark, the first two characters are ASCII in any JSON
    // (RFC 4627 section 3). UTF-16 with a null character is no JSON.
    match body.get(..4).or(body.get(..2))? {
        [0, 0, 0xfe, 0xff] | [0, 0, 0, 1..=255] => Some("text in UTF-32"),
        [0xff, 0xfe, 0, 0] | [1..=255, 0, 0, 0] => Some("text in UTF-32"),
        [0xfe, 0xff, ..] | [0, 1..=255, ..] => Some("text in UTF-16"),
        [0xff, 0xfe, ..] | [1..=255, 0, ..] => Some("text in UTF-16"),
        _ if body.starts_with(b"--") => Some("a form (multipart)"),
        _ => decode::name(body),
    }
}

/// The sentence for a field of the wrong type.
pub(crate) fn wrong_type(name: &str, expected: &str, found: &str) -> String {
    format!("Field `{name}`: expected {expected}, found {found}.")
}

/// What kind of JSON value this is, with its article.
pub(crate) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

fn string(raw: &RawValue) -> Result<String, &'static str> {
    match serde_json::from_str(raw.get()) {
        Ok(text) => Ok(text),
        Err(_) if kind(raw) == "a string" => Err("one with an invalid escape"),
        Err(_) => Err(kind(raw)),
    }
}

/// The value as an environment variable: a string as it is, anything else as JSON, `null` not.
pub(crate) fn variable(raw: &RawValue) -> Option<String> {
    match kind(raw) {
        "null" => None,
        // An escape that stands for no character (half a surrogate pair) leaves the JSON text.
        "a string" => Some(string(raw).unwrap_or_else(|_| raw.get().to_owned())),
        _ => Some(raw.get().to_owned()),
    }
}

/// Where `raw`, which was read from `body`, stands in it.
pub(crate) fn place(body: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + raw.get().len()
}

/// Replaces `body` by the content of the JSON string that stands at `range`, quotes included,
/// without a second buffer: an escape is never shorter than what it stands for.
///
/// # Errors
/// An escape that stands for no character: half a surrogate pair.
pub(crate) fn unquote_in_place(
    body: &mut Vec<u8>,
    range: Range<usize>,
) -> Result<(), &'static str> {
    body.truncate(range.end.saturating_sub(1));
    body.drain(..(range.start + 1).min(body.len()));
    let Some(first) = body.iter().position(|byte| *byte == b'\\') else {
        return Ok(());
    };
    let (mut read, mut write) = (first, first);
    while let Some(&byte) = body.get(read) {
        if byte != b'\\' {
            body[write] = byte;
            (read, write) = (read + 1, write + 1);
            continue;
        }
        let (character, length) = escape(&body[read..]).ok_or("half a surrogate pair")?;
        let mut buffer = [0; 4];
        let encoded = character.encode_utf8(&mut buffer).as_bytes();
        body[write..write + encoded.len()].copy_from_slice(encoded);
        (read, write) = (read + length, write + encoded.len());
    }
    body.truncate(write);
    Ok(())
}

/// The character that the escape at the start of `text` stands for, and the escape's length.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let simple = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let unit = code_unit(text)?;
            if !(0xd800..0xe000).contains(&unit) {
                return Some((char::from_u32(unit)?, 6));
            }
            let low = code_unit(text.get(6..)?)?;
            let pair = [unit as u16, low as u16];
            let character = char::decode_utf16(pair).next()?.ok()?;
            return Some((character, 12));
        }
        other => char::from(*other),
    };
    Some((simple, 2))
}

/// The number in `\uXXXX`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unquoted(json: &str) -> Result<String, &'static str> {
        let mut body = format!("  {json}, ").into_bytes();
        unquote_in_place(&mut body, 2..2 + json.len())?;
        Ok(String::from_utf8(body).expect("escapes stand for characters"))
    }

    #[test]
    fn a_string_is_unquoted_as_serde_json_does() {
        for json in [
            r#""""#,
            r#""plain""#,
            r#""a\nb\r\tc\/\\\"\b\f""#,
            r#""\u00fc\u20ac\ud83d\ude00ü""#,
            r#""\u0000""#,
            r#""ends\\""#,
        ] {
            let expected: String = serde_json::from_str(json).expect("valid JSON");
            assert_eq!(unquoted(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for json in [
            r#""\ud83d""#,
            r#""\ud83dx\ude00""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\u0041""#,
        ] {
            assert_eq!(unquoted(json), Err("half a surrogate pair"), "{json}");
        }
    }

    /// What is read of a body's field `a`, or why the body is refused.
    fn field_a(body: &[u8]) -> Result<String, String> {
        match parse(body)? {
            Body::Object(fields) => {
                let raw = fields.value("a").map_or("none", RawValue::get);
                Ok(raw.to_owned())
            }
            Body::Other(kind) => Ok(kind.to_owned()),
        }
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        for (body, read) in [
            ("\u{feff}{\"a\":1}", "1"),
            ("\u{feff}\r\n {\"a\":1}\r\n", "1"),
            ("\u{feff}", "none"),
            ("\u{feff} null", "none"),
            ("\u{feff}[]", "an array"),
        ] {
            assert_eq!(field_a(body.as_bytes()), Ok(read.to_owned()), "{body:?}");
        }
        // One, and before everything else.
        for body in [
            "\u{feff}\u{feff}{}",
            " \u{feff}{}",
            "{}\u{feff}",
            "{\u{feff}}",
        ] {
            let said = field_a(body.as_bytes()).expect_err("no JSON");
            assert!(said.starts_with("The body is not valid JSON: "), "{said}");
        }
        let body = "\u{feff} {\"a\": [1]}".as_bytes();
        let Ok(Body::Object(fields)) = parse(body) else {
            panic!("an object");
        };
        let raw = fields.value("a").expect("a field");
        assert_eq!(&body[place(body, raw)], b"[1]");
    }

    #[test]
    fn other_encodings_of_unicode_are_named() {
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let utf_32 = |text: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            text.chars().map(u32::from).flat_map(bytes).collect()
        };
        for text in ["{\"a\":1}", "\u{feff}{\"a\":1}", "{}", "null"] {
            for body in [
                utf_16(text, u16::to_le_bytes),
                utf_16(text, u16::to_be_bytes),
            ] {
                let said = field_a(&body).expect_err("UTF-16");
                assert_eq!(said, "The body is text in UTF-16: expected JSON in UTF-8.");
            }
            for body in [
                utf_32(text, u32::to_le_bytes),
                utf_32(text, u32::to_be_bytes),
            ] {
                let said = field_a(&body).expect_err("UTF-32");
                assert_eq!(said, "The body is text in UTF-32: expected JSON in UTF-8.");
            }
        }
        let latin_1 = field_a(b"{\"a\":\"\xe9\"}").expect_err("no UTF-8");
        assert!(
            latin_1.starts_with("The body is not valid JSON: "),
            "{latin_1}"
        );
    }

    #[test]
    fn a_file_sent_without_json_around_it_is_named() {
        for (body, name) in [
            (&b"PK\x03\x04\x14\0\0\0"[..], "a zip archive"),
            (b"\x1f\x8b\x08\0", "a gzip file"),
            (b"\x7fELF\x02\x01", "an ELF executable"),
            (b"#!/bin/sh\necho", "a `#!` script"),
            (b"BZh91AY&SY\0\xff", "a file compressed with bzip2"),
            (b"--boundary\r\n", "a form (multipart)"),
        ] {
            let said = field_a(body).expect_err("no JSON");
            assert_eq!(said, format!("The body is {name}: expected JSON in UTF-8."));
        }
    }

    #[test]
    fn of_a_repeated_field_the_last_counts() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":1,"\u0061":2}"#).expect("an object");
        assert_eq!(fields.value("a").map(RawValue::get), Some("2"));
    }

    #[test]
    fn a_wrong_type_is_named() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":1,"b":"x"}"#).expect("an object");
        let said = fields.string("a").expect_err("a number");
        assert_eq!(said, "Field `a`: expected a string, found a number.");
        let said = fields.boolean("b").expect_err("a string");
        assert_eq!(said, "Field `b`: expected true or false, found a string.");
    }
}
