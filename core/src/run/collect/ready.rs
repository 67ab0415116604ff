//! Which of a process's descriptors are ready.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::RunError;

/// What a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Out,
    Err,
    Stdin,
    Exit,
    Stop,
}

/// Waits until one of those that are there is ready, `timeout` at most; a signal ends it early.
pub(super) fn wait(
    watched: [(Source, Option<BorrowedFd<'_>>, PollFlags); 5],
    timeout: Option<Duration>,
) -> Result<impl Iterator<Item = (Source, PollFlags)> + use<>, RunError> {
    let mut ready = [(Source::Stop, PollFlags::empty()); 5];
    let mut fds = Vec::with_capacity(watched.len());
    for (source, fd, flags) in watched {
        if let Some(fd) = fd {
            ready[fds.len()].0 = source;
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
    }
    // A time too long for the kernel is as good as none.
    let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => {
            for ((_, flags), fd) in ready.iter_mut().zip(&fds) {
                *flags = fd.revents();
            }
        }
        Err(Errno::INTR) => {}
        Err(e) => {
            return Err(RunError::Io {
                doing: "wait for the action",
                source: e.into(),
            });
        }
    }
    Ok(ready.into_iter().filter(|(_, flags)| !flags.is_empty()))
}
