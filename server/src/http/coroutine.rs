//! Waiting without holding a thread: the only place that knows `may`.

use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use may::coroutine::Builder;
use may::io::{CoIo, WaitIo, WaitIoWaker};
use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::process;

/// A coroutine's stack in words: it reads heads and moves bytes, no more.
const STACK_WORDS: usize = 0x2000;
/// Coroutines whose stacks are kept for the next ones.
const POOLED: usize = 2;

/// The stack on which the library makes itself ready, in bytes. It needs more than 128 KiB, and
/// more than 512 in a build of s390x that is not optimised.
const PREPARING_STACK: usize = 2 << 20;

/// Descriptors with which the library makes itself ready.
const DESCRIPTORS: usize = 4;

/// The library is ready. Until then no other thread may come near it: it shares what it makes without
/// a barrier.
static PREPARED: Once = Once::new();

/// Makes coroutines possible. To be called before anything else here, and once.
///
/// It is done by a thread of its own: the stack that it takes would stay with the main thread for
/// ever, and other things can be done meanwhile.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn prepare() -> io::Result<JoinHandle<io::Result<()>>> {
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
            // The library begins with its first coroutine. One that could not make itself ready, for
            // want of a thread, may look as if it were.
            let mut prepared = Ok(());
            PREPARED.call_once(|| prepared = launch(|| {}));
            prepared
        })
}

/// [`prepare`] for tests, of which many are in one process.
#[cfg(test)]
pub(crate) fn prepare_once() {
    static PREPARED: std::sync::Once = std::sync::Once::new();
    PREPARED.call_once(|| {
        let preparing = prepare().expect("a thread");
        preparing.join().expect("no panic").expect("it is ready");
    });
}

/// Starts `body` in a coroutine, from any thread.
///
/// # Errors
/// There is no memory for it.
pub(super) fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    PREPARED.wait();
    launch(body)
}

fn launch(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // JUSTIFICATION: may asks the caller to see to two things that it cannot check.
    // SAFETY: what is spawned here needs less than half of the stack, and thread locals stay valid
    // across a yield since there is one worker thread.
    started(|| unsafe { Builder::new().spawn(body).map(drop) })
}

/// The library panics where the kernel gives no memory for a stack, no thread or no descriptor.
fn started<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    process::quietly(AssertUnwindSafe(start)).unwrap_or_else(|_| Err(missing()))
}

/// What there is too little of, now that the library has let go again of what it had.
fn missing() -> io::Error {
    let descriptors: Result<Vec<_>, _> = (0..DESCRIPTORS)
        .map(|_| epoll::create(epoll::CreateFlags::CLOEXEC))
        .collect();
    if let Err(e) = descriptors {
        return e.into();
    }
    match thread::Builder::new().spawn(|| {}) {
        Err(e) => e,
        Ok(_) => io::ErrorKind::OutOfMemory.into(),
    }
}

/// Lets every other coroutine have its turn, and new events be seen: a mere yield comes back
/// before them. Where there is no descriptor to spare, it is one.
///
/// Not by the library's `sleep` (may 0.3.51): that goes on on a thread of its timers, at the same time
/// as the worker still writes to what the coroutine may have freed by then.
pub(super) fn pause() {
    // It is ready at once, but told of behind all that was ready before.
    let ready = eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    match ready.map_err(io::Error::from).and_then(Waiter::new) {
        Ok(waiter) => waiter.wait(),
        Err(_) => may::coroutine::yield_now(),
    }
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
    /// The kernel cannot watch it, or the library could not be made ready.
    pub(super) fn new(fd: impl AsRawFd + Send + Sync + 'static) -> io::Result<Self> {
        PREPARED.wait();
        started(|| Ok(Waiter(CoIo::new(Watched(Box::new(fd)))?)))
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
    use std::sync::{Arc, mpsc};

    use super::*;

    /// Else it would run beside the others, and beside what the library still does to put it to sleep.
    #[test]
    #[cfg_attr(
        target_pointer_width = "32",
        ignore = "may_queue 0.1.24 shifts by 63 bits, at which a debug build of 32 bits panics"
    )]
    fn one_that_has_paused_goes_on_on_the_thread_of_all() {
        prepare_once();
        let (told, tells) = mpsc::channel();
        spawn(move || {
            let before = thread::current().id();
            for _ in 0..100 {
                pause();
                let _ = told.send(thread::current().id() == before);
            }
        })
        .expect("memory");
        assert_eq!(tells.iter().collect::<Vec<_>>(), [true; 100]);
    }

    #[test]
    #[cfg_attr(
        target_pointer_width = "32",
        ignore = "may_queue 0.1.24 shifts by 63 bits, at which a debug build of 32 bits panics"
    )]
    fn what_is_ready_comes_before_one_that_pauses() {
        prepare_once();
        let (told, tells) = mpsc::channel();
        spawn(move || {
            let waiting = told.clone();
            let event = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).expect("a descriptor"));
            let watched = Arc::clone(&event);
            spawn(move || {
                let waiter = Waiter::new(watched).expect("it can be watched");
                waiter.wait();
                let _ = waiting.send("waited");
            })
            .expect("memory");
            // What is new is told once: that there is room, at first.
            pause();
            rustix::io::write(&event, &1_u64.to_ne_bytes()).expect("there is room");
            pause();
            let _ = told.send("paused");
        })
        .expect("memory");
        assert_eq!(tells.iter().collect::<Vec<_>>(), ["waited", "paused"]);
    }
}
