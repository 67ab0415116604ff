//! Accepts connections, and has each read when something comes on it.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Service;
use super::budget::Budget;
use super::connection::{Connection, Hands};
use super::connections::{Connections, Entrance, Id, Keeping};
use super::coroutine::{self, Waiter};
use super::head::Head;
use super::listener::Listener;
use super::refusal::Refusal;
use super::reply::Content;
use super::socket::Socket;
use super::watch::{BATCH, Listening, Place, Watch};

/// Batches in a row after which coroutines that wait for bytes have their turn.
const TURN: usize = 16;
/// How long until a request that is being read is looked for again.
const MOMENT: Duration = Duration::from_millis(1);

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
    watch: Watch,
    /// Accepting waits: for the beginning, or since no descriptor was left for a connection.
    is_paused: AtomicBool,
    /// From now on each reply is the last of its connection.
    is_closing: AtomicBool,
    /// Its service has been told that it cannot go on.
    has_failed: AtomicBool,
    exchanges: Mutex<usize>,
    exchanged: Condvar,
}

impl Server {
    /// Makes ready to accept, which [`open`](Self::open) begins, and to look, which somebody has to.
    ///
    /// # Errors
    /// There is no thread, descriptor or memory for it.
    pub(crate) fn new(
        listeners: Vec<Listener>,
        service: Arc<dyn Service>,
        limits: Limits,
    ) -> io::Result<Arc<Self>> {
        let watch = Watch::new(&listeners)?;
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
            watch,
            is_paused: AtomicBool::new(true),
            is_closing: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            exchanges: Mutex::new(0),
            exchanged: Condvar::new(),
        });
        *unpoisoned(itself.lock()) = Arc::downgrade(&server);
        Ok(server)
    }

    /// From now on it looks by itself, as long as nobody else does.
    ///
    /// # Errors
    /// There is no descriptor or memory for it.
    pub(crate) fn look_by_itself(self: &Arc<Self>) -> io::Result<()> {
        let waiter = Waiter::new(Gate(Arc::clone(self)))?;
        let waker = waiter.waker();
        self.watch.set_waker(waiter.waker());
        let polling = Arc::clone(self);
        coroutine::spawn(move || polling.poll(&waiter))?;
        // For what came before there was a waker.
        waker.wake();
        Ok(())
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

    /// Whether it has told its service that it cannot go on.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
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
    pub(super) fn keep(&self, mut connection: Connection, why: Keeping) {
        let id = connection.id();
        let socket = connection.socket().clone();
        let was_watched = connection.note_watched();
        // In this order: whoever sees the event finds the connection.
        self.connections.keep(connection, why);
        let is_watched = match was_watched {
            true => self.watch.again(&socket, id),
            false => self.watch.add(&socket, id),
        };
        if !is_watched {
            self.connections.leave(id);
        }
    }

    /// From now on the caller looks, whenever [`Server::something`] is readable, and nobody else is
    /// woken, until it calls [`Server::leave_watch`].
    pub(crate) fn take_watch(&self) {
        self.watch.take();
    }

    /// The server looks by itself again.
    pub(crate) fn leave_watch(&self) {
        self.watch.leave();
    }

    /// Readable while there is something to look at.
    pub(crate) fn something(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Deals with what has come, up to a limit. For the rest of a request it waits for a moment, as long
    /// as nothing comes on another connection. The service is given requests that have come whole, by
    /// this thread.
    pub(crate) fn look(self: &Arc<Self>) {
        self.deal_with_all(Hands::Patient { until: None });
    }

    pub(super) fn wait_for(&self, socket: &Socket, limit: Duration) -> bool {
        self.watch.wait_for(socket, limit)
    }

    /// False where there was nothing.
    fn deal_with_all(self: &Arc<Self>, hands: Hands) -> bool {
        let mut room = [const { MaybeUninit::uninit() }; BATCH];
        let found = self.watch.look(&mut room);
        for event in found.iter() {
            // What goes wrong with one costs no other.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| self.deal_with(event.into(), hands)));
        }
        !found.is_empty()
    }

    /// A connection has gone, and left a descriptor.
    pub(super) fn leave(&self, id: Id) {
        self.connections.leave(id);
        self.go_on_accepting();
    }

    /// Waits for events and has them dealt with, for ever.
    fn poll(self: Arc<Self>, waiter: &Waiter) -> ! {
        loop {
            waiter.wait();
            // All that there is: the waiter tells only what is new.
            let mut batch = 0;
            while self.deal_with_all(Hands::Passing) {
                batch += 1;
                if batch % TURN == 0 {
                    coroutine::pause();
                }
            }
        }
    }

    fn deal_with(self: &Arc<Self>, place: Place, hands: Hands) {
        match place {
            Place::Listener(at) => {
                if let Some(listener) = self.listeners.get(at) {
                    self.accept(listener, hands);
                }
            }
            Place::Connection(id) => match self.connections.take(id) {
                Some((connection, Keeping::Idle)) => connection.read_by(hands),
                Some((connection, Keeping::Parting)) => connection.part(),
                None => {}
            },
        }
    }

    /// Accepts one connection, whose request may have come already. Where there are more, the
    /// listener stays ready.
    fn accept(self: &Arc<Self>, listener: &Listener, hands: Hands) {
        let fd = match listener.accept() {
            Ok(fd) => fd,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                if self.connections.end_one() != Entrance::Free {
                    self.pause_accepting();
                }
                return;
            }
            // Another process that has the socket too has shut it down. It would be ready for ever.
            Err(Errno::INVAL) => return self.lose(listener),
            Err(_) => return,
        };
        let entrance = self.connections.make_room();
        let id = self.connections.enter();
        let connection = Connection::new(Arc::clone(self), id, Socket::new(fd));
        if entrance == Entrance::Full {
            return connection.refuse(Refusal::TooManyConnections, Content::Whole);
        }
        connection.read_by(hands);
        if entrance == Entrance::Soon {
            // A burst must not use up the descriptors before the others are gone.
            match hands {
                Hands::Passing | Hands::Own => coroutine::pause(),
                Hands::Patient { .. } => thread::sleep(MOMENT),
            }
        }
    }

    fn lose(&self, listener: &Listener) {
        self.watch.forget(listener);
        if !self.has_failed.swap(true, Ordering::SeqCst) {
            let why = format!("nobody can connect to {listener} any more: it was shut down");
            self.service.fail(&why);
        }
    }

    /// Accepts nothing until a connection has left, or the watch ticks: what took the descriptors
    /// may be no connection, and the last of these may have left already.
    fn pause_accepting(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
        self.watch.listen(&self.listeners, Listening::Off);
        self.connections.need_tick();
    }

    fn go_on_accepting(&self) {
        if self.is_paused.swap(false, Ordering::SeqCst) {
            self.watch.listen(&self.listeners, Listening::On);
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

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// What the coroutine waits for, and what keeps it open.
struct Gate(Arc<Server>);

impl AsRawFd for Gate {
    fn as_raw_fd(&self) -> RawFd {
        self.0.watch.gate()
    }
}
