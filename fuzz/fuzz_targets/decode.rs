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
    let decoded = decode(Code::Base64(text.to_vec()));
    let dense: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    // Partial padding is the one thing that the reference takes and this does not.
    match (decoded, REFERENCE.decode(&dense)) {
        (Ok(payload), Ok(expected)) => {
            assert_eq!(payload.bytes(), expected);
            assert!(Form::detect(&expected).is_some());
        }
        (Ok(_), Err(e)) => panic!("the reference refuses it: {e}"),
        (Err(_), Ok(expected)) => assert!(
            Form::detect(&expected).is_none() || !dense.len().is_multiple_of(4),
            "only this decoder refuses it"
        ),
        (Err(_), Err(_)) => {}
    }
});
