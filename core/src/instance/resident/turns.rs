//! Whose turn it is to ask the process: one activation after the other, in the order in which they came.
//! Who waits can be stopped, and waits no longer than it may take in all.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::error::RunError;
use crate::run::stop::Stop;

#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    is_taken: bool,
    /// Readable is the one whose turn it has become.
    waiting: VecDeque<Arc<OwnedFd>>,
}

/// It is the turn of who has this. Where it is dropped, it is the next one's.
pub(super) struct Turn<'a>(&'a Turns);

/// Why it did not become one's turn.
pub(super) enum Missed {
    Stopped,
    TimedOut,
    Failed(RunError),
}

impl Turns {
    pub(super) fn wait(&self, stop: &Stop, until: Option<Instant>) -> Result<Turn<'_>, Missed> {
        let mut state = self.state();
        if !state.is_taken {
            state.is_taken = true;
            return Ok(Turn(self));
        }
        let call = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let call = Arc::new(call.map_err(failed)?);
        state.waiting.push_back(Arc::clone(&call));
        drop(state);
        match wait_for(&call, stop, until) {
            Ok(()) => Ok(Turn(self)),
            Err(missed) => {
                self.give_up(&call);
                Err(missed)
            }
        }
    }

    /// Nobody waits for this call any more. Where it has come all the same, it is the next one's turn.
    fn give_up(&self, call: &Arc<OwnedFd>) {
        let mut state = self.state();
        let at = state.waiting.iter().position(|own| Arc::ptr_eq(own, call));
        if let Some(at) = at {
            state.waiting.remove(at);
            return;
        }
        drop(state);
        drop(Turn(self));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        match state.waiting.pop_front() {
            // The only error a counter can give is that it is full, which is as good as set.
            Some(call) => drop(rustix::io::write(&*call, &1u64.to_ne_bytes())),
            None => state.is_taken = false,
        }
    }
}

fn wait_for(call: &OwnedFd, stop: &Stop, until: Option<Instant>) -> Result<(), Missed> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // A time too long for the kernel is as good as none.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let watched = [Some(call.as_fd()), stop.descriptor()];
        let mut fds: Vec<_> = watched
            .into_iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) if timeout.is_some() => return Err(Missed::TimedOut),
            Ok(_) if fds.first().is_some_and(|fd| !fd.revents().is_empty()) => return Ok(()),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Err(Missed::Stopped),
            Err(e) => return Err(failed(e)),
        }
    }
}

fn failed(e: Errno) -> Missed {
    Missed::Failed(RunError::Io {
        doing: "wait for the activations before",
        source: e.into(),
    })
}
