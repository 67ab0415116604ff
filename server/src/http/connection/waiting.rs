//! Waiting for more: who does it, and for how long.

use std::io;
use std::time::{Duration, Instant};

use super::{Connection, Failure};
use crate::http::connections::Time;
use crate::http::coroutine::{self, Waiter};
use crate::http::refusal::Refusal;
use crate::http::server::Server;
use crate::http::socket::Received;

/// Bytes after which other connections have their turn.
pub(super) const TURN: usize = 4 << 20;
/// How long a thread waits for the rest of a request: most often it is on its way, and to go on in a
/// coroutine costs more than the rest of a short run.
const PATIENCE: Duration = Duration::from_millis(2);
/// In whose hands a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Hands {
    /// Of one who deals with many, and waits for none.
    Passing,
    /// Of a thread that deals with many, and waits for this one until then, as long as nothing comes
    /// on another.
    Patient { until: Option<Instant> },
    /// Of a coroutine of its own, which may wait.
    Own,
}

impl Connection {
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        let room = self.incoming.room();
        let before = room.len();
        let received = self.socket.receive(room);
        self.unpaused += room.len() - before;
        received
    }

    /// Waits for more of a request, unless connections are being closed.
    pub(super) fn wait_for_more(&mut self) -> Result<(), Failure> {
        self.check_closing()?;
        self.wait_unless(Server::is_closing)?;
        self.check_closing()
    }

    /// Lets others have their turn.
    pub(super) fn pause(&self) -> Result<(), Failure> {
        match self.hands {
            Hands::Passing | Hands::Patient { .. } => Err(Failure::Later),
            Hands::Own => {
                coroutine::pause();
                Ok(())
            }
        }
    }

    /// Waits for the client, for as long as it may be still.
    pub(super) fn wait(&mut self) -> Result<(), Failure> {
        self.wait_unless(|_| false)
    }

    fn wait_unless(&mut self, is_over: impl Fn(&Server) -> bool) -> Result<(), Failure> {
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
        // Whoever wakes all says why before: either it finds this waker, or it is seen here.
        if self.server.connections.time(self.id) == Time::Left && !is_over(&self.server) {
            waiter.wait();
        }
        self.check_time()
    }

    pub(super) fn check_time(&self) -> Result<(), Failure> {
        match self.server.connections.time(self.id) {
            Time::Left => Ok(()),
            Time::Up => Err(Failure::Refused(Refusal::TimedOut)),
            Time::Needed => Err(Failure::Refused(Refusal::MadeRoom)),
        }
    }

    /// A request of which more is to come is not waited for at the end.
    pub(super) fn check_closing(&self) -> Result<(), Failure> {
        match self.server.is_closing() {
            true => Err(Failure::Refused(Refusal::Closing)),
            false => Ok(()),
        }
    }
}
