//! The hooks: what a language runtime may do its own way, each with its default.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::command::{Call, CommandLine, Hook};
use crate::config::Config;
use crate::error::{HookError, RunError, VerifyError};
use crate::init::place::Paths;
use crate::init::verify::Executable;
use crate::message::{InitRequest, Outcome, Received, RunRequest};
use crate::run::env::Environment;
use crate::run::status::Ended;
use crate::run::{Activation, Logs};
use crate::tool::{Kept, Tools, Unheld, Words};

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

    /// The command that core runs once in an init at the place of `hook`, after the method of that
    /// name: of [`Hook::Preinit`], [`Hook::Verify`] and [`Hook::Env`], whose methods can run none. See
    /// [`CommandRunner`](crate::CommandRunner). Default: none. A runner over another one hands it on,
    /// like every hook.
    fn command(&self, _hook: Hook) -> Option<&CommandLine> {
        None
    }

    /// The commands by which `epilogue` and `build` make what they make, and nothing else does: then a
    /// build cache may keep it, by these commands and their programs. Default: that cannot be told, and
    /// nothing is kept.
    fn build_commands(&self) -> Option<Vec<CommandLine>> {
        None
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

    fn command(&self, hook: Hook) -> Option<&CommandLine> {
        (**self).command(hook)
    }

    fn build_commands(&self) -> Option<Vec<CommandLine>> {
        (**self).build_commands()
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        (**self).run(activation, logs)
    }
}

/// The runner with every default: what is received is what runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeRunner;

impl ActionRunner for NativeRunner {
    fn build_commands(&self) -> Option<Vec<CommandLine>> {
        Some(Vec::new())
    }
}

/// Received code in its staging directory, as `epilogue` and `build` see it.
///
/// The directory becomes part of the action directory when init succeeds: what a build leaves
/// here is installed, and a path to it that a build writes down will not hold afterwards.
pub struct Staged<'a, 'l> {
    /// Their working directory is the stage.
    pub(crate) tools: Tools<'a>,
    pub(crate) paths: &'a Paths,
    pub(crate) config: &'a Config,
    pub(crate) request: &'a InitRequest,
    pub(crate) received: Received,
    pub(crate) logs: &'a mut Logs<'l>,
}

impl<'l> Staged<'_, 'l> {
    /// The staging directory.
    pub fn dir(&self) -> &Path {
        self.tools.working_dir
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
        let words = words(program.as_ref(), arguments);
        self.tools.run_logged(&words, &[], self.logs)
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
        let words = words(program.as_ref(), arguments);
        let mut logs = Logs::to(&mut kept);
        let (ended, _) = self
            .tools
            .run(&words, &[], &mut Unheld::default(), &mut logs)?;
        Ok((ended, kept.printed))
    }

    /// Runs the command of a hook.
    pub(crate) fn call(&mut self, hook: Hook, line: &CommandLine) -> Result<(), HookError> {
        Call {
            hook,
            line,
            tools: self.tools,
            request: self.request,
            received: self.received,
            source: &self.paths.source(),
            executable: &self.paths.executable(),
        }
        .run(self.logs)
    }
}

fn words<'p, A: AsRef<OsStr>>(
    program: &'p OsStr,
    arguments: impl IntoIterator<Item = A>,
) -> Words<'p> {
    let arguments = arguments.into_iter();
    Words {
        program,
        arguments: arguments.map(|a| a.as_ref().to_os_string()).collect(),
    }
}
