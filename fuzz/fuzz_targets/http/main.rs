//! Requests out of a byte stream: the same however it is cut, and the same as another parser finds
//! that reads the whole stream at once.
#![no_main]

mod reference;

use actionproxy_server::wire::requests;
use libfuzzer_sys::fuzz_target;

use reference::{MAX_BODY, whole};

fuzz_target!(|data: &[u8]| {
    // The first byte says how the rest is cut.
    let Some((&seed, stream)) = data.split_first() else {
        return;
    };
    let stream = &grown(stream);
    let expected = whole(stream);
    assert_eq!(requests([&stream[..]], MAX_BODY as u64), expected, "whole");
    assert_eq!(
        requests(pieces(stream, seed), MAX_BODY as u64),
        expected,
        "cut"
    );
    if stream.len() <= 2_000 {
        assert_eq!(
            requests(stream.chunks(1), MAX_BODY as u64),
            expected,
            "every byte"
        );
    }
});

/// A byte 0xfd stands for 4,000 of the byte before it: limits come within reach of short inputs.
fn grown(stream: &[u8]) -> Vec<u8> {
    let mut grown: Vec<u8> = Vec::new();
    for &byte in stream {
        match (byte, grown.last().copied()) {
            (0xfd, Some(last)) if grown.len() < 200_000 => grown.resize(grown.len() + 4_000, last),
            _ => grown.push(byte),
        }
    }
    grown
}

/// Pieces of sizes that only the seed decides, short ones and long ones.
fn pieces(mut stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) + 1;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match state >> 30 {
            0 => 1,
            1 => 1 + (state >> 16) as usize % 16,
            2 => 1 + (state >> 16) as usize % 300,
            _ => 1 + (state >> 12) as usize % 20_000,
        };
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
