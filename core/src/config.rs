//! Where things lie, limits and policies. Every default of core is stated here, once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::confinement::Confinement;
use crate::run::env::Environment;

/// How an [`Action`](crate::Action) is laid out on disk, what it may cost, and what is checked.
///
/// Core never reads the process environment: whoever embeds it fills this in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory that holds the action: archives are unpacked into it and the executable
    /// runs with it as its working directory. Default: `/action`. A relative path is taken from
    /// where this process is when the action is opened, and stays that directory.
    pub action_dir: PathBuf,
    /// What runs the activations. Default: a process for each.
    pub instance: InstanceKind,
    /// The file, relative to `action_dir`, that text code is written to. Default: `exec`.
    /// [`InstanceKind::Resident`] has its own.
    pub source: PathBuf,
    /// The file, relative to `action_dir`, that is run. Default: `exec`.
    /// [`InstanceKind::Resident`] has its own.
    pub executable: PathBuf,
    /// The environment that every action starts from. Default: empty.
    pub env: Environment,
    /// What stands for an action until there is one. Default: nothing; what is run before there is an
    /// action is then refused. [`InstanceKind::Resident`] has no use for one.
    pub stub: Option<Stub>,
    /// Whether a second successful init is allowed. Default: refused, as OpenWhisk expects.
    pub reinit: Reinit,
    /// What `verify` looks at. Default: permission and digest.
    pub verify: VerifyPolicy,
    /// What an installed action outlives. Default: the process.
    pub durability: Durability,
    /// What unpacking an archive may cost.
    pub unpack: UnpackLimits,
    /// Where what commands have built is kept. Default: nowhere.
    pub build_cache: Option<BuildCache>,
    /// What running a process may cost.
    pub process: ProcessLimits,
    /// What is taken from the action's processes. Default: nothing.
    pub confinement: Confinement,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            action_dir: PathBuf::from("/action"),
            instance: InstanceKind::Process,
            source: PathBuf::from("exec"),
            executable: PathBuf::from("exec"),
            env: Environment::default(),
            stub: None,
            reinit: Reinit::Refuse,
            verify: VerifyPolicy::Digest,
            durability: Durability::Process,
            unpack: UnpackLimits::default(),
            build_cache: None,
            process: ProcessLimits::default(),
            confinement: Confinement::default(),
        }
    }
}

impl Config {
    /// The defaults, for an action that lives in `action_dir`.
    pub fn new(action_dir: impl Into<PathBuf>) -> Self {
        Config {
            action_dir: action_dir.into(),
            ..Config::default()
        }
    }

    /// The full path of the executable.
    pub fn executable_path(&self) -> PathBuf {
        self.action_dir.join(&self.executable)
    }

    /// The directory that the executable runs in: its own.
    pub fn working_dir(&self) -> PathBuf {
        let executable = self.executable_path();
        executable
            .parent()
            .map_or_else(|| self.action_dir.clone(), Path::to_path_buf)
    }
}

/// What runs the activations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceKind {
    /// A process for each: its argument is its input, the last line of its stdout the result.
    Process,
    /// One process for all: it reads each activation as a line on stdin and writes the result as a
    /// line on descriptor 3. That is OpenWhisk's ActionLoop.
    ///
    /// Each init has a directory of its own, `N` in the action directory, one more than the highest
    /// number there: code is received in `N/src`, where text becomes the file `exec`, and what is
    /// run is `N/bin/exec`. So what ran before keeps its files until another takes its place. Such
    /// a directory goes when its init fails or another replaces it.
    Resident(ResidentConfig),
}

/// How a resident process is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidentConfig {
    /// When it counts as started.
    pub greeting: Greeting,
    /// What `bin/exec.env` has to hold, white space at its ends aside. `None`: it need not be there.
    pub execution_env: Option<String>,
    /// A zip that holds `META-INF/MANIFEST.MF` is not unpacked but kept whole in `src` under this
    /// name. `None`: it is unpacked like any other.
    pub keep_jar: Option<PathBuf>,
}

/// When a resident process counts as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// When its first line on descriptor 3 is a JSON object with `"ok": true`. It may take as long as
    /// init may.
    Ack,
    /// When it has written a line to descriptor 3, or lived for so long. There is no other sign of
    /// life before it is asked something.
    LivesFor(Duration),
}

/// Text that stands for an action until one is initialised: see [`Config::stub`].
///
/// A file is known as the stub by its whole text, or by [`Stub::MARKER`] as its second line: then
/// it may differ, as one does that a proxy at another path wrote, and is brought up to date.
#[derive(Debug, Clone)]
pub struct Stub(pub String);

impl Stub {
    /// The second line of a stub whose text differs from place to place. `Dockerfile.multiarch`
    /// writes it too.
    pub const MARKER: &str = "# actionproxy's stub: stands for an action until there is one";
}

/// Whether init may replace an action that is already initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reinit {
    /// A second init is refused. The platform's contract.
    Refuse,
    /// Every init replaces the action. For local development.
    Allow,
}

/// What must hold before an executable is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyPolicy {
    /// The executable is an executable regular file, and its content is what it was when init
    /// ended. Costs one stat a run unless the file changed.
    Digest,
    /// Only that it is an executable regular file: for actions that rewrite themselves.
    Permission,
}

/// What an action that was installed outlives: it is there afterwards, or the one before it is,
/// and never a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process, however it ends.
    Process,
    /// A loss of power or a crash of the machine too: every file and directory is synced to disk
    /// before an init ends. Costs a sync for each of them and some five more, and fails where the
    /// file system cannot sync a directory. What the disk itself does with a sync is not known
    /// here, and what an action writes when it runs is its own to sync.
    PowerLoss,
}

/// What unpacking one archive may cost. A bound that is passed refuses the archive whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes written, counted while writing, whatever the headers claim. Default: 512 MiB.
    pub max_bytes: u64,
    /// Entries of the archive, directories included. Default: 65,535.
    pub max_entries: u64,
    /// Depth of directories below the action directory. Default: 64.
    pub max_depth: usize,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits {
            max_bytes: 512 << 20,
            max_entries: 65_535,
            max_depth: 64,
        }
    }
}

/// Where what the commands of a runner have built from some code is kept, so that the same code with the
/// same commands need not be built again.
///
/// Several processes may share the directory. What is there is used only where it is whole; nothing
/// that is wrong with it fails an init. Whoever can write there can have programs run.
///
/// What a build reads beside the code, its variables and the commands with the files that they name is
/// not looked at: another compiler behind the same script needs another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCache {
    /// The directory. It is made where it is missing, for its owner alone.
    pub dir: PathBuf,
    /// The most that all of it may take, in bytes. What was not used for the longest time goes first.
    pub max_bytes: u64,
}

/// What a process of the action may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// How long init (hooks and build together) or one run may take before its process group is
    /// ended. Default: none.
    pub timeout: Option<Duration>,
    /// From TERM to KILL. Default: 1 s.
    pub kill_grace: Duration,
    /// After the main process has exited, how long a pipe that some descendant keeps open may
    /// stay silent before the process group is ended. `None` waits for the end of the pipes for
    /// ever, as upstream's proxy does. Default: 200 ms.
    pub linger: Option<Duration>,
    /// The same while no result line stands: how long stdout may stay silent that some descendant
    /// keeps open, for a result that comes after the exit of the main process (`exec > >(tee log)`
    /// in bash, a launcher that does not wait). Less than `linger` is as much as `linger`; `None`
    /// waits for ever. Default: 10 s.
    pub late_result: Option<Duration>,
    /// The longest result line, in bytes. A longer one is no result. Default: 64 MiB.
    pub max_result: usize,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        ProcessLimits {
            timeout: None,
            kill_grace: Duration::from_secs(1),
            linger: Some(Duration::from_millis(200)),
            late_result: Some(Duration::from_secs(10)),
            max_result: 64 << 20,
        }
    }
}
