//! Feeds a process and collects both its streams in one poll loop, until it has exited and its
//! output has ended, or a limit has passed.
//!
//! Exit and end of output are two events: a descendant may keep a pipe open after the main process
//! has gone, and a process may close its output and run on. Neither is taken for the other.
//!
//! The process is reaped last. Until then it is at most a zombie, so its id, which is also the id
//! of its group, cannot have gone to anybody else when the group is signalled.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::Logs;
use super::result::LastLine;
use super::spawn::Child;
use super::status::Ended;
use super::stop::Stop;
use crate::error::RunError;

/// Bytes read at once: what a pipe holds by default.
const CHUNK: usize = 64 << 10;
/// How often the exit is looked for where the kernel has no descriptor for it.
const EXIT_TICK: Duration = Duration::from_millis(5);
/// After KILL and the exit, how long a pipe is waited for that a descendant outside the group holds.
const ABANDON: Duration = Duration::from_millis(100);
/// A descendant that keeps writing is given this many times the silence it is allowed.
const LINGER_FACTOR: u32 = 10;

/// The limits of one process.
pub(crate) struct Limits {
    pub until: Option<Instant>,
    pub kill_grace: Duration,
    pub linger: Option<Duration>,
}

/// Why a process was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    TimedOut,
    Stopped,
}

/// How it went.
pub(crate) struct Collected {
    pub ended: Ended,
    pub cut: Option<Cut>,
}

/// Where stdout goes: an action's last line is held back, a build tool's is not.
pub(crate) trait Stdout {
    fn push(&mut self, chunk: &[u8], log: &mut dyn Write);
}

impl Stdout for LastLine {
    fn push(&mut self, chunk: &[u8], log: &mut dyn Write) {
        LastLine::push(self, chunk, log);
    }
}

/// Runs the loop. When it returns, the process is reaped, whatever the result.
pub(crate) fn collect(
    child: Child,
    input: &[u8],
    limits: &Limits,
    stop: &Stop,
    stdout: &mut dyn Stdout,
    logs: &mut Logs<'_>,
) -> Result<Collected, RunError> {
    let pid = child.pid;
    let mut collecting = Collecting {
        pid,
        input: if child.stdin.is_some() { input } else { &[] },
        exit: child.exit,
        stdin: child.stdin,
        out: Some(child.stdout),
        err: Some(child.stderr),
        exited: None,
        ending: Ending::Not,
        cut: None,
        chunk: Vec::with_capacity(CHUNK),
        err_partial: false,
    };
    let looped = collecting.run(limits, stop, stdout, logs);
    if collecting.err_partial {
        let _ = logs.stderr.write_all(b"\n");
    }
    let cut = collecting.cut;
    let leaves_nobody = looped.is_err() || !matches!(collecting.ending, Ending::Not);
    // Descriptors first: a process that still writes must not keep us waiting for its exit.
    drop(collecting);
    if leaves_nobody {
        // Also those of the group that hold no pipe, and whose end nobody waited for.
        signal(pid, Signal::KILL);
    }
    let ended = reap(pid)?;
    looped.map(|()| Collected { ended, cut })
}

struct Collecting<'a> {
    pid: Pid,
    /// What stdin has not taken yet.
    input: &'a [u8],
    exit: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    /// When the main process was seen to have exited, and when it was last heard of since.
    exited: Option<Exited>,
    ending: Ending,
    cut: Option<Cut>,
    chunk: Vec<u8>,
    /// Whether the final byte of stderr so far is not a newline.
    err_partial: bool,
}

#[derive(Clone, Copy)]
struct Exited {
    at: Instant,
    last_output: Instant,
    /// What was in stdout's and stderr's pipe then. The process itself may have written it, so it
    /// is read whatever the limits say and however long the log takes it.
    owed: [u64; 2],
}

#[derive(Clone, Copy)]
enum Ending {
    Not,
    /// TERM was sent; KILL is due at this time.
    Terminated(Instant),
    /// KILL was sent, then.
    Killed(Instant),
}

/// Which descriptor a poll entry stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Out,
    Err,
    Stdin,
    Exit,
    Stop,
}

impl Collecting<'_> {
    fn run(
        &mut self,
        limits: &Limits,
        stop: &Stop,
        stdout: &mut dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<(), RunError> {
        loop {
            let output_ended = self.out.is_none() && self.err.is_none();
            if self.exited.is_some() && output_ended {
                return Ok(());
            }
            let due = self.due(limits);
            if let Some(due) = due
                && due <= Instant::now()
                && self.escalate(limits)?
            {
                return Ok(());
            }
            let ready = self.wait(self.due(limits), stop)?;
            for (source, flags) in ready {
                self.serve(source, flags, limits, stdout, logs)?;
            }
            if self.exit.is_none() && self.exited.is_none() && has_exited(self.pid)? {
                self.note_exit();
            }
        }
    }

    /// When the next thing is due, whatever the descriptors do.
    fn due(&self, limits: &Limits) -> Option<Instant> {
        match (self.ending, self.exited) {
            (Ending::Terminated(at), _) => Some(at),
            // It takes as long as the kernel needs, and its last output is still to come.
            (Ending::Killed(_), None) => None,
            (Ending::Killed(at), Some(exited)) => Some(exited.at.max(at) + ABANDON),
            (Ending::Not, None) => limits.until,
            (Ending::Not, Some(exited)) => {
                let lingered = limits.linger.map(|linger| {
                    let silent = exited.last_output + linger;
                    silent.min(exited.at + linger * LINGER_FACTOR)
                });
                match (limits.until, lingered) {
                    (Some(until), Some(lingered)) => Some(until.min(lingered)),
                    (until, lingered) => until.or(lingered),
                }
            }
        }
    }

    /// What is due is done; true if there is nothing left to wait for.
    fn escalate(&mut self, limits: &Limits) -> Result<bool, RunError> {
        match self.ending {
            Ending::Not => {
                // A log that is slow to take what it is given may have kept us from seeing that
                // the main process had its time and used it well: only its descendants are late.
                if self.exited.is_none() && has_exited(self.pid)? {
                    self.note_exit();
                    return Ok(false);
                }
                if self.exited.is_none() {
                    self.cut = Some(Cut::TimedOut);
                }
                self.terminate(limits);
                Ok(false)
            }
            Ending::Terminated(_) => {
                signal(self.pid, Signal::KILL);
                self.ending = Ending::Killed(Instant::now());
                Ok(false)
            }
            Ending::Killed(_) => Ok(self.exited.is_some_and(|e| e.owed == [0, 0])),
        }
    }

    fn terminate(&mut self, limits: &Limits) {
        signal(self.pid, Signal::TERM);
        // A stopped process takes no TERM until it goes on.
        signal(self.pid, Signal::CONT);
        self.ending = Ending::Terminated(Instant::now() + limits.kill_grace);
    }

    fn wait(
        &self,
        due: Option<Instant>,
        stop: &Stop,
    ) -> Result<impl Iterator<Item = (Source, PollFlags)> + use<>, RunError> {
        let readable = PollFlags::IN;
        let watched: [(Source, Option<BorrowedFd<'_>>, PollFlags); 5] = [
            (Source::Out, self.out.as_ref().map(AsFd::as_fd), readable),
            (Source::Err, self.err.as_ref().map(AsFd::as_fd), readable),
            (
                Source::Stdin,
                self.stdin.as_ref().map(AsFd::as_fd),
                PollFlags::OUT,
            ),
            (
                Source::Exit,
                self.exit
                    .as_ref()
                    .filter(|_| self.exited.is_none())
                    .map(AsFd::as_fd),
                readable | PollFlags::OUT,
            ),
            (
                Source::Stop,
                Some(stop.as_fd()).filter(|_| matches!(self.ending, Ending::Not)),
                readable,
            ),
        ];
        // Unused places hold the first descriptor again, behind the end of what is polled.
        let filler = stop.as_fd();
        let mut sources = [Source::Stop; 5];
        let mut fds: [PollFd<'_>; 5] =
            std::array::from_fn(|_| PollFd::from_borrowed_fd(filler, PollFlags::empty()));
        let mut count = 0;
        for (source, fd, flags) in watched {
            if let Some(fd) = fd {
                sources[count] = source;
                fds[count] = PollFd::from_borrowed_fd(fd, flags);
                count += 1;
            }
        }
        let mut timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        if self.exit.is_none() && self.exited.is_none() {
            timeout = Some(timeout.map_or(EXIT_TICK, |t| t.min(EXIT_TICK)));
        }
        // A time too long for the kernel is as good as none.
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        let mut ready = [(Source::Stop, PollFlags::empty()); 5];
        match poll(&mut fds[..count], timeout.as_ref()) {
            Ok(_) => {
                for (at, fd) in fds[..count].iter().enumerate() {
                    ready[at] = (sources[at], fd.revents());
                }
            }
            Err(Errno::INTR) => {}
            Err(e) => {
                return Err(RunError::Io {
                    doing: "wait for the action",
                    source: e.into(),
                });
            }
        }
        Ok(ready.into_iter().filter(|(_, flags)| !flags.is_empty()))
    }

    fn serve(
        &mut self,
        source: Source,
        flags: PollFlags,
        limits: &Limits,
        stdout: &mut dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<(), RunError> {
        match source {
            Source::Out => {
                if read(&mut self.out, &mut self.chunk)? {
                    stdout.push(&self.chunk, logs.stdout);
                    self.heard(0);
                }
            }
            Source::Err => {
                if read(&mut self.err, &mut self.chunk)? {
                    let _ = logs.stderr.write_all(&self.chunk);
                    self.err_partial = !self.chunk.ends_with(b"\n");
                    self.heard(1);
                }
            }
            Source::Stdin => self.feed(flags),
            // Linux 5.2 gives such descriptors and cannot poll them: then they are always ready,
            // to be written to as well.
            Source::Exit if flags.contains(PollFlags::OUT) => self.exit = None,
            Source::Exit => self.note_exit(),
            Source::Stop => {
                if self.exited.is_none() {
                    self.cut = Some(Cut::Stopped);
                }
                self.terminate(limits);
            }
        }
        Ok(())
    }

    /// The chunk came from stdout (0) or stderr (1) and is in the log.
    fn heard(&mut self, stream: usize) {
        if let Some(exited) = &mut self.exited {
            exited.last_output = Instant::now();
            exited.owed[stream] = exited.owed[stream].saturating_sub(self.chunk.len() as u64);
        }
    }

    fn note_exit(&mut self) {
        let now = Instant::now();
        let inside = |pipe: &Option<OwnedFd>| {
            let pipe = pipe.as_ref()?;
            rustix::io::ioctl_fionread(pipe).ok()
        };
        self.exited = Some(Exited {
            at: now,
            last_output: now,
            owed: [&self.out, &self.err].map(|pipe| inside(pipe).unwrap_or(0)),
        });
        // Nobody is left to read it; a descendant that holds the pipe was not meant.
        self.stdin = None;
    }

    /// Gives stdin what it takes now. A process that does not read its input is not at fault.
    fn feed(&mut self, flags: PollFlags) {
        let Some(stdin) = &self.stdin else { return };
        let written = if flags.contains(PollFlags::OUT) {
            rustix::io::write(stdin, self.input)
        } else {
            Err(Errno::PIPE)
        };
        match written {
            Ok(count) => self.input = self.input.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }
}

/// Fills `chunk` from `pipe`, which is ready; false, and the pipe closed, at its end.
fn read(pipe: &mut Option<OwnedFd>, chunk: &mut Vec<u8>) -> Result<bool, RunError> {
    let Some(fd) = pipe else { return Ok(false) };
    chunk.clear();
    match rustix::io::read(&*fd, spare_capacity(chunk)) {
        Ok(0) => {
            *pipe = None;
            Ok(false)
        }
        Ok(_) => Ok(true),
        Err(Errno::INTR | Errno::AGAIN) => Ok(false),
        Err(e) => Err(RunError::Io {
            doing: "read the action's output",
            source: e.into(),
        }),
    }
}

/// Signals the group, and its leader, who may have joined another one. An error only says that
/// nobody is there any more.
fn signal(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
    let _ = kill_process(leader, signal);
}

fn has_exited(pid: Pid) -> Result<bool, RunError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    wait(pid, options).map(|status| status.is_some())
}

fn reap(pid: Pid) -> Result<Ended, RunError> {
    let status = wait(pid, WaitIdOptions::EXITED)?;
    Ok(status.map_or(Ended::Exited(0), |status| Ended::from_wait(&status)))
}

fn wait(
    pid: Pid,
    options: WaitIdOptions,
) -> Result<Option<rustix::process::WaitIdStatus>, RunError> {
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => return Ok(status),
            Err(Errno::INTR) => {}
            Err(e) => {
                return Err(RunError::Io {
                    doing: "learn how the action ended",
                    source: e.into(),
                });
            }
        }
    }
}
