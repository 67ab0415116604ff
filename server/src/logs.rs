//! The proxy's own stdout and stderr, which are the activations' logs.
//!
//! Bytes go out as they come, unbuffered, so a slow reader slows the action down. A stream that
//! nobody reads any more swallows what it is given.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actionproxy_platforms::EndOfLogs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// How activations share the streams.
pub(crate) struct LogStreams {
    sharing: Sharing,
    sentinel: &'static str,
    state: Mutex<State>,
    /// Held for as long as one writer's line is not complete.
    stdout: Mutex<()>,
    stderr: Mutex<()>,
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
    pub(crate) fn new(sharing: Sharing, sentinel: &'static str) -> Self {
        LogStreams {
            sharing,
            sentinel,
            state: Mutex::default(),
            stdout: Mutex::default(),
            stderr: Mutex::default(),
        }
    }

    /// The two sinks of one activation.
    pub(crate) fn sinks(&self) -> (Sink<'_>, Sink<'_>) {
        let sink = |fd, turn| match self.sharing {
            Sharing::Alone => Sink::Direct(fd),
            Sharing::ByLine => Sink::Lines(Lines::new(fd, turn)),
        };
        (
            sink(rustix::stdio::stdout(), &self.stdout),
            sink(rustix::stdio::stderr(), &self.stderr),
        )
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
        write_all(rustix::stdio::stdout(), lines.as_bytes());
        write_all(rustix::stdio::stderr(), lines.as_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream of one activation.
pub(crate) enum Sink<'a> {
    Direct(BorrowedFd<'static>),
    Lines(Lines<'a>),
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Direct(fd) => write_all(*fd, bytes),
            Sink::Lines(lines) => lines.push(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Collects whole lines and writes them together. A line that is too long to be kept takes the
/// stream for itself until it ends; the others wait, rather than tear it.
pub(crate) struct Lines<'a> {
    fd: BorrowedFd<'static>,
    turn: &'a Mutex<()>,
    partial: Vec<u8>,
    held: Option<MutexGuard<'a, ()>>,
}

/// The longest unfinished line that is kept back.
const MAX_PARTIAL: usize = 64 << 10;

impl<'a> Lines<'a> {
    fn new(fd: BorrowedFd<'static>, turn: &'a Mutex<()>) -> Self {
        Lines {
            fd,
            turn,
            partial: Vec::new(),
            held: None,
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
            self.held = None;
        }
        self.partial.extend_from_slice(rest);
        if self.held.is_some() || self.partial.len() > MAX_PARTIAL {
            self.write_partial();
        }
    }

    fn write_partial(&mut self) {
        if self.held.is_none() {
            self.held = Some(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        }
        write_all(self.fd, &self.partial);
        self.partial.clear();
    }
}

impl Drop for Lines<'_> {
    /// Core completes last lines, so nothing is left but what a panic left.
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.write_partial();
        }
    }
}

/// Writes all of it, however long it takes, or nothing more if nobody can take it.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) {
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
