//! Signals of a process: what it does at them, and which it has blocked, asked of the kernel itself.
//!
//! JUSTIFICATION: rustix leaves signals to the C library, and the C library hides those that it
//! uses itself (32 and 33 in the GNU one): it neither tells nor sets what is done at them, and takes
//! them out of every mask. A process may well be started with those ignored too.

use std::ffi::{c_int, c_long};
use std::io;
use std::ptr;

/// Signals are 1 to 64 everywhere but on MIPS.
const LAST: c_long = 64;
/// The size of a set of them, in bytes.
const SET_SIZE: usize = 8;

#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
compile_error!("signals have other numbers, and `KernelAction` another order, on MIPS");

/// The kernel's `struct sigaction`. Its handler comes first; what follows is in an order and size of
/// each architecture, always within this size, and is all zero for the default.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    handler: usize,
    rest: [usize; 7],
}

const DEFAULT: KernelAction = KernelAction {
    handler: libc::SIG_DFL,
    rest: [0; 7],
};

/// The signals that this process ignores or handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Altered(u64);

impl Altered {
    /// Asks for each.
    pub(super) fn learn() -> Self {
        Altered(
            (1..=LAST)
                .filter(|signal| is_altered(*signal))
                .fold(0, |set, signal| set | 1 << (signal - 1)),
        )
    }

    /// Sets each of them back to its default. Allocates nothing, takes no lock and cannot panic: it
    /// is for a process that shares its memory with the one that started it.
    pub(super) fn reset(self) {
        for signal in (1..=LAST).filter(|signal| self.holds(*signal)) {
            // SAFETY: the kernel reads one of its own `struct sigaction`, which `KernelAction` is
            // large enough for, and writes nothing. No handler is set.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    signal,
                    ptr::from_ref(&DEFAULT),
                    ptr::null_mut::<KernelAction>(),
                    SET_SIZE,
                );
            }
        }
    }

    fn holds(self, signal: c_long) -> bool {
        self.0 & 1 << (signal - 1) != 0
    }
}

fn is_altered(signal: c_long) -> bool {
    let mut action = DEFAULT;
    // SAFETY: nothing is set; the kernel writes one of its own `struct sigaction`, which
    // `KernelAction` is large enough for and whose bytes may be anything.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            ptr::null::<KernelAction>(),
            &raw mut action,
            SET_SIZE,
        )
    };
    failed == 0 && action.handler != libc::SIG_DFL
}

/// All signals but SIGCHLD are blocked in this thread until it is dropped, the C library's own too.
/// SIGCHLD is left as it was.
///
/// A child that ends before this thread has gone on would otherwise have its SIGCHLD delivered to
/// another thread, which is woken for nothing: that is a good part of all children that are short.
#[derive(Debug)]
pub(super) struct Blocked {
    before: u64,
}

impl Blocked {
    pub(super) fn all_but_child() -> io::Result<Self> {
        let mut before = 0;
        let set: u64 = !(1 << (libc::SIGCHLD - 1));
        match change_mask(libc::SIG_BLOCK, set, &raw mut before) {
            0 => Ok(Blocked { before }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        change_mask(libc::SIG_SETMASK, self.before, ptr::null_mut());
    }
}

/// Blocks none. As safe in a child as [`Altered::reset`].
pub(super) fn unblock_all() {
    change_mask(libc::SIG_SETMASK, 0, ptr::null_mut());
}

/// `before` is null or points to a set.
fn change_mask(how: c_int, set: u64, before: *mut u64) -> c_long {
    // SAFETY: the kernel reads `SET_SIZE` bytes from the first pointer and writes as many to the
    // second unless it is null; all callers give null or a live u64.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            c_long::from(how),
            &raw const set,
            before,
            SET_SIZE,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_ignores_is_known() {
        // Rust's own start-up ignores SIGPIPE. No test of this program handles SIGTTIN.
        let altered = Altered::learn();
        assert!(altered.holds(libc::SIGPIPE.into()));
        assert!(!altered.holds(libc::SIGTTIN.into()));
        assert!(!altered.holds(libc::SIGKILL.into()));
    }
}
