//! Descriptors that are the proxy's alone.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, getrlimit};

/// Descriptors without which nothing can be served: of four connections, and of an init or a run.
const NEEDED: usize = 24;
/// With so many in all there are enough.
const PLENTY: u64 = 256;

/// Marks every descriptor but 0, 1 and 2 as not for actions, those too that the proxy was started
/// with.
///
/// Linux 5.11 does it at once; before, `/proc` tells which there are.
pub fn keep_descriptors_from_actions() {
    // JUSTIFICATION: nobody owns what was inherited, and rustix has no such call.
    // SAFETY: it changes no more than what happens to descriptors at exec.
    let all_marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if all_marked == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    for entry in entries.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number
            && number > 2
        {
            // JUSTIFICATION: nobody owns what was inherited, and there is no list of it but
            // numbers.
            // SAFETY: the call takes any number; one that is not open is refused with EBADF. It
            // changes no more than what happens to the descriptor at exec.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Whether there are descriptors left for connections and actions.
///
/// # Errors
/// There are not.
pub(crate) fn check_descriptors() -> io::Result<()> {
    if getrlimit(Resource::Nofile)
        .current
        .is_none_or(|limit| limit >= PLENTY)
    {
        return Ok(());
    }
    let free: Result<Vec<OwnedFd>, _> = (0..NEEDED)
        .map(|_| rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC))
        .collect();
    free.map(drop).map_err(io::Error::from)
}
