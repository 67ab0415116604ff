//! What hooks are given, made by hand: for the unit tests of whoever writes a runner.

use std::path::PathBuf;

use crate::config::{Config, InstanceKind};
use crate::error::InitError;
use crate::init::decode;
use crate::init::place::{self, Paths};
use crate::init::unpack::unpack;
use crate::init::verify::Executable;
use crate::message::{InitRequest, Received, RunRequest};
use crate::run::env::Environment;
use crate::run::spawn::Parent;
use crate::run::{Activation, Logs};
use crate::runner::Staged;
use crate::tool::Tools;

/// An init and its runs whose hooks a test calls by itself, one by one.
///
/// ```
/// use actionproxy_core::{ActionRunner, Code, Config, HookError, InitRequest, Logs, Rehearsal};
/// use actionproxy_core::{RunRequest, Staged};
///
/// struct Shell;
///
/// impl ActionRunner for Shell {
///     fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
///         staged.append("main \"$@\"")
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let code = Code::Text("#!/bin/sh\nmain() { echo \"{\\\"got\\\":$1}\"; }\n".into());
/// let rehearsal = Rehearsal::new(Config::new(dir.path()), InitRequest::new(code))?;
/// let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
/// let mut logs = Logs::new(&mut stdout, &mut stderr);
///
/// Shell.epilogue(&mut rehearsal.staged(&mut logs)).map_err(|e| e.to_string())?;
/// Shell.verify(&rehearsal.executable())?;
/// let run = RunRequest::new("[1]");
/// let outcome = Shell.run(rehearsal.activation(&run), &mut logs)?;
/// assert_eq!(outcome.result, b"{\"got\":[1]}");
/// # Ok(())
/// # }
/// ```
///
/// Nothing is installed: what the hooks of an init see as their staging directory is the action
/// directory itself, and a run runs what is there. There is no time limit but a
/// run's own, and no [`Confinement`](crate::Confinement).
pub struct Rehearsal {
    config: Config,
    request: InitRequest,
    received: Received,
    paths: Paths,
    parent: Parent,
    executable: PathBuf,
    working_dir: PathBuf,
}

impl Rehearsal {
    /// Makes the action directory where it is missing, and unpacks the code of `request` into it.
    ///
    /// # Errors
    /// [`InitError`], as an init has it.
    pub fn new(config: Config, mut request: InitRequest) -> Result<Self, InitError> {
        let config = place::absolute(config)?;
        let paths = Paths::in_dir(&config.action_dir, &config);
        for dir in [&paths.received, &paths.built] {
            std::fs::create_dir_all(dir).map_err(InitError::io("create", dir))?;
        }
        let received = Received::of(request.code.as_ref());
        if let Some(code) = request.code.take() {
            let payload = match config.instance {
                InstanceKind::Process => decode::decode(code)?,
                InstanceKind::Resident(_) => decode::decode_any(code)?,
            };
            unpack(
                payload,
                &paths.received,
                &paths.source,
                &paths.program,
                &config.unpack,
            )?;
        }
        let executable = paths.executable();
        let working_dir = executable
            .parent()
            .map_or_else(|| config.action_dir.clone(), PathBuf::from);
        Ok(Rehearsal {
            config,
            request,
            received,
            paths,
            parent: Parent::learn(),
            executable,
            working_dir,
        })
    }

    /// What `preinit` is given: the request, without its code.
    pub fn request(&self) -> &InitRequest {
        &self.request
    }

    /// What `epilogue` and `build` are given. The tools that they run print to `logs`.
    pub fn staged<'a, 'l>(&'a self, logs: &'a mut Logs<'l>) -> Staged<'a, 'l> {
        Staged {
            tools: Tools {
                working_dir: &self.config.action_dir,
                environment: &self.config.env,
                limits: &self.config.process,
                until: None,
                stop: &self.request.stop,
                parent: &self.parent,
            },
            paths: &self.paths,
            config: &self.config,
            request: &self.request,
            received: self.received,
            logs,
        }
    }

    /// What `verify` is given during an init.
    pub fn executable(&self) -> Executable<'_> {
        Executable {
            path: &self.executable,
            policy: self.config.verify,
            recorded: None,
        }
    }

    /// What `env` is given as its base: the configured environment, and init's over it.
    pub fn environment(&self) -> Environment {
        let mut environment = self.config.env.clone();
        environment.merge(&self.request.env);
        environment
    }

    /// What `run` is given. Its process, if one is started, is a process for this activation alone, even
    /// with [`InstanceKind::Resident`].
    pub fn activation<'a>(&'a self, request: &'a RunRequest) -> Activation<'a> {
        let mut environment = self.environment();
        environment.merge(&request.env);
        Activation {
            executable: self.executable.clone(),
            working_dir: self.working_dir.clone(),
            argument: request.argument.clone(),
            environment,
            limits: &self.config.process,
            time_limit: request.time_limit,
            stop: &request.stop,
            parent: &self.parent,
            confined: None,
            memory: None,
            respondent: None,
        }
    }
}
