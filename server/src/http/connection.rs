//! One connection: from the bytes of a request to its exchange, and from there to the next.
//!
//! Whoever finds that something has come reads as far as that goes. Only what has to be waited for
//! takes a coroutine.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Request;
use super::body::BodyReader;
use super::budget::Share;
use super::connections::{Id, Keeping, Time};
use super::coroutine::{self, Waiter};
use super::exchange::Exchange;
use super::head::{Framing, Head};
use super::incoming::{Ended, Incoming};
use super::refusal::Refusal;
use super::reply::{Content, Frame, Outgoing, Persistence, Reply};
use super::server::Server;
use super::socket::{Received, Socket};

/// Bytes after which other connections have their turn.
const TURN: usize = 4 << 20;
/// How long a thread waits for the rest of a request: most often it is on its way, and to go on in a
/// coroutine costs more than the rest of a short run.
const PATIENCE: Duration = Duration::from_millis(2);
/// Bytes that count as a sign of life: fewer in an idle timeout, and the connection is stuck.
const SIGN_OF_LIFE: usize = 64 << 10;
/// A body that nobody wants is read and dropped up to this length, to keep the connection.
const MAX_SKIPPED: u64 = 64 << 10;
/// Bytes dropped at once while only the client's end is waited for.
const SCRATCH: usize = 4 << 10;
/// How often so many are dropped before others have their turn.
const DROPS: usize = 64;

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

/// In whose hands a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hands {
    /// Of one who deals with many, and waits for none.
    Passing,
    /// Of a thread that deals with many, and waits for this one until then, as long as nothing comes
    /// on another.
    Patient { until: Option<Instant> },
    /// Of a coroutine of its own, which may wait.
    Own,
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
            Err(failure) => return self.fail(failure),
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
        if head.expects_continue && !reader.is_done() && self.incoming.is_empty() {
            // A client that is not told goes on by itself (RFC 9110, section 10.1.1).
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            let _ = self.socket.send(&[IoSlice::new(interim)]);
        }
        self.incoming.begin_body(reader);
        self.read_rest(Arriving { head, frame, route });
    }

    /// Reads the rest of the body, and hands the request to the service.
    fn read_rest(mut self, arriving: Arriving) {
        let body = match self.read_body() {
            Ok(body) => body,
            Err(Failure::Later) => return self.go_on(|own| own.read_rest(arriving)),
            Err(failure) => return self.fail(failure),
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
            if length - noted >= SIGN_OF_LIFE {
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

    fn receive(&mut self) -> io::Result<Received> {
        let room = self.incoming.room();
        let before = room.len();
        let received = self.socket.receive(room);
        self.unpaused += room.len() - before;
        received
    }

    /// What becomes of a request of which nothing more comes.
    fn end(&mut self) -> Failure {
        match self.incoming.end() {
            Ok(Ended::Between) => Failure::Gone,
            Ok(Ended::Inside(text)) => Failure::Refused(Refusal::Malformed(text)),
            Err(refusal) => Failure::Refused(refusal),
        }
    }

    /// Waits for more of a request, unless connections are being closed.
    fn wait_for_more(&mut self) -> Result<(), Failure> {
        self.check_closing()?;
        self.wait()?;
        self.check_closing()
    }

    /// Lets others have their turn.
    fn pause(&self) -> Result<(), Failure> {
        match self.hands {
            Hands::Passing | Hands::Patient { .. } => Err(Failure::Later),
            Hands::Own => {
                coroutine::pause();
                Ok(())
            }
        }
    }

    /// Waits for the client, for as long as it may be still.
    fn wait(&mut self) -> Result<(), Failure> {
        match &mut self.hands {
            Hands::Passing => return Err(Failure::Later),
            Hands::Patient { until } => {
                let now = Instant::now();
                let left = until
                    .get_or_insert(now + PATIENCE)
                    .saturating_duration_since(now);
                return match self.server.wait_for(&self.socket, left) {
                    true => Ok(()),
                    false => Err(Failure::Later),
                };
            }
            Hands::Own => {}
        }
        let waiter = match self.waiter.take() {
            Some(waiter) => waiter,
            None => Waiter::new(self.socket.clone())?,
        };
        // Each time: while the service worked, nobody was to be woken.
        self.server.connections.set_waker(self.id, waiter.waker());
        let waiter = self.waiter.insert(waiter);
        if self.server.connections.time(self.id) == Time::Left {
            waiter.wait();
        }
        self.check_time()
    }

    fn check_time(&self) -> Result<(), Failure> {
        match self.server.connections.time(self.id) {
            Time::Left => Ok(()),
            Time::Up => Err(Failure::Refused(Refusal::TimedOut)),
            Time::Needed => Err(Failure::Refused(Refusal::MadeRoom)),
        }
    }

    /// A request of which more is to come is not waited for at the end.
    fn check_closing(&self) -> Result<(), Failure> {
        match self.server.is_closing() {
            true => Err(Failure::Refused(Refusal::Closing)),
            false => Ok(()),
        }
    }

    fn fail(self, failure: Failure) {
        match failure {
            // Whoever reads goes on before it comes to this.
            Failure::Gone | Failure::Later => {}
            Failure::Nothing => self.next(),
            Failure::Refused(refusal) => self.refuse(refusal),
        }
    }

    /// Refuses what cannot be read to its end, and closes.
    pub(super) fn refuse(self, refusal: Refusal) {
        let frame = Frame {
            minor: 1,
            persistence: Persistence::Close,
            content: Content::Whole,
        };
        Exchange::begin(self, frame).reply(refusal.into());
    }

    /// Replies to a request whose body does not matter: a short one is read, so that the connection
    /// can be kept; behind a long one it is closed.
    fn reply_unread(mut self, head: Head, mut frame: Frame, reply: Reply) {
        let skipped = match head.framing {
            Framing::None => Ok(()),
            // One that waits for `100 Continue` must not be told to go on only to be ignored.
            Framing::Length(0..=MAX_SKIPPED) if !head.expects_continue => {
                if self.hands != Hands::Own {
                    return self.go_on(move |own| own.reply_unread(head, frame, reply));
                }
                match BodyReader::new(head.framing, MAX_SKIPPED) {
                    Ok(reader) => {
                        self.incoming.begin_body(reader);
                        self.read_body().map(drop)
                    }
                    Err(refusal) => Err(Failure::Refused(refusal)),
                }
            }
            Framing::Length(_) | Framing::Chunked => {
                frame.persistence = Persistence::Close;
                Ok(())
            }
        };
        match skipped {
            Ok(()) => Exchange::begin(self, frame).reply(reply),
            Err(failure) => self.fail(failure),
        }
    }

    /// Sends what is left of a reply. In a coroutine. False where the client does not take it.
    pub(super) fn send(&mut self, outgoing: &mut Outgoing) -> bool {
        self.hands = Hands::Own;
        let mut noted = outgoing.sent();
        self.server.connections.note_moving(self.id);
        let mut unpaused = noted;
        loop {
            match outgoing.send(&self.socket) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(_) => return false,
            }
            if outgoing.sent() - noted >= SIGN_OF_LIFE {
                noted = outgoing.sent();
                self.server.connections.note_moving(self.id);
            }
            if outgoing.sent() - unpaused >= TURN {
                unpaused = outgoing.sent();
                coroutine::pause();
            }
            if self.wait().is_err() {
                // Else the kernel would keep what the client does not read.
                self.socket.reset_at_close();
                return false;
            }
        }
    }

    /// After a reply: on to the next request.
    pub(super) fn next(mut self) {
        self.share.clear();
        self.waiter = None;
        self.hands = Hands::Passing;
        if self.incoming.is_empty() {
            // An idle connection holds no buffer.
            self.incoming = Incoming::default();
            let server = Arc::clone(&self.server);
            return server.keep(self, Keeping::Idle);
        }
        self.server.connections.note_moving(self.id);
        self.go_on(Self::read);
    }

    /// After the last reply: lets the client finish sending and read it. Closing at once, with
    /// bytes unread, would make the kernel reset the connection and the client lose the reply.
    pub(super) fn part(mut self) {
        if self.parting.is_none() {
            self.socket.finish();
            self.parting = Some(Instant::now());
            self.incoming = Incoming::default();
            self.share.clear();
            self.waiter = None;
        }
        let mut scratch = [0; SCRATCH];
        for _ in 0..DROPS {
            match self.socket.discard(&mut scratch) {
                Ok(Received::Bytes) => {}
                Ok(Received::Nothing) => break,
                Ok(Received::End) | Err(_) => return,
            }
        }
        let server = Arc::clone(&self.server);
        server.keep(self, Keeping::Parting);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.leave(self.id);
    }
}
