//! The proxy's own stdout and stderr, which are the activations' logs.
//!
//! Bytes go out as they come, unbuffered, so a slow reader slows the action down. A stream that
//! nobody reads any more swallows what it is given.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actionproxy_platforms::EndOfLogs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::metrics::Metrics;

/// How activations share the streams.
pub(crate) struct LogStreams {
    sharing: Sharing,
    sentinel: &'static str,
    state: Mutex<State>,
    turn: Turn,
    /// Numbers the writers.
    writers: AtomicU64,
    /// Where somebody looks at them.
    metrics: Option<Arc<Metrics>>,
}

/// Whether activations overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// One after the other: bytes pass as they come.
    Alone,
    /// Lines of different activations take turns.
    ByLine,
}

/// Sentinels stand where no activation is in flight, so those that are due may have to wait.
#[derive(Default)]
struct State {
    in_flight: usize,
    owed: usize,
}

impl LogStreams {
    pub(crate) fn new(
        sharing: Sharing,
        sentinel: &'static str,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        LogStreams {
            sharing,
            sentinel,
            state: Mutex::default(),
            turn: Turn::default(),
            writers: AtomicU64::default(),
            metrics,
        }
    }

    /// The two sinks of one activation.
    pub(crate) fn sinks(&self) -> (Sink<'_>, Sink<'_>) {
        let writer = self.writers.fetch_add(1, Ordering::Relaxed);
        let sink = |stream| Sink {
            to: match self.sharing {
                Sharing::Alone => To::Direct(Direct {
                    stream,
                    is_partial: false,
                }),
                Sharing::ByLine => To::Lines(Lines::new(stream, &self.turn, writer)),
            },
            stream,
            metrics: self.metrics.as_deref(),
        };
        (sink(Stream::Stdout), sink(Stream::Stderr))
    }

    /// An activation or init begins.
    pub(crate) fn begin(&self) {
        self.state().in_flight += 1;
    }

    /// It has ended and its sinks are gone.
    pub(crate) fn end(&self, ends: EndOfLogs) {
        let mut state = self.state();
        state.in_flight -= 1;
        state.owed += usize::from(ends == EndOfLogs::Sentinel);
        if state.in_flight > 0 || state.owed == 0 {
            return;
        }
        let lines = format!("{}\n", self.sentinel).repeat(state.owed);
        state.owed = 0;
        write_all(Stream::Stdout, lines.as_bytes());
        write_all(Stream::Stderr, lines.as_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        }
    }
}

/// One stream of one activation. When it is let go, its last line is complete: core sees to an
/// action's lines, but a hook may write what it likes, or panic in the middle.
pub(crate) struct Sink<'a> {
    to: To<'a>,
    stream: Stream,
    metrics: Option<&'a Metrics>,
}

enum To<'a> {
    Direct(Direct),
    Lines(Lines<'a>),
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(metrics) = self.metrics {
            metrics.count_log(self.stream as usize, bytes.len());
        }
        match &mut self.to {
            To::Direct(direct) => direct.push(bytes),
            To::Lines(lines) => lines.push(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that nobody shares.
pub(crate) struct Direct {
    stream: Stream,
    /// Whether the final byte so far is not a newline.
    is_partial: bool,
}

impl Direct {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            write_all(self.stream, bytes);
            self.is_partial = *last != b'\n';
        }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        if self.is_partial {
            write_all(self.stream, b"\n");
        }
    }
}

/// Whose turn it is while a line stands unfinished: one writer's, for both streams. With a turn
/// for each, two writers could each have the stream that the other waits for.
#[derive(Default)]
struct Turn {
    holder: Mutex<Option<Holder>>,
    passed_on: Condvar,
}

struct Holder {
    writer: u64,
    since: Instant,
    /// The streams with an unfinished line.
    unfinished: Vec<Stream>,
}

impl Turn {
    /// Writes `bytes` for `writer` when no other writer's line stands unfinished.
    ///
    /// A line that has stood still for [`MAX_STALL`] is broken in two, lest one action that stops
    /// in the middle of a long line stop all the others.
    fn write(&self, stream: Stream, writer: u64, bytes: &[u8]) {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(other) = holder.as_ref().filter(|h| h.writer != writer) {
            let left = MAX_STALL.saturating_sub(other.since.elapsed());
            if left.is_zero() {
                for broken in &other.unfinished {
                    write_all(*broken, b"\n");
                }
                *holder = None;
                break;
            }
            let waited = self.passed_on.wait_timeout(holder, left);
            holder = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        write_all(stream, bytes);
        let mut unfinished = holder.take().map_or_else(Vec::new, |h| h.unfinished);
        unfinished.retain(|known| *known != stream);
        if !bytes.ends_with(b"\n") {
            unfinished.push(stream);
        }
        if !unfinished.is_empty() {
            *holder = Some(Holder {
                writer,
                since: Instant::now(),
                unfinished,
            });
        }
        self.passed_on.notify_all();
    }
}

/// Collects whole lines and writes them together. A line that is too long to be kept takes the
/// streams for its writer until it ends; the others wait, rather than tear it.
pub(crate) struct Lines<'a> {
    stream: Stream,
    turn: &'a Turn,
    writer: u64,
    /// What is kept back, at most [`MAX_PARTIAL`] and one chunk.
    partial: Vec<u8>,
    /// A part of the line has been written.
    is_begun: bool,
}

/// The longest unfinished line that is kept back.
const MAX_PARTIAL: usize = 64 << 10;
/// How long the others wait for the rest of a line that is longer.
const MAX_STALL: Duration = Duration::from_secs(10);

impl<'a> Lines<'a> {
    fn new(stream: Stream, turn: &'a Turn, writer: u64) -> Self {
        Lines {
            stream,
            turn,
            writer,
            partial: Vec::new(),
            is_begun: false,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(whole);
        if !lines.is_empty() {
            self.partial.extend_from_slice(lines);
            self.write_partial();
        }
        self.partial.extend_from_slice(rest);
        if self.is_begun || self.partial.len() > MAX_PARTIAL {
            self.write_partial();
        }
    }

    fn write_partial(&mut self) {
        if let Some(last) = self.partial.last() {
            self.is_begun = *last != b'\n';
            self.turn.write(self.stream, self.writer, &self.partial);
            self.partial.clear();
        }
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        if !self.partial.is_empty() || self.is_begun {
            self.partial.push(b'\n');
            self.write_partial();
        }
    }
}

/// Writes all of it, however long it takes, or nothing more if nobody can take it.
fn write_all(stream: Stream, mut bytes: &[u8]) {
    let fd = stream.fd();
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody else made the shared description non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}
