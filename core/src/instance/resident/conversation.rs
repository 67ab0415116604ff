//! One started process: a question, its answer, and the logs that are read meanwhile.
//!
//! Nothing here waits for one descriptor alone: a process may write logs, read its question and
//! answer in any order and any amount, and none of its pipes may fill up unread.
//!
//! Before an answer is handed on, what was in the pipes of stdout and stderr when it was read goes to
//! the logs. What the process wrote before it answered is there by then; what a descendant or another
//! thread of it writes later belongs to what comes next.

mod ready;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ioctl_fionread};

use super::{Rest, Start};
use crate::error::{RunError, When};
use crate::run::Logs;
use crate::run::collect::{self, Cut, Limits};
use crate::run::logs::Stream;
use crate::run::spawn::Child;
use crate::run::status::Ended;
use crate::run::stop::Stop;
use crate::tool::Unheld;
use ready::{Ready, Wanted};

pub(crate) use ready::sleep;

/// Bytes read at once: what a pipe holds by default.
const CHUNK: usize = 64 << 10;
/// After descriptor 3 was closed, how long the exit is waited for that most often is the cause.
const EXIT_WAIT: Duration = Duration::from_millis(100);

/// A process that is asked one question after the other.
pub(super) struct Conversation {
    child: Child,
    results: OwnedFd,
    /// What was read of descriptor 3 and is no answer yet: the beginning of a line.
    held: Vec<u8>,
    /// The line that is being read is over the limit: its rest is thrown away.
    is_too_long: bool,
    /// A question was begun and has no answer.
    is_asked: bool,
    /// Since it was started.
    answers: u64,
    /// When the last answer was read, nothing of its question had been.
    is_blind: bool,
    /// Stdout and stderr.
    logs: [LogPipe; 2],
    /// Processes that memory ran out for before it was started.
    kills_before: Option<u64>,
    chunk: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct LogPipe {
    /// The process has closed it.
    is_closed: bool,
    /// The final byte so far is not a newline.
    is_partial: bool,
}

/// Under which terms an answer is waited for.
pub(super) struct Terms<'a> {
    pub until: Option<Instant>,
    pub stop: &'a Stop,
    /// In bytes, without its end.
    pub max_line: usize,
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer, without its newline.
    Line(Vec<u8>),
    /// The answer was over the limit and has been thrown away.
    TooLong,
    /// There is none yet, and nobody waits any longer.
    Cut(Cut),
    /// The process has exited: in answer to this, or before it had taken any of the question.
    Exited { when: When },
    /// Descriptor 3 is closed, and the process runs on.
    Closed,
}

/// How a process comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It has exited; what it left of its group is ended as after any activation.
    Exited,
    /// It gets TERM, then KILL.
    Cut,
}

impl Conversation {
    /// Of a process that was just started; `kills_before` is what its memory group counted before that.
    pub(super) fn new(child: Child, results: OwnedFd, kills_before: Option<u64>) -> Self {
        Conversation {
            child,
            results,
            held: Vec::new(),
            is_too_long: false,
            is_asked: false,
            answers: 0,
            is_blind: false,
            logs: [LogPipe::default(); 2],
            kills_before,
            chunk: Vec::with_capacity(CHUNK),
        }
    }

    /// Why the next line on descriptor 3 need not be the answer to the next question, if that is so.
    pub(super) fn out_of_step(&self) -> Option<&'static str> {
        if self.is_asked {
            return Some("the action was left in the middle of an activation");
        }
        if !self.held.is_empty() || self.is_too_long || in_pipe(&self.results) > 0 {
            return Some("the action wrote to descriptor 3 what is no answer to an activation");
        }
        // One byte: who reads JSON and not lines may leave the end of the line.
        if self.is_blind || self.child.stdin.as_ref().map_or(0, in_pipe) > 1 {
            return Some("the action answered without reading what it was asked");
        }
        None
    }

    /// Of one that is out of step: whether the only answer so far may have been a greeting.
    pub(super) fn may_have_greeted(&self) -> bool {
        !self.is_asked && self.answers == 1
    }

    /// Takes off descriptor 3 the whole lines that stand there before anything was asked. What comes
    /// later is seen by [`out_of_step`](Self::out_of_step).
    pub(super) fn take_unasked(&mut self) -> Result<Vec<u8>, RunError> {
        let mut owed = in_pipe(&self.results);
        while owed > 0 {
            self.chunk.clear();
            match rustix::io::read(&self.results, spare_capacity(&mut self.chunk)) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => owed = owed.saturating_sub(count as u64),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(failed("read the action's result", e)),
            }
            self.held.extend_from_slice(&self.chunk);
        }
        let end = memchr::memrchr(b'\n', &self.held).map_or(0, |newline| newline + 1);
        Ok(self.held.drain(..end).collect())
    }

    /// Writes `question`, which ends in a newline, and waits for a line on descriptor 3. With an empty
    /// question it only waits.
    pub(super) fn ask(
        &mut self,
        question: &[u8],
        terms: &Terms<'_>,
        logs: &mut Logs<'_>,
    ) -> Result<Heard, RunError> {
        self.is_asked = !question.is_empty();
        let heard = self.wait_for_line(question, terms, logs)?;
        if matches!(heard, Heard::Line(_) | Heard::TooLong) {
            self.answers += u64::from(self.is_asked);
            self.is_asked = false;
            self.pass_what_stands(logs)?;
            self.end_lines(logs);
        }
        Ok(heard)
    }

    fn wait_for_line(
        &mut self,
        question: &[u8],
        terms: &Terms<'_>,
        logs: &mut Logs<'_>,
    ) -> Result<Heard, RunError> {
        let mut rest = question;
        let mut stdin_end = self.feed(&mut rest);
        let mut until = terms.until;
        let mut results_end = PipeEnd::Open;
        loop {
            let wanted = Wanted {
                stdin: !rest.is_empty() && stdin_end == PipeEnd::Open,
                results: results_end == PipeEnd::Open,
                stop: terms.stop,
                wakes: &[],
            };
            let ready = self.wait(wanted, until)?;
            self.pass_ready(ready, logs)?;
            if results_end == PipeEnd::Open && (ready.results || ready.exit) {
                match self.read_line(terms.max_line)? {
                    Read::Line(heard) => {
                        let unread = self.child.stdin.as_ref().map_or(0, in_pipe);
                        self.is_blind = !question.is_empty()
                            && rest.len() as u64 + unread == question.len() as u64;
                        return Ok(heard);
                    }
                    Read::Nothing => {}
                    Read::End => {
                        results_end = PipeEnd::Closed;
                        let soon = Instant::now() + EXIT_WAIT;
                        until = Some(until.map_or(soon, |until| until.min(soon)));
                    }
                }
            }
            if ready.exit {
                let has_taken_nothing = !question.is_empty() && rest.len() == question.len();
                return Ok(Heard::Exited {
                    when: match has_taken_nothing {
                        true => When::Earlier,
                        false => When::Now,
                    },
                });
            }
            if ready.stop {
                return Ok(Heard::Cut(Cut::Stopped));
            }
            if ready.stdin {
                stdin_end = self.feed(&mut rest);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(match results_end {
                    PipeEnd::Closed => Heard::Closed,
                    PipeEnd::Open => Heard::Cut(Cut::TimedOut),
                });
            }
        }
    }

    /// Waits until the process writes or exits, one of `wakes` is readable, or `longest` is over.
    pub(super) fn rest(
        &self,
        wakes: &[BorrowedFd<'_>],
        stop: &Stop,
        longest: Option<Duration>,
    ) -> Result<Rest, RunError> {
        let until = longest.and_then(|longest| Instant::now().checked_add(longest));
        loop {
            let ready = self.wait(Wanted::nothing(stop, wakes), until)?;
            if ready.exit || ready.logs.contains(&true) {
                return Ok(Rest::Untended);
            }
            let is_over = until.is_some_and(|until| until <= Instant::now());
            if ready.wake || ready.stop || is_over {
                return Ok(Rest::Woken);
            }
        }
    }

    /// Hands on what the process has written; whether it has exited.
    pub(super) fn tend(&mut self, stop: &Stop, logs: &mut Logs<'_>) -> Result<bool, RunError> {
        let ready = self.wait(Wanted::nothing(stop, &[]), Some(Instant::now()))?;
        self.pass_ready(ready, logs)?;
        Ok(ready.exit)
    }

    /// Brings the process to its end, waits for it, and hands on the last that it writes.
    pub(super) fn finish(
        self,
        how: Finish,
        start: Start<'_>,
        logs: &mut Logs<'_>,
    ) -> Result<Ended, RunError> {
        let limits = Limits {
            until: match how {
                Finish::Exited => None,
                Finish::Cut => Some(Instant::now()),
            },
            kill_grace: start.limits.kill_grace,
            linger: start.limits.linger,
            late_result: None,
            memory: start
                .memory
                .zip(self.kills_before)
                .map(|(group, before)| group.watch_since(before)),
        };
        let mut stdout = Unheld {
            is_partial: self.logs[0].is_partial,
        };
        let collected = collect::collect(self.child, &[], &limits, start.stop, &mut stdout, logs);
        // Open until now: a late answer must not break a process that ends in order.
        drop(self.results);
        stdout.end_line(logs);
        Ok(collected?.ended)
    }

    /// Gives stdin what it takes now of `question`, and leaves the rest. A process that has closed it
    /// is seen to exit, or may answer all the same; the rest is what it has not taken.
    fn feed(&self, question: &mut &[u8]) -> PipeEnd {
        let Some(stdin) = &self.child.stdin else {
            return PipeEnd::Closed;
        };
        match rustix::io::write(stdin, question) {
            Ok(count) => *question = question.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A broken pipe stays ready: who goes on waiting for it never sleeps.
            Err(_) => return PipeEnd::Closed,
        }
        PipeEnd::Open
    }

    /// Reads from descriptor 3 until a line is whole or nothing is left.
    fn read_line(&mut self, max: usize) -> Result<Read, RunError> {
        loop {
            self.chunk.clear();
            match rustix::io::read(&self.results, spare_capacity(&mut self.chunk)) {
                Ok(0) => return Ok(Read::End),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(Read::Nothing),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(failed("read the action's result", e)),
            }
            let newline = memchr::memchr(b'\n', &self.chunk);
            let part = &self.chunk[..newline.unwrap_or(self.chunk.len())];
            self.is_too_long |= self.held.len() + part.len() > max;
            match self.is_too_long {
                true => self.held = Vec::new(),
                false => self.held.extend_from_slice(part),
            }
            if let Some(newline) = newline {
                let line = std::mem::take(&mut self.held);
                self.held.extend_from_slice(&self.chunk[newline + 1..]);
                return Ok(Read::Line(match std::mem::take(&mut self.is_too_long) {
                    true => Heard::TooLong,
                    false => Heard::Line(line),
                }));
            }
        }
    }

    fn pass_ready(&mut self, ready: Ready, logs: &mut Logs<'_>) -> Result<(), RunError> {
        for stream in [0, 1] {
            if ready.logs[stream] {
                self.pass(stream, logs)?;
            }
        }
        Ok(())
    }

    /// Hands on what stands in the pipes now.
    fn pass_what_stands(&mut self, logs: &mut Logs<'_>) -> Result<(), RunError> {
        if self.are_logs_empty() {
            return Ok(());
        }
        for stream in [0, 1] {
            let mut owed = in_pipe(self.pipe(stream));
            while owed > 0 && !self.logs[stream].is_closed {
                owed = owed.saturating_sub(self.pass(stream, logs)? as u64);
            }
        }
        Ok(())
    }

    /// Reads a pipe that has something, or is closed, and hands that on.
    fn pass(&mut self, stream: usize, logs: &mut Logs<'_>) -> Result<usize, RunError> {
        let pipe = match stream {
            0 => &self.child.stdout,
            _ => &self.child.stderr,
        };
        self.chunk.clear();
        match rustix::io::read(pipe, spare_capacity(&mut self.chunk)) {
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => return Ok(0),
            Err(e) => return Err(failed("read the action's output", e)),
        }
        let state = &mut self.logs[stream];
        match self.chunk.last() {
            None => state.is_closed = true,
            Some(last) => state.is_partial = *last != b'\n',
        }
        logs.write(STREAMS[stream], &self.chunk);
        Ok(self.chunk.len())
    }

    /// Completes the last line of each stream.
    fn end_lines(&mut self, logs: &mut Logs<'_>) {
        for stream in [0, 1] {
            if std::mem::take(&mut self.logs[stream].is_partial) {
                logs.write(STREAMS[stream], b"\n");
            }
        }
    }

    fn pipe(&self, stream: usize) -> &OwnedFd {
        match stream {
            0 => &self.child.stdout,
            _ => &self.child.stderr,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeEnd {
    Open,
    Closed,
}

enum Read {
    Line(Heard),
    Nothing,
    End,
}

/// The streams as they are numbered here.
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// Bytes that stand in a pipe, by either of its ends.
fn in_pipe(pipe: &OwnedFd) -> u64 {
    ioctl_fionread(pipe).unwrap_or(0)
}

fn failed(doing: &'static str, e: Errno) -> RunError {
    RunError::Io {
        doing,
        source: e.into(),
    }
}
