//! The body of a request, from bytes that come in pieces.
//!
//! The chunked coding is RFC 9112, section 7.1. Extensions and trailers are read and dropped.
//! Every line ends in CR LF; sizes are hexadecimal digits and nothing else. Anything less strict
//! lets two readers disagree about where the next request begins.

use super::head::Framing;
use super::refusal::Refusal;

/// Bytes of all trailers, and of all extensions beside one for each byte of data: signatures of chunks
/// pass, and nobody keeps a connection busy with a body that does not grow.
const MAX_BESIDE: usize = 16 << 10;

/// Reads one body.
#[derive(Debug)]
pub(super) struct BodyReader {
    state: State,
    limit: u64,
    /// The size of the present chunk as far as it is read, or what is left of it.
    left: u64,
    /// Digits of a size, or bytes of trailers.
    count: usize,
    /// Bytes of extensions of all chunks.
    extensions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A body of known length.
    Whole,
    Size,
    /// White space behind a size, before a semicolon.
    Space,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer, or of the end.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
    Done,
}

impl BodyReader {
    /// For a body of at most `limit` bytes.
    ///
    /// # Errors
    /// One that is announced to be longer.
    pub(super) fn new(framing: Framing, limit: u64) -> Result<Self, Refusal> {
        let (state, left) = match framing {
            Framing::None | Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) if length > limit => {
                return Err(Refusal::TooLarge {
                    length: Some(length),
                    limit,
                });
            }
            Framing::Length(length) => (State::Whole, length),
            Framing::Chunked => (State::Size, 0),
        };
        Ok(BodyReader {
            state,
            limit,
            left,
            count: 0,
            extensions: 0,
        })
    }

    /// Whether all of it has been read.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How much of a body of known length is still to come.
    pub(super) fn left(&self) -> Option<u64> {
        (self.state == State::Whole).then_some(self.left)
    }

    /// What `body` already holds of a body of known length is all that has come of it; gives back
    /// what is not its any more.
    pub(super) fn take_whole(&mut self, body: &mut Vec<u8>, before: usize) -> Vec<u8> {
        let came = (body.len() - before) as u64;
        let own = came.min(self.left);
        self.left -= own;
        if self.left == 0 {
            self.state = State::Done;
        }
        // No more than what came, so it fits.
        body.split_off(before + own as usize)
    }

    /// Takes the bytes of a chunked body from the start of `input`, and appends what they stand
    /// for to `body`. Returns how many were taken: all, or those up to the end of the body.
    ///
    /// # Errors
    /// What is no chunked body, or is over the limit.
    pub(super) fn take_chunked(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<usize, Refusal> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Done {
                break;
            }
            if self.state == State::Data {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                let part = &input[at..at + here.min(input.len() - at)];
                body.extend_from_slice(part);
                self.left -= part.len() as u64;
                at += part.len();
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(byte, body.len() as u64)?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8, length: u64) -> Result<State, Refusal> {
        let next = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.count += 1;
                if self.count > 16 {
                    return Err(bad("a size of at most 16 digits", byte));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r' | b';' | b' ' | b'\t') if self.count > 0 => {
                self.count = 0;
                if self.left > self.limit.saturating_sub(length) {
                    return Err(Refusal::TooLarge {
                        length: None,
                        limit: self.limit,
                    });
                }
                match byte {
                    b'\r' => State::SizeEnd,
                    b';' => State::Extension,
                    _ => State::Space,
                }
            }
            (State::Size, _) => return Err(bad("a size in hexadecimal digits", byte)),
            (State::Space, b' ' | b'\t') => self.extended(State::Space, length)?,
            (State::Space, b';') => State::Extension,
            (State::Space, _) => return Err(bad("a semicolon behind a size and a space", byte)),
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, _) if is_text(byte) => self.extended(State::Extension, length)?,
            (State::Extension, _) => return Err(bad("text in an extension", byte)),
            (State::SizeEnd, b'\n') => {
                self.count = 0;
                match self.left {
                    0 => State::Trailer,
                    _ => State::Data,
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr | State::DataLf, _) => return Err(bad("CR LF behind a chunk", byte)),
            (State::Trailer, b'\r') => State::End,
            (State::Trailer | State::TrailerName, _) if is_token(byte) => {
                self.counted(State::TrailerName)?
            }
            (State::TrailerName, b':') => self.counted(State::TrailerValue)?,
            (State::Trailer | State::TrailerName, _) => return Err(bad("a trailer", byte)),
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::TrailerValue, _) if is_text(byte) => self.counted(State::TrailerValue)?,
            (State::TrailerValue, _) => return Err(bad("text in a trailer", byte)),
            (State::TrailerEnd, b'\n') => State::Trailer,
            (State::End, b'\n') => State::Done,
            (State::SizeEnd | State::TrailerEnd | State::End, _) => {
                return Err(bad("LF behind CR", byte));
            }
            // These take no single bytes.
            (State::Whole | State::Data | State::Done, _) => self.state,
        };
        Ok(next)
    }

    fn counted(&mut self, next: State) -> Result<State, Refusal> {
        self.count += 1;
        if self.count > MAX_BESIDE {
            return Err(Refusal::Malformed(format!(
                "The chunked body: expected at most {MAX_BESIDE} bytes of trailers."
            )));
        }
        Ok(next)
    }

    /// The same for extensions, where so much data has come.
    fn extended(&mut self, next: State, length: u64) -> Result<State, Refusal> {
        self.extensions += 1;
        if self.extensions > length.saturating_add(MAX_BESIDE as u64) {
            return Err(Refusal::Malformed(format!(
                "The chunked body: expected at most {MAX_BESIDE} bytes of extensions more than there \
                 are of data."
            )));
        }
        Ok(next)
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn bad(expected: &str, byte: u8) -> Refusal {
    Refusal::Malformed(format!(
        "The chunked body: expected {expected}, found `{}`.",
        byte.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and what is left behind it.
    type Read = (Vec<u8>, Vec<u8>);

    /// What is read, in one piece, cut anywhere in two, and byte by byte.
    fn chunked(input: &[u8], limit: u64) -> Result<Option<Read>, u16> {
        let read = |cuts: &[usize]| {
            let mut reader = BodyReader::new(Framing::Chunked, limit).expect("no length");
            let mut body = Vec::new();
            let mut taken = 0;
            for end in cuts.iter().copied().chain([input.len()]) {
                while taken < end && !reader.is_done() {
                    let took = reader.take_chunked(&input[taken..end], &mut body);
                    taken += took.map_err(|refusal| refusal.status())?;
                }
            }
            Ok(reader.is_done().then(|| (body, input[taken..].to_vec())))
        };
        let whole = read(&[]);
        for cut in 0..input.len() {
            assert_eq!(read(&[cut]), whole, "cut at {cut}");
        }
        let every: Vec<usize> = (1..input.len()).collect();
        assert_eq!(read(&every), whole);
        whole
    }

    #[test]
    fn chunks_are_put_together() {
        let body = |text: &str, rest: &str| Ok(Some((text.into(), rest.into())));
        assert_eq!(chunked(b"0\r\n\r\n", 9), body("", ""));
        assert_eq!(
            chunked(b"2\r\nab\r\n0A\r\n0123456789\r\n0\r\n\r\nGET", 99),
            body("ab0123456789", "GET")
        );
        assert_eq!(
            chunked(b"1 ;a=\"b\"\r\nx\r\n000;q\r\nT: u\r\nV:\r\n\r\n", 1),
            body("x", "")
        );
        assert_eq!(chunked(b"2\r\nab\r\n0\r\n", 9), Ok(None));
    }

    #[test]
    fn what_is_no_chunked_body_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b";a\r\n",
            b"x\r\n",
            b"+1\r\n",
            b"-1\r\n",
            b" 1\r\n",
            b"0x1\r\n",
            b"1\nx\r\n",
            b"1 \r\nx",
            b"1\rx",
            b"1;a\nb\r\n",
            b"1;\0\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n",
            b"1\r\nx\r0",
            b"00000000000000001\r\n",
            b"0\r\n \r\n\r\n",
            b"0\r\nT : u\r\n\r\n",
            b"0\r\n:u\r\n\r\n",
            b"0\r\nT: u\n\r\n",
            b"0\r\nT\r\n\r\n",
            b"0\r\n\rx",
        ] {
            let text = String::from_utf8_lossy(bad);
            assert_eq!(chunked(bad, 9), Err(400), "{text:?}");
        }
        let endless = [b"1;".to_vec(), vec![b'a'; MAX_BESIDE + 1]].concat();
        let mut reader = BodyReader::new(Framing::Chunked, 9).expect("no length");
        assert!(reader.take_chunked(&endless, &mut Vec::new()).is_err());
    }

    #[test]
    fn extensions_are_bounded_by_the_data_they_come_with() {
        let read = |chunk: &str, count: usize| {
            let mut reader = BodyReader::new(Framing::Chunked, u64::MAX).expect("no length");
            let mut body = Vec::new();
            let taken = reader.take_chunked(chunk.repeat(count).as_bytes(), &mut body);
            taken.map(|_| body.len())
        };
        let extension = ";a".repeat(50);
        let large = format!("64{extension}\r\n{}\r\n", "x".repeat(100));
        assert_eq!(read(&large, 2_000).ok(), Some(200_000));
        // The semicolon ends the size: 99 bytes each, one of them for the byte of data.
        let small = format!("1{extension}\r\nx\r\n");
        assert_eq!(read(&small, MAX_BESIDE / 98).ok(), Some(MAX_BESIDE / 98));
        assert!(read(&small, MAX_BESIDE / 98 + 1).is_err());
    }

    #[test]
    fn the_limit_holds_for_what_comes() {
        assert_eq!(chunked(b"a\r\n", 9), Err(413));
        assert_eq!(chunked(b"9\r\n012345678\r\n1\r\n", 9), Err(413));
        assert_eq!(chunked(b"ffffffffffffffff\r\n", 9), Err(413));
        assert!(BodyReader::new(Framing::Length(10), 9).is_err());
        assert!(BodyReader::new(Framing::Length(9), 9).is_ok());
    }

    #[test]
    fn a_body_of_known_length_leaves_what_stands_behind_it() {
        let mut reader = BodyReader::new(Framing::Length(4), 9).expect("short");
        let mut body = b"ab".to_vec();
        assert_eq!(reader.take_whole(&mut body, 0), b"");
        assert_eq!(reader.left(), Some(2));
        body.extend_from_slice(b"cdGET");
        assert_eq!(reader.take_whole(&mut body, 2), b"GET");
        assert!(reader.is_done());
        assert_eq!(body, b"abcd");
    }
}
