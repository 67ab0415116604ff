//! The start of a resident process: until it counts as started, and what is known of the first line that
//! it writes.

use std::path::Path;
use std::time::{Duration, Instant};

use super::ack::{self, Ack};
use super::conversation::{Conversation, Finish, Heard, Terms};
use crate::config::{Greeting, ProcessLimits, ResidentConfig};
use crate::error::StartError;
use crate::init::place::Numbered;
use crate::init::verify::Recorded;
use crate::run::Logs;
use crate::run::collect::Cut;
use crate::run::confine::Confined;
use crate::run::env::Environment;
use crate::run::spawn::{Parent, Program};
use crate::run::status::MemoryGroup;
use crate::run::stop::Stop;

/// How long the first line is waited for of a process that seems to write one when it has started.
pub(super) const FIRST_LINE: Duration = Duration::from_secs(2);

/// What every call needs that belongs to the action and not to the process.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    pub settings: &'a ResidentConfig,
    pub limits: &'a ProcessLimits,
    pub parent: &'a Parent,
    pub confined: Option<&'a Confined>,
    pub stop: &'a Stop,
    /// Where it is looked whether memory ran out.
    pub memory: Option<&'a MemoryGroup>,
}

/// What is started.
pub(crate) struct Launch {
    /// Where the executable lies. It is removed with this.
    pub place: Numbered,
    /// What the executable was when init ended.
    pub recorded: Option<Recorded>,
    pub environment: Environment,
}

/// What is known of a line that the process writes to descriptor 3 when it has started, later than was
/// waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstLine {
    /// No reason to think of one.
    Unseen,
    /// What passed for an answer may have been one.
    Suspected,
    /// It was waited for, and none came: what passed for it was something else.
    Disproved,
}

/// How long a first line is waited for in an activation that ends at `until`: the other half of what is
/// left belongs to its answer.
pub(super) fn patience_within(until: Option<Instant>) -> Duration {
    until.map_or(FIRST_LINE, |until| {
        FIRST_LINE.min(until.saturating_duration_since(Instant::now()) / 2)
    })
}

/// Starts the process, waits until it counts as started, and passes over what it has written to
/// descriptor 3 until then: nothing was asked yet. A line is waited for at least as long as `patience`.
/// Tells whether there was one.
pub(super) fn begin(
    start: Start<'_>,
    launch: &Launch,
    patience: Duration,
    until: Option<Instant>,
    logs: &mut Logs<'_>,
) -> Result<(Conversation, bool), StartError> {
    let (mut conversation, has_greeted) = greet(start, launch, patience, until, logs)?;
    let unasked = conversation.take_unasked();
    let unasked = unasked.map_err(|e| StartError::Run(Box::new(e)))?;
    if !unasked.is_empty() {
        note_unasked(&unasked, logs);
    }
    Ok((conversation, has_greeted || !unasked.is_empty()))
}

fn note_unasked(lines: &[u8], logs: &mut Logs<'_>) {
    let shown = String::from_utf8_lossy(lines.trim_ascii_end());
    let shown: String = shown.chars().take(200).collect();
    logs.note(format_args!(
        "ignored {shown:?}, which the action wrote to descriptor 3 before it was asked"
    ));
}

/// Starts the process and waits until it counts as started. Tells whether a line has shown it.
fn greet(
    start: Start<'_>,
    launch: &Launch,
    patience: Duration,
    until: Option<Instant>,
    logs: &mut Logs<'_>,
) -> Result<(Conversation, bool), StartError> {
    let executable = launch.place.executable();
    let program = Program {
        path: &executable,
        arguments: &[],
        environment: &launch.environment,
        working_dir: executable.parent().unwrap_or(Path::new("/")),
        parent: start.parent,
        confined: start.confined,
    };
    let failed = |e| StartError::Run(Box::new(e));
    let kills_before = start.memory.and_then(MemoryGroup::killed);
    let (child, results) = program.spawn_resident().map_err(failed)?;
    let mut conversation = Conversation::new(child, results, kills_before);
    let greeting = start.settings.greeting;
    let until_alive = match greeting {
        Greeting::Ack => None,
        Greeting::LivesFor(time) => Instant::now().checked_add(time.max(patience)),
    };
    let terms = Terms {
        until: [until, until_alive].into_iter().flatten().min(),
        stop: start.stop,
        max_line: ack::MAX_LINE,
    };
    let heard = conversation.ask(b"", &terms, logs);
    let is_late = until.is_some_and(|until| until <= Instant::now());
    let error = match heard {
        Ok(Heard::Line(line)) => match (Ack::read(&line), greeting) {
            (Ack::Good, _) => return Ok((conversation, true)),
            (Ack::Bad { reason }, Greeting::Ack) => StartError::BadAck { reason },
            (Ack::Bad { .. }, Greeting::LivesFor(_)) => {
                note_unasked(&line, logs);
                return Ok((conversation, true));
            }
        },
        Ok(Heard::Cut(Cut::TimedOut)) if until_alive.is_some() && !is_late => {
            return Ok((conversation, false));
        }
        Ok(Heard::Cut(Cut::TimedOut)) => StartError::TimedOut,
        Ok(Heard::Cut(Cut::Stopped)) => StartError::Stopped,
        Ok(Heard::TooLong) => StartError::BadAck {
            reason: format!("it is longer than {} bytes", ack::MAX_LINE),
        },
        Ok(heard @ (Heard::Exited { .. } | Heard::Closed)) => {
            let how = match heard {
                Heard::Closed => Finish::Cut,
                _ => Finish::Exited,
            };
            let ended = conversation.finish(how, start, logs);
            return Err(match ended {
                Ok(ended) => StartError::Ended { greeting, ended },
                Err(e) => failed(e),
            });
        }
        Err(e) => failed(e),
    };
    conversation
        .finish(Finish::Cut, start, logs)
        .map_err(failed)?;
    Err(error)
}
