//! What goes back to the client: refusals, the rest of a reply, and what comes behind it.

use std::sync::Arc;
use std::time::Instant;

use super::waiting::TURN;
use super::{Arriving, Connection, Failure, Hands, SIGN_OF_LIFE};
use crate::http::body::BodyReader;
use crate::http::connections::Keeping;
use crate::http::coroutine;
use crate::http::exchange::Exchange;
use crate::http::head::{Framing, Head};
use crate::http::incoming::Incoming;
use crate::http::refusal::Refusal;
use crate::http::reply::{Content, Frame, Outgoing, Persistence, Reply};
use crate::http::socket::Received;

/// A body that nobody wants is read and dropped up to this length, to keep the connection.
const MAX_SKIPPED: u64 = 64 << 10;
/// Bytes dropped at once while only the client's end is waited for.
const SCRATCH: usize = 4 << 10;
/// How often so many are dropped before others have their turn.
const DROPS: usize = 64;

impl Connection {
    /// Ends what does not become a request. `content` is what the answer to it may hold.
    pub(super) fn fail(self, failure: Failure, content: Content) {
        match failure {
            // Whoever reads goes on before it comes to this.
            Failure::Gone | Failure::Later => {}
            Failure::Nothing => self.next(),
            Failure::Refused(refusal) => self.refuse(refusal, content),
        }
    }

    /// Refuses what cannot be read to its end, and closes.
    pub(in crate::http) fn refuse(self, refusal: Refusal, content: Content) {
        let frame = Frame {
            minor: 1,
            persistence: Persistence::Close,
            content,
        };
        Exchange::begin(self, frame).reply(refusal.into());
    }

    /// Replies to a request whose body does not matter: a short one is read, so that the connection
    /// can be kept; behind a long one it is closed.
    pub(super) fn reply_unread(mut self, head: Head, mut frame: Frame, reply: Reply) {
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
            Err(failure) => self.fail(failure, frame.content),
        }
    }

    /// Tells the client to go on, and reads the rest of its request.
    pub(super) fn ask_for_rest(self, arriving: Arriving) {
        let mut interim = Outgoing::interim();
        match interim.send(&self.socket) {
            Ok(true) => self.read_rest(arriving),
            // Earlier replies are not read yet. A client may wait until it is told, and half of what it
            // is told must not stand before the reply.
            Ok(false) => self.go_on(move |mut own| {
                if own.send(&mut interim) {
                    own.read_rest(arriving);
                }
            }),
            Err(_) => {}
        }
    }

    /// Sends what is left of a reply. In a coroutine. False where the client does not take it.
    pub(in crate::http) fn send(&mut self, outgoing: &mut Outgoing) -> bool {
        self.hands = Hands::Own;
        let mut noted = self.taken(outgoing);
        self.server.connections.note_moving(self.id);
        let mut unpaused = outgoing.sent();
        loop {
            match outgoing.send(&self.socket) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(_) => return false,
            }
            self.note_taken(outgoing, &mut noted);
            if outgoing.sent() - unpaused >= TURN {
                unpaused = outgoing.sent();
                coroutine::pause();
            }
            // The kernel tells of room only where a third of its buffer is free: a client may have taken
            // enough before that.
            if self.wait().is_err() && !self.note_taken(outgoing, &mut noted) {
                // Else the kernel would keep what the client does not read.
                self.socket.reset_at_close();
                return false;
            }
        }
    }

    /// Bytes of a reply that the client's kernel has taken. Less than none while it takes those before.
    fn taken(&self, outgoing: &Outgoing) -> isize {
        let waiting = self.socket.unacknowledged().unwrap_or_default();
        // Both lie in memory, so neither is larger than what has a sign.
        outgoing.sent().cast_signed() - waiting.cast_signed()
    }

    /// Notes a sign of life, where there is one since the last that was `noted`. Whether there is.
    fn note_taken(&self, outgoing: &Outgoing, noted: &mut isize) -> bool {
        let taken = self.taken(outgoing);
        let is_alive = taken - *noted >= SIGN_OF_LIFE.cast_signed();
        if is_alive {
            *noted = taken;
            self.server.connections.note_moving(self.id);
        }
        is_alive
    }

    /// After a reply: on to the next request.
    pub(in crate::http) fn next(mut self) {
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
    pub(in crate::http) fn part(mut self) {
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
