//! Whose turn it is to write, where activations overlap.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actionproxy_core::Stream;

use super::outlet::Outlet;
use super::patience::Patience;

/// How long the others wait for the rest of a line that is not kept back whole.
const MAX_STALL: Duration = Duration::from_secs(10);

/// Whose turn it is while a line stands unfinished: one writer's, for both streams. With a turn
/// for each, two writers could each have the stream that the other waits for.
#[derive(Default)]
pub(super) struct Turn {
    holder: Mutex<Option<Holder>>,
    passed_on: Condvar,
}

struct Holder {
    writer: u64,
    since: Instant,
    /// It is in the middle of a write, and waits for nobody but the reader.
    is_writing: bool,
    /// The streams with an unfinished line.
    unfinished: Vec<Stream>,
}

impl Turn {
    /// Writes `bytes` to `stream` for `writer` when no other writer's line stands unfinished. How
    /// many of them are lost because that is not while `patience` lasts.
    ///
    /// A line that has stood still for [`MAX_STALL`] is broken in two, lest one action that stops
    /// in the middle of a long line stop all the others.
    pub(super) fn write(
        &self,
        outlets: &[Outlet; 2],
        stream: Stream,
        writer: u64,
        bytes: &[u8],
        patience: Patience<'_>,
    ) -> usize {
        let mut holder = self.lock();
        while let Some(other) = holder.as_ref().filter(|h| h.writer != writer) {
            let stall = MAX_STALL.saturating_sub(other.since.elapsed());
            if !other.is_writing && stall.is_zero() {
                for broken in &other.unfinished {
                    outlets[*broken as usize].end_line(patience);
                }
                *holder = None;
                break;
            }
            let left = patience.left();
            if left.is_some_and(|left| left.is_zero()) {
                return bytes.len();
            }
            // One that writes passes the turn on when it has done.
            let stall = Some(stall).filter(|_| !other.is_writing);
            holder = match stall.into_iter().chain(left).min() {
                Some(time) => {
                    let waited = self.passed_on.wait_timeout(holder, time);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.passed_on.wait(holder);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        let mut unfinished = holder.take().map_or_else(Vec::new, |h| h.unfinished);
        *holder = Some(Holder {
            writer,
            since: Instant::now(),
            is_writing: true,
            unfinished: Vec::new(),
        });
        // The others look after their own limits while this one waits for the reader.
        drop(holder);
        let lost = outlets[stream as usize].write(bytes, patience);
        let mut holder = self.lock();
        unfinished.retain(|known| *known != stream);
        if lost == 0 && !bytes.ends_with(b"\n") {
            unfinished.push(stream);
        }
        *holder = (!unfinished.is_empty()).then(|| Holder {
            writer,
            since: Instant::now(),
            is_writing: false,
            unfinished,
        });
        self.passed_on.notify_all();
        lost
    }

    fn lock(&self) -> MutexGuard<'_, Option<Holder>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
