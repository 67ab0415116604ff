//! Which of a process's descriptors are ready, and whether it has exited.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Conversation, Rest, failed};
use crate::error::RunError;
use crate::run::collect;
use crate::run::stop::Stop;

/// How often the exit is looked for where the kernel has no descriptor for it.
const EXIT_TICK: Duration = Duration::from_millis(5);
/// What is waited for beside logs and exit.
pub(super) struct Wanted<'a> {
    pub stdin: bool,
    pub results: bool,
    pub stop: &'a Stop,
    pub wakes: &'a [BorrowedFd<'a>],
}

impl<'a> Wanted<'a> {
    /// Of the process itself, nothing more than always.
    pub(super) fn nothing(stop: &'a Stop, wakes: &'a [BorrowedFd<'a>]) -> Self {
        Wanted {
            stdin: false,
            results: false,
            stop,
            wakes,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ready {
    pub logs: [bool; 2],
    pub results: bool,
    pub exit: bool,
    pub stdin: bool,
    pub stop: bool,
    pub wake: bool,
}

impl Conversation {
    /// Whether nothing stands in the pipes of the logs: asked for both at once, since most
    /// activations write none.
    pub(super) fn are_logs_empty(&self) -> bool {
        let mut fds = [0, 1].map(|stream| PollFd::new(self.pipe(stream), PollFlags::IN));
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }

    /// Waits for what is wanted, for logs and for the exit.
    pub(super) fn wait(
        &self,
        wanted: Wanted<'_>,
        until: Option<Instant>,
    ) -> Result<Ready, RunError> {
        let log = |stream: usize| {
            Some(self.pipe(stream).as_fd()).filter(|_| !self.logs[stream].is_closed)
        };
        let (readable, writable) = (PollFlags::IN, PollFlags::OUT);
        let exit = self.child.exit.as_ref().map(AsFd::as_fd);
        let stdin = self.child.stdin.as_ref().map(AsFd::as_fd);
        let watched = [
            (log(0), readable),
            (log(1), readable),
            (
                Some(self.results.as_fd()).filter(|_| wanted.results),
                readable,
            ),
            // Linux 5.2 gives such descriptors and cannot poll them: then they are always ready, to
            // be written to as well.
            (exit, readable | writable),
            (stdin.filter(|_| wanted.stdin), writable),
            (wanted.stop.descriptor(), readable),
        ];
        let mut fds = Vec::with_capacity(watched.len() + wanted.wakes.len());
        let mut places = [None; 6];
        for ((fd, flags), place) in watched.into_iter().zip(&mut places) {
            if let Some(fd) = fd {
                *place = Some(fds.len());
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        let first_wake = fds.len();
        let wakes = wanted.wakes.iter();
        fds.extend(wakes.map(|wake| PollFd::from_borrowed_fd(*wake, readable)));
        let mut timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        if exit.is_none() {
            timeout = Some(timeout.map_or(EXIT_TICK, |timeout| timeout.min(EXIT_TICK)));
        }
        // A time too long for the kernel is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(e) => return Err(failed("wait for the action", e)),
        }
        let flags = |place: Option<usize>| {
            place
                .and_then(|at| fds.get(at))
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        let [out, err, results, exit, stdin, stop] = places.map(flags);
        let wakes = fds.get(first_wake..).unwrap_or_default();
        let has_exited = match exit.contains(writable) || self.child.exit.is_none() {
            true => collect::has_exited(self.child.pid)?,
            false => !exit.is_empty(),
        };
        Ok(Ready {
            logs: [!out.is_empty(), !err.is_empty()],
            results: !results.is_empty(),
            exit: has_exited,
            stdin: !stdin.is_empty(),
            stop: !stop.is_empty(),
            wake: wakes.iter().any(|wake| !wake.revents().is_empty()),
        })
    }
}

/// Waits until one of `wakes` is readable or `longest` is over, where there is no process.
pub(crate) fn sleep(wakes: &[BorrowedFd<'_>], longest: Option<Duration>) -> Result<Rest, RunError> {
    let timeout = longest.and_then(|longest| Timespec::try_from(longest).ok());
    let wakes = wakes.iter();
    let mut fds: Vec<_> = wakes
        .map(|wake| PollFd::from_borrowed_fd(*wake, PollFlags::IN))
        .collect();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(Rest::Woken),
        Err(e) => Err(failed("wait", e)),
    }
}
