//! Keeps SIGPIPE from the host: an action that does not read its argument breaks the pipe that core
//! writes it to, and the signal would end a host that leaves it at its default.
//!
//! Nothing is done at the signal, which is the host's to decide for the whole process. It is blocked on
//! the calling thread, where it is always delivered, and taken from there before the thread goes back.
//!
//! JUSTIFICATION: rustix leaves signals to the C library.

use std::mem::MaybeUninit;
use std::ptr;

/// While it lives, a broken pipe is an error on this thread and no signal.
pub(crate) struct PipeSignal {
    /// The mask as the host had it. `None`: a SIGPIPE was pending, so that it is blocked already, and
    /// one more is not to be told from it.
    before: Option<libc::sigset_t>,
}

impl PipeSignal {
    pub(crate) fn blocked() -> Self {
        let before = (!is_pending()).then(block);
        PipeSignal { before }
    }

    /// Calls into the host with the mask as it had it.
    pub(crate) fn lifted(&self, call: impl FnOnce()) {
        self.restore();
        call();
        if self.before.is_some() {
            block();
        }
    }

    fn restore(&self) {
        if let Some(before) = &self.before {
            take_pending();
            // SAFETY: the first set was written by `block`; the second pointer may be null.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

impl Drop for PipeSignal {
    fn drop(&mut self) {
        self.restore();
    }
}

fn only_pipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` writes the whole set, so that it may be read afterwards.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

/// Returns the mask before.
fn block() -> libc::sigset_t {
    let set = only_pipe();
    let mut before = only_pipe();
    // SAFETY: both point to sets; the second is written where the call succeeds, and it cannot fail with
    // these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
    before
}

fn is_pending() -> bool {
    let mut set = only_pipe();
    // SAFETY: it points to a set.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigpending(&raw mut set) == 0 && libc::sigismember(&raw const set, libc::SIGPIPE) == 1
    }
}

/// Takes a SIGPIPE that waits, if one does.
fn take_pending() {
    let set = only_pipe();
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the set and the time are read, and nothing is written where the second pointer is null.
    // With no time to wait, it is never interrupted.
    unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const at_once) };
}
