//! An action: owns the state and calls the runner's hooks in order.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use crate::config::{Config, Reinit};
use crate::error::{InitError, RunError};
use crate::init::verify::{Executable, Recorded};
use crate::init::{Init, install};
use crate::message::{InitRequest, Outcome, RunRequest, TimeLimit};
use crate::run::env::Environment;
use crate::run::spawn::Parent;
use crate::run::status::MemoryGroup;
use crate::run::stop::Stop;
use crate::run::{Activation, Logs};
use crate::runner::ActionRunner;

/// Text that stands for an action until one is initialised: see [`Action::open`].
///
/// A file is known as the stub by its whole text, or by [`Stub::MARKER`] as its second line: then
/// it may differ, as one does that a proxy at another path wrote, and is brought up to date.
#[derive(Debug, Clone)]
pub struct Stub(pub String);

impl Stub {
    /// The second line of a stub whose text differs from place to place. `Dockerfile.multiarch`
    /// writes it too.
    pub const MARKER: &str = "# actionproxy's stub: stands for an action until there is one";

    fn is_marked(text: &[u8]) -> bool {
        text.starts_with(b"#!")
            && text.split(|b| *b == b'\n').nth(1) == Some(Self::MARKER.as_bytes())
    }
}

/// How much of a file is looked at for the marker: a line as long as a path may be stands before.
const MAX_STUB: u64 = 16 << 10;

/// What a stub is written to before it replaces another.
const NEW_STUB: &str = ".actionproxy-stub";

/// One action in its directory.
///
/// Its processes start with every signal at its default, those too that this process ignored when
/// the action was opened or last initialised; one that it begins to ignore later, they ignore too.
///
/// `init` takes it exclusively and `run` does not, so whoever shares it decides how many
/// activations run at a time: a mutex for one, a read-write lock for more.
pub struct Action {
    config: Config,
    runner: Box<dyn ActionRunner>,
    environment: Environment,
    stop: Stop,
    parent: Parent,
    /// Looked for at the first run, and not at the start.
    memory: OnceLock<Option<MemoryGroup>>,
    origin: Origin,
    state: State,
}

/// Where what stands at the executable's path comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is the stub: we put it there.
    Stub,
    /// It was there when the action was opened: the image's or an embedder's.
    Found,
    /// An init brought it.
    Init,
}

/// The phases of an action.
enum State {
    /// No init has succeeded.
    Opened,
    /// An init succeeded, with or without an executable.
    Initialized(Option<Recorded>),
}

impl Action {
    /// Opens the action directory: makes it where it is missing, clears what a crash left behind
    /// (an install that had begun is completed, one that had not is removed), and puts `stub`
    /// where no executable stands.
    ///
    /// # Errors
    /// [`InitError::Io`] where the directory cannot be used.
    pub fn open(
        config: Config,
        runner: impl ActionRunner + 'static,
        stub: &Stub,
        stop: Stop,
    ) -> Result<Self, InitError> {
        fs::create_dir_all(&config.action_dir)
            .map_err(InitError::io("create", &config.action_dir))?;
        install::recover(&config.action_dir)?;
        let origin = put_stub(&config, stub)?;
        Ok(Action {
            environment: Environment::new(config.env.iter().cloned()),
            config,
            runner: Box::new(runner),
            stop,
            parent: Parent::learn(),
            memory: OnceLock::new(),
            origin,
            state: State::Opened,
        })
    }

    /// An action whose executable stands already and is to be run as it is. Touches no file.
    pub fn existing(config: Config, runner: impl ActionRunner + 'static, stop: Stop) -> Self {
        Action {
            environment: Environment::new(config.env.iter().cloned()),
            config,
            runner: Box::new(runner),
            stop,
            parent: Parent::learn(),
            memory: OnceLock::new(),
            origin: Origin::Found,
            state: State::Opened,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether an init has succeeded.
    pub fn is_initialized(&self) -> bool {
        matches!(self.state, State::Initialized(_))
    }

    /// Initialises the action. What hooks and tools print goes to `logs`; the error does not.
    ///
    /// # Errors
    /// [`InitError`]; the action is then what it was before.
    pub fn init(&mut self, mut request: InitRequest, logs: &mut Logs<'_>) -> Result<(), InitError> {
        if self.is_initialized() && self.config.reinit == Reinit::Refuse {
            return Err(InitError::AlreadyInitialized);
        }
        self.parent.look_again();
        let mut environment = Environment::new(self.config.env.iter().cloned());
        for (name, value) in std::mem::take(&mut request.env) {
            environment.set(name, value);
        }
        note_names(environment.skipped(), logs);
        let ready = Init {
            config: &self.config,
            runner: &*self.runner,
            keeps_executable: self.origin == Origin::Found,
            environment: &environment,
            stop: &self.stop,
            parent: &self.parent,
            logs,
        }
        .run(request)?;
        self.environment = environment;
        if ready.brought_executable {
            self.origin = Origin::Init;
        }
        self.state = State::Initialized(ready.recorded);
        Ok(())
    }

    /// Runs one activation. May be called from several threads at once.
    ///
    /// Before an init it runs what stands there: the stub, or the image's own executable.
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
            let _ = logs.stdout.write_all(line.as_bytes());
        }
        ran
    }

    fn verified_run(&self, request: RunRequest, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        let path = self.config.executable_path();
        let executable = Executable {
            path: &path,
            policy: self.config.verify,
            recorded: match &self.state {
                State::Initialized(recorded) => recorded.as_ref(),
                State::Opened => None,
            },
        };
        self.runner.verify(&executable).map_err(RunError::Verify)?;
        let already_skipped = self.environment.skipped().len();
        let environment = self.runner.env(self.environment.clone(), &request);
        let skipped = environment.skipped();
        note_names(skipped.get(already_skipped..).unwrap_or_default(), logs);
        let configured = self.config.process.timeout.map(TimeLimit::Timeout);
        let time_limit = [configured, request.time_limit]
            .into_iter()
            .flatten()
            .min_by_key(|limit| limit.duration());
        let activation = Activation {
            working_dir: self.config.working_dir(),
            executable: path,
            argument: request.argument,
            environment,
            limits: &self.config.process,
            time_limit,
            stop: &self.stop,
            parent: &self.parent,
            memory: self
                .memory
                .get_or_init(MemoryGroup::of_this_process)
                .as_ref(),
        };
        self.runner.run(activation, logs)
    }
}

/// Puts the stub where nothing stands; knows it again where an earlier start put it.
fn put_stub(config: &Config, stub: &Stub) -> Result<Origin, InitError> {
    let path = config.executable_path();
    let parent = config.working_dir();
    fs::create_dir_all(&parent).map_err(InitError::io("create", &parent))?;
    match write_stub(&path, stub, fs::OpenOptions::new().create_new(true)) {
        Ok(()) => Ok(Origin::Stub),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let Ok(found) = read_start(&path, MAX_STUB.max(stub.0.len() as u64 + 1)) else {
                return Ok(Origin::Found);
            };
            if found == stub.0.as_bytes() {
                return Ok(Origin::Stub);
            }
            if !Stub::is_marked(&found) {
                return Ok(Origin::Found);
            }
            // By a rename: half a stub would be taken for somebody's executable.
            let new = parent.join(NEW_STUB);
            write_stub(
                &new,
                stub,
                fs::OpenOptions::new().create(true).truncate(true),
            )
            .and_then(|()| fs::rename(&new, &path))
            .map_err(InitError::io("write the stub", &path))?;
            Ok(Origin::Stub)
        }
        Err(e) => Err(InitError::io("write the stub", &path)(e)),
    }
}

fn write_stub(path: &Path, stub: &Stub, options: &mut fs::OpenOptions) -> io::Result<()> {
    let mut file = options.write(true).mode(0o755).open(path)?;
    file.write_all(stub.0.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

/// The first bytes of a regular file, at most `limit`; from others, a read might never return.
fn read_start(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut start = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut start)?;
    Ok(start)
}

fn note_names(names: &[String], logs: &mut Logs<'_>) {
    for name in names {
        logs.note(format_args!(
            "skipped the environment variable {name}: a name needs at least one character and \
             neither name nor value may hold NUL, nor the name `=`"
        ));
    }
}
