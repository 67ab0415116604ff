//! Requests from bytes alone, without a socket: for fuzzing, and for whoever wants to know how the
//! server reads a stream.

use super::body::BodyReader;
use super::head::{Framing, HeadReader};
use super::refusal::Refusal;

/// A request as the server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The method.
    pub method: String,
    /// The path, without scheme, host and query.
    pub path: String,
    /// Names and values of the header fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Between two requests.
    Between,
    /// Inside a request.
    Inside,
    /// With a refusal of this status.
    Refused(u16),
}

/// The requests of a stream that comes in `pieces`, with bodies of at most `max_body` bytes, up to
/// the end of the stream or the first that is refused. Where the cuts are makes no difference.
pub fn requests<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    max_body: u64,
) -> (Vec<Decoded>, End) {
    let mut requests = Vec::new();
    let mut pieces = pieces.into_iter();
    let mut buffer = Vec::new();
    loop {
        match request(&mut buffer, &mut pieces, max_body) {
            Ok(Ok(request)) => requests.push(request),
            Ok(Err(end)) => return (requests, end),
            Err(refusal) => return (requests, End::Refused(refusal.status())),
        }
    }
}

fn request<'p>(
    buffer: &mut Vec<u8>,
    pieces: &mut impl Iterator<Item = &'p [u8]>,
    max_body: u64,
) -> Result<Result<Decoded, End>, Refusal> {
    let mut reader = HeadReader::default();
    let head = loop {
        if !buffer.is_empty()
            && let Some(head) = reader.read(buffer)?
        {
            break head;
        }
        match pieces.next() {
            Some(piece) => buffer.extend_from_slice(piece),
            None if buffer.iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                return Ok(Err(End::Between));
            }
            None => {
                // As a connection does it: not every piece was looked at.
                HeadReader::default().read(buffer)?;
                return Ok(Err(End::Inside));
            }
        }
    };
    let mut reader = BodyReader::new(head.framing, max_body)?;
    let mut body = Vec::new();
    while !reader.is_done() {
        if buffer.is_empty() {
            match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => return Ok(Err(End::Inside)),
            }
        }
        if head.framing == Framing::Chunked {
            let taken = reader.take_chunked(buffer, &mut body)?;
            buffer.drain(..taken);
        } else {
            let before = body.len();
            body.append(buffer);
            *buffer = reader.take_whole(&mut body, before);
        }
    }
    Ok(Ok(Decoded {
        method: head.method().to_owned(),
        path: head.path().to_owned(),
        fields: head
            .fields()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body,
    }))
}
