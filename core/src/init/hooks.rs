//! The hooks of an init that may be a command and have no staging directory of their own, and what the
//! commands of all of them are run with.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Init;
use crate::command::{Call, CommandLine, Hook};
use crate::config::InstanceKind;
use crate::error::{HookError, InitError};
use crate::message::{InitRequest, Received};
use crate::run::env::Environment;
use crate::tool::Tools;

/// What is asked of one init, but for the code.
#[derive(Clone, Copy)]
pub(super) struct Asked<'r> {
    pub request: &'r InitRequest,
    pub received: Received,
    /// When init has taken as long as it may.
    pub until: Option<Instant>,
}

/// Where a command finds things.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    /// Its working directory.
    pub dir: &'p Path,
    pub source: &'p Path,
    pub executable: &'p Path,
}

impl<'a> Init<'a, '_> {
    pub(super) fn preinit(&mut self, asked: Asked<'_>) -> Result<(), InitError> {
        self.runner
            .preinit(asked.request, self.logs)
            .map_err(|e| self.hook_error(Hook::Preinit, e))?;
        let dir = &self.config.action_dir;
        let (source, executable) = match self.config.instance {
            InstanceKind::Process => (dir.join(&self.config.source), self.config.executable_path()),
            // Its directory is not made yet.
            InstanceKind::Resident(_) => (PathBuf::new(), PathBuf::new()),
        };
        let at = At {
            dir,
            source: &source,
            executable: &executable,
        };
        self.command(Hook::Preinit, asked, at)
    }

    pub(super) fn verify_by_command(
        &mut self,
        asked: Asked<'_>,
        at: At<'_>,
    ) -> Result<(), InitError> {
        self.command(Hook::Verify, asked, at)
    }

    /// What the command of `env` prints.
    pub(super) fn variables(
        &mut self,
        asked: Asked<'_>,
        at: At<'_>,
    ) -> Result<Environment, InitError> {
        let Some(line) = self.runner.command(Hook::Env) else {
            return Ok(Environment::default());
        };
        let printed = self.call(Hook::Env, line, asked, at).variables(self.logs);
        printed.map_err(|e| self.hook_error(Hook::Env, e))
    }

    /// Runs the command of a hook, if it has one.
    fn command(&mut self, hook: Hook, asked: Asked<'_>, at: At<'_>) -> Result<(), InitError> {
        let Some(line) = self.runner.command(hook) else {
            return Ok(());
        };
        let ran = self.call(hook, line, asked, at).run(self.logs);
        ran.map_err(|e| self.hook_error(hook, e))
    }

    fn call<'t>(&self, hook: Hook, line: &'t CommandLine, asked: Asked<'t>, at: At<'t>) -> Call<'t>
    where
        'a: 't,
    {
        Call {
            hook,
            line,
            tools: self.tools(at.dir, asked.until),
            request: asked.request,
            received: asked.received,
            source: at.source,
            executable: at.executable,
        }
    }

    /// What programs are run with in the directory `dir`.
    pub(super) fn tools<'t>(&self, dir: &'t Path, until: Option<Instant>) -> Tools<'t>
    where
        'a: 't,
    {
        Tools {
            working_dir: dir,
            environment: self.environment,
            limits: &self.config.process,
            until,
            stop: self.stop,
            parent: self.parent,
        }
    }

    pub(super) fn hook_error(&self, hook: Hook, source: HookError) -> InitError {
        match self.config.process.timeout {
            Some(limit) if source.is_timed_out() => InitError::TimedOut {
                limit,
                hook: Some(hook.name()),
            },
            // A hook that gave up for another reason meanwhile gave up because of it.
            _ if source.is_stopped() || self.stop.is_requested() => InitError::Stopped,
            _ => InitError::Hook {
                hook: hook.name(),
                source,
            },
        }
    }

    /// Neither its stop was requested nor has it taken too long.
    pub(super) fn may_go_on(&self, until: Option<Instant>) -> Result<(), InitError> {
        if self.stop.is_requested() {
            return Err(InitError::Stopped);
        }
        match (until, self.config.process.timeout) {
            (Some(until), Some(limit)) if until < Instant::now() => {
                Err(InitError::TimedOut { limit, hook: None })
            }
            _ => Ok(()),
        }
    }
}
