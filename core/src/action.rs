//! An action: owns the state and calls the runner's hooks in order.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::config::{Config, InstanceKind, Reinit, VerifyPolicy};
use crate::error::{InitError, RunError, VerifyError};
use crate::init::install::{self, Committed, record, sync};
use crate::init::place::{self, Standing};
use crate::init::readable;
use crate::init::stub;
use crate::init::verify::{Executable, Recorded};
use crate::init::{Init, Ready};
use crate::instance::Instance;
use crate::message::{InitRequest, Outcome, RunRequest, TimeLimit};
use crate::run::confine::{Confined, Private};
use crate::run::env::Environment;
use crate::run::logs::Stream;
use crate::run::spawn::Parent;
use crate::run::status::MemoryGroup;
use crate::run::{Activation, Logs};
use crate::runner::ActionRunner;

mod resident;

pub use resident::Built;

/// One action in its directory.
///
/// Its processes start with every signal at its default, those too that this process ignored when
/// the action was opened or last initialised; one that it begins to ignore later, they ignore too.
///
/// It is `Send` and `Sync`. `init` takes it exclusively and `run` does not, so whoever shares it
/// decides how many activations run at a time: a mutex for one, a read-write lock for more.
pub struct Action {
    config: Config,
    runner: Box<dyn ActionRunner>,
    environment: Environment,
    brought: Environment,
    parent: Parent,
    confined: Option<Confined>,
    /// Looked for at the first run, and not at the start.
    memory: OnceLock<Option<MemoryGroup>>,
    origin: Origin,
    state: State,
    instance: Instance,
    /// What the last init has left for a moment when nobody waits.
    spent: Mutex<Option<Committed>>,
}

/// Where what stands at the executable's path comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nothing stands there.
    Nothing,
    /// It is the stub: we put it there.
    Stub,
    /// It was there when the action was opened: the image's or an embedder's.
    Found,
    /// An init brought it: in this process, or in an earlier one, which left a record.
    Init,
}

/// The phases of an action.
enum State {
    /// No init has succeeded in this process.
    Opened(Earlier),
    /// An init succeeded, with or without an executable.
    Initialized(Option<Recorded>),
}

/// What is known of the inits of earlier processes.
enum Earlier {
    /// None brought the executable.
    None,
    /// One did, and this is what it was.
    Installed(Recorded),
    /// One did, and what it was cannot be known: why.
    Unknown(String),
}

impl Action {
    /// Opens the action directory: makes it where it is missing, clears what a crash left behind
    /// (an install that had begun is completed, one that had not is removed), and puts
    /// [`Config::stub`], if there is one, where no executable stands.
    ///
    /// An executable that an init of an earlier process brought is known by the record that the
    /// init left, `.actionproxy-installed` in the action directory. It can be run at once, as
    /// an image's own can, but only as the record has it (unless [`Config::verify`] leaves the
    /// digest out), and it is not for code that brings no executable. The action is not
    /// initialised by it: the environment of that init is gone.
    ///
    /// With [`InstanceKind::Resident`] there is nothing to clear, no record and no stub: a directory
    /// that an earlier action lies in stays, and the next init has another.
    ///
    /// # Errors
    /// [`InitError::Io`] where the directory cannot be used.
    pub fn open(config: Config, runner: impl ActionRunner + 'static) -> Result<Self, InitError> {
        let config = place::absolute(config)?;
        sync::make_dir(config.durability, &config.action_dir)?;
        let confined = confine(&config)?;
        if let InstanceKind::Resident(_) = config.instance {
            return Ok(Action {
                instance: Instance::Resident(None),
                // Nothing that stands there is ever run.
                origin: Origin::Nothing,
                ..Self::found(config, runner, confined)
            });
        }
        install::recover(&config.action_dir, config.durability)?;
        let (origin, earlier) = match stub::put(&config)? {
            put @ (stub::Put::Stands | stub::Put::Nothing) => {
                // It was for something that is gone.
                record::remove(&config.action_dir)?;
                match put {
                    stub::Put::Nothing => (Origin::Nothing, Earlier::None),
                    _ => (Origin::Stub, Earlier::None),
                }
            }
            stub::Put::Other => match record::read(&config.action_dir, &config.executable) {
                Ok(None) => (Origin::Found, Earlier::None),
                Ok(Some(digest)) => (Origin::Init, Earlier::Installed(Recorded::earlier(digest))),
                Err(VerifyError::BadChecksumFile { reason, .. }) => {
                    (Origin::Init, Earlier::Unknown(reason))
                }
                Err(e) => (Origin::Init, Earlier::Unknown(e.to_string())),
            },
        };
        Ok(Action {
            origin,
            state: State::Opened(earlier),
            ..Self::found(config, runner, confined)
        })
    }

    /// An action whose executable stands already and is to be run as it is, in a process for each
    /// activation. Touches no file; so with a [`View::ReadOnly`](crate::confinement::View) it has no
    /// directory for temporary files, and a user of its own has to be able to read it already.
    ///
    /// # Errors
    /// [`InitError::Confinement`], and [`InitError::Io`] where the action directory is relative and the
    /// working directory of this process cannot be told.
    pub fn existing(
        config: Config,
        runner: impl ActionRunner + 'static,
    ) -> Result<Self, InitError> {
        let config = place::absolute(config)?;
        let confined = Confined::prepare(&config.confinement, &config.action_dir, Private::None)
            .map_err(InitError::Confinement)?;
        Ok(Self::found(config, runner, confined))
    }

    fn found(
        config: Config,
        runner: impl ActionRunner + 'static,
        confined: Option<Confined>,
    ) -> Self {
        Action {
            environment: of_actions(config.env.clone(), confined.as_ref()),
            brought: Environment::default(),
            confined,
            config,
            runner: Box::new(runner),
            parent: Parent::learn(),
            memory: OnceLock::new(),
            origin: Origin::Found,
            state: State::Opened(Earlier::None),
            instance: Instance::Process,
            spent: Mutex::default(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The variables that the last init brought, those of its message and those that its
    /// [`Hook::Env`](crate::Hook::Env) printed; none before. Whoever runs the action in a later process,
    /// without another init, has to give them to it.
    pub fn brought(&self) -> &Environment {
        &self.brought
    }

    /// Whether an init has succeeded in this process.
    pub fn is_initialized(&self) -> bool {
        matches!(self.state, State::Initialized(_))
    }

    /// Initialises the action. What hooks and tools print goes to `logs`; the error does not.
    ///
    /// # Errors
    /// [`InitError`]; the action is then what it was before.
    pub fn init(&mut self, request: InitRequest, logs: &mut Logs<'_>) -> Result<(), InitError> {
        if self.is_initialized() && self.config.reinit == Reinit::Refuse {
            return Err(InitError::AlreadyInitialized);
        }
        self.parent.look_again();
        let stop = request.stop.clone();
        let (mut ready, brought) = self.prepare(request, logs)?;
        let mut environment = self.config.env.clone();
        environment.merge(&brought);
        let environment = of_actions(environment, self.confined.as_ref());
        match ready.standing.take() {
            Some(Standing::Beside(place)) => {
                self.start(place, ready, environment, &stop, logs)?;
                self.brought = brought;
                return Ok(());
            }
            Some(Standing::Installed(committed)) => self.spent = Mutex::new(Some(committed)),
            None => {}
        }
        self.environment = environment;
        self.brought = brought;
        if ready.brought_executable {
            self.origin = Origin::Init;
        }
        self.state = State::Initialized(ready.recorded);
        Ok(())
    }

    /// Lets go of what the last init has left.
    fn tidy(&self) {
        let spent = self.spent.lock();
        drop(spent.unwrap_or_else(PoisonError::into_inner).take());
    }

    /// All of an init that leaves the action as it is, and the variables that it brings.
    fn prepare(
        &self,
        request: InitRequest,
        logs: &mut Logs<'_>,
    ) -> Result<(Ready, Environment), InitError> {
        let mut environment = self.config.env.clone();
        environment.merge(&request.env);
        let mut brought = request.env.clone();
        let stop = request.stop.clone();
        note_names(environment.skipped(), logs);
        let mut ready = Init {
            config: &self.config,
            runner: &*self.runner,
            keeps_executable: self.origin == Origin::Found,
            known: self.known(),
            environment: &environment,
            stop: &stop,
            parent: &self.parent,
            logs,
        }
        .run(request)?;
        brought.merge(&std::mem::take(&mut ready.variables));
        Ok((ready, brought))
    }

    /// Runs one activation. May be called from several threads at once; each is ended by its own
    /// [`RunRequest::stop`] alone.
    ///
    /// Before an init it runs what stands there: the stub, the image's own executable, or what an
    /// init of an earlier process brought.
    ///
    /// Where the executable could not be started, `logs` has been given a line on stdout that
    /// begins with `error: ` and names the cause; the error says the same.
    ///
    /// # Errors
    /// [`RunError`]; the next activation is not touched by it.
    pub fn run(&self, request: RunRequest, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        let ran = self.verified_run(request, logs);
        if let Err(error) = &ran
            && let Some(line) = error.stdout_line()
        {
            logs.write(Stream::Stdout, line.as_bytes());
        }
        ran
    }

    fn verified_run(&self, request: RunRequest, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        if request.stop.is_requested() {
            return Err(RunError::Stopped);
        }
        match &self.instance {
            Instance::Process => {}
            Instance::Resident(None) => return Err(RunError::NotInitialized),
            Instance::Resident(Some(resident)) => return self.ask(resident, request, logs),
        }
        let path = self.config.executable_path();
        let executable = Executable {
            path: &path,
            policy: self.config.verify,
            recorded: self.known().map_err(RunError::Verify)?,
        };
        self.runner.verify(&executable).map_err(|e| match e {
            VerifyError::Missing { .. } if self.origin == Origin::Nothing => {
                RunError::NotInitialized
            }
            e => RunError::Verify(e),
        })?;
        let already_skipped = self.environment.skipped().len();
        let environment = self.runner.env(self.environment.clone(), &request);
        let skipped = environment.skipped();
        note_names(skipped.get(already_skipped..).unwrap_or_default(), logs);
        let activation = Activation {
            working_dir: self.config.working_dir(),
            executable: path,
            argument: request.argument,
            environment,
            limits: &self.config.process,
            time_limit: self.time_limit(request.time_limit),
            stop: &request.stop,
            parent: &self.parent,
            confined: self.confined.as_ref(),
            memory: self
                .memory
                .get_or_init(MemoryGroup::of_this_process)
                .as_ref(),
            respondent: None,
        };
        self.runner.run(activation, logs)
    }

    /// The shorter of the configured limit and the activation's own.
    fn time_limit(&self, own: Option<TimeLimit>) -> Option<TimeLimit> {
        let configured = self.config.process.timeout.map(TimeLimit::Timeout);
        let limits = [configured, own].into_iter().flatten();
        limits.min_by_key(|limit| limit.duration())
    }

    /// The executable as it has to be, where that is known and asked for.
    fn known(&self) -> Result<Option<&Recorded>, VerifyError> {
        match &self.state {
            State::Initialized(recorded) => Ok(recorded.as_ref()),
            State::Opened(Earlier::None) => Ok(None),
            State::Opened(Earlier::Installed(recorded)) => Ok(Some(recorded)),
            State::Opened(Earlier::Unknown(_))
                if self.config.verify == VerifyPolicy::Permission =>
            {
                Ok(None)
            }
            State::Opened(Earlier::Unknown(reason)) => Err(VerifyError::BadChecksumFile {
                path: record::path(&self.config.action_dir),
                reason: reason.clone(),
            }),
        }
    }
}

/// What is taken from the action's processes, and what it needs in the action directory.
fn confine(config: &Config) -> Result<Option<Confined>, InitError> {
    let dir = &config.action_dir;
    let confined = Confined::prepare(&config.confinement, dir, Private::InActionDir)
        .map_err(InitError::Confinement)?;
    if let Some(confined) = &confined {
        if let Some(private) = confined.private_dir() {
            readable::make_private(private, confined.user())?;
        }
        if let Some(user) = confined.user() {
            readable::make_enterable(dir, user)?;
        }
    }
    Ok(confined)
}

/// The environment of actions, which differs from that of hooks.
fn of_actions(mut environment: Environment, confined: Option<&Confined>) -> Environment {
    if let Some(private) = confined.and_then(Confined::private_dir) {
        environment.set("TMPDIR", private);
    }
    environment.shared()
}

fn note_names(names: &[String], logs: &mut Logs<'_>) {
    for name in names {
        logs.note(format_args!(
            "skipped the environment variable {name}: a name needs at least one character and \
             neither name nor value may hold NUL, nor the name `=`"
        ));
    }
}
