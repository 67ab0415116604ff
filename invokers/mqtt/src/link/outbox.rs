//! What is to go to the broker: other threads put it in, the link takes it out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use actionproxy_server::shared::Wake;

use crate::message::{Publication, Receipt, Surely};

/// So many bytes of logs wait to be sent; whoever writes more waits.
const MAX_LOGS: usize = 1 << 20;
/// With so many publications waiting, nobody is answered who does not wait for an acknowledgement.
const MANY: usize = 1024;
/// A broker that takes no bytes of logs for so long gets no more of them.
const MAX_STALL: Duration = Duration::from_secs(10);

/// Shared by all threads.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Logs have been taken, or there is nobody to take them.
    taken: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Publication>,
    /// Bytes of publications among them that are not sent surely.
    logs: usize,
    receipts: Vec<Receipt>,
    is_connected: bool,
    ending: Ending,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    Not,
    /// When everything has been sent.
    WhenEmpty,
    /// At once.
    Now,
}

/// What the link is to send next.
#[derive(Debug)]
pub(crate) enum Taken {
    Publication(Publication),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    Over,
}

impl Outbox {
    /// An empty one.
    ///
    /// # Errors
    /// There is no descriptor to spare.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Outbox {
            state: Mutex::default(),
            taken: Condvar::new(),
            wake: Wake::new()?,
        })
    }

    /// Puts in something that has to arrive. Waits for nobody.
    pub(crate) fn publish(&self, publication: Publication) {
        self.lock().waiting.push_back(publication);
        self.wake.wake();
    }

    /// Puts in a piece of a log, which is sent while there is a connection, and waits while too
    /// much of such waits. Whether it will be sent.
    pub(crate) fn log(&self, publication: Publication) -> bool {
        let mut state = self.lock();
        while state.is_connected && state.logs >= MAX_LOGS {
            let waited = self.taken.wait_timeout(state, MAX_STALL);
            let (woken, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if time.timed_out() {
                return false;
            }
        }
        if !state.is_connected {
            return false;
        }
        state.logs += publication.payload.len();
        state.waiting.push_back(publication);
        drop(state);
        self.wake.wake();
        true
    }

    /// Whether more waits than the broker takes. What it waits for to be acknowledged it bounds itself.
    pub(crate) fn is_crowded(&self) -> bool {
        self.lock().waiting.len() >= MANY
    }

    /// Has the broker told that a message has been dealt with.
    pub(crate) fn acknowledge(&self, receipt: Receipt) {
        self.lock().receipts.push(receipt);
        self.wake.wake();
    }

    /// From now on the link ends, when all has been sent or, where it is in a hurry, at once.
    pub(crate) fn finish(&self, in_a_hurry: bool) {
        self.lock().ending = match in_a_hurry {
            true => Ending::Now,
            false => Ending::WhenEmpty,
        };
        self.wake.wake();
    }

    /// Readable when something was put in, or the end was asked for.
    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// There is a connection, and the subscriptions stand.
    pub(super) fn connected(&self) {
        self.lock().is_connected = true;
    }

    /// The connection is lost: what was sent by it and not acknowledged goes first by the next.
    /// Logs are gone.
    pub(super) fn lost(&self, unacknowledged: Vec<Publication>) {
        let mut state = self.lock();
        state.is_connected = false;
        let waiting = mem::take(&mut state.waiting);
        state.waiting = unacknowledged.into_iter().chain(waiting).collect();
        state.waiting.retain(|p| p.surely != Surely::No);
        state.logs = 0;
        state.receipts.clear();
        self.taken.notify_all();
    }

    /// Acknowledgements for the broker.
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        mem::take(&mut self.lock().receipts)
    }

    /// The next publication. Those that have to arrive only while there is `room` for them; those
    /// behind them wait too, for the order is kept.
    pub(super) fn take(&self, room: bool, nothing_is_unacknowledged: bool) -> Taken {
        let mut state = self.lock();
        if state.ending == Ending::Now {
            return Taken::Over;
        }
        match state.waiting.front() {
            None if state.ending == Ending::WhenEmpty
                && nothing_is_unacknowledged
                && state.receipts.is_empty() =>
            {
                return Taken::Over;
            }
            None => return Taken::Nothing,
            Some(next) if next.surely != Surely::No && !room => return Taken::Nothing,
            Some(_) => {}
        }
        let Some(publication) = state.waiting.pop_front() else {
            return Taken::Nothing;
        };
        if publication.surely == Surely::No {
            state.logs = state.logs.saturating_sub(publication.payload.len());
            self.taken.notify_all();
        }
        Taken::Publication(publication)
    }

    /// Whether the link is to end without a connection.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        match state.ending {
            Ending::Not => false,
            Ending::Now => true,
            Ending::WhenEmpty => state.waiting.is_empty(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
