//! One connection: from the bytes of a request to its exchange, and from there to the next.
//!
//! Whoever finds that something has come reads as far as that goes. Only what has to be waited for
//! takes a coroutine.

mod replying;
mod waiting;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Request;
use super::body::BodyReader;
use super::budget::Share;
use super::connections::Id;
use super::coroutine::{self, Waiter};
use super::exchange::Exchange;
use super::head::Head;
use super::incoming::{Ended, Incoming};
use super::refusal::Refusal;
use super::reply::{Content, Frame, Persistence, Reply};
use super::server::Server;
use super::socket::{Received, Socket};

pub(super) use waiting::Hands;
use waiting::TURN;

/// Bytes that count as a sign of life: fewer in an idle timeout, and the connection is stuck.
const SIGN_OF_LIFE: usize = 64 << 10;
/// The same of a body that is small so far.
const LEAST_SIGN_OF_LIFE: usize = 1 << 10;

/// An open connection. Where it is dropped, it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    server: Arc<Server>,
    id: Id,
    socket: Socket,
    /// Empty while it is kept.
    incoming: Incoming,
    share: Share,
    /// Bytes that have come since others had their turn.
    unpaused: usize,
    /// Who reads or sends.
    hands: Hands,
    /// Made where a coroutine has to wait for the first time.
    waiter: Option<Waiter>,
    /// It has been kept before.
    is_watched: bool,
    parting: Option<Instant>,
}

/// A request whose body is being read.
struct Arriving {
    head: Head,
    frame: Frame,
    route: usize,
}

/// Why a request does not become one.
enum Failure {
    /// Nothing has come of it, and nothing will: the client is gone, or was only idle.
    Gone,
    /// Nothing has come yet after all.
    Nothing,
    /// It has to be waited for.
    Later,
    Refused(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Failure::Gone
    }
}

impl Connection {
    pub(super) fn new(server: Arc<Server>, id: Id, socket: Socket) -> Self {
        Connection {
            share: Share::new(&server.budget),
            server,
            id,
            socket,
            incoming: Incoming::default(),
            unpaused: 0,
            hands: Hands::Passing,
            waiter: None,
            is_watched: false,
            parting: None,
        }
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(super) fn is_readable(&self) -> bool {
        self.socket.is_readable()
    }

    /// When the client was told the end.
    pub(super) fn parting_since(&self, now: Instant) -> Instant {
        self.parting.unwrap_or(now)
    }

    pub(super) fn set_parting_since(&mut self, begun: Instant) {
        self.parting = Some(begun);
    }

    /// Notes that it is watched from now on; whether it was before.
    pub(super) fn note_watched(&mut self) -> bool {
        std::mem::replace(&mut self.is_watched, true)
    }

    /// Reads one request and hands it to the service, or refuses it. What has not come yet, and these
    /// hands do not wait for, is waited for in a coroutine of its own.
    pub(super) fn read_by(mut self, hands: Hands) {
        self.hands = hands;
        self.read();
    }

    fn read(mut self) {
        let head = match self.read_head() {
            Ok(head) => head,
            Err(Failure::Later) => return self.go_on(Self::read),
            Err(failure) => return self.fail(failure, Content::Whole),
        };
        let frame = Frame {
            minor: head.minor,
            persistence: match head.persistent {
                true => Persistence::Keep,
                false => Persistence::Close,
            },
            content: match head.method() {
                "HEAD" => Content::HeadOnly,
                _ => Content::Whole,
            },
        };
        let (route, reader) = match self.admit(&head) {
            Ok(admitted) => admitted,
            Err(reply) => return self.reply_unread(head, frame, reply),
        };
        // One that has begun to send its body does not wait to be told.
        let is_awaited = head.expects_continue && !reader.is_done() && self.incoming.is_empty();
        self.incoming.begin_body(reader);
        let arriving = Arriving { head, frame, route };
        match is_awaited {
            true => self.ask_for_rest(arriving),
            false => self.read_rest(arriving),
        }
    }

    /// Reads the rest of the body, and hands the request to the service.
    fn read_rest(mut self, arriving: Arriving) {
        let body = match self.read_body() {
            Ok(body) => body,
            Err(Failure::Later) => return self.go_on(|own| own.read_rest(arriving)),
            Err(failure) => return self.fail(failure, arriving.frame.content),
        };
        let Arriving { head, frame, route } = arriving;
        let server = Arc::clone(&self.server);
        let exchange = Exchange::begin(self, frame);
        server
            .service
            .serve(route, Request { head, body }, exchange);
    }

    /// Goes on in a coroutine of its own.
    fn go_on(mut self, how: impl FnOnce(Self) + Send + 'static) {
        self.hands = Hands::Own;
        // Where there is no memory for it, the connection goes.
        let _ = coroutine::spawn(move || how(self));
    }

    /// Where a request goes, and the reader of its body.
    fn admit(&self, head: &Head) -> Result<(usize, BodyReader), Reply> {
        let route = self.server.route(head)?;
        self.server.service.admit(route, head)?;
        let reader = BodyReader::new(head.framing, self.server.limits.max_body)?;
        Ok((route, reader))
    }

    fn read_head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some(head) = self.incoming.read_head()? {
                return Ok(head);
            }
            match self.receive()? {
                Received::Bytes => {}
                Received::Nothing if self.incoming.is_empty() => return Err(Failure::Nothing),
                Received::Nothing => self.wait_for_more()?,
                Received::End => return Err(self.end()),
            }
        }
    }

    /// Reads the body that was begun.
    fn read_body(&mut self) -> Result<Vec<u8>, Failure> {
        let mut noted = self.incoming.body_length();
        loop {
            let is_whole = self.incoming.read_body()?;
            let length = self.incoming.body_length();
            if !self.share.set(length as u64) {
                return Err(Failure::Refused(Refusal::Overloaded));
            }
            if is_whole {
                return Ok(self.incoming.take_body());
            }
            // Who has little yet may be slow; who holds much memory may not.
            if length - noted >= (length / 16).clamp(LEAST_SIGN_OF_LIFE, SIGN_OF_LIFE) {
                self.server.connections.note_moving(self.id);
                noted = length;
            }
            if self.unpaused >= TURN {
                self.unpaused = 0;
                self.pause()?;
                self.check_closing()?;
                // One that always has bytes never waits, and its bytes need not be a body's.
                self.check_time()?;
            }
            match self.receive()? {
                Received::Bytes => {}
                Received::Nothing => self.wait_for_more()?,
                Received::End => return Err(self.end()),
            }
        }
    }

    /// What becomes of a request of which nothing more comes.
    fn end(&mut self) -> Failure {
        match self.incoming.end() {
            Ok(Ended::Between) => Failure::Gone,
            Ok(Ended::Inside(text)) => Failure::Refused(Refusal::Malformed(text)),
            Err(refusal) => Failure::Refused(refusal),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.leave(self.id);
    }
}
