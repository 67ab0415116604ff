//! The result: the last line of stdout, found while everything before it is handed on as log.
//!
//! The rule is upstream's (`actionproxy.py`, `run`): the text after the last newline that is not
//! the final byte, trimmed of white space. Only a line that can still be a result is held back,
//! so a log of any length, in lines of any length, passes in bounded memory.

mod earlier;
mod explain;
mod opening;

use std::io::Write;

use serde::de::IgnoredAny;

use earlier::Earlier;
use opening::{Opening, judge};

/// How much is kept of the beginning of a line that passes.
const HEAD: usize = 256;

/// White space held back at the start of a line before the line is taken for log.
const MAX_INDENT: usize = 64 << 10;

/// Finds the last line of a stream of chunks.
#[derive(Debug)]
pub struct LastLine {
    limit: usize,
    state: State,
    /// The candidate so far, with its newline once that has come.
    held: Vec<u8>,
    /// Whether the final byte so far is a newline.
    terminated: bool,
    /// What went to the log, this line included where it passes.
    earlier: Earlier,
    /// The beginning of a line that passes, and its length so far.
    head: Vec<u8>,
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space in this line so far.
    Start,
    /// The line begins like an object or an array: it may be the result.
    Holding,
    /// The line cannot be a result: it goes to the log as it comes.
    Passing,
    /// The line might have been a result but is over the limit: it goes to the log as well.
    TooLarge,
}

/// What the last line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Perhaps a result. It has not been written to the log.
    Candidate(Candidate),
    /// Certainly none; it is in the log, newline completed.
    Logged {
        /// Why it is no result.
        reason: String,
    },
    /// Over the limit; it is in the log, newline completed.
    TooLarge,
}

/// A last line that may be a result.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The line, as it came.
    pub line: Vec<u8>,
    /// The end of what stood before it, which may explain why it is none.
    earlier: Earlier,
}

impl LastLine {
    /// A finder that holds back at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        LastLine {
            limit,
            state: State::Start,
            held: Vec::new(),
            terminated: false,
            earlier: Earlier::default(),
            head: Vec::new(),
            length: 0,
        }
    }

    /// Takes the next chunk; what cannot be the last line goes to `log`.
    pub fn push(&mut self, chunk: &[u8], log: &mut dyn Write) {
        let Some((_, before_final)) = chunk.split_last() else {
            return;
        };
        if self.terminated {
            self.release(log);
        }
        let rest = match memchr::memrchr(b'\n', before_final) {
            Some(newline) => {
                let (lines, rest) = chunk.split_at(newline + 1);
                self.release(log);
                self.pass_on(lines, log);
                rest
            }
            None => chunk,
        };
        self.terminated = rest.ends_with(b"\n");
        self.extend(rest, log);
    }

    /// Whether a line stands that is a result, or would be if it were not over the limit. Parses
    /// it.
    pub fn stands(&self) -> bool {
        match self.state {
            State::Start | State::Passing => false,
            // First what costs nothing: most lines that are not whole do not end so.
            State::Holding => {
                matches!(trim(&self.held), [.., b'}' | b']']) && value(&self.held).is_some()
            }
            State::TooLarge => true,
        }
    }

    /// Whether nothing at all has been written.
    pub fn is_empty(&self) -> bool {
        self.earlier.total() == 0 && self.held.is_empty()
    }

    /// Ends the stream. `log` gets the newline that a logged last line may lack.
    pub fn finish(mut self, log: &mut dyn Write) -> Line {
        let line = match self.state {
            State::Start | State::Holding => {
                return Line::Candidate(Candidate {
                    line: self.held,
                    earlier: self.earlier,
                });
            }
            State::Passing => Line::Logged {
                reason: match self.earlier.split_off(self.length) {
                    Some(line) => explain::explain(&line, &self.earlier),
                    None => explain::explain_long(&self.head, self.length),
                },
            },
            State::TooLarge => Line::TooLarge,
        };
        if !self.terminated {
            let _ = log.write_all(b"\n");
        }
        line
    }

    /// The line so far turned out to be log.
    fn release(&mut self, log: &mut dyn Write) {
        // Not `clear`: what one long line took is not kept for the rest of the activation.
        let held = std::mem::take(&mut self.held);
        self.pass_on(&held, log);
        self.head.clear();
        self.length = 0;
        self.state = State::Start;
        self.terminated = false;
    }

    fn pass_on(&mut self, written: &[u8], log: &mut dyn Write) {
        let _ = log.write_all(written);
        self.earlier.push(written);
    }

    /// Adds to the current line: `part` has no newline but perhaps its final byte.
    fn extend(&mut self, part: &[u8], log: &mut dyn Write) {
        if self.state == State::Start {
            match judge(&self.held, part) {
                Opening::Result => self.state = State::Holding,
                Opening::Log => self.pass(State::Passing, log),
                Opening::Open if self.held.len() + part.len() > MAX_INDENT => {
                    self.pass(State::Passing, log);
                }
                Opening::Open => {}
            }
        }
        if self.state == State::Holding && self.held.len() + part.len() > self.limit {
            self.pass(State::TooLarge, log);
        }
        match self.state {
            State::Start | State::Holding => self.held.extend_from_slice(part),
            State::Passing | State::TooLarge => self.pass_part(part, log),
        }
    }

    fn pass(&mut self, state: State, log: &mut dyn Write) {
        let held = std::mem::take(&mut self.held);
        self.pass_part(&held, log);
        self.state = state;
    }

    /// A part of a line that passes.
    fn pass_part(&mut self, part: &[u8], log: &mut dyn Write) {
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&part[..part.len().min(room)]);
        self.length += part.len() as u64;
        self.pass_on(part, log);
    }
}

/// A last line that is no result.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line, as it came.
    pub line: Vec<u8>,
    /// What is wrong with it.
    pub reason: String,
}

impl Candidate {
    /// As [`check`]; the reason is a sentence, and takes into account what stood before the line.
    ///
    /// # Errors
    /// [`BadLine`], with the line given back.
    pub fn check(self) -> Result<Vec<u8>, BadLine> {
        let Candidate { line, earlier } = self;
        taken(line).map_err(|line| BadLine {
            reason: explain::explain(&line, &earlier),
            line,
        })
    }
}

/// Checks that `line` is one JSON object or array and takes the white space off its ends. The
/// bytes between stay as they are: key order, number formats, escapes.
///
/// # Errors
/// [`BadLine`], with the line given back. The reason goes behind what the line is called.
pub fn check(line: Vec<u8>) -> Result<Vec<u8>, BadLine> {
    taken(line).map_err(|line| BadLine {
        reason: explain::predicate(&line, &Earlier::default()),
        line,
    })
}

/// The object or array that `line` is, or the line.
fn taken(mut line: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
    let Some(result) = value(&line) else {
        return Err(line);
    };
    let start = result.as_ptr() as usize - line.as_ptr() as usize;
    let end = start + result.len();
    line.truncate(end);
    line.drain(..start);
    Ok(line)
}

/// The object or array that `line` is, without the white space around it, if it is one.
fn value(line: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(line).ok()?.trim_matches(is_white);
    if !text.starts_with(['{', '[']) {
        return None;
    }
    // `IgnoredAny` is checked without recursion: depth cannot overflow the stack.
    let IgnoredAny = serde_json::from_str(text).ok()?;
    Some(text.as_bytes())
}

/// Takes the white space off both ends of a line, be it text or not.
fn trim(line: &[u8]) -> &[u8] {
    if let Ok(text) = std::str::from_utf8(line) {
        return text.trim_matches(is_white).as_bytes();
    }
    let start = line.iter().position(|byte| !is_space(*byte));
    let end = line.iter().rposition(|byte| !is_space(*byte));
    match (start, end) {
        (Some(start), Some(end)) => &line[start..=end],
        _ => &[],
    }
}

/// What upstream's `strip` takes off.
fn is_white(c: char) -> bool {
    c.is_whitespace() || is_separator(c)
}

/// The ASCII part of [`is_white`].
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || is_separator(byte as char)
}

/// The information separators, white space to upstream's `strip` but not to Rust.
fn is_separator(c: char) -> bool {
    ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(chunks: &[&str], limit: usize) -> (Line, String) {
        let mut log = Vec::new();
        let mut last = LastLine::new(limit);
        for chunk in chunks {
            last.push(chunk.as_bytes(), &mut log);
        }
        let line = last.finish(&mut log);
        (line, String::from_utf8(log).expect("the tests feed text"))
    }

    /// Upstream's definition, on the whole output at once.
    fn upstream(all: &str) -> (&str, &str) {
        let before_final = all.len().saturating_sub(1);
        match all.as_bytes()[..before_final]
            .iter()
            .rposition(|b| *b == b'\n')
        {
            Some(newline) => all.split_at(newline + 1),
            None => ("", all),
        }
    }

    #[test]
    fn every_split_into_chunks_gives_what_upstream_defines() {
        let outputs = [
            "",
            "\n",
            "\n\n",
            "{}",
            "{}\n",
            "a\n{}",
            "a\n{}\n",
            "{}\n\n",
            "a\nb\n",
            "{\n}\n",
            "\n{\"a\":1}",
            "  {}  \n",
            "x",
            "[1]\n{}\nlog\n[2]\n",
            "\r\n{}\r\n",
        ];
        for all in outputs {
            let (log, line) = upstream(all);
            for cut in 0..=all.len() {
                for again in cut..=all.len() {
                    let chunks = [&all[..cut], &all[cut..again], &all[again..]];
                    match feed(&chunks, 100) {
                        (Line::Candidate(held), logged) => {
                            assert_eq!((logged.as_str(), &held.line[..]), (log, line.as_bytes()));
                        }
                        (Line::Logged { .. }, logged) => {
                            let completed = format!("{}\n", all.strip_suffix('\n').unwrap_or(all));
                            assert_eq!(logged, completed);
                            assert!(!line.trim_start().starts_with(['{', '[']), "{line:?}");
                        }
                        (Line::TooLarge, _) => panic!("{all:?} is under the limit"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_over_the_limit_is_logged_whole_and_a_later_one_still_counts() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(50));
        let (line, log) = feed(&[&long[..20], &long[20..]], 30);
        assert_eq!((line, log), (Line::TooLarge, format!("{long}\n")));
        let (line, log) = feed(&[&long, "\n{}", "\n"], 30);
        assert!(matches!(line, Line::Candidate(held) if held.line == b"{}\n"));
        assert_eq!(log, format!("{long}\n"));
    }

    #[test]
    fn white_space_beyond_ascii_stands_before_a_result_however_it_is_cut() {
        let result = "\u{85} \u{3000}[] ".as_bytes();
        let logs: [&[u8]; 4] = [
            "\u{a0}x".as_bytes(),
            "\u{e9}{}".as_bytes(),
            b"\xc2",
            b"\xc2{}",
        ];
        for cut in 0..=result.len() {
            for line in logs.into_iter().chain([result]) {
                let (first, second) = line.split_at(cut.min(line.len()));
                let mut log = Vec::new();
                let mut last = LastLine::new(100);
                last.push(first, &mut log);
                last.push(second, &mut log);
                let found = match last.finish(&mut log) {
                    Line::Candidate(held) => held.check().ok(),
                    _ => None,
                };
                let expected = (line == result).then(|| b"[]".to_vec());
                assert_eq!(found, expected, "{line:x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn endless_white_space_is_not_held_back() {
        let spaces = " ".repeat(MAX_INDENT + 1);
        let (line, log) = feed(&[&spaces, "{}"], 100 << 20);
        assert!(matches!(line, Line::Logged { .. }));
        assert_eq!(log.len(), spaces.len() + 3);
    }

    #[test]
    fn a_result_is_kept_byte_for_byte() {
        let line = " {\"b\": 1.0e2, \"a\":\"\\u00fc ü\", \"b\":2}\r\n"
            .as_bytes()
            .to_vec();
        let result = check(line).expect("an object");
        assert_eq!(
            result,
            "{\"b\": 1.0e2, \"a\":\"\\u00fc ü\", \"b\":2}".as_bytes()
        );
        assert_eq!(check(b"\x1c[ ]\x0b".to_vec()).expect("an array"), b"[ ]");
    }

    #[test]
    fn what_is_no_object_or_array_is_given_back_with_the_reason() {
        for (line, word) in [("42", "no JSON object"), ("{\"a\":NaN}", "not valid JSON")] {
            let bad = check(line.as_bytes().to_vec()).expect_err(line);
            assert_eq!(bad.line, line.as_bytes());
            assert!(bad.reason.contains(word), "{line:?}: {}", bad.reason);
        }
    }

    #[test]
    fn a_result_stands_once_it_is_whole() {
        let mut last = LastLine::new(100);
        assert!(last.is_empty());
        for (chunk, stands) in [
            ("{\"a\":[1]", false),
            ("}", true),
            ("\n", true),
            ("log\n", false),
            ("{}", true),
            ("}", false),
            ("\n", false),
        ] {
            last.push(chunk.as_bytes(), &mut Vec::new());
            assert_eq!(last.stands(), stands, "{chunk:?}");
            assert!(!last.is_empty());
        }
    }

    #[test]
    fn depth_does_not_overflow_the_stack() {
        let deep = "[".repeat(5 << 20) + &"]".repeat(5 << 20);
        assert_eq!(
            check(deep.clone().into_bytes()).expect("an array").len(),
            deep.len()
        );
    }
}
