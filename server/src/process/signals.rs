//! Signals that the proxy takes otherwise than a program does by default. Actions start with every
//! signal at its default, whatever is set here.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::ptr;

use rustix::process::{Signal, getpid, kill_process};

/// Unblocks every signal: a mask that the proxy was started with would keep it deaf to TERM and to
/// the end of orphans. To be called before there is another thread, which inherits it.
pub(crate) fn let_signals_in() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    // JUSTIFICATION: rustix leaves masks to the C library.
    // SAFETY: sigemptyset initialises the set before it is read; where the old mask would go, a
    // null pointer is allowed.
    let failed = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    match failed {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Says why this process cannot go on, and has it end as TERM does.
pub(crate) fn end_in_order(why: &str) {
    let _ = io::stderr().write_all(format!("{}: {why}\n", super::name()).as_bytes());
    let _ = kill_process(getpid(), Signal::TERM);
}

/// Has the kernel report a limit by an error and not by a signal that ends the program: of the size
/// of a file, and of processor time, where the hard limit, which ends it whatever is set, is higher.
pub fn survive_limits() {
    for signal in [libc::SIGXFSZ, libc::SIGXCPU] {
        // JUSTIFICATION: rustix leaves dispositions to the C library.
        // SAFETY: no handler is set that could run; both signals may be ignored.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
