//! Initialisation: decode, unpack, epilogue, build, verify, install; of a resident process the start
//! follows.
//!
//! Everything up to verify happens in a directory of its own, so that an error at any step leaves
//! the previous action as it was.

mod cache;
pub mod checksum;
pub mod contents;
pub mod decode;
mod fs_at;
mod hooks;
pub mod install;
mod instead;
mod jar;
pub(crate) mod place;
pub(crate) mod readable;
pub(crate) mod stub;
pub mod unpack;
pub mod verify;

use std::mem;
use std::path::Path;
use std::time::Instant;

use crate::command::{CommandLine, Hook};
use crate::config::{Config, InstanceKind, ResidentConfig};
use crate::digest::Digest;
use crate::error::{InitError, VerifyError};
use crate::message::{Code, InitRequest, Received};
use crate::run::Logs;
use crate::run::env::Environment;
use crate::run::spawn::Parent;
use crate::run::stop::Stop;
use crate::runner::{ActionRunner, Staged};
use cache::{Cache, Found, Key};
use decode::{Form, Payload};
use hooks::{Asked, At};
use place::{Paths, Place, Standing};
use verify::{Executable, Recorded};

/// What one init has to work with.
pub(crate) struct Init<'a, 'l> {
    pub config: &'a Config,
    pub runner: &'a dyn ActionRunner,
    /// Whether code that brings no executable is for the one that stands: for an image's, not for
    /// our stub nor for what an earlier init brought.
    pub keeps_executable: bool,
    /// The executable that stands, as it has to be to stay.
    pub known: Result<Option<&'a Recorded>, VerifyError>,
    pub environment: &'a Environment,
    pub stop: &'a Stop,
    pub parent: &'a Parent,
    pub logs: &'a mut Logs<'l>,
}

/// What an init that succeeded leaves.
pub(crate) struct Ready {
    pub recorded: Option<Recorded>,
    /// Whether the code brought the executable, or it stood there before.
    pub brought_executable: bool,
    /// Where what came stands, if something came.
    pub standing: Option<Standing>,
    /// What the `env` hook's command printed, for every later run.
    pub variables: Environment,
    /// When init has taken as long as it may.
    pub until: Option<Instant>,
}

impl<'a> Init<'a, '_> {
    /// The pipeline. Nothing is installed unless it succeeds.
    pub(crate) fn run(&mut self, mut request: InitRequest) -> Result<Ready, InitError> {
        // None: the time is too far away.
        let timeout = self.config.process.timeout;
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let code = request.code.take();
        let asked = Asked {
            request: &request,
            received: Received::of(code.as_ref()),
            until,
        };
        self.may_go_on(until)?;
        self.preinit(asked)?;
        self.may_go_on(until)?;
        match code {
            None => self.keep(asked),
            Some(code) => self.replace(code, asked),
        }
    }

    /// No code came: what is there stays, if it is fit to run and what it is known to be.
    fn keep(&mut self, asked: Asked<'_>) -> Result<Ready, InitError> {
        if matches!(self.config.instance, InstanceKind::Resident(_)) {
            return Err(InitError::NoCode);
        }
        let path = self.config.executable_path();
        let at = At {
            dir: &self.config.action_dir,
            source: &self.config.action_dir.join(&self.config.source),
            executable: &path,
        };
        self.verify(&path).map_err(InitError::Verify)?;
        self.verify_by_command(asked, at)?;
        let known = mem::replace(&mut self.known, Ok(None));
        let recorded = Recorded::record(&path).and_then(|found| match (known?, found) {
            (Some(known), Some(found)) => found.expect(known, &path).map(Some),
            (_, found) => Ok(found),
        });
        let recorded = recorded.map_err(InitError::Verify)?;
        Ok(Ready {
            recorded,
            brought_executable: false,
            standing: None,
            variables: self.variables(asked, at)?,
            until: asked.until,
        })
    }

    fn replace(&mut self, code: Code, asked: Asked<'_>) -> Result<Ready, InitError> {
        let config = self.config;
        let payload = match config.instance {
            InstanceKind::Process => decode::decode(code)?,
            InstanceKind::Resident(_) => decode::decode_any(code)?,
        };
        let commands = self.commands_to_keep();
        let wants_digest = asked.request.sha256.is_some() || commands.is_some();
        let digest = wants_digest.then(|| Digest::of(payload.bytes()));
        if let (Some(expected), Some(actual)) = (asked.request.sha256, digest)
            && actual != expected
        {
            return Err(InitError::Checksum {
                what: "`code`".to_owned(),
                expected,
                actual,
            });
        }
        let is_archive = matches!(
            payload,
            Payload::Binary {
                form: Form::Zip | Form::TarGz,
                ..
            }
        );
        let mut place = Place::create(config)?;
        let cache = commands
            .zip(digest)
            .and_then(|(commands, digest)| self.cache(&commands, digest, asked, place.dir()));
        let found = cache.as_ref().map(|cache| cache.fetch(place.dir()));
        if let Some(Found::Unusable(why)) = &found {
            self.logs
                .note(format_args!("the build cache: {why}; building anew"));
            // It may hold a part.
            drop(place);
            place = Place::create(config)?;
        }
        let is_kept = matches!(found, Some(Found::Built));
        let paths = place.paths(config);
        if !is_kept {
            self.build(payload, &paths, asked, place.dir())?;
        }
        // Before anything else writes there: what other commands do is done at each init.
        let built = cache.filter(|_| !is_kept).map(|cache| {
            let written = cache.write(place.dir());
            (cache, written)
        });
        if let Some(user) = config.confinement.user {
            readable::make_readable(place.dir(), user)?;
        }

        let staged_executable = paths.executable();
        if let Place::Numbered(_) = place {
            // Some compile scripts of ActionLoop leave that to the proxy.
            unpack::make_executable(&staged_executable)?;
        }
        let brought_executable = staged_executable.symlink_metadata().is_ok();
        // An image may bring the executable, an interpreter for instance, and its actions only the
        // files that it reads.
        let keeps = !brought_executable && self.keeps_executable;
        let executable = if keeps {
            config.executable_path()
        } else {
            staged_executable
        };
        let unfit = |e: VerifyError| match e {
            VerifyError::Missing { path }
                if is_archive && !brought_executable && path == executable =>
            {
                InitError::NoExecutable(instead::contents(&paths.built, &paths.executable))
            }
            // The stage is gone when this is read: the name in the archive is what helps.
            e => InitError::Verify(e.relative_to(place.dir())),
        };
        self.verify(&executable).map_err(unfit)?;
        let at = At {
            dir: place.dir(),
            source: &paths.source(),
            executable: &executable,
        };
        self.verify_by_command(asked, at)?;
        let variables = self.variables(asked, at)?;
        // Read before it is installed: after that, nothing may fail any more.
        let recorded = Recorded::record(&executable).map_err(unfit)?;
        self.may_go_on(asked.until)?;
        if let Some((cache, written)) = built
            && let Err(why) = written.and_then(|written| cache.keep(written))
        {
            self.logs.note(format_args!(
                "the build cache: {why}; what was built is not kept"
            ));
        }
        let contents =
            (keeps && is_archive).then(|| instead::contents(&paths.built, &paths.executable));
        if let (true, Some(recorded)) = (brought_executable, &recorded) {
            place.record(&config.executable, recorded.digest())?;
        }
        let standing = place.commit()?;
        if let Some(contents) = contents {
            // Said, since the image's executable may just as well be a stub that knows nothing of
            // the archive.
            self.logs.note(format_args!(
                "{contents}; what stood there before stays and runs: {}",
                config.executable_path().display()
            ));
        }
        if let (Some(recorded), Standing::Installed(_)) = (&recorded, &standing) {
            recorded.moved_to(&config.executable_path());
        }
        Ok(Ready {
            recorded,
            brought_executable,
            standing: Some(standing),
            variables,
            until: asked.until,
        })
    }

    /// Unpacks the code, and has the runner make the executable.
    fn build(
        &mut self,
        payload: Payload,
        paths: &Paths,
        asked: Asked<'_>,
        dir: &Path,
    ) -> Result<(), InitError> {
        self.unpack(payload, paths)?;
        let mut staged = Staged {
            tools: self.tools(dir, asked.until),
            paths,
            config: self.config,
            request: asked.request,
            received: asked.received,
            logs: self.logs,
        };
        let hooked = self
            .runner
            .epilogue(&mut staged)
            .map_err(|e| (Hook::Epilogue, e))
            .and_then(|()| {
                let built = self.runner.build(&mut staged);
                built.map_err(|e| (Hook::Build, e))
            });
        hooked.map_err(|(hook, e)| self.hook_error(hook, e))?;
        self.may_go_on(asked.until)
    }

    /// The commands that build, where what they make is to be kept.
    fn commands_to_keep(&self) -> Option<Vec<CommandLine>> {
        self.config.build_cache.as_ref()?;
        let commands = self.runner.build_commands()?;
        // Where nothing is built there is nothing to save.
        (!commands.is_empty()).then_some(commands)
    }

    fn cache(
        &self,
        commands: &[CommandLine],
        code: Digest,
        asked: Asked<'_>,
        stage: &Path,
    ) -> Option<Cache<'a>> {
        let key = Key {
            architecture: &cache::this_architecture(),
            code,
            received: asked.received,
            request: asked.request,
            config: self.config,
            commands,
            environment: self.environment,
            stage,
        };
        let config = self.config.build_cache.as_ref()?;
        Some(Cache::new(config, &key.digest()?))
    }

    fn unpack(&mut self, payload: Payload, paths: &Paths) -> Result<(), InitError> {
        let config = self.config;
        if let InstanceKind::Resident(ResidentConfig {
            keep_jar: Some(name),
            ..
        }) = &config.instance
            && let Payload::Binary {
                form: Form::Zip,
                bytes,
            } = &payload
            && jar::is_jar(bytes)
        {
            let path = paths.received.join(name);
            return std::fs::write(&path, bytes).map_err(InitError::io("write", path));
        }
        let remarks = unpack::unpack(
            payload,
            &paths.received,
            &paths.source,
            &paths.program,
            &config.unpack,
        )?;
        for remark in remarks {
            self.logs.note(remark);
        }
        Ok(())
    }

    fn verify(&self, path: &Path) -> Result<(), VerifyError> {
        let executable = Executable {
            path,
            policy: self.config.verify,
            recorded: None,
        };
        self.runner.verify(&executable)
    }
}
