//! Requests from bytes alone, without a socket: for fuzzing, and for whoever wants to know how the
//! server reads a stream.

use super::body::BodyReader;
use super::incoming::{Ended, Incoming};
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
    let mut incoming = Incoming::default();
    loop {
        match request(&mut incoming, &mut pieces, max_body) {
            Ok(Ok(request)) => requests.push(request),
            Ok(Err(end)) => return (requests, end),
            Err(refusal) => return (requests, End::Refused(refusal.status())),
        }
    }
}

fn request<'p>(
    incoming: &mut Incoming,
    pieces: &mut impl Iterator<Item = &'p [u8]>,
    max_body: u64,
) -> Result<Result<Decoded, End>, Refusal> {
    let head = loop {
        if let Some(head) = incoming.read_head()? {
            break head;
        }
        if let Err(end) = more(incoming, pieces)? {
            return Ok(Err(end));
        }
    };
    incoming.begin_body(BodyReader::new(head.framing, max_body)?);
    while !incoming.read_body()? {
        if let Err(end) = more(incoming, pieces)? {
            return Ok(Err(end));
        }
    }
    Ok(Ok(Decoded {
        method: head.method().to_owned(),
        path: head.path().to_owned(),
        fields: head
            .fields()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: incoming.take_body(),
    }))
}

/// Brings the next piece, or the end.
fn more<'p>(
    incoming: &mut Incoming,
    pieces: &mut impl Iterator<Item = &'p [u8]>,
) -> Result<Result<(), End>, Refusal> {
    let Some(piece) = pieces.next() else {
        return Ok(Err(match incoming.end()? {
            Ended::Between => End::Between,
            Ended::Inside(_) => End::Inside,
        }));
    };
    incoming.room().extend_from_slice(piece);
    Ok(Ok(()))
}
