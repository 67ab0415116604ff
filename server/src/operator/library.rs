//! `may_minihttp`, over one connection that nobody else can reach.
//!
//! Left alone with clients the library names a malformed request on stderr, keeps a head without end
//! in memory, drops what a client has sent that ended its sending side, knows no time limits, and
//! spins where there are no descriptors. None of that can be set, and it takes connections only from
//! a listener of its own. So it is given one that lives for a moment, on the loopback device, and takes
//! a single connection, which is ours; what it is sent there is a request line that we wrote.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use may_minihttp::{HttpService, HttpServiceFactory};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::http::Reply;

/// How long an answer is waited for. It is made from what is in memory.
const TIME: Duration = Duration::from_secs(10);
/// The longest head of an answer, in bytes; the library writes some 150.
const MAX_HEAD: usize = 4 << 10;
/// The most headers that the library can write: sixteen of a service and three of its own.
const MAX_FIELDS: usize = 19;

/// The library, serving `S`.
#[derive(Debug)]
pub(super) struct Library<S> {
    service: S,
    stream: TcpStream,
}

impl<S: HttpService + Clone + Send + 'static> Library<S> {
    /// Starts it. Coroutines must be possible.
    ///
    /// # Errors
    /// There is no loopback device, no descriptor, or another process took the connection.
    pub(super) fn open(service: S) -> io::Result<Self> {
        let stream = connect(service.clone())?;
        Ok(Library { service, stream })
    }

    /// What it answers to `GET path`. Afterwards it answers again, whatever came of this.
    ///
    /// # Errors
    /// The service panicked, or gave what is no answer.
    pub(super) fn ask(&mut self, path: &str) -> io::Result<Reply> {
        let answer = self.exchange(path);
        if answer.is_err()
            && let Ok(stream) = connect(self.service.clone())
        {
            self.stream = stream;
        }
        answer
    }

    fn exchange(&mut self, path: &str) -> io::Result<Reply> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let (mut reply, length) = loop {
            if let Some((head, reply, length)) = parse(&bytes)? {
                bytes.drain(..head);
                break (reply, length);
            }
            if bytes.len() > MAX_HEAD {
                return Err(unexpected("a head without end"));
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes.extend_from_slice(&piece[..read]),
            }
        };
        let came = bytes.len();
        bytes.resize(length.max(came), 0);
        self.stream.read_exact(&mut bytes[came..])?;
        reply.body = bytes;
        Ok(reply)
    }
}

/// The head of an answer: its length, the reply so far, and the length of its body.
fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Reply, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(e) => return Err(unexpected(&e.to_string())),
    };
    let field = |name: &str| {
        let mut fields = response.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        field.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    let reply = Reply {
        status: response.code.unwrap_or_default(),
        content_type: field("content-type").map(|media| media.to_owned().into()),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let body = field("content-length").and_then(|length| length.parse().ok());
    let body = body.ok_or_else(|| unexpected("no length"))?;
    Ok(Some((length, reply, body)))
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("expected an answer, found {what}"),
    )
}

/// A connection to the library, at whose other end it serves `service`. By then it takes no other.
fn connect<S: HttpService + Send + 'static>(service: S) -> io::Result<TcpStream> {
    let (far, near) = (bound()?, bound()?);
    let listening = address(&far)?;
    let (take, taken) = mpsc::channel();
    let factory = Once {
        client: address(&near)?,
        service: RefCell::new(Some(service)),
        take,
    };
    // It shares its port with whoever asks for that too, so `far` only keeps a free one for it.
    factory.start(listening)?;
    drop(far);
    rustix::net::connect(&near, &listening)?;
    taken
        .recv_timeout(TIME)
        .map_err(|_| io::Error::other("another process connected to the loopback device first"))?;
    // With the next connection, ours or another's, it lets go of its listener, and then of the factory.
    let _last = TcpStream::connect(listening);
    let _ = taken.recv_timeout(TIME);
    let stream = TcpStream::from(near);
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    Ok(stream)
}

/// A socket that has a free port of the loopback device, and lets the library listen there.
fn bound() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket)
}

fn address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    Ok(rustix::net::getsockname(socket)?.try_into()?)
}

/// Gives the service to one connection, that of `client`.
struct Once<S> {
    client: SocketAddr,
    service: RefCell<Option<S>>,
    /// Told when it has been given.
    take: Sender<()>,
}

impl<S: HttpService + Send + 'static> HttpServiceFactory for Once<S> {
    type Service = S;

    fn new_service(&self, id: usize) -> S {
        // JUSTIFICATION: the library keeps the stream to itself and hands out its number.
        // SAFETY: it calls this before it lets go of the stream whose number it is.
        let socket = unsafe { BorrowedFd::borrow_raw(id as i32) };
        let peer = rustix::net::getpeername(socket).ok().flatten();
        let is_client = peer.and_then(|peer| peer.try_into().ok()) == Some(self.client);
        match self.service.take().filter(|_| is_client) {
            Some(service) => {
                let _ = self.take.send(());
                service
            }
            // The library's loop has no other end. This closes its listener, and is no panic: the
            // hook that reports those is not called.
            None => panic::resume_unwind(Box::new(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use may_minihttp::{Request, Response};

    use super::*;
    use crate::http::prepare_coroutines_once;

    /// Answers with the path it was asked for; panics where that is asked.
    #[derive(Clone)]
    struct Mirror;

    impl HttpService for Mirror {
        fn call(
            &mut self,
            request: Request<'_, '_, '_>,
            response: &mut Response<'_>,
        ) -> io::Result<()> {
            if request.path() == "/panic" {
                panic::resume_unwind(Box::new(()));
            }
            response.header("Content-Type: text/plain");
            response.body_vec(request.path().repeat(2_000).into_bytes());
            Ok(())
        }
    }

    #[test]
    #[cfg_attr(
        target_pointer_width = "32",
        ignore = "may_queue 0.1.24 shifts by 63 bits, at which a debug build of 32 bits panics"
    )]
    fn it_answers_whatever_became_of_the_request_before() {
        prepare_coroutines_once();
        let mut library = Library::open(Mirror).expect("a loopback device");
        for _ in 0..3 {
            let reply = library.ask("/path").expect("an answer");
            assert_eq!((reply.status, reply.body.len()), (200, 10_000));
            assert_eq!(reply.content_type.as_deref(), Some("text/plain"));
            assert!(library.ask("/panic").is_err());
        }
    }

    #[test]
    #[cfg_attr(
        target_pointer_width = "32",
        ignore = "may_queue 0.1.24 shifts by 63 bits, at which a debug build of 32 bits panics"
    )]
    fn nobody_else_can_connect() {
        prepare_coroutines_once();
        let library = Library::open(Mirror).expect("a loopback device");
        let place = library.stream.peer_addr().expect("a connection");
        let refused = TcpStream::connect(place).map(drop).expect_err("a listener");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
