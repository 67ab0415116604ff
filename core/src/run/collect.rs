//! Feeds a process and collects both its streams in one poll loop, until it has exited and its
//! output has ended, or a limit has passed.
//!
//! Exit and end of output are two events: a descendant may keep a pipe open after the main process
//! has gone, and a process may close its output and run on. Neither is taken for the other.
//!
//! The process is reaped last. Until then it is at most a zombie, so its id, which is also the id
//! of its group, cannot have gone to anybody else when the group is signalled.

mod exited;
mod holders;
mod process;
mod ready;

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::logs::{Logs, Stream};
use super::result::LastLine;
use super::spawn::Child;
use super::status::{Cause, Ended, MemoryWatch};
use super::stop::Stop;
use crate::error::RunError;
use exited::{Exited, Waits};
pub(crate) use process::has_exited;
use process::{reap, signal};
use ready::Source;

/// Bytes read at once: what a pipe holds by default.
const CHUNK: usize = 64 << 10;
/// How often the exit is looked for where the kernel has no descriptor for it.
const EXIT_TICK: Duration = Duration::from_millis(5);
/// After KILL and the exit, how long a pipe is waited for that a descendant outside the group holds.
const ABANDON: Duration = Duration::from_millis(100);

/// The limits of one process.
pub(crate) struct Limits<'a> {
    pub until: Option<Instant>,
    pub kill_grace: Duration,
    pub linger: Option<Duration>,
    pub late_result: Option<Duration>,
    pub memory: Option<MemoryWatch<'a>>,
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
    /// Why it was killed, or a program that it ran was, if its status says so.
    pub cause: Cause,
    pub cut: Option<Cut>,
}

/// Where stdout goes: an action's last line is held back, a build tool's is not.
pub(crate) trait Stdout {
    fn push(&mut self, chunk: &[u8], log: &mut dyn Write);

    /// Whether something is still to come, without which it was all in vain.
    fn awaits_more(&self) -> bool;
}

impl Stdout for LastLine {
    fn push(&mut self, chunk: &[u8], log: &mut dyn Write) {
        LastLine::push(self, chunk, log);
    }

    fn awaits_more(&self) -> bool {
        !self.stands()
    }
}

/// Runs the loop. When it returns, the process is reaped, whatever the result.
pub(crate) fn collect(
    child: Child,
    input: &[u8],
    limits: &Limits<'_>,
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
        logs.write(Stream::Stderr, b"\n");
    }
    let cut = collecting.cut;
    let leaves_nobody = looped.is_err() || !matches!(collecting.ending, Ending::Not);
    // Descriptors first: a process that still writes must not keep us waiting for its exit.
    drop(collecting);
    if leaves_nobody {
        // Also those of the group that hold no pipe, and whose end nobody waited for.
        signal(pid, Signal::KILL);
    }
    let (ended, cause) = reap(pid, limits.memory.as_ref())?;
    looped.map(|()| Collected { ended, cause, cut })
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
enum Ending {
    Not,
    /// TERM was sent; KILL is due at this time, unless that is too far away.
    Terminated(Option<Instant>),
    /// KILL was sent, then.
    Killed(Instant),
}

impl Collecting<'_> {
    fn run(
        &mut self,
        limits: &Limits<'_>,
        stop: &Stop,
        stdout: &mut dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<(), RunError> {
        loop {
            if self.has_ended() {
                return Ok(());
            }
            if self.is_due(limits) {
                // What is late may have come in time, on a machine that let us look only now.
                let now = Some(Instant::now());
                self.serve_ready(now, limits, stop, stdout, logs)?;
                let has_ended = self.has_ended();
                if has_ended || self.is_due(limits) && self.escalate(limits, stdout, logs)? {
                    return Ok(());
                }
            }
            self.serve_ready(self.due(limits), limits, stop, stdout, logs)?;
            if self.exit.is_none() && self.exited.is_none() && has_exited(self.pid)? {
                self.note_exit();
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.exited.is_some() && self.out.is_none() && self.err.is_none()
    }

    fn is_due(&self, limits: &Limits<'_>) -> bool {
        self.due(limits).is_some_and(|due| due <= Instant::now())
    }

    /// Waits until something is ready, no longer than `until`, and serves it.
    fn serve_ready(
        &mut self,
        until: Option<Instant>,
        limits: &Limits<'_>,
        stop: &Stop,
        stdout: &mut dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<(), RunError> {
        let ready = self.wait(until, stop)?;
        for (source, flags) in ready {
            self.serve(source, flags, limits, stdout, logs)?;
        }
        Ok(())
    }

    /// When the next thing is due, whatever the descriptors do.
    fn due(&self, limits: &Limits<'_>) -> Option<Instant> {
        match (self.ending, self.exited) {
            (Ending::Terminated(at), _) => at,
            // It takes as long as the kernel needs, and its last output is still to come.
            (Ending::Killed(_), None) => None,
            (Ending::Killed(at), Some(exited)) => Some(exited.at.max(at) + ABANDON),
            (Ending::Not, None) => limits.until,
            (Ending::Not, Some(exited)) => {
                let until = [limits.until, exited.patience_ends(limits)];
                until.into_iter().flatten().min()
            }
        }
    }

    /// What is due is done; true if there is nothing left to wait for.
    fn escalate(
        &mut self,
        limits: &Limits<'_>,
        stdout: &dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<bool, RunError> {
        match self.ending {
            Ending::Not => {
                // A log that is slow to take what it is given may have kept us from seeing that
                // the main process had its time and used it well: only its descendants are late.
                if self.exited.is_none() && has_exited(self.pid)? {
                    self.note_exit();
                    return Ok(false);
                }
                match &mut self.exited {
                    None => self.cut = Some(Cut::TimedOut),
                    Some(exited)
                        if exited.waits == Waits::Lingering
                            && self.out.is_some()
                            && limits.until.is_none_or(|until| until > Instant::now())
                            && stdout.awaits_more() =>
                    {
                        exited.wait(Waits::ForResult);
                        return Ok(false);
                    }
                    Some(exited) => {
                        let waited = exited.at.elapsed();
                        self.name_holders(waited, logs);
                    }
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

    /// Says who is not waited for any longer.
    fn name_holders(&mut self, waited: Duration, logs: &mut Logs<'_>) {
        let pipes = [("stdout", &self.out), ("stderr", &self.err)];
        // What is still to be read of a pipe that everybody has closed is nobody's fault but the log's.
        let pipes = pipes.map(|(name, pipe)| Some((name, pipe.as_ref().filter(|p| is_held(p))?)));
        if pipes.iter().all(Option::is_none) {
            return;
        }
        let holders = holders::find(pipes.into_iter().flatten());
        if std::mem::take(&mut self.err_partial) {
            logs.write(Stream::Stderr, b"\n");
        }
        logs.note(format_args!(
            "{holders}, {:.1} s after the action itself has exited; it is not waited for any longer",
            waited.as_secs_f64()
        ));
    }

    fn terminate(&mut self, limits: &Limits<'_>) {
        signal(self.pid, Signal::TERM);
        // A stopped process takes no TERM until it goes on.
        signal(self.pid, Signal::CONT);
        // One that waits for more input learns that there is none, and not before it is told to end.
        self.stdin = None;
        self.ending = Ending::Terminated(Instant::now().checked_add(limits.kill_grace));
    }

    fn wait(
        &self,
        due: Option<Instant>,
        stop: &Stop,
    ) -> Result<impl Iterator<Item = (Source, PollFlags)> + use<>, RunError> {
        let (readable, writable) = (PollFlags::IN, PollFlags::OUT);
        let exit = self.exit.as_ref().filter(|_| self.exited.is_none());
        let stop = stop
            .descriptor()
            .filter(|_| matches!(self.ending, Ending::Not));
        let watched = [
            (Source::Out, self.out.as_ref().map(AsFd::as_fd), readable),
            (Source::Err, self.err.as_ref().map(AsFd::as_fd), readable),
            (
                Source::Stdin,
                // Not while there is nothing to give: it may be kept open for more to come.
                self.stdin
                    .as_ref()
                    .filter(|_| !self.input.is_empty())
                    .map(AsFd::as_fd),
                writable,
            ),
            (Source::Exit, exit.map(AsFd::as_fd), readable | writable),
            (Source::Stop, stop, readable),
        ];
        let mut timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        if self.exit.is_none() && self.exited.is_none() {
            timeout = Some(timeout.map_or(EXIT_TICK, |t| t.min(EXIT_TICK)));
        }
        ready::wait(watched, timeout)
    }

    fn serve(
        &mut self,
        source: Source,
        flags: PollFlags,
        limits: &Limits<'_>,
        stdout: &mut dyn Stdout,
        logs: &mut Logs<'_>,
    ) -> Result<(), RunError> {
        match source {
            Source::Out => {
                if read(&mut self.out, &mut self.chunk)? {
                    stdout.push(&self.chunk, &mut logs.stdout());
                    self.heard(0);
                }
                // A result may stand now; at the end of stdout none can come.
                if let Some(exited) = &mut self.exited {
                    exited.wait(Waits::Lingering);
                }
            }
            Source::Err => {
                if read(&mut self.err, &mut self.chunk)? {
                    logs.write(Stream::Stderr, &self.chunk);
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
        let inside = |pipe: &Option<OwnedFd>| {
            let pipe = pipe.as_ref()?;
            rustix::io::ioctl_fionread(pipe).ok()
        };
        let owed = [&self.out, &self.err].map(|pipe| inside(pipe).unwrap_or(0));
        self.exited = Some(Exited::now(owed));
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

/// Whether somebody could still write into `pipe`.
fn is_held(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_err() || !fds[0].revents().contains(PollFlags::HUP)
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
