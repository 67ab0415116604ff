//! An HTTP/1.1 server for one purpose: whole requests in, whole replies out, nothing lost.
//!
//! It knows nothing of actions. A [`Service`] tells which paths there are, and is given each
//! request with the [`Exchange`] in which to reply, on whatever thread and however late.
//!
//! ```text
//! listener ─> Server: watch ─> Connection: head -> route -> admit -> body ─> Service::serve
//!                 │  ^                                                           │
//!              idle, parting <──────── Exchange::reply: head, body <─────────────┘
//! ```
//! A connection is in one place at a time. Who finds that something has come on it reads that: a
//! coroutine that looks after all of them, or a thread that has nothing else to do and takes the
//! [`watch`] over. While the rest of a request or of a reply is waited for, a coroutine of its own has
//! it. While the service works, its exchange has it. While it is idle, or only the client's end is
//! waited for, [`Connections`](connections::Connections) has it, and it costs a descriptor and a few
//! words. Of those words of RFC 9112 that leave a choice, each is decided in
//! [`head`] and [`body`], always so that nobody can read a message in two ways.

mod body;
mod budget;
mod connection;
mod connections;
mod coroutine;
pub(crate) mod decode;
mod exchange;
mod head;
mod incoming;
pub(crate) mod listener;
mod refusal;
mod reply;
mod server;
mod socket;
mod watch;

pub(crate) use coroutine::prepare as prepare_coroutines;
#[cfg(test)]
pub(crate) use coroutine::prepare_once as prepare_coroutines_once;
pub(crate) use exchange::Exchange;
pub(crate) use head::{Framing, Head};
pub(crate) use listener::Listener;
pub(crate) use refusal::Refusal;
pub(crate) use reply::Reply;
pub(crate) use server::{Limits, Server};

/// A path and the methods it takes. HEAD is taken wherever GET is.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub path: &'static str,
    pub methods: Vec<&'static str>,
}

/// A request that has come whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// What a [`Server`] serves. Its functions are called in a coroutine, or by a thread that looks after
/// all connections: they must not block, nor need more than a few KiB of stack.
pub(crate) trait Service: Send + Sync + 'static {
    /// All paths; a request is told by its place among them.
    fn routes(&self) -> &[Route];

    /// Whether the body of a request is wanted at all, before any of it is read.
    ///
    /// # Errors
    /// The reply to one that is not.
    fn admit(&self, route: usize, head: &Head) -> Result<(), Reply>;

    /// Takes a request. The reply may be given later, from any thread.
    fn serve(&self, route: usize, request: Request, exchange: Exchange);

    /// The server cannot go on. Told once.
    fn fail(&self, why: &str);
}
