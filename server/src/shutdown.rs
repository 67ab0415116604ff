//! The end of this program, as signals ask for it: the first for an orderly end, a second for one
//! at once.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::ptr;

use rustix::event::{PollFd, PollFlags, poll};

use crate::process::{self, Orphans};

/// The signals that ask for an end.
const SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// Waits for the signals that end the program, and reaps orphans meanwhile.
pub struct Shutdown {
    asked: UnixStream,
    child: UnixStream,
    orphans: Orphans,
}

/// Why a wait was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// This signal asks for the end.
    Signal(i32),
    /// What was to be done has been done.
    Finished,
}

impl Shutdown {
    /// From now on the signals are taken. To be called before there is another thread. HUP stays
    /// ignored where whoever started this program had it so, as `nohup` does.
    ///
    /// # Errors
    /// There is no descriptor to spare.
    pub fn register() -> io::Result<Self> {
        process::let_signals_in()?;
        process::adopt_orphans();
        let (asked, handler) = UnixStream::pair()?;
        asked.set_nonblocking(true)?;
        handler.set_nonblocking(true)?;
        for signal in SIGNALS {
            if signal == libc::SIGHUP && is_ignored(signal) {
                continue;
            }
            let told = handler.try_clone()?;
            // Small numbers, all of them.
            let number = signal as u8;
            // JUSTIFICATION: the crate's own pipe cannot tell one signal from another.
            // SAFETY: the handler makes one system call that signal-safety(7) allows, on a
            // descriptor that it keeps open; it neither allocates nor locks nor panics.
            unsafe {
                signal_hook::low_level::register(signal, move || {
                    // Where it is full, the end has been asked for often enough.
                    let _ = rustix::io::write(&told, &[number]);
                })?;
            }
        }
        let (child, orphans) = Orphans::register()?;
        Ok(Shutdown {
            asked,
            child,
            orphans,
        })
    }

    /// What tells this about orphans.
    pub fn orphans(&self) -> Orphans {
        self.orphans.clone()
    }

    /// Waits for a signal, or for the other end of `finished` to be closed. On the main thread
    /// only: orphans are its children.
    pub fn wait(&self, finished: &OwnedFd) -> Woken {
        loop {
            let mut fds = [self.asked.as_fd(), self.child.as_fd(), finished.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let [asked, child, finished] = fds.map(|fd| !fd.revents().is_empty());
            if child {
                drain(&self.child);
                process::reap_orphans();
            }
            if asked && let Some(signal) = self.taken() {
                return Woken::Signal(signal);
            }
            if finished {
                return Woken::Finished;
            }
        }
    }

    fn taken(&self) -> Option<i32> {
        let mut number = [0];
        let read = (&self.asked).read(&mut number);
        read.is_ok_and(|count| count == 1)
            .then(|| i32::from(number[0]))
    }
}

/// A pair whose second half, once closed, tells [`Shutdown::wait`] that all is done.
///
/// # Errors
/// There is no descriptor to spare.
pub fn finish_line() -> io::Result<(OwnedFd, OwnedFd)> {
    let (watched, held) = UnixStream::pair()?;
    Ok((watched.into(), held.into()))
}

/// The exit status of what `signal` ended, as a shell tells it.
pub fn exit_status(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// Takes what the handler wrote: one byte a signal.
fn drain(mut pipe: &UnixStream) {
    let mut bytes = [0; 64];
    while pipe.read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
}

/// Whether whoever started this program asked it to ignore `signal`, as `nohup` does.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // JUSTIFICATION: neither rustix nor signal-hook tells what is set.
    // SAFETY: a null pointer sets nothing; where the call succeeds, it has written the old action
    // before that is read.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
