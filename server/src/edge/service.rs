//! One connection: from the head of a request to its answer.

use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actionproxy_platforms::{Answer, Platform, Route};
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

use super::answering::{Answering, Then};
use super::connections::{Connections, Phase};
use super::head::{self, Head};
use super::socket::Socket;
use crate::workers::{Open, Task, Workers};

/// Bytes of a body taken at once; on the heap, a coroutine's stack is small.
const CHUNK: usize = 32 << 10;
/// Bytes of a body after which other connections have their turn.
const PAUSE_AFTER: usize = 4 << 20;
/// Bytes of a body that count as a sign of life: fewer in an idle timeout, and it is stuck.
const SIGN_OF_LIFE: usize = 64 << 10;
/// Bodies up to this length are taken however much memory others hold.
const SMALL: u64 = 64 << 10;
/// A body that nobody wants is read and dropped up to this length, to keep the connection.
const MAX_SKIPPED: u64 = 64 << 10;

/// What all connections share.
pub(crate) struct Edge {
    platform: Arc<dyn Platform>,
    workers: Arc<Workers>,
    connections: Arc<Connections>,
    max_body: u64,
    /// Bytes of bodies in memory, of all connections together.
    buffered: AtomicU64,
}

impl Edge {
    pub(crate) fn new(
        platform: Arc<dyn Platform>,
        workers: Arc<Workers>,
        connections: Arc<Connections>,
        max_body: u64,
    ) -> Self {
        Edge {
            platform,
            workers,
            connections,
            max_body,
            buffered: AtomicU64::new(0),
        }
    }
}

/// Makes a [`Connection`] for each socket that the library accepts.
pub(crate) struct Factory(pub Arc<Edge>);

impl HttpServiceFactory for Factory {
    type Service = Connection;

    fn new_service(&self, id: usize) -> Connection {
        let socket = Socket::new(id);
        socket.set_nodelay();
        let mut full = self.0.connections.enter(socket);
        // This is the coroutine that accepts: it lets those go that were told to, so that a burst
        // cannot use up the descriptors.
        for _ in 0..100 {
            if !full {
                break;
            }
            may::coroutine::sleep(Duration::from_millis(1));
            full = self.0.connections.is_full();
        }
        Connection {
            edge: Arc::clone(&self.0),
            socket,
            answering: Answering::new(socket),
        }
    }
}

/// The service of one connection.
pub(crate) struct Connection {
    edge: Arc<Edge>,
    socket: Socket,
    answering: Answering,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.edge.connections.leave(self.socket);
    }
}

impl HttpService for Connection {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        self.answering.begin();
        let connections = Arc::clone(&self.edge.connections);
        connections.note(self.socket, Phase::Moving);
        let mut open = None;
        let (answer, mut then) = self.answer(request, &mut open);
        if self.edge.workers.is_stopping() {
            // The library sends an answer when it likes; a proxy that ends must know it sent.
            then = then.or_close();
        }
        connections.note(self.socket, Phase::Moving);
        let moved = || connections.note(self.socket, Phase::Moving);
        let parting = || {
            drop(open.take());
            connections.note(self.socket, Phase::Parting);
        };
        self.answering.give(answer, then, response, moved, parting);
        let next = match self.answering.is_over() {
            true => Phase::Parting,
            false => Phase::Waiting,
        };
        connections.note(self.socket, next);
        Ok(())
    }
}

impl Connection {
    /// The answer to a request. Where it came from core, `open` keeps the proxy from ending before
    /// it is sent.
    fn answer(&mut self, request: Request<'_, '_, '_>, open: &mut Option<Open>) -> (Answer, Then) {
        let headers = request.headers().iter().map(|h| (h.name, h.value));
        let head = match head::read(request.version(), headers) {
            Ok(head) => head,
            Err(answer) => return (answer, Then::Break),
        };
        if self.answering.is_over() {
            // Sent behind a request that was to be the last. It is not carried out, but the answer
            // before it is still in the library's hands, and gets out with this one.
            let answer = Answer::BadRequest("This connection was to be closed.".to_owned());
            return self.skip_body(request, &head, answer, Then::Keep);
        }
        let then = match (request.method(), head.close || !head.has_length) {
            ("HEAD", _) => Then::CloseWithoutBody,
            ("GET", _) if !head.close => Then::Keep,
            (_, true) => Then::Close,
            (_, false) => Then::Keep,
        };
        let route = match self.route(request.method(), origin_form(request.path())) {
            Ok(route) => route,
            Err(answer) => return self.skip_body(request, &head, answer, then),
        };
        if route == Route::Run && self.edge.workers.is_stopping() {
            return self.skip_body(request, &head, Answer::ShuttingDown, then);
        }
        if route == Route::Init && !head.has_length {
            // Taken for no body, an init counts; a second one, with a length, comes too late.
            let answer = Answer::LengthRequired(
                "An init needs a `Content-Length`, 0 where there is no body.".to_owned(),
            );
            return (answer, Then::Break);
        }
        if head.length > self.edge.max_body {
            let answer = Answer::TooLarge {
                length: head.length,
                limit: self.edge.max_body,
            };
            return (answer, Then::Break);
        }
        if head.expects_continue && head.length > 0 {
            self.answering.go_on();
        }
        let body = match self.read_body(request, head.length) {
            Ok(body) => body,
            Err(answer) => return (answer, Then::Break),
        };
        self.edge.connections.note(self.socket, Phase::Working);
        let task = match route {
            Route::Init => Task::Init(body.bytes),
            Route::Run => Task::Run(body.bytes),
        };
        let open = open.insert(self.edge.workers.open());
        let answer = open.perform(task);
        drop(body.held);
        (answer, then)
    }

    /// The proxy's own path, then the platform's.
    fn route(&self, method: &str, path: &str) -> Result<Route, Answer> {
        if path.split('?').next() != Some("/healthz") {
            return self.edge.platform.route(method, path);
        }
        Err(match method {
            "GET" | "HEAD" => self.edge.workers.health(),
            _ => Answer::MethodNotAllowed {
                method: method.to_owned(),
                path: path.to_owned(),
                allowed: "GET or HEAD",
            },
        })
    }

    /// Answers a request whose body does not matter: a short one is read, so that the connection
    /// can be kept; behind a long one it is closed.
    fn skip_body(
        &self,
        request: Request<'_, '_, '_>,
        head: &Head,
        answer: Answer,
        then: Then,
    ) -> (Answer, Then) {
        // A client that waits for `100 Continue` must not be told to go on only to be ignored.
        if head.length > MAX_SKIPPED || (head.expects_continue && head.length > 0) {
            return (answer, Then::Break);
        }
        match self.read_body(request, head.length) {
            Ok(_) => (answer, then),
            Err(refusal) => (refusal, Then::Break),
        }
    }

    /// Reads exactly `length` bytes. Memory grows with what arrives, not with what is announced.
    fn read_body(&self, request: Request<'_, '_, '_>, length: u64) -> Result<Body, Answer> {
        let mut body = Body {
            bytes: Vec::new(),
            held: Held::new(&self.edge),
        };
        // Dropped, it would first read all that is left of the body; after a refusal that is the
        // client's affair. It holds nothing but borrows.
        let mut reader = ManuallyDrop::new(request.body());
        let mut left = length;
        let (mut unpaused, mut unnoted) = (0, 0);
        while left > 0 {
            let room = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            let start = body.bytes.len();
            body.bytes.resize(start + room, 0);
            let read = match reader.read(&mut body.bytes[start..]) {
                Ok(read) => read,
                Err(_) => return Err(truncated(length, left)),
            };
            body.bytes.truncate(start + read);
            if read == 0 {
                return Err(truncated(length, left));
            }
            left -= read as u64;
            unpaused += read;
            if unpaused >= PAUSE_AFTER {
                // A client that sends as fast as it is read would have the worker to itself.
                may::coroutine::sleep(Duration::from_micros(1));
                unpaused = 0;
            }
            unnoted += read;
            if unnoted >= SIGN_OF_LIFE || left == 0 {
                self.edge.connections.note(self.socket, Phase::Moving);
                unnoted = 0;
            }
            if !body.held.add(read as u64) {
                return Err(Answer::Overloaded);
            }
        }
        Ok(body)
    }
}

/// The path of a target that names the scheme and host too (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else {
        return target;
    };
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn truncated(length: u64, left: u64) -> Answer {
    Answer::BadRequest(format!(
        "The body ended early: expected {length} bytes, found {}.",
        length - left
    ))
}

struct Body {
    bytes: Vec<u8>,
    held: Held,
}

/// A body's share of the memory that all bodies may take together: twice the largest one.
struct Held {
    edge: Arc<Edge>,
    bytes: u64,
    /// What of them is in the count of all.
    counted: u64,
}

impl Held {
    fn new(edge: &Arc<Edge>) -> Self {
        Held {
            edge: Arc::clone(edge),
            bytes: 0,
            counted: 0,
        }
    }

    /// False where it would be too much.
    fn add(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.bytes <= SMALL {
            return true;
        }
        let new = self.bytes - self.counted;
        self.counted = self.bytes;
        let all = self.edge.buffered.fetch_add(new, Ordering::Relaxed) + new;
        all <= self.edge.max_body.saturating_mul(2).max(64 << 20)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.edge
            .buffered
            .fetch_sub(self.counted, Ordering::Relaxed);
    }
}
