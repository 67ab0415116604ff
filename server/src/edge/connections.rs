//! All open connections: how many there may be, and which have been still for too long.
//!
//! The library has no limits of time or number, so a thread of ours watches. It ends a connection
//! by shutting its socket down, which wakes the coroutine that waits for it.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::socket::Socket;

/// How often the watch looks while a connection is open.
const TICK: Duration = Duration::from_millis(250);

/// How long a client is given to take the last answer of its connection.
const PARTING: Duration = Duration::from_secs(5);

/// Most bytes a connection may send before its request's head is complete. The library itself
/// would go on for ever, and reads the whole head again at every packet.
const MAX_HEAD: u64 = 1 << 20;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests, or inside a head.
    Waiting,
    /// Bytes are on their way in or out; each of them counts as a sign of life.
    Moving,
    /// The action works: as long as it takes.
    Working,
    /// The answer is out and the connection is over once the client has seen it.
    Parting,
}

#[derive(Debug)]
struct Watched {
    socket: Socket,
    phase: Phase,
    since: Instant,
    /// What had been received when the last request was complete.
    received: u64,
}

/// The registry. Whoever holds its lock knows every socket in it to be open.
#[derive(Debug)]
pub(crate) struct Connections {
    open: Mutex<HashMap<RawFd, Watched>>,
    opened: Condvar,
    most: usize,
    idle: Duration,
}

impl Connections {
    /// Starts the watch.
    pub(crate) fn watch(most: usize, idle: Duration) -> std::io::Result<Arc<Self>> {
        let connections = Arc::new(Connections {
            open: Mutex::default(),
            opened: Condvar::new(),
            most,
            idle,
        });
        let watching = Arc::clone(&connections);
        thread::Builder::new()
            .name("watch".into())
            .stack_size(64 << 10)
            .spawn(move || watching.run())?;
        Ok(connections)
    }

    /// Takes a new connection in; while there are too many, the one idle longest is ended.
    /// Returns whether it should wait for them to go.
    pub(crate) fn enter(&self, socket: Socket) -> bool {
        let mut open = self.lock();
        let now = Instant::now();
        open.insert(
            socket.id(),
            Watched {
                socket,
                phase: Phase::Waiting,
                since: now,
                received: 0,
            },
        );
        self.opened.notify_one();
        if open.len() <= self.most {
            return false;
        }
        let idle_longest = open
            .values()
            .filter(|c| c.phase != Phase::Working && c.socket.id() != socket.id())
            .min_by_key(|c| (c.phase != Phase::Waiting, c.since));
        match idle_longest {
            Some(other) => {
                other.socket.shut();
                true
            }
            None => {
                // All work: the newcomer is the one to go, and goes when the accepting goes on.
                socket.shut();
                false
            }
        }
    }

    /// Whether there are more than there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().len() > self.most
    }

    pub(crate) fn leave(&self, socket: Socket) {
        self.lock().remove(&socket.id());
    }

    /// The connection does something else now, or the same again.
    pub(crate) fn note(&self, socket: Socket, phase: Phase) {
        if let Some(watched) = self.lock().get_mut(&socket.id()) {
            if phase == Phase::Waiting {
                watched.received = socket.traffic().map_or(0, |t| t.received);
            }
            watched.phase = phase;
            watched.since = Instant::now();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn run(&self) {
        loop {
            let mut open = self.lock();
            while open.is_empty() {
                open = self
                    .opened
                    .wait(open)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let now = Instant::now();
            for watched in open.values().filter(|c| c.phase != Phase::Working) {
                let allowed = match watched.phase {
                    Phase::Parting => PARTING.min(self.idle),
                    _ => self.idle,
                };
                let still = now.saturating_duration_since(watched.since) > allowed;
                if still {
                    watched.socket.shut();
                } else if watched.phase == Phase::Waiting && watched.has_endless_head() {
                    watched.socket.abort();
                }
            }
            drop(open);
            thread::sleep(TICK.min(self.idle));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RawFd, Watched>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn has_endless_head(&self) -> bool {
        let traffic = self.socket.traffic();
        traffic.is_some_and(|t| t.received.saturating_sub(self.received) > MAX_HEAD)
    }
}
