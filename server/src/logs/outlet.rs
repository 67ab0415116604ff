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

    /// Writes all of `bytes`, or as much as is read up to `until`; what is left is gone, its line
    /// is ended, and its length comes back. A stream that nobody can read any more swallows all.
    pub(super) fn write(&self, bytes: &[u8], until: Option<Instant>) -> usize {
        let mut state = self.state();
        let mut taken = 0;
        if self.pay(&mut state, until) {
            taken = self.push(bytes, until, &mut state.is_stuck);
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
    pub(super) fn end_line(&self, until: Option<Instant>) {
        let mut state = self.state();
        if state.last != b'\n' {
            self.owe(&mut state, b"\n", until);
        }
    }

    /// Writes whole lines now or, where they are not read up to `until`, before anything else.
    pub(super) fn write_surely(&self, lines: &[u8], until: Option<Instant>) {
        self.owe(&mut self.state(), lines, until);
    }

    fn owe(&self, state: &mut State, bytes: &[u8], until: Option<Instant>) {
        state.owed.extend_from_slice(bytes);
        state.last = state.owed.last().copied().unwrap_or(state.last);
        self.pay(state, until);
    }

    /// Whether nothing is owed any more.
    fn pay(&self, state: &mut State, until: Option<Instant>) -> bool {
        let taken = self.push(&state.owed, until, &mut state.is_stuck);
        state.owed.drain(..taken);
        state.owed.is_empty()
    }

    /// How many of `bytes` were taken: all, unless `until` has passed.
    fn push(&self, bytes: &[u8], until: Option<Instant>, is_stuck: &mut bool) -> usize {
        let fd = descriptor(self.stream);
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let piece = match until.filter(|_| self.may_wait) {
                None => rest,
                // A write of more could wait for the rest of it.
                Some(until) if has_room(fd, until, *is_stuck) => &rest[..rest.len().min(PIECE)],
                Some(_) => {
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

/// Whether there is room, or an error to be told, before `until`, or soon where that has passed and
/// the reader is not stuck.
fn has_room(fd: BorrowedFd<'_>, until: Instant, is_stuck: bool) -> bool {
    let until = match is_stuck {
        true => until,
        false => until.max(Instant::now() + PATIENCE),
    };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A time too long for the kernel is as good as none.
        let timeout = Timespec::try_from(left).ok();
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(e) if io::Error::from(e).kind() == io::ErrorKind::Interrupted => {}
            // The write tells.
            Err(_) => return true,
        }
    }
}

fn descriptor(stream: Stream) -> BorrowedFd<'static> {
    match stream {
        Stream::Stdout => rustix::stdio::stdout(),
        Stream::Stderr => rustix::stdio::stderr(),
    }
}
