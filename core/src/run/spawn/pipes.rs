//! Pipes between a parent and its child.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Both ends closed at exec.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// The same under a number above 3: an embedder may have closed one of the first, and the child would
/// put one of its descriptors over another before that is in its place.
pub(super) fn above_targets(fd: OwnedFd) -> io::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=3 => Ok(fcntl_dupfd_cloexec(&fd, 4)?),
        _ => Ok(fd),
    }
}
