//! The proxy's own stdout and stderr, which are the activations' logs.
//!
//! Bytes go out as they come, unbuffered, so a slow reader slows the action down, up to the time
//! limit of its activation: what is not read by then is left out. A stream that nobody reads any
//! more swallows what it is given.

mod outlet;
mod patience;
mod turn;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actionproxy_core::{LogSink, Stream};
use actionproxy_platforms::EndOfLogs;

use crate::metrics::Metrics;
use outlet::Outlet;
pub(crate) use patience::Patience;
use turn::Turn;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// How activations share the streams.
pub(crate) struct LogStreams {
    sharing: Sharing,
    sentinel: &'static str,
    /// How long each activation or init may take.
    limit: Option<Duration>,
    /// Stdout's and stderr's.
    outlets: [Outlet; 2],
    /// Bytes that nobody read in time, and that nobody was told of yet.
    left_out: [AtomicU64; 2],
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
        limit: Option<Duration>,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        LogStreams {
            sharing,
            sentinel,
            limit,
            outlets: STREAMS.map(Outlet::new),
            left_out: Default::default(),
            state: Mutex::default(),
            turn: Turn::default(),
            writers: AtomicU64::default(),
            metrics,
        }
    }

    /// When an activation that begins now, and may be given a shorter limit of its own, has had its
    /// time.
    pub(crate) fn limit_from_now(&self, own: Option<Duration>) -> Option<Instant> {
        let shortest = self.limit.into_iter().chain(own).min()?;
        Instant::now().checked_add(shortest)
    }

    /// The two sinks of one activation. They wait for a reader while `patience` lasts.
    pub(crate) fn sinks<'a>(&'a self, patience: impl Into<Patience<'a>>) -> Sinks<'a> {
        let patience = patience.into();
        let writer = self.writers.fetch_add(1, Ordering::Relaxed);
        let sink = |stream| Sink {
            streams: self,
            stream,
            writer,
            patience,
            lines: match self.sharing {
                Sharing::Alone => None,
                Sharing::ByLine => Some(Lines::default()),
            },
        };
        Sinks {
            stdout: sink(Stream::Stdout),
            stderr: sink(Stream::Stderr),
        }
    }

    /// An activation or init begins.
    pub(crate) fn begin(&self) {
        self.state().in_flight += 1;
    }

    /// It has ended and its sinks are gone. Where nobody has read up to `until`, the sentinels go
    /// out before what comes next.
    pub(crate) fn end(&self, ends: EndOfLogs, until: Option<Instant>) {
        let mut state = self.state();
        state.in_flight -= 1;
        state.owed += usize::from(ends == EndOfLogs::Sentinel);
        if state.in_flight > 0 || state.owed == 0 {
            return;
        }
        let lines = format!("{}\n", self.sentinel).repeat(state.owed);
        state.owed = 0;
        for stream in STREAMS {
            let left_out = self.left_out[stream as usize].swap(0, Ordering::Relaxed);
            let outlet = &self.outlets[stream as usize];
            if left_out > 0 {
                let said = note(format_args!(
                    "{left_out} bytes for {stream} are left out: nobody read them in time"
                ));
                outlet.write_surely(said.as_bytes(), until.into());
            }
            outlet.write_surely(lines.as_bytes(), until.into());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of the proxy's own, which stands apart from the action's output on stderr.
fn note(line: impl std::fmt::Display) -> String {
    format!("actionproxy: {line}\n")
}

/// Both streams of one activation.
pub(crate) struct Sinks<'a> {
    pub stdout: Sink<'a>,
    pub stderr: Sink<'a>,
}

impl LogSink for Sinks<'_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        // It takes everything, and never fails.
        let _ = match stream {
            Stream::Stdout => self.stdout.write_all(bytes),
            Stream::Stderr => self.stderr.write_all(bytes),
        };
    }

    fn note(&mut self, line: &str) {
        self.write(Stream::Stderr, note(line).as_bytes());
    }
}

/// Both streams on stderr, where stdout is for something else.
pub(crate) struct AllToStderr;

impl LogSink for AllToStderr {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        let _ = io::stderr().write_all(bytes);
    }

    fn note(&mut self, line: &str) {
        let _ = io::stderr().write_all(note(line).as_bytes());
    }
}

/// One stream of one activation. When it is let go, its last line is complete: core sees to an
/// action's lines, but a hook may write what it likes, or panic in the middle.
pub(crate) struct Sink<'a> {
    streams: &'a LogStreams,
    stream: Stream,
    writer: u64,
    patience: Patience<'a>,
    /// Where lines take turns.
    lines: Option<Lines>,
}

impl Sink<'_> {
    fn outlet(&self) -> &Outlet {
        &self.streams.outlets[self.stream as usize]
    }

    fn count_lost(&self, bytes: usize) {
        self.streams.left_out[self.stream as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Writes what `lines` keeps.
    fn write_kept(&self, lines: &mut Lines) {
        if let Some(last) = lines.partial.last() {
            lines.is_begun = *last != b'\n';
            let LogStreams { outlets, turn, .. } = self.streams;
            let kept = &lines.partial;
            let lost = turn.write(outlets, self.stream, self.writer, kept, self.patience);
            self.count_lost(lost);
            lines.partial.clear();
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(metrics) = &self.streams.metrics {
            metrics.count_log(self.stream as usize, bytes.len());
        }
        match self.lines.take() {
            None => self.count_lost(self.outlet().write(bytes, self.patience)),
            Some(mut lines) => {
                let whole = bytes
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |at| at + 1);
                let (ended, rest) = bytes.split_at(whole);
                if !ended.is_empty() {
                    lines.partial.extend_from_slice(ended);
                    self.write_kept(&mut lines);
                }
                lines.partial.extend_from_slice(rest);
                if lines.is_begun || lines.partial.len() > MAX_PARTIAL {
                    self.write_kept(&mut lines);
                }
                self.lines = Some(lines);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        match self.lines.take() {
            None => self.outlet().end_line(self.patience),
            Some(mut lines) => {
                if !lines.partial.is_empty() || lines.is_begun {
                    lines.partial.push(b'\n');
                    self.write_kept(&mut lines);
                }
            }
        }
    }
}

/// Collects whole lines to be written together. A line that is too long to be kept takes the
/// streams for its writer until it ends; the others wait, rather than tear it.
#[derive(Default)]
struct Lines {
    /// What is kept back, at most [`MAX_PARTIAL`] and one chunk.
    partial: Vec<u8>,
    /// A part of the line has been written.
    is_begun: bool,
}

/// The longest unfinished line that is kept back.
const MAX_PARTIAL: usize = 64 << 10;
