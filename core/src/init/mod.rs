//! Initialisation: decode, unpack, epilogue, build, verify, install; of a resident process the start
//! follows.
//!
//! Everything up to verify happens in a directory of its own, so that an error at any step leaves
//! the previous action as it was.

pub mod checksum;
pub mod contents;
pub mod decode;
mod fs_at;
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

use crate::config::{Config, InstanceKind, ResidentConfig};
use crate::digest::Digest;
use crate::error::{HookError, InitError, VerifyError};
use crate::message::{Code, InitRequest};
use crate::run::Logs;
use crate::run::env::Environment;
use crate::run::spawn::Parent;
use crate::run::stop::Stop;
use crate::runner::{ActionRunner, Staged};
use decode::{Form, Payload};
use place::{Numbered, Paths, Place};
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
    /// The directory of a resident process, which is still to be started.
    pub place: Option<Numbered>,
    /// When init has taken as long as it may.
    pub until: Option<Instant>,
}

impl Init<'_, '_> {
    /// The pipeline. Nothing is installed unless it succeeds.
    pub(crate) fn run(&mut self, mut request: InitRequest) -> Result<Ready, InitError> {
        let until = self.config.process.timeout.map(|t| Instant::now() + t);
        let code = request.code.take();
        self.may_go_on(until)?;
        self.runner
            .preinit(&request, self.logs)
            .map_err(|e| self.hook_error("preinit", e))?;
        self.may_go_on(until)?;
        match code {
            None => self.keep(until),
            Some(code) => self.replace(code, &request, until),
        }
    }

    /// No code came: what is there stays, if it is fit to run and what it is known to be.
    fn keep(&mut self, until: Option<Instant>) -> Result<Ready, InitError> {
        if matches!(self.config.instance, InstanceKind::Resident(_)) {
            return Err(InitError::NoCode);
        }
        let path = self.config.executable_path();
        let known = mem::replace(&mut self.known, Ok(None));
        let recorded = self
            .verify(&path)
            .and_then(|()| match (known?, Recorded::record(&path)?) {
                (Some(known), Some(found)) => found.expect(known, &path).map(Some),
                (_, found) => Ok(found),
            });
        Ok(Ready {
            recorded: recorded.map_err(InitError::Verify)?,
            brought_executable: false,
            place: None,
            until,
        })
    }

    fn replace(
        &mut self,
        code: Code,
        request: &InitRequest,
        until: Option<Instant>,
    ) -> Result<Ready, InitError> {
        let config = self.config;
        let payload = match config.instance {
            InstanceKind::Process => decode::decode(code)?,
            InstanceKind::Resident(_) => decode::decode_any(code)?,
        };
        if let Some(expected) = request.sha256 {
            let actual = Digest::of(payload.bytes());
            if actual != expected {
                return Err(InitError::Checksum {
                    what: "`code`".to_owned(),
                    expected,
                    actual,
                });
            }
        }
        let is_archive = matches!(
            payload,
            Payload::Binary {
                form: Form::Zip | Form::TarGz,
                ..
            }
        );
        let mut place = Place::create(config)?;
        let paths = place.paths(config);
        self.unpack(payload, &paths)?;
        let mut staged = Staged {
            dir: place.dir(),
            paths: &paths,
            config,
            request,
            environment: self.environment,
            until,
            stop: self.stop,
            parent: self.parent,
            logs: self.logs,
        };
        let hooked = self
            .runner
            .epilogue(&mut staged)
            .map_err(|e| ("epilogue", e))
            .and_then(|()| self.runner.build(&mut staged).map_err(|e| ("build", e)));
        hooked.map_err(|(hook, e)| self.hook_error(hook, e))?;
        self.may_go_on(until)?;
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
        // Read before it is installed: after that, nothing may fail any more.
        let recorded = self
            .verify(&executable)
            .and_then(|()| Recorded::record(&executable))
            .map_err(|e| match e {
                VerifyError::Missing { path }
                    if is_archive && !brought_executable && path == executable =>
                {
                    InitError::NoExecutable(instead::contents(&paths.built, &paths.executable))
                }
                // The stage is gone when this is read: the name in the archive is what helps.
                e => InitError::Verify(e.relative_to(place.dir())),
            })?;
        let contents =
            (keeps && is_archive).then(|| instead::contents(&paths.built, &paths.executable));
        if let (true, Some(recorded)) = (brought_executable, &recorded) {
            place.record(&config.executable, recorded.digest())?;
        }
        let place = place.commit()?;
        if let Some(contents) = contents {
            // Said, since the image's executable may just as well be a stub that knows nothing of
            // the archive.
            self.logs.note(format_args!(
                "{contents}; what stood there before stays and runs: {}",
                config.executable_path().display()
            ));
        }
        if let (Some(recorded), None) = (&recorded, &place) {
            recorded.moved_to(&config.executable_path());
        }
        Ok(Ready {
            recorded,
            brought_executable,
            place,
            until,
        })
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

    fn hook_error(&self, hook: &'static str, source: HookError) -> InitError {
        match self.config.process.timeout {
            Some(limit) if source.is_timed_out() => InitError::TimedOut { limit },
            // A hook that gave up for another reason meanwhile gave up because of it.
            _ if source.is_stopped() || self.stop.is_requested() => InitError::Stopped,
            _ => InitError::Hook { hook, source },
        }
    }

    /// Neither its stop was requested nor has it taken too long.
    fn may_go_on(&self, until: Option<Instant>) -> Result<(), InitError> {
        if self.stop.is_requested() {
            return Err(InitError::Stopped);
        }
        match (until, self.config.process.timeout) {
            (Some(until), Some(limit)) if until < Instant::now() => {
                Err(InitError::TimedOut { limit })
            }
            _ => Ok(()),
        }
    }
}
