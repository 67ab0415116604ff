//! One activation: environment, spawn, feed and collect, result.

pub(crate) mod collect;
pub(crate) mod confine;
pub(crate) mod diagnose;
pub mod env;
mod hints;
pub mod logs;
pub mod result;
pub(crate) mod spawn;
pub mod status;
pub mod stop;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::ProcessLimits;
use crate::error::RunError;
use crate::instance::Respondent;
use crate::message::{Outcome, TimeLimit};
use collect::{Collected, Cut, Limits};
use confine::Confined;
use env::Environment;
use hints::Hints;
pub use logs::Logs;
use logs::Stream;
use result::{LastLine, Line};
use spawn::{Parent, Program};
use status::MemoryGroup;
use stop::Stop;

/// One activation, ready to run: what [`ActionRunner::run`](crate::ActionRunner::run) is given.
pub struct Activation<'a> {
    pub(crate) executable: PathBuf,
    pub(crate) working_dir: PathBuf,
    pub(crate) argument: Vec<u8>,
    pub(crate) environment: Environment,
    pub(crate) limits: &'a ProcessLimits,
    pub(crate) time_limit: Option<TimeLimit>,
    pub(crate) stop: &'a Stop,
    pub(crate) parent: &'a Parent,
    pub(crate) confined: Option<&'a Confined>,
    pub(crate) memory: Option<&'a MemoryGroup>,
    /// The process that is asked, where there is one for all.
    pub(crate) respondent: Option<Respondent<'a>>,
}

impl Activation<'_> {
    /// The executable's path.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// The JSON text of the argument.
    pub fn argument(&self) -> &[u8] {
        &self.argument
    }

    /// Replaces the argument, for a runner that wraps it.
    pub fn set_argument(&mut self, argument: Vec<u8>) {
        self.argument = argument;
    }

    /// The environment of the process.
    pub fn environment(&mut self) -> &mut Environment {
        &mut self.environment
    }

    /// The directory that the process runs in.
    pub fn working_dir(&self) -> &Path {
        &self.working_dir
    }

    /// What a process may cost, as configured.
    pub fn limits(&self) -> &ProcessLimits {
        self.limits
    }

    /// How long this run may take from now on: the shorter of the configured limit and its own.
    pub fn time_limit(&self) -> Option<TimeLimit> {
        self.time_limit
    }

    /// What ends this run. One that is not [`execute`](Self::execute)d has to look for it itself, and
    /// is then [`RunError::Stopped`].
    pub fn stop(&self) -> &Stop {
        self.stop
    }

    /// Starts the executable in a process group of its own, feeds it the argument, hands its
    /// output on to `logs` and returns the last line of its stdout. Of a resident process it asks the
    /// argument, and returns the line that answers.
    ///
    /// Blocks until the process has exited and its output has ended, or a limit has passed. It
    /// waits on the calling thread and reaps only the process it started. Descendants that keep a
    /// pipe open are given [`linger`](ProcessLimits::linger), or
    /// [`late_result`](ProcessLimits::late_result) while no result stands, and are then named in
    /// the logs. Those that keep no pipe open are left alone, unless a limit has passed: then all of the
    /// process group end.
    ///
    /// # Errors
    /// [`RunError`]; whatever the error, the logs are complete and end with a newline.
    pub fn execute(self, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        if let Some(respondent) = self.respondent {
            return respondent.answer(self.argument, self.time_limit, logs);
        }
        let started = Instant::now();
        let arguments: &[&[u8]] = match self.argument.len() {
            ..=crate::MAX_ARGUMENT => &[&self.argument],
            _ => &[],
        };
        let program = Program {
            path: &self.executable,
            arguments,
            environment: &self.environment,
            working_dir: &self.working_dir,
            parent: self.parent,
            confined: self.confined,
        };
        let memory = self.memory.and_then(MemoryGroup::watch);
        let child = program.spawn(&self.argument)?;
        let command_line = match arguments.is_empty() || child.without_arguments {
            true => CommandLine::TooShort,
            false => CommandLine::Whole,
        };
        let limits = Limits {
            until: self
                .time_limit
                // None: the time is too far away.
                .and_then(|limit| started.checked_add(limit.duration())),
            kill_grace: self.limits.kill_grace,
            linger: self.limits.linger,
            late_result: self.limits.late_result,
            memory,
        };
        let mut last_line = LastLine::new(self.limits.max_result);
        let collected = collect::collect(
            child,
            &self.argument,
            &limits,
            self.stop,
            &mut last_line,
            logs,
        );
        let printed_nothing = last_line.is_empty();
        let line = last_line.finish(&mut logs.stdout());
        let Collected { ended, cause, .. } = match collected {
            Ok(collected) if collected.cut.is_none() => collected,
            cut_short => {
                // What was held back is no result any more, but it is not lost either.
                if let Line::Candidate(candidate) = &line {
                    write_line(logs, &candidate.line);
                }
                return Err(match (cut_short?.cut, self.time_limit) {
                    (Some(Cut::TimedOut), Some(limit)) => RunError::TimedOut { limit },
                    _ => RunError::Stopped,
                });
            }
        };
        let hints = Hints {
            executable: &self.executable,
            path: self.environment.value("PATH"),
            argument: self.argument.len(),
            command_line,
            ended,
            cause,
            printed_nothing,
            limits: self.confined.and_then(Confined::quiet_limits),
        };
        let reason = match line {
            Line::Candidate(candidate) => match candidate.check() {
                Ok(result) => {
                    if let Some(words) = hints.beside(&result) {
                        logs.note(words);
                    }
                    return Ok(Outcome { result, ended });
                }
                Err(bad) => {
                    write_line(logs, &bad.line);
                    bad.reason
                }
            },
            Line::Logged { reason } => reason,
            Line::TooLarge => {
                return Err(RunError::ResultTooLarge {
                    limit: self.limits.max_result,
                });
            }
        };
        Err(RunError::NoResult {
            reason,
            ended,
            hint: hints.instead_of_result(),
        })
    }
}

/// Whether the argument is on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandLine {
    Whole,
    /// It was too short for the argument.
    TooShort,
}

/// Writes `line` to stdout, and the newline that it may lack; nothing for an empty line.
fn write_line(logs: &mut Logs<'_>, line: &[u8]) {
    logs.write(Stream::Stdout, line);
    if !line.is_empty() && !line.ends_with(b"\n") {
        logs.write(Stream::Stdout, b"\n");
    }
}
