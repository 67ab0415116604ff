//! A request, from another thread, to end what is running.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Ends running activations and hooks: their process groups get TERM, then KILL.
///
/// Clones share one request. It cannot be taken back: what is started afterwards is ended at once.
#[derive(Debug, Clone)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// A request not yet made.
    ///
    /// # Errors
    /// Where the system has no descriptor to spare.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop(Arc::new(fd)))
    }

    /// Makes the request. More than once is the same as once.
    pub fn request(&self) {
        // The only error a counter can give is that it is full, which is as good as set.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
