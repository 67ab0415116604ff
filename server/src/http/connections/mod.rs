//! All open connections: how many there may be, and how long each may be still.
//!
//! What is idle, or parting, is owned here. Of the others it is known what they are doing, so that
//! one that is still for too long can be told.
//!
//! A thread watches. It sleeps until the next time is up, and takes a late waking for what it is:
//! the process was stopped, or frozen with its container, and every time that is up is up only by
//! the clock. What came meanwhile lies in the kernel, and is looked at first.

mod places;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::coroutine::Waker;
use crate::process;
use places::{Entry, Place, RESPITE, State};

/// How long a client that is told the end is given, from one sign of life to the next.
const PARTING: Duration = Duration::from_secs(5);
/// How much longer it may go on sending, in idle timeouts.
const PARTINGS: u32 = 10;
/// A waking that comes so much too late tells that the process did not run meanwhile.
const LATE: Duration = Duration::from_millis(100);
/// The stack of a thread that only waits, in bytes.
const SMALL_STACK: usize = 64 << 10;

/// Tells a connection from all others, those too that are gone.
pub(super) type Id = u64;

/// The registry.
#[derive(Debug)]
pub(super) struct Connections {
    state: Mutex<State>,
    opened: Condvar,
    most: usize,
    idle: Duration,
}

/// Whether a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Left,
    /// It has been still for too long.
    Up,
    /// Another connection needs its place.
    Needed,
}

/// Why a connection is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Idle,
    Parting,
}

/// What became of the attempt to let one more connection in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    Free,
    /// Another one goes, as soon as its coroutine wakes.
    Soon,
    /// All of them work.
    Full,
}

impl Connections {
    /// Starts the watch, which calls `tick` whenever it wakes.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn new(
        most: usize,
        idle: Duration,
        tick: impl Fn() + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let connections = Arc::new(Connections {
            state: Mutex::default(),
            opened: Condvar::new(),
            most,
            idle,
        });
        let watching = Arc::clone(&connections);
        thread::Builder::new()
            .name("watch".into())
            .stack_size(SMALL_STACK)
            .spawn(move || watching.watch(tick))?;
        Ok(connections)
    }

    /// Has the watch tick within a second or, where a connection is open, as soon as it wakes.
    pub(super) fn need_tick(&self) {
        self.lock().is_tick_needed = true;
        self.opened.notify_one();
    }

    pub(super) fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Makes room for one more connection: while there are too many, the one idle longest goes.
    pub(super) fn make_room(&self) -> Entrance {
        let (entrance, ended) = self.lock().make_room(self.most);
        // It leaves the registry, which must not be locked then.
        drop(ended);
        entrance
    }

    /// Ends a connection that is parting, or the one idle longest, for the sake of its descriptor.
    pub(super) fn end_one(&self) -> Entrance {
        let (entrance, ended) = self.lock().end_one(|_| true);
        // It leaves the registry, which must not be locked then.
        drop(ended);
        entrance
    }

    /// A new connection's id.
    pub(super) fn enter(&self) -> Id {
        let mut state = self.lock();
        state.last += 1;
        let id = state.last;
        let entry = self.entry(
            Place::Moving(None, Time::Left),
            Some(Instant::now() + self.idle),
        );
        state.open.insert(id, entry);
        state.most_open = state.most_open.max(state.open.len());
        if std::mem::take(&mut state.is_watch_asleep) {
            self.opened.notify_one();
        }
        id
    }

    pub(super) fn leave(&self, id: Id) {
        let left = self.lock().open.remove(&id);
        // A connection that is kept here leaves once more when it is dropped.
        drop(left);
    }

    /// Keeps a connection until something comes from its client.
    pub(super) fn keep(&self, connection: Connection, why: Keeping) {
        let id = connection.id();
        let now = Instant::now();
        let entry = match why {
            Keeping::Idle => self.entry(Place::Idle(connection), Some(now + self.idle)),
            Keeping::Parting => {
                let begun = connection.parting_since(now);
                let until = (now + PARTING.min(self.idle)).min(begun + self.idle * PARTINGS);
                self.entry(Place::Parting(connection, begun), Some(until))
            }
        };
        self.lock().open.insert(id, entry);
    }

    /// Gives a connection out that is kept here.
    pub(super) fn take(&self, id: Id) -> Option<(Connection, Keeping)> {
        let mut state = self.lock();
        let entry = state.open.get_mut(&id)?;
        let moving = Place::Moving(None, Time::Left);
        match std::mem::replace(&mut entry.place, moving) {
            Place::Idle(connection) => {
                entry.since = Instant::now();
                entry.until = Some(entry.since + self.idle);
                Some((connection, Keeping::Idle))
            }
            Place::Parting(connection, begun) => {
                let mut connection = connection;
                connection.set_parting_since(begun);
                Some((connection, Keeping::Parting))
            }
            other => {
                entry.place = other;
                None
            }
        }
    }

    /// A connection moves bytes: its time begins anew.
    pub(super) fn note_moving(&self, id: Id) {
        if let Some(entry) = self.lock().open.get_mut(&id) {
            entry.since = Instant::now();
            entry.until = Some(entry.since + self.idle);
            entry.is_respited = false;
            match &mut entry.place {
                // It has moved before its coroutine saw that it was to end.
                Place::Moving(_, time) if *time == Time::Up => *time = Time::Left,
                Place::Moving(..) => {}
                _ => entry.place = Place::Moving(None, Time::Left),
            }
        }
    }

    /// The service works on a request.
    pub(super) fn note_working(&self, id: Id) {
        if let Some(entry) = self.lock().open.get_mut(&id) {
            entry.place = Place::Working;
            entry.until = None;
            entry.is_respited = false;
        }
    }

    /// Wakes every coroutine that waits for its client.
    pub(super) fn wake_all(&self) {
        for entry in self.lock().open.values() {
            if let Place::Moving(Some(waker), _) = &entry.place {
                waker.wake();
            }
        }
    }

    /// Whether bytes of a request or a reply are on their way on some connection.
    pub(super) fn is_any_moving(&self) -> bool {
        let state = self.lock();
        state
            .open
            .values()
            .any(|entry| matches!(entry.place, Place::Moving(..)))
    }

    /// What wakes the coroutine of a connection when its time is up.
    pub(super) fn set_waker(&self, id: Id, waker: Waker) {
        if let Some(entry) = self.lock().open.get_mut(&id)
            && let Place::Moving(place, _) = &mut entry.place
        {
            *place = Some(waker);
        }
    }

    /// Whether a moving connection may go on.
    pub(super) fn time(&self, id: Id) -> Time {
        match self.lock().open.get(&id) {
            Some(Entry {
                place: Place::Moving(_, time),
                ..
            }) => *time,
            _ => Time::Left,
        }
    }

    fn entry(&self, place: Place, until: Option<Instant>) -> Entry {
        Entry {
            place,
            since: Instant::now(),
            until,
            is_respited: false,
        }
    }

    fn watch(&self, tick: impl Fn()) {
        loop {
            if self.lock().shrink() {
                process::return_memory();
            }
            let mut state = self.lock();
            while state.open.is_empty() && !state.is_tick_needed {
                state.is_watch_asleep = true;
                state = unpoisoned(self.opened.wait(state));
            }
            // Whatever is opened from now on has at least so much time.
            let soon = match std::mem::take(&mut state.is_tick_needed) {
                true => RESPITE.min(self.idle),
                false => PARTING.min(self.idle),
            };
            let soon = Instant::now() + soon;
            let next = state.open.values().filter_map(|entry| entry.until).min();
            let next = next.map_or(soon, |next| next.min(soon));
            drop(state);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            tick();
            let now = Instant::now();
            let was_stopped = now.saturating_duration_since(next) > LATE;
            let ended = self.lock().end_still(now, was_stopped);
            // Their descriptors are closed without the lock.
            drop(ended);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::places::FEW;
    use super::*;

    #[test]
    fn the_room_of_many_is_given_back_when_few_are_left() {
        let connections = Connections::new(2000, Duration::from_secs(3600), || {});
        let connections = connections.expect("a thread");
        let ids: Vec<_> = (0..1000).map(|_| connections.enter()).collect();
        assert!(connections.lock().open.capacity() >= 1000);
        for &id in &ids[..997] {
            connections.leave(id);
        }
        assert_eq!(connections.count(), 3);
        // The watch does so too, and may have been first.
        connections.lock().shrink();
        assert!(connections.lock().open.capacity() < 2 * FEW);
        assert!(!connections.lock().shrink());
        for &id in &ids[997..] {
            assert!(connections.lock().open.contains_key(&id));
        }
    }
}
