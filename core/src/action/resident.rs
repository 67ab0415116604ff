//! What an action does with a resident process: start it, run by it, tend it, end it.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Action, State};
use crate::config::InstanceKind;
use crate::error::{InitError, RunError, StartError};
use crate::init::Ready;
use crate::init::place::{Numbered, Standing};
use crate::init::verify::Executable;
use crate::instance::{self, Instance, Launch, Resident, Respondent, Rest, Start};
use crate::message::{InitRequest, Outcome, RunRequest};
use crate::run::env::Environment;
use crate::run::status::MemoryGroup;
use crate::run::stop::{NEVER, Stop};
use crate::run::{Activation, Logs};

impl Action {
    /// Everything of an init but the start, and what it made, which is removed when that is dropped.
    /// The action is not touched. Only with [`InstanceKind::Resident`], whose inits have a directory of
    /// their own.
    ///
    /// # Errors
    /// [`InitError`], as [`init`](Self::init) has it.
    pub fn build(&self, request: InitRequest, logs: &mut Logs<'_>) -> Result<Built, InitError> {
        let (ready, _) = self.prepare(request, logs)?;
        match ready.standing {
            Some(Standing::Beside(place)) => Ok(Built(place)),
            Some(Standing::Installed(_)) | None => Err(InitError::NoCode),
        }
    }

    /// Waits until one of `wakes` is readable, `longest` is over, or a resident process writes or
    /// exits; for such a process, [`tend`](Self::tend) is due then. It may return for nothing.
    ///
    /// Somebody has to wait so whenever no activation runs, lest the process stand still with a full
    /// pipe. What an init has left for a moment when nobody waits for it is tidied up first: an empty
    /// directory without a name, which the file system has to free. Without this the next init does it.
    ///
    /// # Errors
    /// [`RunError::Io`] where the machine does not let it wait.
    pub fn rest(
        &self,
        wakes: &[BorrowedFd<'_>],
        longest: Option<Duration>,
    ) -> Result<Rest, RunError> {
        self.tidy();
        match (&self.instance, self.start_of_resident(&NEVER)) {
            (Instance::Resident(Some(resident)), Some(start)) => {
                resident.rest(start, wakes, longest)
            }
            _ => instance::sleep(wakes, longest),
        }
    }

    /// Hands on what a resident process has written while no activation ran. One that has exited is
    /// brought to its end: that of its group takes as long as after any activation. Without such a
    /// process there is nothing to do.
    ///
    /// # Errors
    /// [`RunError::Io`] where the machine does not let its output be read.
    pub fn tend(&self, logs: &mut Logs<'_>) -> Result<(), RunError> {
        match (&self.instance, self.start_of_resident(&NEVER)) {
            (Instance::Resident(Some(resident)), Some(start)) => resident.tend(start, logs),
            _ => Ok(()),
        }
    }

    /// Has the next run start a resident process anew that has ended by itself. Without this, runs of
    /// such an action are refused, for whoever asks to take another; it is for those who have no other.
    pub fn revive(&self) {
        if let Instance::Resident(Some(resident)) = &self.instance {
            resident.revive();
        }
    }

    /// Ends a resident process and its group: TERM, then KILL. Without one it does nothing. What is
    /// run afterwards is refused.
    pub fn end(&mut self, logs: &mut Logs<'_>) {
        if let Instance::Resident(resident) = &mut self.instance
            && let Some(resident) = resident.take()
            && let Some(start) = self.start_of_resident(&NEVER)
        {
            resident.end(start, logs);
        }
    }

    /// The last step of an init. Only when the new process has started, the former one is ended.
    pub(super) fn start(
        &mut self,
        place: Numbered,
        ready: Ready,
        environment: Environment,
        stop: &Stop,
        logs: &mut Logs<'_>,
    ) -> Result<(), InitError> {
        let launch = Launch {
            place,
            recorded: ready.recorded,
            environment,
        };
        let started = self.launch(launch, ready.until, stop, logs)?;
        self.end(logs);
        self.instance = Instance::Resident(Some(Box::new(started)));
        self.state = State::Initialized(None);
        Ok(())
    }

    fn launch(
        &self,
        launch: Launch,
        until: Option<Instant>,
        stop: &Stop,
        logs: &mut Logs<'_>,
    ) -> Result<Resident, InitError> {
        let Some(start) = self.start_of_resident(stop) else {
            return Err(InitError::NoCode);
        };
        Resident::start(start, launch, until, logs).map_err(|e| {
            match (e, self.config.process.timeout) {
                (StartError::TimedOut, Some(limit)) => InitError::TimedOut { limit, hook: None },
                (StartError::Stopped, _) => InitError::Stopped,
                (e, _) => InitError::Start(e),
            }
        })
    }

    /// One activation by the process that is there.
    pub(super) fn ask(
        &self,
        resident: &Resident,
        request: RunRequest,
        logs: &mut Logs<'_>,
    ) -> Result<Outcome, RunError> {
        let executable = resident.executable();
        let start = self
            .start_of_resident(&request.stop)
            .ok_or(RunError::NotInitialized)?;
        let verify = || {
            let executable = Executable {
                path: &resident.executable(),
                policy: self.config.verify,
                recorded: resident.recorded(),
            };
            self.runner.verify(&executable).map_err(RunError::Verify)
        };
        let activation = Activation {
            working_dir: executable.parent().map_or_else(PathBuf::new, PathBuf::from),
            executable,
            argument: request.argument,
            // It was given one at its start; what belongs to an activation comes with the question.
            environment: Environment::default(),
            limits: &self.config.process,
            time_limit: self.time_limit(request.time_limit),
            stop: &request.stop,
            parent: &self.parent,
            confined: self.confined.as_ref(),
            memory: start.memory,
            respondent: Some(Respondent {
                resident,
                start,
                verify: &verify,
            }),
        };
        self.runner.run(activation, logs)
    }

    fn start_of_resident<'a>(&'a self, stop: &'a Stop) -> Option<Start<'a>> {
        match &self.config.instance {
            InstanceKind::Process => None,
            InstanceKind::Resident(settings) => Some(Start {
                settings,
                limits: &self.config.process,
                parent: &self.parent,
                confined: self.confined.as_ref(),
                stop,
                memory: self
                    .memory
                    .get_or_init(MemoryGroup::of_this_process)
                    .as_ref(),
            }),
        }
    }
}

/// What [`Action::build`] made. It is removed when this is dropped.
pub struct Built(Numbered);

impl Built {
    /// The directory of the executable and of what belongs to it.
    pub fn dir(&self) -> PathBuf {
        self.0.built()
    }
}
