//! The hooks: what a language runtime may do its own way, each with its default.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::{HookError, RunError, VerifyError};
use crate::init::place::Paths;
use crate::init::verify::Executable;
use crate::message::{InitRequest, Outcome, RunRequest};
use crate::run::collect::{self, Collected, Cut, Limits};
use crate::run::env::Environment;
use crate::run::logs::{LogSink, Stream};
use crate::run::spawn::{Parent, Program};
use crate::run::status::{Cause, Ended, MemoryGroup};
use crate::run::stop::Stop;
use crate::run::{Activation, Logs};

/// A language runtime: every hook can be overridden alone.
///
/// The names and the order are those of upstream's `ActionRunner`. Init calls `preinit`, then,
/// where code came, `epilogue` and `build`, then `verify`; a run calls `verify`, `env` and `run`.
/// All hooks but `preinit` and `run` see a staging directory or nothing at all, so a failure
/// leaves the previous action as it was.
///
/// Hooks run on an ordinary thread and may block. A hook that panics fails its request.
pub trait ActionRunner: Send + Sync {
    /// Called first at every init, with or without code.
    ///
    /// # Errors
    /// Fail the init.
    fn preinit(&self, _request: &InitRequest, _logs: &mut Logs<'_>) -> Result<(), HookError> {
        Ok(())
    }

    /// May append to the received source: glue, an entry point.
    ///
    /// # Errors
    /// Fail the init.
    fn epilogue(&self, _staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        Ok(())
    }

    /// May build the source into the executable.
    ///
    /// # Errors
    /// Fail the init.
    fn build(&self, _staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        Ok(())
    }

    /// Whether the executable is fit to run. Default: [`Executable::check`].
    ///
    /// # Errors
    /// Fail the init or the run.
    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        executable.check()
    }

    /// The environment of one activation, on top of `base`: the configured variables and those
    /// of init. Default: adds the request's.
    fn env(&self, mut base: Environment, request: &RunRequest) -> Environment {
        base.merge(&request.env);
        base
    }

    /// Runs one activation. Default: [`Activation::execute`]. An override may refuse with
    /// [`RunError::Refused`].
    ///
    /// # Errors
    /// There is no result.
    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        activation.execute(logs)
    }
}

impl<R: ActionRunner + ?Sized> ActionRunner for Box<R> {
    fn preinit(&self, request: &InitRequest, logs: &mut Logs<'_>) -> Result<(), HookError> {
        (**self).preinit(request, logs)
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        (**self).epilogue(staged)
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        (**self).build(staged)
    }

    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        (**self).verify(executable)
    }

    fn env(&self, base: Environment, request: &RunRequest) -> Environment {
        (**self).env(base, request)
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        (**self).run(activation, logs)
    }
}

/// The runner with every default: what is received is what runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeRunner;

impl ActionRunner for NativeRunner {}

/// Received code in its staging directory, as `epilogue` and `build` see it.
///
/// The directory becomes part of the action directory when init succeeds: what a build leaves
/// here is installed, and a path to it that a build writes down will not hold afterwards.
pub struct Staged<'a, 'l> {
    pub(crate) dir: &'a Path,
    pub(crate) paths: &'a Paths,
    pub(crate) config: &'a Config,
    pub(crate) request: &'a InitRequest,
    pub(crate) environment: &'a Environment,
    pub(crate) until: Option<Instant>,
    pub(crate) stop: &'a Stop,
    pub(crate) parent: &'a Parent,
    pub(crate) logs: &'a mut Logs<'l>,
}

impl<'l> Staged<'_, 'l> {
    /// The staging directory.
    pub fn dir(&self) -> &Path {
        self.dir
    }

    /// The file that text code was written to.
    pub fn source(&self) -> PathBuf {
        self.paths.source()
    }

    /// The file that has to be there, executable, when `build` is done.
    pub fn executable(&self) -> PathBuf {
        self.paths.executable()
    }

    /// Where the action will stand, and where the previous one stands now.
    pub fn action_dir(&self) -> &Path {
        &self.config.action_dir
    }

    /// The request; its code has been taken out and unpacked.
    pub fn request(&self) -> &InitRequest {
        self.request
    }

    /// The log streams.
    pub fn logs(&mut self) -> &mut Logs<'l> {
        self.logs
    }

    /// Appends `text` to the source, on a line of its own.
    ///
    /// # Errors
    /// Where the source cannot be written.
    pub fn append(&mut self, text: &str) -> Result<(), HookError> {
        let path = self.source();
        let needs_newline = !fs::read(&path)?.ends_with(b"\n");
        let mut file = OpenOptions::new().append(true).open(&path)?;
        let newline = if needs_newline { "\n" } else { "" };
        file.write_all(format!("{newline}{text}").as_bytes())?;
        Ok(())
    }

    /// Runs a tool, a compiler for instance, in the staging directory, with an empty stdin and its
    /// output in the logs. Unless it has a slash, `program` is searched in the PATH of the
    /// environment that it is given: the configured one and init's. The time limit of init holds,
    /// for the tool's whole process group.
    ///
    /// # Errors
    /// The tool could not be started, did not exit with status 0, or passed the limit.
    pub fn tool<A: AsRef<OsStr>>(
        &mut self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<(), HookError> {
        let program = program.as_ref();
        let name = program.to_string_lossy();
        match self.drive(program, arguments, None)? {
            (Ended::Exited(0), _) => Ok(()),
            (ended @ Ended::Exited(status), cause) => Err(match ended.words_behind_status(cause) {
                Some(words) => format!("`{name}` exited with status {status}: {words}").into(),
                None => format!("`{name}` exited with status {status}").into(),
            }),
            (Ended::Signaled(killed), _) => Err(format!("`{name}` was {killed}").into()),
        }
    }

    /// The same, but that what the tool prints comes back and is not in the logs: both streams as
    /// one, in the order in which they were read, no more than `max_bytes`.
    ///
    /// # Errors
    /// The tool could not be started, or passed the limit. How it ended is for the caller to judge.
    pub fn tool_output<A: AsRef<OsStr>>(
        &mut self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
        max_bytes: usize,
    ) -> Result<(Ended, Vec<u8>), HookError> {
        let mut kept = Kept {
            printed: Vec::new(),
            max_bytes,
        };
        let mut logs = Logs::to(&mut kept);
        let (ended, _) = self.drive(program.as_ref(), arguments, Some(&mut logs))?;
        Ok((ended, kept.printed))
    }

    /// Runs a tool with its output in `logs`, or in those of the init.
    fn drive<A: AsRef<OsStr>>(
        &mut self,
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
        logs: Option<&mut Logs<'_>>,
    ) -> Result<(Ended, Cause), HookError> {
        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|a| a.as_ref().to_os_string())
            .collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|a| a.as_bytes()).collect();
        let limits = &self.config.process;
        let memory = MemoryGroup::of_this_process();
        let child = Program {
            path: Path::new(program),
            arguments: &arguments,
            environment: self.environment,
            working_dir: self.dir,
            parent: self.parent,
            // It is the image author's, and may need more than the action.
            confined: None,
        }
        .spawn(&[])?;
        let limits = Limits {
            until: self.until,
            kill_grace: limits.kill_grace,
            linger: limits.linger.or(Some(Duration::from_millis(200))),
            late_result: None,
            memory: memory.as_ref().and_then(MemoryGroup::watch),
        };
        let mut stdout = Unheld::default();
        let collected = match logs {
            Some(logs) => collect::collect(child, &[], &limits, self.stop, &mut stdout, logs),
            None => {
                let logs = &mut *self.logs;
                let collected = collect::collect(child, &[], &limits, self.stop, &mut stdout, logs);
                stdout.end_line(logs);
                collected
            }
        };
        let Collected { ended, cause, cut } = collected?;
        match cut {
            None => Ok((ended, cause)),
            Some(Cut::TimedOut) => Err(HookError::timed_out()),
            Some(Cut::Stopped) => Err(HookError::stopped()),
        }
    }
}

/// Keeps what is written, up to a limit.
struct Kept {
    printed: Vec<u8>,
    max_bytes: usize,
}

impl LogSink for Kept {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        let room = self.max_bytes.saturating_sub(self.printed.len());
        self.printed
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
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
