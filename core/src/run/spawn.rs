//! Starts one process with three pipes, in a process group of its own.
//!
//! `posix_spawn` and not `fork`: it shares the proxy's memory until `exec`, so the cost does not
//! grow with the proxy, and it is safe with threads. `std::process::Command` would use it too, but
//! it resets only SIGPIPE, where an action is to start with every signal at its default.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::diagnose::diagnose;
use super::env::Environment;
use crate::error::RunError;

/// What a pipe takes without a reader on every system: one page of the smallest size.
const PIPE_ROOM: usize = 4096;

/// What is to be started.
pub(crate) struct Program<'a> {
    pub path: &'a Path,
    pub arguments: &'a [&'a [u8]],
    pub environment: &'a Environment,
    pub working_dir: &'a Path,
}

/// A started process, not yet waited for.
pub(crate) struct Child {
    pub pid: Pid,
    /// Readable when the process has exited; `None` where the kernel has no such thing (before
    /// Linux 5.3) or a sandbox forbids it.
    pub exit: Option<OwnedFd>,
    /// `None` when all of the input is in the pipe and its end is closed already.
    pub stdin: Option<OwnedFd>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Program<'_> {
    /// Starts it, with `input` on its way to stdin.
    ///
    /// Waits and tries again where the machine may recover in a moment: no process to spare
    /// (EAGAIN), no memory (ENOMEM), no descriptor (EMFILE, ENFILE), an executable that another
    /// process still holds open for writing (ETXTBSY: a fork elsewhere, between fork and exec).
    /// Where the command line does not fit (E2BIG), the arguments are left out: actions read
    /// stdin.
    pub(crate) fn spawn(&self, input: &[u8]) -> Result<Child, RunError> {
        let mut arguments = self.arguments;
        let mut wait = Duration::from_millis(1);
        loop {
            let error = match self.attempt(arguments, input) {
                Ok(child) => return Ok(child),
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::E2BIG) if !arguments.is_empty() => arguments = &[],
                Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ETXTBSY)
                    if wait < Duration::from_millis(500) =>
                {
                    thread::sleep(wait);
                    wait *= 2;
                }
                _ => {
                    return Err(RunError::Spawn {
                        path: self.path.to_path_buf(),
                        hint: hint(&error, self.path),
                        source: error,
                    });
                }
            }
        }
    }

    fn attempt(&self, arguments: &[&[u8]], input: &[u8]) -> io::Result<Child> {
        let (stdin_read, stdin_write) = pipe()?;
        let (stdout_read, stdout_write) = pipe()?;
        let (stderr_read, stderr_write) = pipe()?;
        // Before the start: a short input then needs no part in the poll loop.
        let stdin = if input.len() <= PIPE_ROOM {
            rustix::io::write(&stdin_write, input)?;
            drop(stdin_write);
            None
        } else {
            rustix::io::ioctl_fionbio(&stdin_write, true)?;
            Some(stdin_write)
        };
        let mut argv = vec![c_string(self.path.as_os_str().as_bytes())?];
        for argument in arguments {
            argv.push(c_string(argument)?);
        }
        let pid = sys::spawn(
            &argv,
            &self.environment.to_block(),
            &c_string(self.working_dir.as_os_str().as_bytes())?,
            [&stdin_read, &stdout_write, &stderr_write],
        )?;
        Ok(Child {
            pid,
            exit: pidfd_open(pid, PidfdFlags::empty()).ok(),
            stdin,
            stdout: stdout_read,
            stderr: stderr_read,
        })
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// What the bare errno text does not say.
fn hint(error: &io::Error, path: &Path) -> Option<String> {
    match error.raw_os_error() {
        Some(libc::E2BIG) => Some("the environment does not fit; one variable may hold at most 131,071 bytes, name included".to_owned()),
        Some(libc::EMFILE | libc::ENFILE) => Some("no file descriptor is left".to_owned()),
        Some(libc::EAGAIN) => Some("no process can be added: the limit of processes is reached".to_owned()),
        Some(libc::ETXTBSY) => Some("another process has it open for writing".to_owned()),
        Some(libc::ENOENT | libc::ENOEXEC | libc::EACCES | libc::EINVAL | libc::ELIBBAD) => diagnose(path),
        _ => None,
    }
}

/// The one place that talks to the C library without a net.
///
/// JUSTIFICATION: `rustix` leaves starting processes to the C library, and the standard library's
/// `Command` cannot reset all signals without the much slower `fork`.
mod sys {
    use std::ffi::CString;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::ptr;

    use rustix::process::Pid;

    /// Starts `argv[0]`, searched in PATH if it has no slash, with `stdio` as its descriptors 0, 1
    /// and 2, in `working_dir`, as the leader of a new process group, with every signal at its
    /// default and none blocked. Other descriptors are closed by their close-on-exec flag.
    pub(super) fn spawn(
        argv: &[CString],
        environment: &[CString],
        working_dir: &CString,
        stdio: [&OwnedFd; 3],
    ) -> io::Result<Pid> {
        let argv_pointers = pointers(argv);
        let environment_pointers = pointers(environment);
        let mut attributes = Attributes::new()?;
        attributes.set()?;
        let mut actions = Actions::new()?;
        for (fd, target) in stdio.iter().zip(0..) {
            // SAFETY: `actions.0` was initialised by `new`; both numbers are open descriptors or
            // targets, which is all that dup2 asks for.
            check(unsafe {
                libc::posix_spawn_file_actions_adddup2(&mut actions.0, fd.as_raw_fd(), target)
            })?;
        }
        // SAFETY: `actions.0` was initialised; the path is NUL-terminated and copied by the call.
        check(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&mut actions.0, working_dir.as_ptr())
        })?;
        let mut pid = 0;
        // SAFETY: every pointer is to a live, initialised object; both vectors end in a null
        // pointer and point to NUL-terminated strings that outlive the call. posix_spawn does not
        // write through them, its prototype merely lacks a const.
        check(unsafe {
            libc::posix_spawnp(
                &mut pid,
                argv_pointers[0],
                &actions.0,
                &attributes.0,
                argv_pointers.as_ptr(),
                environment_pointers.as_ptr(),
            )
        })?;
        Pid::from_raw(pid).ok_or_else(|| io::Error::other("posix_spawn gave no process id"))
    }

    fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
        strings
            .iter()
            .map(|s| s.as_ptr().cast_mut())
            .chain([ptr::null_mut()])
            .collect()
    }

    fn check(code: libc::c_int) -> io::Result<()> {
        match code {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    struct Attributes(libc::posix_spawnattr_t);

    impl Attributes {
        fn new() -> io::Result<Self> {
            let mut raw = MaybeUninit::uninit();
            // SAFETY: init writes the whole object, which is only used after it succeeded. It
            // holds no pointer to itself, so it may be moved.
            unsafe {
                check(libc::posix_spawnattr_init(raw.as_mut_ptr()))?;
                Ok(Attributes(raw.assume_init()))
            }
        }

        fn set(&mut self) -> io::Result<()> {
            let flags = libc::POSIX_SPAWN_SETPGROUP
                | libc::POSIX_SPAWN_SETSIGDEF
                | libc::POSIX_SPAWN_SETSIGMASK;
            let mut signals = MaybeUninit::uninit();
            // SAFETY: `self.0` was initialised by `new`; the signal set is initialised by
            // sigemptyset before it is read, and copied by the setters. It is a set of bits, of
            // which any combination is valid. All of them, and not what sigfillset gives: that
            // leaves out the signals that the C library uses itself, and then posix_spawn has the
            // action start with those ignored.
            unsafe {
                libc::sigemptyset(signals.as_mut_ptr());
                check(libc::posix_spawnattr_setsigmask(
                    &mut self.0,
                    signals.as_ptr(),
                ))?;
                signals.as_mut_ptr().write_bytes(0xff, 1);
                check(libc::posix_spawnattr_setsigdefault(
                    &mut self.0,
                    signals.as_ptr(),
                ))?;
                check(libc::posix_spawnattr_setpgroup(&mut self.0, 0))?;
                check(libc::posix_spawnattr_setflags(
                    &mut self.0,
                    flags as libc::c_short,
                ))
            }
        }
    }

    impl Drop for Attributes {
        fn drop(&mut self) {
            // SAFETY: initialised by `new`, destroyed once.
            unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
        }
    }

    struct Actions(libc::posix_spawn_file_actions_t);

    impl Actions {
        fn new() -> io::Result<Self> {
            let mut raw = MaybeUninit::uninit();
            // SAFETY: as for `Attributes`.
            unsafe {
                check(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
                Ok(Actions(raw.assume_init()))
            }
        }
    }

    impl Drop for Actions {
        fn drop(&mut self) {
            // SAFETY: initialised by `new`, destroyed once.
            unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
        }
    }
}
