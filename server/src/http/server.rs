//! Accepts connections, and gives each to a coroutine when something comes on it.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::Service;
use super::budget::Budget;
use super::connection::Connection;
use super::connections::{Connections, Entrance, Id, Keeping};
use super::coroutine::{self, Waiter};
use super::head::Head;
use super::listener::Listener;
use super::refusal::Refusal;
use super::socket::Socket;

/// Bytes have come, or the client's end.
const READABLE: epoll::EventFlags = epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP);

/// Events taken at once.
const BATCH: usize = 64;
/// Batches in a row after which coroutines that wait for bytes have their turn.
const TURN: usize = 16;
/// How long until a request that is being read is looked for again.
const MOMENT: Duration = Duration::from_millis(1);
/// The ids of listeners; connections count from below.
const FIRST_LISTENER: Id = Id::MAX / 2;

/// What clients may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one body.
    pub max_body: u64,
    pub max_connections: usize,
    /// How long a connection may be still.
    pub idle: Duration,
}

/// The server.
pub(crate) struct Server {
    pub(super) service: Arc<dyn Service>,
    pub(super) limits: Limits,
    pub(super) connections: Arc<Connections>,
    /// Twice the largest body, for all bodies together.
    pub(super) budget: Arc<Budget>,
    listeners: Vec<Listener>,
    /// Watches the listeners, and the connections that are kept.
    epoll: OwnedFd,
    /// Accepting waits: for the beginning, or since no descriptor was left for a connection.
    is_paused: AtomicBool,
    /// From now on each reply is the last of its connection.
    is_closing: AtomicBool,
    exchanges: Mutex<usize>,
    exchanged: Condvar,
}

impl Server {
    /// Makes ready to accept, which [`open`](Self::open) begins.
    ///
    /// # Errors
    /// There is no thread, descriptor or memory for it.
    pub(crate) fn start(
        listeners: Vec<Listener>,
        service: Arc<dyn Service>,
        limits: Limits,
    ) -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (listener, id) in listeners.iter().zip(FIRST_LISTENER..) {
            epoll::add(&epoll, listener, data(id), epoll::EventFlags::empty())?;
        }
        let itself: Arc<Mutex<Weak<Server>>> = Arc::default();
        let watched = Arc::clone(&itself);
        let connections = Connections::new(limits.max_connections, limits.idle, move || {
            let server = unpoisoned(watched.lock()).upgrade();
            if let Some(server) = server {
                server.go_on_accepting();
            }
        })?;
        let server = Arc::new(Server {
            service,
            limits,
            connections,
            budget: Budget::new(limits.max_body.saturating_mul(2).max(64 << 20)),
            listeners,
            epoll,
            is_paused: AtomicBool::new(true),
            is_closing: AtomicBool::new(false),
            exchanges: Mutex::new(0),
            exchanged: Condvar::new(),
        });
        *unpoisoned(itself.lock()) = Arc::downgrade(&server);
        let polling = Arc::clone(&server);
        coroutine::spawn(move || polling.poll())?;
        Ok(server)
    }

    /// Begins to accept. Who has connected before waits in the kernel.
    pub(crate) fn open(&self) {
        self.go_on_accepting();
    }

    /// From now on each reply is the last of its connection, and a request of which more is to come
    /// is refused.
    pub(crate) fn close_connections(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        // In this order: whoever waits again sees it.
        self.connections.wake_all();
    }

    /// Takes the paths of Unix sockets away.
    pub(crate) fn remove_paths(&self) {
        self.listeners.iter().for_each(Listener::remove_path);
    }

    /// Waits until the reply to every request that came whole is out; false if that takes longer
    /// than `time`.
    pub(crate) fn wait_replied(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            // In this order: a request that is being read is an exchange in a moment, if only to be
            // refused.
            let is_any_moving = self.connections.is_any_moving();
            let mut exchanges = self.lock();
            while *exchanges > 0 {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                exchanges = unpoisoned(self.exchanged.wait_timeout(exchanges, left)).0;
            }
            drop(exchanges);
            if !is_any_moving {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(MOMENT);
        }
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.count()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    pub(super) fn begin_exchange(&self) {
        *self.lock() += 1;
    }

    pub(super) fn end_exchange(&self) {
        let mut exchanges = self.lock();
        *exchanges -= 1;
        if *exchanges == 0 && self.is_closing() {
            self.exchanged.notify_all();
        }
    }

    /// The place of the route that a request goes to.
    pub(super) fn route(&self, head: &Head) -> Result<usize, Refusal> {
        let routes = self.service.routes();
        let (path, method) = (head.path(), head.method());
        let Some(place) = routes.iter().position(|route| route.path == path) else {
            let known: Vec<&str> = routes.iter().map(|route| route.path).collect();
            let known = match known.split_last() {
                Some((last, [])) => (*last).to_owned(),
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => String::new(),
            };
            let path = path.to_owned();
            return Err(Refusal::NotFound { path, known });
        };
        let methods = &routes[place].methods;
        if methods.contains(&method) || (method == "HEAD" && methods.contains(&"GET")) {
            return Ok(place);
        }
        let mut allowed = methods.join(", ");
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            allowed.push_str(", HEAD");
        }
        Err(Refusal::MethodNotAllowed {
            method: method.to_owned(),
            path: path.to_owned(),
            allowed,
        })
    }

    /// Keeps a connection until its client sends something or goes.
    pub(super) fn keep(&self, connection: Connection, why: Keeping) {
        let id = connection.id();
        let socket = connection.socket().clone();
        // In this order: whoever sees the event finds the connection.
        self.connections.keep(connection, why);
        if !self.watch_again(&socket, id, READABLE) {
            self.connections.leave(id);
        }
    }

    /// A connection has gone, and left a descriptor.
    pub(super) fn leave(&self, id: Id) {
        self.connections.leave(id);
        self.go_on_accepting();
    }

    /// Waits for events and has them dealt with, for ever.
    fn poll(self: Arc<Self>) {
        let Ok(waiter) = Waiter::new(Watched(self.epoll.as_raw_fd(), Arc::clone(&self))) else {
            return;
        };
        let mut events = Vec::with_capacity(BATCH);
        loop {
            waiter.wait();
            // All that there is: the waiter tells only what is new.
            for batch in 1.. {
                events.clear();
                let none = Timespec::default();
                match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&none)) {
                    Ok(0) => break,
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(_) => break,
                }
                for event in &events {
                    let id = event.data.u64();
                    // What goes wrong with one costs no other.
                    let _ = panic::catch_unwind(AssertUnwindSafe(|| self.deal_with(id)));
                }
                if batch % TURN == 0 {
                    coroutine::pause();
                }
            }
        }
    }

    fn deal_with(self: &Arc<Self>, id: Id) {
        if let Some(place) = id.checked_sub(FIRST_LISTENER) {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if let Some(listener) = self.listeners.get(place) {
                self.accept(listener);
            }
            return;
        }
        match self.connections.take(id) {
            Some((connection, Keeping::Idle)) => {
                // Where there is no memory for it, the connection goes.
                let _ = coroutine::enter(move || connection.read());
            }
            Some((connection, Keeping::Parting)) => connection.part(),
            None => {}
        }
    }

    /// Accepts one connection. Where there are more, the listener stays ready.
    fn accept(self: &Arc<Self>, listener: &Listener) {
        let fd = match listener.accept() {
            Ok(fd) => fd,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                if self.connections.end_one() != Entrance::Free {
                    self.pause_accepting();
                }
                return;
            }
            Err(_) => return,
        };
        let entrance = self.connections.make_room();
        let id = self.connections.enter();
        let connection = Connection::new(Arc::clone(self), id, Socket::new(fd));
        let socket = connection.socket().clone();
        if entrance == Entrance::Full {
            if self.watch(&socket, id, epoll::EventFlags::empty()) {
                connection.refuse(Refusal::TooManyConnections);
            }
            return;
        }
        // In this order: whoever sees an event finds the connection.
        self.connections.keep(connection, Keeping::Idle);
        if !self.watch(&socket, id, READABLE) {
            self.connections.leave(id);
        }
        if entrance == Entrance::Soon {
            // A burst must not use up the descriptors before the others are gone.
            coroutine::pause();
        }
    }

    /// Whether an event will tell, once, that something comes on `socket`, which is new.
    fn watch(&self, socket: &Socket, id: Id, flags: epoll::EventFlags) -> bool {
        let flags = flags | epoll::EventFlags::ONESHOT;
        epoll::add(&self.epoll, socket, data(id), flags).is_ok()
    }

    /// The same for one that was watched before.
    fn watch_again(&self, socket: &Socket, id: Id, flags: epoll::EventFlags) -> bool {
        let flags = flags | epoll::EventFlags::ONESHOT;
        epoll::modify(&self.epoll, socket, data(id), flags).is_ok()
    }

    /// Accepts nothing until a connection has left, or the watch ticks: what took the descriptors
    /// may be no connection, and the last of these may have left already.
    fn pause_accepting(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
        self.watch_listeners(epoll::EventFlags::empty());
        self.connections.need_tick();
    }

    fn go_on_accepting(&self) {
        if self.is_paused.swap(false, Ordering::SeqCst) {
            self.watch_listeners(epoll::EventFlags::IN);
        }
    }

    fn watch_listeners(&self, flags: epoll::EventFlags) {
        for (listener, id) in self.listeners.iter().zip(FIRST_LISTENER..) {
            let _ = epoll::modify(&self.epoll, listener, data(id), flags);
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        unpoisoned(self.exchanges.lock())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

fn data(id: Id) -> epoll::EventData {
    epoll::EventData::new_u64(id)
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// The epoll descriptor, and what keeps it open.
struct Watched(RawFd, #[expect(dead_code)] Arc<Server>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
