//! Who is at work on an action: inits, runs and one who tends it between them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use crate::last_error::Failure;

/// Those who work never wait here. Who tends leaves as soon as one of them comes, and waits until the
/// last has gone.
pub(crate) struct Turns {
    state: Mutex<State>,
    idle: Condvar,
    /// Readable while somebody is at work, and from the close on: it wakes who tends.
    wake: OwnedFd,
}

#[derive(Default)]
struct State {
    at_work: usize,
    is_tended: bool,
    is_closed: bool,
}

/// A turn of one who works.
pub(crate) struct Turn<'a>(&'a Turns);

/// The turn of one who tends.
pub(crate) struct Tending<'a>(&'a Turns);

impl Turns {
    pub(crate) fn new() -> Result<Self, Failure> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| {
            Failure::host(format_args!("failed to make a descriptor to wake by: {e}"))
        })?;
        Ok(Turns {
            state: Mutex::default(),
            idle: Condvar::new(),
            wake,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to work.
    pub(crate) fn take(&self) -> Result<Turn<'_>, Failure> {
        let mut state = self.state();
        if state.is_closed {
            return Err(closed());
        }
        state.at_work += 1;
        self.call_away();
        Ok(Turn(self))
    }

    /// Waits until nobody works, and begins to tend. `None`: the time is over, or the action closed.
    pub(crate) fn tend(&self, until: Option<Instant>) -> Result<Option<Tending<'_>>, Failure> {
        let mut state = self.state();
        if state.is_tended {
            return Err(Failure::misuse("another thread tends the action"));
        }
        // From here on: two who wait would be two who tend.
        state.is_tended = true;
        let tending = Tending(self);
        while state.at_work > 0 && !state.is_closed {
            let Some(until) = until else {
                state = self
                    .idle
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let (waited, _) = self
                .idle
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state = waited;
        }
        let may = state.at_work == 0 && !state.is_closed;
        // `tending` takes the lock where it is dropped.
        drop(state);
        Ok(may.then_some(tending))
    }

    /// Lets nobody begin any more, if nobody is at work.
    pub(crate) fn close(&self) -> Result<(), Failure> {
        let mut state = self.state();
        match state.at_work {
            0 => {
                state.is_closed = true;
                self.call_away();
                self.idle.notify_all();
                Ok(())
            }
            calls => Err(Failure::misuse(format_args!(
                "the action is in use: calls that go on: {calls}"
            ))),
        }
    }

    fn call_away(&self) {
        // The only error a counter can give is that it is full, which is as good.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

fn closed() -> Failure {
    Failure::misuse("the action has been closed")
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.at_work -= 1;
        if state.at_work == 0 {
            let _ = rustix::io::read(&self.0.wake, &mut [0; 8]);
            self.0.idle.notify_all();
        }
    }
}

impl Tending<'_> {
    /// What to look at besides.
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }

    /// Whether somebody works, or the action is closed.
    pub(crate) fn is_called_away(&self) -> bool {
        let state = self.0.state();
        state.at_work > 0 || state.is_closed
    }
}

impl Drop for Tending<'_> {
    fn drop(&mut self) {
        self.0.state().is_tended = false;
    }
}
