//! One of the proxy's own two streams: what goes out, and what is owed to a reader who does not
//! read.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actionproxy_core::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::patience::Patience;

/// What a pipe takes in one piece where poll(2) says that there is room: pipe(7), PIPE_BUF.
const PIECE: usize = 4096;
/// A reader who takes nothing for so long, when the time is up already, is not one.
const PATIENCE: Duration = Duration::from_millis(100);

/// A stream. Its writers take turns: a second one at the same time would wait as long as the first.
pub(super) struct Outlet {
    stream: Stream,
    /// Whether a write may have to wait for a reader.
    may_wait: bool,
    state: Mutex<State>,
}

struct State {
    /// What goes out before anything else.
    owed: Vec<u8>,
    /// The final byte of all, what is owed included.
    last: u8,
    /// It was waited for in vain, and nothing was taken since.
    is_stuck: bool,
}

impl Outlet {
    pub(super) fn new(stream: Stream) -> Self {
        let is_file = rustix::fs::fstat(descriptor(stream))
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        Outlet {
            stream,
            may_wait: !is_file,
            state: Mutex::new(State {
                owed: Vec::new(),
                last: b'\n',
                is_stuck: false,
            }),
        }
    }

    /// Writes all of `bytes`, or as much as is read while `patience` lasts; what is left is gone, its line
    /// is ended, and its length comes back. A stream that nobody can read any more swallows all.
    pub(super) fn write(&self, bytes: &[u8], patience: Patience<'_>) -> usize {
        let mut state = self.state();
        let mut taken = 0;
        if self.pay(&mut state, patience) {
            taken = self.push(bytes, patience, &mut state.is_stuck);
            if let Some(last) = bytes[..taken].last() {
                state.last = *last;
            }
        }
        if taken < bytes.len() && state.last != b'\n' {
            state.owed.push(b'\n');
            state.last = b'\n';
        }
        bytes.len() - taken
    }

    /// Ends the line that stands unfinished, if one does.
    pub(super) fn end_line(&self, patience: Patience<'_>) {
        let mut state = self.state();
        if state.last != b'\n' {
            self.owe(&mut state, b"\n", patience);
        }
    }

    /// Writes whole lines now or, where they are not read while `patience` lasts, before anything else.
    pub(super) fn write_surely(&self, lines: &[u8], patience: Patience<'_>) {
        self.owe(&mut self.state(), lines, patience);
    }

    fn owe(&self, state: &mut State, bytes: &[u8], patience: Patience<'_>) {
        state.owed.extend_from_slice(bytes);
        state.last = state.owed.last().copied().unwrap_or(state.last);
        self.pay(state, patience);
    }

    /// Whether nothing is owed any more.
    fn pay(&self, state: &mut State, patience: Patience<'_>) -> bool {
        let taken = self.push(&state.owed, patience, &mut state.is_stuck);
        state.owed.drain(..taken);
        state.owed.is_empty()
    }

    /// How many of `bytes` were taken: all, unless `patience` has come to its end.
    fn push(&self, bytes: &[u8], patience: Patience<'_>, is_stuck: &mut bool) -> usize {
        let fd = descriptor(self.stream);
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let piece = match patience {
                Patience::Until(None) => rest,
                _ if !self.may_wait => rest,
                // A write of more could wait for the rest of it.
                _ if has_room(fd, patience, *is_stuck) => &rest[..rest.len().min(PIECE)],
                _ => {
                    *is_stuck = true;
                    return taken;
                }
            };
            match rustix::io::write(fd, piece) {
                Ok(written) => {
                    taken += written;
                    *is_stuck = false;
                }
                Err(Errno::INTR) => {}
                // Somebody else made the shared description non-blocking.
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
                }
                // Nobody can take it.
                Err(_) => return bytes.len(),
            }
        }
        taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is room, or an error to be told, while `patience` lasts, or soon where that has come to
/// its end and the reader is not stuck.
fn has_room(fd: BorrowedFd<'_>, patience: Patience<'_>, is_stuck: bool) -> bool {
    let room = PollFd::from_borrowed_fd(fd, PollFlags::OUT);
    let until = match patience {
        Patience::Until(until) => until,
        Patience::UntilCalled(wake) => {
            let called = PollFd::new(wake, PollFlags::IN);
            if first_ready([room.clone(), called], None) == Some(0) {
                return true;
            }
            Some(Instant::now())
        }
    };
    let until = until.map(|until| match is_stuck {
        true => until,
        false => until.max(Instant::now() + PATIENCE),
    });
    first_ready([room], until).is_some()
}

/// Waits up to a time. An error counts as ready: who goes on is told.
fn first_ready<const N: usize>(mut fds: [PollFd<'_>; N], until: Option<Instant>) -> Option<usize> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // A time too long for the kernel is as good as none.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => return fds.iter().position(|fd| !fd.revents().is_empty()),
            Err(e) if io::Error::from(e).kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Some(0),
        }
    }
}

fn descriptor(stream: Stream) -> BorrowedFd<'static> {
    match stream {
        Stream::Stdout => rustix::stdio::stdout(),
        Stream::Stderr => rustix::stdio::stderr(),
    }
}
