//! What Rust's library asks the GNU C library about a thread's stack, answered here in a static
//! binary.
//!
//! Rust asks where the stack ends, to say in words that a thread has overflowed it. The C library's
//! answer for the first thread is read from `/proc/self/maps` by `sscanf`, which brings number
//! formats of every kind along: 0.1 MB of the binary, and a file read at every start. Without an
//! answer the guard page stands as before and an overflow still ends the process, by SIGSEGV and
//! without these words. A coroutine's overflow is told as before: its library knows its own stacks.

use std::ffi::c_int;

/// In the place of the C library's function of that name: it knows of no thread.
// JUSTIFICATION: a linker takes a function of the C library only where nobody else has it.
// SAFETY: the name and the signature are those of pthread_getattr_np(3), which may fail with any
// error number and then leaves `attributes` as it was.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(
    _thread: libc::pthread_t,
    _attributes: *mut libc::pthread_attr_t,
) -> c_int {
    libc::ENOSYS
}
