//! Decodes the code of an action: text stays as it is, base64 becomes one of the known forms.

use crate::error::InitError;
use crate::message::Code;

use self::form::ZIP_END;

mod base64;
pub(super) mod foreign;
mod form;

pub use self::foreign::name;
pub use self::form::{BYTE_ORDER_MARK, Form};

/// Decoded code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The text of a program.
    Text(Vec<u8>),
    /// What the base64 held, in the buffer that the base64 came in.
    Binary {
        /// What it is, told by its first bytes.
        form: Form,
        /// The decoded bytes.
        bytes: Vec<u8>,
    },
    /// What the base64 held is in none of the forms.
    Unknown(Vec<u8>),
}

impl Payload {
    /// The decoded bytes: what a checksum of the code is taken over.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Text(bytes) | Payload::Binary { bytes, .. } | Payload::Unknown(bytes) => bytes,
        }
    }
}

impl Form {
    /// Looks at the first bytes. What begins as nothing that is known may be a zip with something
    /// in front, which is found by its end.
    pub fn detect(bytes: &[u8]) -> Option<Form> {
        if let Some(form) = Form::of_start(bytes) {
            return Some(form);
        }
        // Any archive may hold a zip, and have it at its end; a Windows program may be one that
        // extracts itself.
        if foreign::known(bytes).is_some() && !bytes.starts_with(b"MZ") {
            return None;
        }
        // The end record is 22 bytes and a comment of at most 65,535 (APPNOTE 4.3.16).
        let tail = &bytes[bytes.len().saturating_sub(22 + 65_535)..];
        tail.windows(ZIP_END.len())
            .any(|window| window == ZIP_END)
            .then_some(Form::Zip)
    }
}

/// Decodes `code`. Base64 of either alphabet (RFC 4648 sections 4 and 5) is decoded in its own
/// buffer, so no second copy of a large archive exists at any time. ASCII white space is skipped
/// wherever it stands, and a byte order mark in front; the padding may be left out, but what is
/// there must be right.
///
/// Text is left as it is. Text that is base64 of one of the [`Form`]s, a `data:` URI or a zip is
/// refused: it cannot run, and whoever sent it meant binary code.
///
/// # Errors
/// [`InitError::Decode`] when a character is no base64, with its offset; when the text ends within
/// a byte; when what was decoded has none of the known [`Form`]s. The reason says what was found
/// instead, where that can be told, and how to send it.
pub fn decode(code: Code) -> Result<Payload, InitError> {
    match decode_any(code)? {
        Payload::Unknown(bytes) if bytes.is_empty() => Err(refused("it is empty".to_owned())),
        Payload::Unknown(bytes) => Err(refused(format!(
            "expected a zip, a tar.gz, an ELF executable or a `#!` script, found {}",
            foreign::describe(&bytes)
        ))),
        payload => Ok(payload),
    }
}

/// The same, but that what has no known form is [`Payload::Unknown`]: a source for a compiler, as an
/// ActionLoop proxy takes it.
///
/// # Errors
/// [`InitError::Decode`] when it is no base64, or something else that was sent by mistake.
pub fn decode_any(code: Code) -> Result<Payload, InitError> {
    let bytes = match code {
        Code::Text(text) => {
            foreign::check_text(&text).map_err(refused)?;
            return Ok(Payload::Text(text));
        }
        Code::Bytes(bytes) => bytes,
        Code::Base64(mut text) => {
            let start = base64::Start::of(&text);
            foreign::check_armour(&start)
                .and_then(|()| base64::decode_in_place(&mut text))
                .map_err(|fault| refused(foreign::explain(fault, &start)))?;
            text
        }
    };
    match Form::detect(&bytes) {
        Some(Form::Elf) if foreign::was_text(&bytes) => Err(refused(foreign::read_as_text())),
        Some(form) => Ok(Payload::Binary { form, bytes }),
        None => Ok(Payload::Unknown(bytes)),
    }
}

fn refused(reason: String) -> InitError {
    InitError::Decode { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
        match decode(Code::Base64(text.as_bytes().to_vec())) {
            Ok(payload) => Ok(payload.bytes().to_vec()),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn text_is_left_alone() {
        let text = b"\x00\xff not base64".to_vec();
        assert_eq!(
            decode(Code::Text(text.clone())).unwrap(),
            Payload::Text(text)
        );
    }

    #[test]
    fn forms_are_told_by_their_first_bytes() {
        for (bytes, form) in [
            (&b"PK\x03\x04rest"[..], Form::Zip),
            (b"PK\x05\x06rest", Form::Zip),
            (b"\x1f\x8b\x08rest", Form::TarGz),
            (b"\x7fELF", Form::Elf),
            (b"#!/bin/sh\n", Form::Script),
            (b"#!/bin/sh\nPK\x05\x06", Form::Script),
            (b"prefix PK\x03\x04 PK\x05\x06 end", Form::Zip),
        ] {
            let decoded = decode(Code::Base64(STANDARD.encode(bytes).into_bytes())).unwrap();
            assert_eq!(
                decoded,
                Payload::Binary {
                    form,
                    bytes: bytes.to_vec()
                }
            );
        }
    }

    #[test]
    fn an_unknown_form_is_named_by_its_first_bytes() {
        assert_eq!(
            bytes_of(&STANDARD.encode(b"%PDF-1.7\x00and so on")).unwrap_err(),
            "failed to decode `code`: expected a zip, a tar.gz, an ELF executable or a `#!` \
             script, found 18 bytes that begin with 25 50 44 46 2d 31 2e 37"
        );
        assert_eq!(
            bytes_of("").unwrap_err(),
            "failed to decode `code`: it is empty"
        );
    }

    #[test]
    fn line_breaks_and_missing_padding_are_tolerated_in_blocks_of_any_length() {
        for length in [2, 3, 4, 5, 3071, 3072, 3073, 3074, 6144, 10_000] {
            let mut bytes = b"#!".to_vec();
            bytes.resize(length, b'x');
            for text in [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes)] {
                let broken: String = text
                    .as_bytes()
                    .chunks(76)
                    .map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap()))
                    .collect();
                assert_eq!(bytes_of(&text).unwrap(), bytes, "{length}");
                assert_eq!(bytes_of(&broken).unwrap(), bytes, "{length}");
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_refused_with_its_offset() {
        for (text, reason) in [
            ("IyEv\0", "not base64: byte 0x00 at offset 4"),
            (
                "IyEv\u{e9}",
                "not base64: byte 0xc3 at offset 4 of text that begins with `IyEv\u{e9}`",
            ),
            (
                "IyE=IyE=",
                "not base64: byte 0x49 at offset 4 of text that begins with `IyE=IyE=`",
            ),
            ("IyEvI", "the base64 ends within a byte, after 5 characters"),
            ("IyE==", "the base64 ends in 2 `=` after 3 characters"),
            ("IyEv=", "the base64 ends in 1 `=` after 4 characters"),
            ("IyEv====", "the base64 ends in 4 `=` after 4 characters"),
        ] {
            assert_eq!(
                bytes_of(text).unwrap_err(),
                format!("failed to decode `code`: {reason}")
            );
        }
    }

    #[test]
    fn decoding_keeps_the_buffer() {
        let mut text = STANDARD.encode(vec![b'#'; 100_000]).into_bytes();
        text[..4].copy_from_slice(b"IyEv");
        let address = text.as_ptr();
        let payload = decode(Code::Base64(text)).unwrap();
        assert_eq!(payload.bytes().as_ptr(), address);
    }
}
