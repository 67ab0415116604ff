//! What stood on stdout before its last line: the end of it, for an explanation where there is no
//! result. However much is written, no more than a few KiB is kept.

use super::{trim, value};

/// How much is kept at least: a value of some hundred lines.
const KEPT: usize = 8 << 10;
/// Of so much at once, less is kept: a flood of logs must cost nothing.
const FLOOD: usize = 16 << 10;
const KEPT_OF_FLOOD: usize = 1 << 10;

/// Lines that are looked at for a result that something else was written after.
const LOOKED_AT: usize = 20;

/// The end of what went to the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    /// The last bytes: [`KEPT`] or up to twice as many; behind a flood, [`KEPT_OF_FLOOD`].
    bytes: Vec<u8>,
    total: u64,
}

impl Earlier {
    /// Takes what was written next.
    pub(super) fn push(&mut self, written: &[u8]) {
        self.total += written.len() as u64;
        let kept = match written.len() {
            ..FLOOD => KEPT,
            FLOOD.. => KEPT_OF_FLOOD,
        };
        if written.len() >= kept {
            self.bytes.clear();
        } else if self.bytes.len() + written.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
        let start = written.len().saturating_sub(kept);
        self.bytes.extend_from_slice(&written[start..]);
    }

    /// Bytes written in all.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Takes the last `length` bytes off, where they are all there.
    pub(super) fn split_off(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok()?;
        let start = self.bytes.len().checked_sub(length)?;
        self.total -= length as u64;
        Some(self.bytes.split_off(start))
    }

    /// Whether more was written than is kept.
    fn is_cut(&self) -> bool {
        self.total > self.bytes.len() as u64
    }

    /// The lines, the last one first. The first of all may have lost its beginning.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let is_empty = self.bytes.is_empty();
        bytes
            .rsplit(|byte| *byte == b'\n')
            .filter(move |_| !is_empty)
    }

    /// The line before the last one.
    pub(super) fn last_line(&self) -> Option<&[u8]> {
        self.lines().next()
    }

    /// Where a value began that `line` is the end of: it closes more brackets than it opens.
    pub(super) fn start_of_value(&self, line: &[u8]) -> Option<Start> {
        let mut open = depth(line);
        if open >= 0 {
            return None;
        }
        let mut count = 0;
        for earlier in self.lines() {
            count += 1;
            open += depth(earlier);
            if open >= 0 {
                return Some(Start::LinesBefore(count));
            }
        }
        let is_end = matches!(trim(line), [b'}' | b']', ..]);
        (is_end && self.is_cut()).then_some(Start::MoreThan(count))
    }

    /// How many lines before the last one stands an object or array of one line.
    pub(super) fn lines_since_result(&self) -> Option<usize> {
        let mut lines = self.lines().take(LOOKED_AT);
        lines
            .position(|line| value(line).is_some())
            .map(|before| before + 1)
    }
}

/// Where a value of several lines began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// So many lines before the last one.
    LinesBefore(usize),
    /// Earlier than that.
    MoreThan(usize),
}

/// Brackets opened less brackets closed, outside of strings. A string does not go over the end of
/// a line, neither in JSON nor in what Python and JavaScript print, so each line can be counted by
/// itself. A quote that is not closed is an apostrophe.
fn depth(line: &[u8]) -> i64 {
    let mut depth = 0;
    let mut rest = line;
    // Once one is not closed, no later one is looked for: this must not take the square of a line.
    let mut closes = [true; 2];
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' | b'\'' => {
                let closes = &mut closes[usize::from(*byte == b'"')];
                match Some(after)
                    .filter(|_| *closes)
                    .and_then(|s| end_of_string(s, *byte))
                {
                    Some(end) => rest = end,
                    None => *closes = false,
                }
            }
            _ => {}
        }
    }
    depth
}

fn end_of_string(mut rest: &[u8], quote: u8) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', _, after @ ..] => after,
            [byte, after @ ..] if *byte == quote => return Some(after),
            [_, after @ ..] => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(text: &str) -> Earlier {
        let mut earlier = Earlier::default();
        earlier.push(text.as_bytes());
        earlier
    }

    #[test]
    fn however_it_is_written_the_end_of_it_is_kept_and_no_more() {
        let all: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        for size in [1, 7, 1000, KEPT - 1, KEPT, KEPT + 1, 65_536, all.len()] {
            let mut earlier = Earlier::default();
            for chunk in all.chunks(size) {
                earlier.push(chunk);
                assert!(earlier.bytes.len() <= 2 * KEPT);
            }
            let least = if size < FLOOD { KEPT } else { KEPT_OF_FLOOD };
            assert!(earlier.bytes.len() >= least, "{size}");
            assert!(all.ends_with(&earlier.bytes), "{size}");
            assert_eq!(earlier.total(), all.len() as u64);
            assert!(earlier.is_cut());
        }
    }

    #[test]
    fn the_beginning_of_a_value_of_several_lines_is_found() {
        for (before, line, start) in [
            (
                "{\n  \"a\": [\n    1\n  ]\n",
                "}",
                Some(Start::LinesBefore(4)),
            ),
            (
                "log {\n[\n {\"a}\": 1},\n",
                " {\"b\": \"]\"}]",
                Some(Start::LinesBefore(2)),
            ),
            ("{'it\\'s}': 1,\n", " 'b': 2}", Some(Start::LinesBefore(1))),
            ("don't {\n", "}", Some(Start::LinesBefore(1))),
            ("x\n", "}", None),
            ("", "}", None),
            ("{\n", "{}", None),
            ("{\n", "text", None),
            (
                "{\n",
                &format!("'{}}}", "\\'".repeat(1 << 20)),
                Some(Start::LinesBefore(1)),
            ),
        ] {
            assert_eq!(
                earlier(before).start_of_value(line.as_bytes()),
                start,
                "{before:?}"
            );
        }
        let long = earlier(&format!("{{\n{}", "  1,\n".repeat(10_000)));
        let start = long.start_of_value(b"}").unwrap();
        assert!(matches!(start, Start::MoreThan(100..)), "{start:?}");
    }

    #[test]
    fn a_result_that_something_was_written_after_is_found() {
        for (before, lines) in [
            ("{\"a\":1}\n", Some(1)),
            ("[1]\r\nx\n\n", Some(3)),
            ("{\"a\":\n", None),
            ("{}x\n1\n", None),
            ("", None),
        ] {
            assert_eq!(earlier(before).lines_since_result(), lines, "{before:?}");
        }
    }
}
