//! Waiting without holding a thread: the only place that knows `may`.

use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use may::coroutine::Builder;
use may::io::{CoIo, WaitIo, WaitIoWaker};
use rustix::event::epoll;

use crate::process;

/// A coroutine's stack in words: it reads heads and moves bytes, no more.
const STACK_WORDS: usize = 0x2000;
/// Coroutines whose stacks are kept for the next ones.
const POOLED: usize = 2;

/// The stack on which the library makes itself ready, in bytes. It needs more than 128 KiB.
const PREPARING_STACK: usize = 512 << 10;

/// Descriptors with which the library makes itself ready.
const DESCRIPTORS: usize = 4;

/// Makes coroutines possible. To be called before anything else here, and once.
///
/// It is done by a thread of its own: the stack that it takes would stay with the main thread for
/// ever, and other things can be done meanwhile.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn prepare() -> io::Result<JoinHandle<()>> {
    may::config()
        // Coroutines only move bytes, and all else has threads of its own. With a second worker
        // connections are handed from one to the other.
        .set_workers(1)
        .set_stack_size(STACK_WORDS)
        .set_pool_capacity(POOLED)
        // Actions inherit the affinity of the thread that starts them.
        .set_worker_pin(false);
    thread::Builder::new()
        .stack_size(PREPARING_STACK)
        .spawn(|| {
            // The library begins with its first coroutine. Without memory for it there will be no
            // other either, and the server says so.
            let _ = spawn(|| {});
        })
}

/// Starts `body` in a coroutine, from any thread.
///
/// # Errors
/// There is no memory for it.
pub(super) fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // JUSTIFICATION: may asks the caller to see to two things that it cannot check.
    // SAFETY: what is spawned here needs less than half of the stack, and thread locals stay valid
    // across a yield since there is one worker thread.
    started(|| unsafe { Builder::new().spawn(body).map(drop) })
}

/// Starts `body` at once, from within a coroutine, which goes on when `body` waits or ends.
///
/// # Errors
/// There is no memory for it.
pub(super) fn enter(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let body = || {
        // It runs within `started` until it waits.
        process::report_again();
        body();
    };
    // JUSTIFICATION, SAFETY: as for `spawn`.
    started(|| unsafe { Builder::new().spawn_local(body).map(drop) })
}

/// The library panics where the kernel gives no memory for a stack, no thread or no descriptor.
fn started(start: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    process::quietly(AssertUnwindSafe(start)).unwrap_or_else(|_| Err(missing()))
}

/// What there is too little of, now that the library has let go again of what it had.
fn missing() -> io::Error {
    let descriptors: Result<Vec<_>, _> = (0..DESCRIPTORS)
        .map(|_| epoll::create(epoll::CreateFlags::CLOEXEC))
        .collect();
    match descriptors {
        Err(e) => e.into(),
        Ok(_) => io::ErrorKind::OutOfMemory.into(),
    }
}

/// Lets every other coroutine have its turn, and new events be seen: a mere yield comes back
/// before them.
pub(super) fn pause() {
    may::coroutine::sleep(Duration::from_micros(1));
}

/// Waits for a descriptor in a coroutine.
pub(super) struct Waiter(CoIo<Watched>);

/// A descriptor that something else keeps open.
struct Watched(Box<dyn AsRawFd + Send + Sync>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Waiter {
    /// For a descriptor that does not block. It is kept open as long as this lives.
    ///
    /// # Errors
    /// The kernel cannot watch it.
    pub(super) fn new(fd: impl AsRawFd + Send + Sync + 'static) -> io::Result<Self> {
        Ok(Waiter(CoIo::new(Watched(Box::new(fd)))?))
    }

    /// Waits until something has changed since the last call: bytes came, there is room for more,
    /// the other end has gone, or a [`Waker`] was used. It may return for nothing.
    pub(super) fn wait(&self) {
        self.0.wait_io();
    }

    /// What ends a [`Waiter::wait`] from another thread.
    pub(super) fn waker(&self) -> Waker {
        Waker(self.0.waker())
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

/// See [`Waiter::waker`].
pub(super) struct Waker(WaitIoWaker);

impl Waker {
    pub(super) fn wake(&self) {
        self.0.wakeup();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_of_what_runs_at_once_is_reported() {
        let (told, tells) = mpsc::channel();
        spawn(move || {
            let within = told.clone();
            enter(move || {
                let _ = within.send(process::is_reporting());
            })
            .expect("memory");
            let _ = told.send(process::is_reporting());
        })
        .expect("memory");
        assert_eq!(tells.iter().collect::<Vec<_>>(), [true, true]);
    }
}
