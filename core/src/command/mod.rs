//! Hooks that are commands: the runner that has them, and how each is called.

mod call;
mod line;
mod variables;

use crate::error::{HookError, RunError, VerifyError};
use crate::init::verify::Executable;
use crate::message::{InitRequest, Outcome, RunRequest};
use crate::run::env::Environment;
use crate::run::{Activation, Logs};
use crate::runner::{ActionRunner, Staged};

pub(crate) use call::{Call, main_of, value_without_code};
pub use line::CommandLine;

/// The hooks that may be a command, in the order in which an init calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before anything is done with the code, also where none came.
    Preinit,
    /// When the code is unpacked.
    Epilogue,
    /// After that: makes the executable.
    Build,
    /// When the executable has been found fit to run.
    Verify,
    /// Last: prints variables for the action.
    Env,
}

impl Hook {
    /// All of them, in order.
    pub const ALL: [Hook; 5] = [
        Hook::Preinit,
        Hook::Epilogue,
        Hook::Build,
        Hook::Verify,
        Hook::Env,
    ];

    /// As messages and `ACTION_HOOK` have it.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Preinit => "preinit",
            Hook::Epilogue => "epilogue",
            Hook::Build => "build",
            Hook::Verify => "verify",
            Hook::Env => "env",
        }
    }
}

/// A language runtime whose hooks are commands, over another runner: a hook that has a command is
/// that, and its method of the other runner is not called; `verify` is called before the command, and
/// `env` and `run` at every activation.
///
/// Each command runs once in an init, as a process group of its own, under the time limit of init. It
/// fails the init by any exit status but 0. Its output goes to the logs as it comes. Its working
/// directory is the staging directory; of `preinit`, and where no code came, it is the action
/// directory. Its environment is the configured one, with init's `env` over it, and
///
/// - `ACTION_HOOK`: `preinit`, `epilogue`, `build`, `verify` or `env`;
/// - `ACTION_STAGE`: its working directory;
/// - `ACTION_SOURCE`, `ACTION_EXECUTABLE`: the file that text code was written to, and the file that
///   is run. All three are absolute. For `preinit` of a resident process the two are empty: the
///   directory of an init is made later;
/// - `ACTION_MAIN`, `ACTION_NAME`: `main` of the init message, or `main` where it has none, and its
///   `name`, or nothing;
/// - `ACTION_FORM`: `text` or `binary`, as the code came; empty where none did.
///
/// On stdin it has the value of the init message as one line of JSON, without `code`; values of `env`
/// are strings there.
///
/// What `env` prints on stdout are variables for the action, over init's `env`: `NAME=value` lines, or,
/// where a NUL is in them, `NAME=value` separated by NULs. An activation's own come over those.
#[derive(Debug, Clone, Default)]
pub struct CommandRunner<R> {
    /// Called first at every init.
    pub preinit: Option<CommandLine>,
    /// May append to the received source.
    pub epilogue: Option<CommandLine>,
    /// Builds the source into the executable.
    pub build: Option<CommandLine>,
    /// Looks at the executable, once, before it is installed.
    pub verify: Option<CommandLine>,
    /// Prints variables.
    pub env: Option<CommandLine>,
    /// Whose hooks are called where there is no command.
    pub inner: R,
}

impl<R> CommandRunner<R> {
    /// No commands over `inner`.
    pub fn new(inner: R) -> Self {
        CommandRunner {
            preinit: None,
            epilogue: None,
            build: None,
            verify: None,
            env: None,
            inner,
        }
    }

    /// The command of a hook.
    pub fn of(&self, hook: Hook) -> Option<&CommandLine> {
        match hook {
            Hook::Preinit => self.preinit.as_ref(),
            Hook::Epilogue => self.epilogue.as_ref(),
            Hook::Build => self.build.as_ref(),
            Hook::Verify => self.verify.as_ref(),
            Hook::Env => self.env.as_ref(),
        }
    }
}

impl<R: ActionRunner> ActionRunner for CommandRunner<R> {
    fn command(&self, hook: Hook) -> Option<&CommandLine> {
        self.of(hook).or_else(|| self.inner.command(hook))
    }

    fn build_commands(&self) -> Option<Vec<CommandLine>> {
        let own = [&self.epilogue, &self.build].into_iter().flatten().cloned();
        let mut all = match (&self.epilogue, &self.build) {
            (Some(_), Some(_)) => Vec::new(),
            _ => self.inner.build_commands()?,
        };
        all.extend(own);
        Some(all)
    }

    fn preinit(&self, request: &InitRequest, logs: &mut Logs<'_>) -> Result<(), HookError> {
        match self.preinit {
            Some(_) => Ok(()),
            None => self.inner.preinit(request, logs),
        }
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        match &self.epilogue {
            Some(line) => staged.call(Hook::Epilogue, line),
            None => self.inner.epilogue(staged),
        }
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        match &self.build {
            Some(line) => staged.call(Hook::Build, line),
            None => self.inner.build(staged),
        }
    }

    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        self.inner.verify(executable)
    }

    fn env(&self, base: Environment, request: &RunRequest) -> Environment {
        self.inner.env(base, request)
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        self.inner.run(activation, logs)
    }
}
