//! Starts one process with three pipes, or four, in a process group of its own, with every signal at its
//! default and none blocked. Other descriptors are closed by their close-on-exec flag.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use super::confine::Confined;
use super::diagnose::diagnose;
use super::env::Environment;
use crate::error::{RunError, SpawnStep};
use child::{Failure, Memory, Plan};
use pipes::{above_targets, pipe};
pub(crate) use search::file_of;
use signals::Altered;
use strings::Strings;

mod child;
mod pipes;
mod search;
mod signals;
mod strings;

/// What a pipe takes without a reader on every system: one page of the smallest size.
const PIPE_ROOM: usize = 4096;

/// What has to be known of this process to start others.
///
/// Which signals it ignores or handles is asked when this is made and not again: asking the kernel
/// for each of 64 would be felt in every activation. What it handles is the default again after
/// `execve` in any case; what it begins to ignore later, its children ignore too.
#[derive(Debug)]
pub(crate) struct Parent {
    altered: Altered,
    /// Learned with the first child.
    memory: OnceLock<Memory>,
}

impl Parent {
    pub(crate) fn learn() -> Self {
        Parent {
            altered: Altered::learn(),
            memory: OnceLock::new(),
        }
    }

    /// Asks for the signals again.
    pub(crate) fn look_again(&mut self) {
        self.altered = Altered::learn();
    }
}

/// What is to be started.
pub(crate) struct Program<'a> {
    /// Searched in the PATH of `environment` if it has no slash, by the rules of `execvp(3)`, but
    /// that a file which the kernel does not know how to execute is not given to a shell.
    pub path: &'a Path,
    pub arguments: &'a [&'a [u8]],
    pub environment: &'a Environment,
    pub working_dir: &'a Path,
    pub parent: &'a Parent,
    /// What is taken from it.
    pub confined: Option<&'a Confined>,
}

/// What a process is given on its stdin.
enum Feeding<'a> {
    /// This, and then the end.
    Whole(&'a [u8]),
    /// Questions, one after the other; it answers on descriptor 3, which is this.
    LineByLine(BorrowedFd<'a>),
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
    /// Whether the arguments did not fit the command line and were left out.
    pub without_arguments: bool,
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
        self.start(Feeding::Whole(input))
    }

    /// Starts it with a stdin that stays open, and descriptor 3 for results; the other end of that
    /// comes back. Both ends that are ours do not block. Tries again like [`spawn`](Self::spawn).
    pub(crate) fn spawn_resident(&self) -> Result<(Child, OwnedFd), RunError> {
        let (results, write) = pipe().map_err(|e| self.error(e.into()))?;
        rustix::io::ioctl_fionbio(&results, true).map_err(|e| self.error(e.into()))?;
        let write = above_targets(write).map_err(|e| self.error(e.into()))?;
        let child = self.start(Feeding::LineByLine(write.as_fd()))?;
        Ok((child, results))
    }

    fn start(&self, feeding: Feeding<'_>) -> Result<Child, RunError> {
        let strings = Prepared::new(self).map_err(|e| self.error(e.into()))?;
        let mut argv = self
            .argv(self.arguments)
            .map_err(|e| self.error(e.into()))?;
        let mut with_arguments = !self.arguments.is_empty();
        let mut wait = Duration::from_millis(1);
        loop {
            let failure = match self.attempt(&strings, &argv, &feeding) {
                Ok(mut child) => {
                    child.without_arguments = !self.arguments.is_empty() && !with_arguments;
                    return Ok(child);
                }
                Err(failure) => failure,
            };
            match failure.source.raw_os_error() {
                Some(libc::E2BIG) if with_arguments => {
                    with_arguments = false;
                    argv = self.argv(&[]).map_err(|e| self.error(e.into()))?;
                }
                Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ETXTBSY)
                    if wait < Duration::from_millis(500) =>
                {
                    thread::sleep(wait);
                    wait *= 2;
                }
                _ => return Err(self.error(failure)),
            }
        }
    }

    fn attempt(
        &self,
        strings: &Prepared,
        argv: &Strings,
        feeding: &Feeding<'_>,
    ) -> Result<Child, Failure> {
        let (stdin_read, stdin_write) = pipe()?;
        let (stdout_read, stdout_write) = pipe()?;
        let (stderr_read, stderr_write) = pipe()?;
        let stdin = match feeding {
            // Before the start: a short input then needs no part in the poll loop.
            Feeding::Whole(input) if input.len() <= PIPE_ROOM => {
                rustix::io::write(&stdin_write, input)?;
                drop(stdin_write);
                None
            }
            Feeding::Whole(_) | Feeding::LineByLine(_) => {
                rustix::io::ioctl_fionbio(&stdin_write, true)?;
                Some(stdin_write)
            }
        };
        let (stdin_read, stdout_write, stderr_write) = (
            above_targets(stdin_read)?,
            above_targets(stdout_write)?,
            above_targets(stderr_write)?,
        );
        let stdio = [
            stdin_read.as_fd(),
            stdout_write.as_fd(),
            stderr_write.as_fd(),
        ];
        let with_results;
        let descriptors: &[_] = match feeding {
            Feeding::Whole(_) => &stdio,
            Feeding::LineByLine(results) => {
                let [stdin, stdout, stderr] = stdio;
                with_results = [stdin, stdout, stderr, *results];
                &with_results
            }
        };
        let plan = Plan {
            candidates: &strings.candidates.pointers(),
            arguments: &argv.pointers(),
            environment: &strings.environment.pointers(),
            working_dir: &strings.working_dir.pointers(),
            descriptors,
            altered: self.parent.altered,
            confined: self.confined,
        };
        let started = child::start(&plan, &self.parent.memory)?;
        Ok(Child {
            pid: started.pid,
            exit: started.exit,
            stdin,
            stdout: stdout_read,
            stderr: stderr_read,
            without_arguments: false,
        })
    }

    fn argv(&self, arguments: &[&[u8]]) -> io::Result<Strings> {
        let mut argv = Strings::default();
        argv.push(&[self.path.as_os_str().as_bytes()])?;
        for argument in arguments {
            argv.push(&[argument])?;
        }
        Ok(argv)
    }

    fn error(&self, failure: Failure) -> RunError {
        RunError::Spawn {
            path: self.path.to_path_buf(),
            step: failure.step,
            hint: self.hint(&failure),
            source: failure.source,
        }
    }

    /// What the bare errno text does not say.
    fn hint(&self, failure: &Failure) -> Option<String> {
        let user = self.confined.and_then(Confined::user);
        let by = user.map_or(String::new(), |user| {
            format!(" by user {}, group {}", user.uid, user.gid)
        });
        match failure.step {
            SpawnStep::Confine => return Some("its limits could not be set".to_owned()),
            SpawnStep::EnterDirectory => {
                let dir = self.working_dir.display();
                return Some(format!(
                    "its working directory `{dir}` cannot be entered{by}"
                ));
            }
            SpawnStep::Prepare | SpawnStep::Execute => {}
        }
        match failure.source.raw_os_error()? {
            libc::EACCES if user.is_some() => {
                let known = diagnose(self.path);
                let denied = || format!("it may not be reached or executed{by}");
                Some(known.unwrap_or_else(denied))
            }
            libc::E2BIG => Some("the environment does not fit; one variable may hold at most 131,071 bytes, name included".to_owned()),
            libc::EMFILE | libc::ENFILE => Some("no file descriptor is left".to_owned()),
            libc::EAGAIN => Some("no process can be added: the limit of processes is reached".to_owned()),
            libc::ETXTBSY => Some("another process has it open for writing".to_owned()),
            libc::ENOENT if search::is_searched(self.path) => Some("it is in no directory of PATH".to_owned()),
            libc::ENOENT | libc::ENOEXEC | libc::EACCES | libc::EINVAL | libc::ELIBBAD | libc::ELOOP | libc::ENOTDIR | libc::EPERM
                if !search::is_searched(self.path) => diagnose(self.path),
            libc::ENOMEM => {
                let limits = self.confined.and_then(Confined::quiet_limits);
                limits.map(str::to_owned)
            }
            _ => None,
        }
    }
}

/// The strings that every attempt takes.
struct Prepared {
    candidates: Strings,
    environment: Strings,
    working_dir: Strings,
}

impl Prepared {
    fn new(program: &Program<'_>) -> io::Result<Self> {
        let mut environment = Strings::default();
        for (name, value) in program.environment.iter() {
            // Nothing that `set` let in holds a NUL, and what the system gave cannot.
            let _ = environment.push(&[name.as_bytes(), b"=", value.as_bytes()]);
        }
        let mut working_dir = Strings::default();
        working_dir.push(&[program.working_dir.as_os_str().as_bytes()])?;
        Ok(Prepared {
            candidates: search::candidates(program.path, program.environment)?,
            environment,
            working_dir,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;
    use crate::run::collect::{Limits, collect};
    use crate::run::logs::Logs;
    use crate::run::result::{LastLine, Line};
    use crate::run::status::Ended;
    use crate::run::stop::NEVER;

    #[test]
    fn a_descriptor_that_is_always_ready_is_not_taken_for_an_exit() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo > begun; until [ -e go ]; do sleep 0.01; done; echo '{}'";
        let mut child = Program {
            path: Path::new("/bin/sh"),
            arguments: &[b"-c", script.as_bytes()],
            environment: &Environment::default(),
            working_dir: dir.path(),
            parent: &Parent::learn(),
            confined: None,
        }
        .spawn(b"")
        .unwrap();
        // Readable and writable, as a process's descriptor is on Linux 5.2.
        child.exit = Some(eventfd(1, EventfdFlags::CLOEXEC).unwrap());
        let limits = Limits {
            until: None,
            kill_grace: Duration::ZERO,
            // Whatever runs on after what is taken for its exit is ended.
            linger: Some(Duration::ZERO),
            late_result: None,
            memory: None,
        };
        let path: PathBuf = dir.path().into();
        let helper = thread::spawn(move || {
            while !path.join("begun").exists() {
                thread::yield_now();
            }
            fs::write(path.join("go"), "").unwrap();
        });
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut logs = Logs::new(&mut stdout, &mut stderr);
        let mut line = LastLine::new(100);
        let collected = collect(child, b"", &limits, &NEVER, &mut line, &mut logs).unwrap();
        assert_eq!(collected.ended, Ended::Exited(0));
        helper.join().unwrap();
        let line = line.finish(&mut stdout);
        assert!(matches!(line, Line::Candidate(line) if line.line == b"{}\n"));
    }
}
