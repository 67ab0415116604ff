//! The result line: however stdout is cut into chunks, log and line together are what was
//! written, and the line is the one that upstream's rule picks.
#![no_main]

use actionproxy_core::run::result::{LastLine, Line, check};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    // The first byte says how the rest is cut.
    let Some((&size, output)) = data.split_first() else {
        return;
    };
    let mut log = Vec::new();
    let mut last = LastLine::new(LIMIT);
    for chunk in output.chunks(usize::from(size).max(1)) {
        last.push(chunk, &mut log);
    }
    let before_final = &output[..output.len().saturating_sub(1)];
    let start = before_final
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1);
    match last.finish(&mut log) {
        Line::Candidate(candidate) => {
            let line = candidate.line;
            assert_eq!(log, &output[..start]);
            assert_eq!(line, &output[start..]);
            if let Ok(result) = check(line) {
                assert!(result.starts_with(b"{") || result.starts_with(b"["));
                assert!(result.ends_with(b"}") || result.ends_with(b"]"));
                assert_eq!(check(result.clone()), Ok(result));
            }
        }
        Line::Logged { .. } => {
            let mut whole = output.to_vec();
            if !whole.ends_with(b"\n") {
                whole.push(b'\n');
            }
            assert_eq!(log, whole);
            assert!(check(output[start..].to_vec()).is_err());
        }
        Line::TooLarge => assert!(output.len() > LIMIT),
    }
});
