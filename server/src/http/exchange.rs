//! A request that has come whole, and the place for its reply.

use std::fmt;

use super::connection::Connection;
use super::coroutine;
use super::refusal::Refusal;
use super::reply::{BEGINNING, Frame, Outgoing, Persistence, Reply};

/// Where a service replies, once. One that is let go of replies that the request failed.
pub(crate) struct Exchange {
    connection: Option<Connection>,
    frame: Frame,
    /// The first bytes of the reply were sent.
    is_begun: bool,
}

impl Exchange {
    pub(super) fn begin(connection: Connection, frame: Frame) -> Self {
        connection.server().begin_exchange();
        connection
            .server()
            .connections
            .note_working(connection.id());
        Exchange {
            connection: Some(connection),
            frame,
            is_begun: false,
        }
    }

    /// Whether nobody waits for the reply any more. A client that has only ended its sending side
    /// waits.
    pub(crate) fn is_abandoned(&mut self) -> bool {
        let Some(connection) = &self.connection else {
            return true;
        };
        if self.is_begun {
            return false;
        }
        let (is_abandoned, is_begun) = connection.socket().is_abandoned(BEGINNING);
        self.is_begun = is_begun;
        is_abandoned
    }

    /// Sends the reply. What the kernel takes is sent here and now; a coroutine sends the rest.
    pub(crate) fn reply(mut self, reply: Reply) {
        self.give(reply);
    }

    /// Ends the connection without a reply, where nobody waits for one.
    pub(crate) fn abandon(mut self) {
        if let Some(connection) = self.connection.take() {
            let server = connection.server().clone();
            drop(connection);
            server.end_exchange();
        }
    }

    fn give(&mut self, reply: Reply) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let server = connection.server().clone();
        if server.is_closing() {
            self.frame.persistence = Persistence::Close;
        }
        let frame = self.frame;
        let mut outgoing = Outgoing::new(reply, frame, self.is_begun);
        match outgoing.send(connection.socket()) {
            Ok(true) => {
                server.end_exchange();
                go_on(connection, frame);
            }
            Ok(false) => {
                let sending = server.clone();
                // Where there is no memory for it, the connection goes.
                let started = coroutine::spawn(move || {
                    let done = connection.send(&mut outgoing);
                    sending.end_exchange();
                    if done {
                        go_on(connection, frame);
                    }
                });
                if started.is_err() {
                    server.end_exchange();
                }
            }
            Err(_) => server.end_exchange(),
        }
    }
}

fn go_on(connection: Connection, frame: Frame) {
    match frame.persistence {
        Persistence::Keep => connection.next(),
        Persistence::Close => connection.part(),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.give(Refusal::Failed.into());
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("frame", &self.frame)
            .finish_non_exhaustive()
    }
}
