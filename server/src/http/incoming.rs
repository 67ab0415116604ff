//! Requests from bytes that come in pieces, whoever brings them.
//!
//! Nothing here waits or knows a socket: whoever reads asks for [`room`](Incoming::room), appends what
//! has come, and asks what has become of it. A connection does so, and so does
//! [`decode`](super::decode), by which this is fuzzed.

use super::body::BodyReader;
use super::head::{Head, HeadReader};
use super::refusal::Refusal;

/// Room for a head and a small body.
const FIRST: usize = 4 << 10;
/// Bytes of a body taken at once.
const CHUNK: usize = 32 << 10;

/// One request after the other: a head, its body if that is wanted, the next head.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// What has come and is not used yet.
    buffer: Vec<u8>,
    head: HeadReader,
    /// The body that is being read.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    reader: BodyReader,
    bytes: Vec<u8>,
    /// How many of them have been looked at.
    looked_at: usize,
}

/// Where a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Between two requests.
    Between,
    /// Inside a request; the text says what was expected.
    Inside(String),
}

impl Incoming {
    /// Whether nothing has come that is not used yet.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Where what comes next is to be appended. Room grows with what has come, not with what is
    /// announced.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        let Some(body) = &mut self.body else {
            self.buffer.reserve(FIRST);
            return &mut self.buffer;
        };
        let Some(left) = body.reader.left() else {
            self.buffer.reserve(CHUNK);
            return &mut self.buffer;
        };
        let room = body.bytes.len().max(CHUNK);
        let room = usize::try_from(left).map_or(room, |left| left.min(room));
        body.bytes.reserve_exact(room);
        &mut body.bytes
    }

    /// The next head, once all of it has come.
    ///
    /// # Errors
    /// What cannot become a request.
    pub(super) fn read_head(&mut self) -> Result<Option<Head>, Refusal> {
        self.head.read(&mut self.buffer)
    }

    /// From now on, until [`take_body`](Self::take_body), what comes belongs to a body.
    pub(super) fn begin_body(&mut self, reader: BodyReader) {
        let bytes = match reader.left() {
            Some(_) => std::mem::take(&mut self.buffer),
            None => Vec::new(),
        };
        self.body = Some(Body {
            reader,
            bytes,
            looked_at: 0,
        });
    }

    /// Whether all of the body has come.
    ///
    /// # Errors
    /// What is no body, or is over its limit.
    pub(super) fn read_body(&mut self) -> Result<bool, Refusal> {
        let Some(body) = &mut self.body else {
            return Ok(true);
        };
        if body.reader.left().is_some() {
            self.buffer = body.reader.take_whole(&mut body.bytes, body.looked_at);
            body.looked_at = body.bytes.len();
        } else if !body.reader.is_done() {
            let taken = body.reader.take_chunked(&self.buffer, &mut body.bytes)?;
            self.buffer.drain(..taken);
        }
        Ok(body.reader.is_done())
    }

    /// How many bytes of the body have come so far.
    pub(super) fn body_length(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.bytes.len())
    }

    /// The body, as far as it has come.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        self.body.take().map(|body| body.bytes).unwrap_or_default()
    }

    /// What it means that nothing more comes.
    ///
    /// # Errors
    /// What has come was wrong before it ended: not every piece is looked at.
    pub(super) fn end(&mut self) -> Result<Ended, Refusal> {
        let text = match &self.body {
            Some(body) => match body.reader.left() {
                Some(left) => format!(
                    "The body ended early: expected {} bytes, found {}.",
                    body.bytes.len() as u64 + left,
                    body.bytes.len()
                ),
                None => "The chunked body ended early.".to_owned(),
            },
            None if self.buffer.iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                return Ok(Ended::Between);
            }
            None => {
                HeadReader::default().read(&mut self.buffer)?;
                "The head of the request ended early.".to_owned()
            }
        };
        Ok(Ended::Inside(text))
    }
}
