//! A resident process: started by init, asked once an activation, started anew where a limit has
//! cut it off.
//!
//! ```text
//! stdin         the question, a line            ─┐ one activation
//! descriptor 3  the answer, a line              ─┘
//! stdout, stderr  logs: read while it answers, and while nothing is asked
//! ```
//! An answer is known for its question's by order alone. So whatever breaks the order ends the
//! process: a question that was given up, a line that nobody asked for, a question that was answered
//! without being read. The next activation starts it anew; where the first answer since a start may have
//! been a greeting, the next start waits for one. A process that ended by itself is not
//! started again, unless it is revived: the platform is told, and takes another container.

mod ack;
mod conversation;
mod start;
mod turns;

pub(crate) use conversation::sleep;
pub(crate) use start::{Launch, Start};

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{RunError, StartError, When};
use crate::init::verify::Recorded;
use crate::message::{Outcome, TimeLimit};
use crate::run::Logs;
use crate::run::collect::Cut;
use crate::run::confine::Confined;
use crate::run::logs::Stream;
use crate::run::status::Ended;
use conversation::{Conversation, Finish, Heard, Terms};
use start::{FIRST_LINE, FirstLine, begin, patience_within};
use turns::{Missed, Turns};

/// A process that has been started at least once, and what it takes to start it again.
///
/// It ends, and its directory goes, by [`Resident::end`]; one that is dropped has nobody to wait for
/// it, and is left to whoever ends this program.
pub(crate) struct Resident {
    launch: Launch,
    turns: Turns,
    process: Mutex<Process>,
}

struct Process {
    state: State,
    first_line: FirstLine,
}

enum State {
    /// It waits for a question.
    Waiting(Conversation),
    /// It was ended from outside. The next activation starts it.
    Cut,
    /// It ended by itself.
    Ended(Ended),
}

/// Why [`Action::rest`](crate::Action::rest) is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// A descriptor is readable, or the time is over.
    Woken,
    /// The resident process has written or exited: [`Action::tend`](crate::Action::tend) is due.
    Untended,
}

/// Who answers an activation.
#[derive(Clone, Copy)]
pub(crate) struct Respondent<'a> {
    pub resident: &'a Resident,
    pub start: Start<'a>,
    /// Looks at the executable before it is started again. What runs is in memory, and what has become
    /// of the file since does not touch it.
    pub verify: &'a (dyn Fn() -> Result<(), RunError> + Sync),
}

impl Resident {
    /// Starts it. What it writes until it counts as started goes to `logs`.
    pub(crate) fn start(
        start: Start<'_>,
        launch: Launch,
        until: Option<Instant>,
        logs: &mut Logs<'_>,
    ) -> Result<Self, StartError> {
        ack::check_environment(&launch.place.executable(), start.settings)?;
        let (conversation, _) = begin(start, &launch, Duration::ZERO, until, logs)?;
        Ok(Resident {
            launch,
            turns: Turns::default(),
            process: Mutex::new(Process {
                state: State::Waiting(conversation),
                first_line: FirstLine::Unseen,
            }),
        })
    }

    pub(crate) fn executable(&self) -> PathBuf {
        self.launch.place.executable()
    }

    /// What the executable was when init ended.
    pub(crate) fn recorded(&self) -> Option<&Recorded> {
        self.launch.recorded.as_ref()
    }

    /// One that has ended by itself is from now on like one that was cut off.
    pub(crate) fn revive(&self) {
        let state = &mut self.process().state;
        if let State::Ended(_) = *state {
            *state = State::Cut;
        }
    }

    /// Waits for the answer. Activations that come meanwhile wait for their turn, within their own
    /// limits: one that has had its time then is not asked, and costs the process nothing.
    fn run(
        &self,
        start: Start<'_>,
        verify: &dyn Fn() -> Result<(), RunError>,
        mut question: Vec<u8>,
        time_limit: Option<TimeLimit>,
        logs: &mut Logs<'_>,
    ) -> Result<Outcome, RunError> {
        // None: the time is too far away.
        let until = time_limit.and_then(|limit| Instant::now().checked_add(limit.duration()));
        question.push(b'\n');
        let timed_out = || match time_limit {
            Some(limit) => RunError::TimedOut { limit },
            None => RunError::Stopped,
        };
        let _turn = self.turns.wait(start.stop, until).map_err(|e| match e {
            Missed::Stopped => RunError::Stopped,
            Missed::TimedOut => timed_out(),
            Missed::Failed(e) => e,
        })?;
        let process = &mut *self.process();
        if start.stop.is_requested() {
            return Err(RunError::Stopped);
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return Err(timed_out());
        }
        let Process { state, first_line } = process;
        // Nobody else can ask between this look and the question.
        if let State::Waiting(conversation) = &*state
            && let Some(reason) = conversation.out_of_step()
        {
            logs.note(format_args!("{reason}; it is started anew"));
            if conversation.may_have_greeted() && *first_line == FirstLine::Unseen {
                *first_line = FirstLine::Suspected;
                logs.note(format_args!(
                    "the action may write a line when it starts: from now on that is waited for, up to \
                     {FIRST_LINE:?}, until it does not come"
                ));
            }
            cut(state, start, logs)?;
        }
        if let State::Cut = *state {
            verify()?;
            let patience = match first_line {
                FirstLine::Suspected => patience_within(until),
                FirstLine::Unseen | FirstLine::Disproved => Duration::ZERO,
            };
            let begun = begin(start, &self.launch, patience, until, logs);
            let (conversation, has_spoken) = begun.map_err(|e| match (e, time_limit) {
                (StartError::TimedOut, Some(limit)) => RunError::TimedOut { limit },
                (StartError::Stopped, _) => RunError::Stopped,
                (e, _) => RunError::Restart(e),
            })?;
            *state = State::Waiting(conversation);
            if !patience.is_zero() && !has_spoken {
                *first_line = FirstLine::Disproved;
                logs.note("the action wrote no line when it started: none is waited for any more");
            }
        }
        let conversation = match state {
            State::Waiting(conversation) => conversation,
            State::Ended(ended) => return Err(earlier(*ended)),
            // Begun above.
            State::Cut => return Err(RunError::NotInitialized),
        };
        let terms = Terms {
            until,
            stop: start.stop,
            max_line: start.limits.max_result,
        };
        let heard = conversation.ask(&question, &terms, logs);
        if heard.is_err() {
            let _ = cut(state, start, logs);
        }
        match heard? {
            Heard::Line(line) => answer(line, logs),
            Heard::TooLong => Err(RunError::ResultTooLarge {
                limit: start.limits.max_result,
            }),
            Heard::Cut(why) => {
                cut(state, start, logs)?;
                Err(match (why, time_limit) {
                    (Cut::TimedOut, Some(limit)) => RunError::TimedOut { limit },
                    _ => RunError::Stopped,
                })
            }
            Heard::Exited { when } => {
                let ended = end(state, Finish::Exited, start, logs)?;
                if let Some(limits) = start.confined.and_then(Confined::quiet_limits) {
                    logs.note(format_args!("the action ended; {limits}"));
                }
                Err(RunError::Ended {
                    when,
                    ended,
                    reason: None,
                })
            }
            Heard::Closed => {
                let ended = end(state, Finish::Cut, start, logs)?;
                Err(RunError::Ended {
                    when: When::Now,
                    ended,
                    reason: Some("the action closed descriptor 3"),
                })
            }
        }
    }

    /// Waits while the process is asked nothing, for what it does and for `wakes`.
    pub(crate) fn rest(
        &self,
        start: Start<'_>,
        wakes: &[BorrowedFd<'_>],
        longest: Option<Duration>,
    ) -> Result<Rest, RunError> {
        match &self.process().state {
            State::Waiting(conversation) => conversation.rest(wakes, start.stop, longest),
            State::Cut | State::Ended(_) => conversation::sleep(wakes, longest),
        }
    }

    /// Hands on what the process has written, and brings it to its end where it has exited.
    pub(crate) fn tend(&self, start: Start<'_>, logs: &mut Logs<'_>) -> Result<(), RunError> {
        let state = &mut self.process().state;
        if let State::Waiting(conversation) = state
            && conversation.tend(start.stop, logs)?
        {
            let ended = end(state, Finish::Exited, start, logs)?;
            logs.note(format_args!("{ended}, between activations"));
        }
        Ok(())
    }

    /// Ends the process and its group, with TERM first, and waits for it.
    pub(crate) fn end(&self, start: Start<'_>, logs: &mut Logs<'_>) {
        // It is over, whatever is wrong with it.
        let _ = cut(&mut self.process().state, start, logs);
    }

    /// After a panic in the middle of a question, the conversation knows that it is out of step.
    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Respondent<'_> {
    /// Asks `question`, a line without its end. Starts the process where it was cut off, or is out of
    /// step with the questions.
    pub(crate) fn answer(
        self,
        question: Vec<u8>,
        time_limit: Option<TimeLimit>,
        logs: &mut Logs<'_>,
    ) -> Result<Outcome, RunError> {
        self.resident
            .run(self.start, self.verify, question, time_limit, logs)
    }
}

fn earlier(ended: Ended) -> RunError {
    RunError::Ended {
        when: When::Earlier,
        ended,
        reason: None,
    }
}

/// The line as a result; a line that is none goes to the log.
fn answer(line: Vec<u8>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
    match crate::run::result::check(line) {
        Ok(result) => Ok(Outcome {
            result,
            ended: Ended::Exited(0),
        }),
        Err(bad) => {
            logs.write(Stream::Stderr, &bad.line);
            if !bad.line.ends_with(b"\n") {
                logs.write(Stream::Stderr, b"\n");
            }
            let (length, reason) = (bad.line.len(), bad.reason);
            Err(RunError::BadLine {
                reason: format!("the line on descriptor 3, of {length} bytes, {reason}"),
            })
        }
    }
}

/// Ends a process that would run on.
fn cut(state: &mut State, start: Start<'_>, logs: &mut Logs<'_>) -> Result<(), RunError> {
    match std::mem::replace(state, State::Cut) {
        State::Waiting(conversation) => conversation.finish(Finish::Cut, start, logs).map(|_| ()),
        State::Cut => Ok(()),
        ended @ State::Ended(_) => {
            *state = ended;
            Ok(())
        }
    }
}

/// For a process that has ended by itself, or has made itself of no use.
fn end(
    state: &mut State,
    how: Finish,
    start: Start<'_>,
    logs: &mut Logs<'_>,
) -> Result<Ended, RunError> {
    match std::mem::replace(state, State::Cut) {
        State::Waiting(conversation) => {
            let ended = conversation.finish(how, start, logs)?;
            *state = State::Ended(ended);
            Ok(ended)
        }
        State::Cut => Err(RunError::Stopped),
        State::Ended(ended) => {
            *state = State::Ended(ended);
            Ok(ended)
        }
    }
}
