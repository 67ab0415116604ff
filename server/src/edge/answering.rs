//! Sending answers so that they arrive, in order, once.
//!
//! The library sends what a service answers only when it has parsed everything that came behind
//! the request, and drops it where that is no request. So only a short answer on a connection that
//! is kept goes through it. Every other answer is written to the socket here, the client is given
//! time to read it, and the connection ends.

use std::io::{Read, Write};
use std::panic;

use actionproxy_platforms::Answer;
use may_minihttp::Response;

use super::socket::{Socket, Traffic};

/// The longest body sent through the library: the kernel takes it whole, whatever the client does,
/// so nothing is left in the library's hands when the next request comes.
const MAX_KEPT: usize = 8 << 10;
/// Bytes written, or drained, at once.
const CHUNK: usize = 32 << 10;

/// Most bytes of answers that are left in the library's hands. It sends none of them while a client
/// goes on sending requests, so one that never reads would have them pile up.
const MAX_PILED: usize = 64 << 10;

/// About the length of an answer's head.
const HEAD_LENGTH: usize = 200;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is kept for the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is closed, and the answer is a head only: the method was HEAD.
    CloseWithoutBody,
    /// It is closed: where the next request begins is not known, or not waited for.
    Break,
}

impl Then {
    /// Whether an answer through the library is right: it has a body, and what comes behind the
    /// request is the next one.
    fn is_framed(self) -> bool {
        matches!(self, Then::Keep | Then::Close)
    }

    /// The same, but closed in any case.
    pub(super) fn or_close(self) -> Then {
        match self {
            Then::Keep | Then::Close => Then::Close,
            other @ (Then::CloseWithoutBody | Then::Break) => other,
        }
    }
}

/// The sending side of one connection.
pub(super) struct Answering {
    socket: Socket,
    /// What had been sent when the last answer was handed to the library.
    handed_over: Option<Traffic>,
    /// An answer before this one may still be in the library's hands.
    is_pipelined: bool,
    /// Bytes of answers handed over since the library last sent something.
    piled: usize,
    /// The client was told that no further request is answered.
    is_last: bool,
}

impl Answering {
    pub(super) fn new(socket: Socket) -> Self {
        Answering {
            socket,
            handed_over: None,
            is_pipelined: false,
            piled: 0,
            is_last: false,
        }
    }

    /// A request has come. If nothing was sent since the last answer was handed over, the client
    /// did not wait for it, and the library holds it until this request is answered too.
    pub(super) fn begin(&mut self) {
        self.is_pipelined = match (self.handed_over, self.socket.traffic()) {
            (None, _) => false,
            (Some(then), Some(now)) => then.segments_sent == now.segments_sent && now.unsent == 0,
            (Some(_), None) => true,
        };
        if !self.is_pipelined {
            self.piled = 0;
        }
    }

    /// Whether the client has been told that this request is not answered any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_last
    }

    /// Tells the client to send its body.
    pub(super) fn go_on(&self) {
        // Behind an answer that is still held back it would be out of order; the client will stop
        // waiting by itself (RFC 9110, section 10.1.1).
        if !self.is_pipelined {
            let _ = self.socket.send_now(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Gives the answer; does not return where the connection ends with it. `moved` is called for
    /// every part that the client takes, `parting` once only the client's end is waited for.
    pub(super) fn give(
        &mut self,
        answer: Answer,
        then: Then,
        response: &mut Response<'_>,
        moved: impl Fn(),
        parting: impl FnOnce(),
    ) {
        let status = answer.status();
        let allow = match &answer {
            Answer::MethodNotAllowed { allowed, .. } => Some(*allowed),
            _ => None,
        };
        let body = answer.into_body();
        let allow = match allow {
            Some("POST") => Some("Allow: POST"),
            Some(_) => Some("Allow: GET, HEAD"),
            None => None,
        };
        let traffic = self.socket.traffic();
        let fits = body.len() <= MAX_KEPT && traffic.is_some();
        self.piled += body.len() + HEAD_LENGTH;
        if self.is_pipelined && (!then.is_framed() || self.piled > MAX_PILED) {
            // The answers before this one cannot be got out first. Better none than one that the
            // client takes for another.
            self.end();
        }
        if self.is_pipelined || (then == Then::Keep && fits) {
            self.handed_over = traffic;
            response.status_code(usize::from(status.code), status.phrase);
            response.header("Content-Type: application/json");
            if let Some(allow) = allow {
                response.header(allow);
            }
            if then == Then::Close {
                response.header("Connection: close");
                self.is_last = true;
                parting();
            }
            response.body_vec(body);
            return;
        }
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\
             Connection: close\r\n\r\n",
            status.code,
            status.phrase,
            body.len(),
            allow.map(|a| format!("{a}\r\n")).unwrap_or_default(),
        )
        .into_bytes();
        if then == Then::CloseWithoutBody {
            self.send(&bytes, &moved);
        } else if body.len() <= MAX_KEPT {
            bytes.extend_from_slice(&body);
            self.send(&bytes, &moved);
        } else if self.send(&bytes, &moved) {
            self.send(&body, &moved);
        }
        self.drain(parting);
        self.end();
    }

    /// False where the client is gone.
    fn send(&self, mut bytes: &[u8], moved: &impl Fn()) -> bool {
        match self.socket.send_now(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(_) => return false,
        }
        if bytes.is_empty() {
            return true;
        }
        let Ok(mut stream) = self.socket.stream() else {
            return false;
        };
        for part in bytes.chunks(CHUNK) {
            if stream.write_all(part).is_err() {
                return false;
            }
            moved();
        }
        true
    }

    /// Lets the client finish sending and read the answer. Closing at once, with bytes unread,
    /// would make the kernel reset the connection and the client lose the answer.
    fn drain(&self, parting: impl FnOnce()) {
        self.socket.finish();
        if !self.socket.is_open() {
            return;
        }
        let Ok(mut stream) = self.socket.stream() else {
            return;
        };
        let mut dropped = vec![0; CHUNK];
        parting();
        // It ends with the client, or with the watch over the connections.
        while stream.read(&mut dropped).is_ok_and(|read| read > 0) {}
    }

    /// Ends the connection without another look at its bytes: returning to the library would have
    /// it parse what is left in its buffer. It ends the coroutine of a connection as a panic does,
    /// only that nothing is reported: nothing is wrong.
    fn end(&self) -> ! {
        self.socket.shut();
        panic::resume_unwind(Box::new("the connection is over"))
    }
}
