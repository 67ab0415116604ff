//! A reply, and its bytes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IoSlice};

use super::socket::Socket;

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u16,
    /// None where there is no body.
    pub content_type: Option<Cow<'static, str>>,
    /// Further headers; not those that frame a message, which are the server's.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON body.
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Reply {
            status,
            content_type: Some("application/json".into()),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// An object with `error`.
    pub(crate) fn error(status: u16, text: &str) -> Self {
        Reply::json(status, serde_json::json!({ "error": text }).to_string())
    }
}

/// How a reply is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The request's minor version of HTTP/1: one of 1.0 learns only from a header that its
    /// connection is kept.
    pub minor: u8,
    pub persistence: Persistence,
    pub content: Content,
}

/// What becomes of a connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    Keep,
    Close,
}

/// What of a reply goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Whole,
    /// All but the body: the request's method was HEAD.
    HeadOnly,
}

/// What every reply begins with.
pub(super) const BEGINNING: &[u8] = b"HTTP/1.1 ";

/// A reply on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    head: Vec<u8>,
    body: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// `begun`: [`BEGINNING`] was sent before.
    pub(super) fn new(reply: Reply, frame: Frame, begun: bool) -> Self {
        let mut head = String::with_capacity(160);
        // Writing to a string cannot fail.
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\n",
            reply.status,
            reason(reply.status)
        );
        if let Some(media) = &reply.content_type {
            let _ = write!(head, "Content-Type: {media}\r\n");
        }
        for (name, value) in &reply.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let has_body = reply.status != 204;
        if has_body {
            let _ = write!(head, "Content-Length: {}\r\n", reply.body.len());
        }
        match (frame.persistence, frame.minor) {
            (Persistence::Close, _) => head.push_str("Connection: close\r\n"),
            (Persistence::Keep, 0) => head.push_str("Connection: keep-alive\r\n"),
            (Persistence::Keep, _) => {}
        }
        head.push_str("\r\n");
        Outgoing {
            head: head.into_bytes(),
            body: match frame.content {
                Content::Whole if has_body => reply.body,
                _ => Vec::new(),
            },
            sent: if begun { BEGINNING.len() } else { 0 },
        }
    }

    /// Tells a client to send its body (RFC 9110, section 15.2.1).
    pub(super) fn interim() -> Self {
        Outgoing {
            head: b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
            body: Vec::new(),
            sent: 0,
        }
    }

    /// Sends what goes without waiting; true once all of it is gone.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn send(&mut self, socket: &Socket) -> io::Result<bool> {
        loop {
            let head = self.head.get(self.sent..).unwrap_or_default();
            let in_body = self.sent.saturating_sub(self.head.len());
            let body = self.body.get(in_body..).unwrap_or_default();
            if head.is_empty() && body.is_empty() {
                return Ok(true);
            }
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            match socket.send(&parts)? {
                0 => return Ok(false),
                sent => self.sent += sent,
            }
        }
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }
}

/// The phrase behind a status (RFC 9110, section 15); clients do not read it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: Reply, frame: Frame) -> String {
        let outgoing = Outgoing::new(reply, frame, false);
        let all = [outgoing.head, outgoing.body].concat();
        String::from_utf8(all).expect("text")
    }

    #[test]
    fn a_reply_tells_its_length_and_what_becomes_of_the_connection() {
        let frame = Frame {
            minor: 1,
            persistence: Persistence::Keep,
            content: Content::Whole,
        };
        let kept = bytes(Reply::json(200, "{}"), frame);
        let expected =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(kept, expected);
        let old = bytes(Reply::json(200, "{}"), Frame { minor: 0, ..frame });
        assert!(old.contains("Connection: keep-alive\r\n"), "{old}");
        let frame = Frame {
            persistence: Persistence::Close,
            content: Content::HeadOnly,
            ..frame
        };
        let head = bytes(Reply::json(200, "{}"), frame);
        assert!(head.contains("Content-Length: 2\r\nConnection: close\r\n"));
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
}
