//! Decoding base64: agrees with the crate's own decoder, in a buffer of its own, on every text.
#![no_main]

use actionproxy_core::Code;
use actionproxy_core::init::decode::{Form, decode};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use libfuzzer_sys::fuzz_target;

const REFERENCE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fuzz_target!(|text: &[u8]| {
    // Text is taken as it is, or refused.
    if let Ok(payload) = decode(Code::Text(text.to_vec())) {
        assert_eq!(payload.bytes(), text);
    }
    let decoded = decode(Code::Base64(text.to_vec()));
    // What the reference does not take and this does: white space, a byte order mark, and the
    // URL-safe alphabet.
    let dense: Vec<u8> = text
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            &byte => byte,
        })
        .collect();
    // What the reference takes and this does not: partial padding, an ELF file that is text, and
    // the first line of another format.
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    match (decoded, REFERENCE.decode(&dense)) {
        (Ok(payload), Ok(expected)) => {
            assert_eq!(payload.bytes(), expected);
            assert!(Form::detect(&expected).is_some());
        }
        (Ok(_), Err(e)) => panic!("the reference refuses it: {e}"),
        (Err(_), Ok(expected)) => assert!(
            Form::detect(&expected).is_none()
                || !dense.len().is_multiple_of(4)
                || expected.starts_with(b"\x7fELF") && is_text(&expected)
                || dense.starts_with(b"+++++BEGIN")
                || dense.starts_with(b"begin+base64"),
            "only this decoder refuses it"
        ),
        (Err(_), Err(_)) => {}
    }
});
