//! Tells what comes on listeners and kept connections, and decides who is told.
//!
//! A coroutine looks, as long as nobody else does. A thread that has nothing else to do can take that
//! over: then the coroutine sleeps, and what comes wakes that thread alone. So the thread that is to
//! work on a request can be the one that reads it.
//!
//! ```text
//! listeners, connections ─> events ─┬─> whoever has taken the watch
//!                                   └─> gate, open while nobody has ─> the coroutine
//! ```

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::Duration;
use std::{fmt, io};

use rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use super::connections::Id;
use super::coroutine::Waker;
use super::listener::Listener;
use super::socket::Socket;

/// Bytes have come, or the client's end.
const READABLE: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);
/// The ids of listeners; connections count from below.
const FIRST_LISTENER: Id = Id::MAX / 2;
/// Events taken at once.
pub(super) const BATCH: usize = 64;

/// See above.
pub(super) struct Watch {
    events: OwnedFd,
    /// Readable while `events` is, if it is open.
    gate: OwnedFd,
    /// The coroutine's.
    waker: OnceLock<Waker>,
}

/// Whether connections that wait at a listener are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    On,
    Off,
}

/// Where something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On a listener, by its place among them.
    Listener(usize),
    Connection(Id),
}

impl Watch {
    /// For `listeners`, which are not listened to yet. The coroutine is told.
    ///
    /// # Errors
    /// There is no descriptor or memory for it.
    pub(super) fn new(listeners: &[Listener]) -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        for (listener, id) in listeners.iter().zip(FIRST_LISTENER..) {
            epoll::add(&events, listener, data(id), EventFlags::empty())?;
        }
        let gate = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&gate, &events, data(0), EventFlags::IN)?;
        Ok(Watch {
            events,
            gate,
            waker: OnceLock::new(),
        })
    }

    /// What the coroutine waits for.
    pub(super) fn gate(&self) -> RawFd {
        self.gate.as_raw_fd()
    }

    /// What wakes the coroutine.
    pub(super) fn set_waker(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// From now on the caller looks, and the coroutine is not woken.
    pub(super) fn take(&self) {
        // Where it fails, the coroutine looks as well, which does no harm.
        let _ = epoll::modify(&self.gate, &self.events, data(0), EventFlags::empty());
    }

    /// The coroutine looks again.
    pub(super) fn leave(&self) {
        let _ = epoll::modify(&self.gate, &self.events, data(0), EventFlags::IN);
        // The gate tells what comes. What came before, and nobody has looked at, it need not tell:
        // for the kernel it has been readable all the time.
        if self.has_something()
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    fn has_something(&self) -> bool {
        let mut fds = [PollFd::new(&self.events, PollFlags::IN)];
        let none = Timespec::default();
        !matches!(poll(&mut fds, Some(&none)), Ok(0))
    }

    /// Takes what there is, as far as there is room; waits for nothing.
    pub(super) fn look<'r>(&self, room: &'r mut [MaybeUninit<Event>]) -> &'r mut [Event] {
        let none = Timespec::default();
        match epoll::wait(&self.events, room, Some(&none)) {
            Ok((found, _)) => found,
            // It does not wait, so nothing interrupts it.
            Err(_) => &mut [],
        }
    }

    /// Waits until something comes on `socket`; false where `limit` is over, or something comes
    /// elsewhere.
    pub(super) fn wait_for(&self, socket: &Socket, limit: Duration) -> bool {
        let mut fds = [
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(&self.events, PollFlags::IN),
        ];
        let limit = Timespec::try_from(limit).ok();
        matches!(poll(&mut fds, limit.as_ref()), Ok(1)) && fds[1].revents().is_empty()
    }

    /// Whether an event will tell, once, that something comes on `socket`, which is new.
    pub(super) fn add(&self, socket: &Socket, id: Id) -> bool {
        let flags = READABLE | EventFlags::ONESHOT;
        epoll::add(&self.events, socket, data(id), flags).is_ok()
    }

    /// The same for one that was added before.
    pub(super) fn again(&self, socket: &Socket, id: Id) -> bool {
        let flags = READABLE | EventFlags::ONESHOT;
        epoll::modify(&self.events, socket, data(id), flags).is_ok()
    }

    /// Nothing is told of `listener` any more.
    pub(super) fn forget(&self, listener: &Listener) {
        let _ = epoll::delete(&self.events, listener);
    }

    /// From now on connections that wait at `listeners` are told, or are not.
    pub(super) fn listen(&self, listeners: &[Listener], whether: Listening) {
        let flags = match whether {
            Listening::On => EventFlags::IN,
            Listening::Off => EventFlags::empty(),
        };
        for (listener, id) in listeners.iter().zip(FIRST_LISTENER..) {
            let _ = epoll::modify(&self.events, listener, data(id), flags);
        }
    }
}

/// Readable while there is something to look at.
impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl From<&Event> for Place {
    fn from(event: &Event) -> Self {
        let id = event.data.u64();
        match id.checked_sub(FIRST_LISTENER) {
            Some(place) => Place::Listener(usize::try_from(place).unwrap_or(usize::MAX)),
            None => Place::Connection(id),
        }
    }
}

fn data(id: Id) -> EventData {
    EventData::new_u64(id)
}
