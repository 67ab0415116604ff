//! Runs the programs of hooks: in one directory, under the limits of init, with their output in the
//! logs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::ProcessLimits;
use crate::error::HookError;
use crate::run::Logs;
use crate::run::collect::{self, Collected, Cut, Limits};
use crate::run::env::Environment;
use crate::run::logs::{LogSink, Stream};
use crate::run::spawn::{Parent, Program};
use crate::run::status::{Cause, Ended, MemoryGroup};
use crate::run::stop::Stop;

/// What a program is given, and the limits that it has to keep.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub working_dir: &'a Path,
    pub environment: &'a Environment,
    pub limits: &'a ProcessLimits,
    /// When init has taken as long as it may.
    pub until: Option<Instant>,
    pub stop: &'a Stop,
    pub parent: &'a Parent,
}

/// A program and its arguments. Without a slash it is searched in the PATH of the environment.
pub(crate) struct Words<'a> {
    pub program: &'a OsStr,
    pub arguments: Vec<OsString>,
}

impl Tools<'_> {
    /// Runs the program to its end, with `input` on its stdin.
    ///
    /// # Errors
    /// It could not be started, or passed the limit. How it ended is for the caller to judge.
    pub(crate) fn run(
        &self,
        words: &Words<'_>,
        input: &[u8],
        stdout: &mut Unheld,
        logs: &mut Logs<'_>,
    ) -> Result<(Ended, Cause), HookError> {
        let arguments: Vec<&[u8]> = words.arguments.iter().map(|a| a.as_bytes()).collect();
        let memory = MemoryGroup::of_this_process();
        let child = Program {
            path: Path::new(words.program),
            arguments: &arguments,
            environment: self.environment,
            working_dir: self.working_dir,
            parent: self.parent,
            // It is the image author's, and may need more than the action.
            confined: None,
        }
        .spawn(input)?;
        let limits = Limits {
            until: self.until,
            kill_grace: self.limits.kill_grace,
            linger: self.limits.linger.or(Some(Duration::from_millis(200))),
            late_result: None,
            memory: memory.as_ref().and_then(MemoryGroup::watch),
        };
        let Collected { ended, cause, cut } =
            collect::collect(child, input, &limits, self.stop, stdout, logs)?;
        match cut {
            None => Ok((ended, cause)),
            Some(Cut::TimedOut) => Err(HookError::timed_out()),
            Some(Cut::Stopped) => Err(HookError::stopped()),
        }
    }

    /// The same, with both streams in the logs from the first byte to the last.
    ///
    /// # Errors
    /// Also where it does not exit with status 0.
    pub(crate) fn run_logged(
        &self,
        words: &Words<'_>,
        input: &[u8],
        logs: &mut Logs<'_>,
    ) -> Result<(), HookError> {
        let mut stdout = Unheld::default();
        let ran = self.run(words, input, &mut stdout, logs);
        stdout.end_line(logs);
        let (ended, cause) = ran?;
        judge(words.program, ended, cause)
    }
}

/// # Errors
/// Says how a program failed that did not exit with status 0.
pub(crate) fn judge(program: &OsStr, ended: Ended, cause: Cause) -> Result<(), HookError> {
    let name = program.to_string_lossy();
    match ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(status) => Err(match ended.words_behind_status(cause) {
            Some(words) => format!("`{name}` exited with status {status}: {words}").into(),
            None => format!("`{name}` exited with status {status}").into(),
        }),
        Ended::Signaled(killed) => Err(format!("`{name}` was {killed}").into()),
    }
}

/// The stdout of a tool, or of a process that ends, is log from its first byte to its last.
#[derive(Default)]
pub(crate) struct Unheld {
    /// Whether the final byte so far is not a newline.
    pub is_partial: bool,
}

impl Unheld {
    /// Completes the last line.
    pub(crate) fn end_line(self, logs: &mut Logs<'_>) {
        if self.is_partial {
            logs.write(Stream::Stdout, b"\n");
        }
    }
}

impl collect::Stdout for Unheld {
    fn push(&mut self, chunk: &[u8], log: &mut dyn io::Write) {
        let _ = log.write_all(chunk);
        self.is_partial = !chunk.ends_with(b"\n");
    }

    fn awaits_more(&self) -> bool {
        false
    }
}

/// Keeps what is written, up to a limit.
pub(crate) struct Kept {
    pub printed: Vec<u8>,
    pub max_bytes: usize,
}

impl LogSink for Kept {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        let room = self.max_bytes.saturating_sub(self.printed.len());
        self.printed
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
