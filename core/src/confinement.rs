//! What an action's processes may not do, where no container says it: limits, privileges, a user and
//! a view of the file system.

use std::fmt;
use std::io;
use std::time::Duration;

/// What the processes of an action may not do, and what they start may not do either.
///
/// It holds for the process of an activation and for a resident process, not for hooks: those are
/// the image author's. Where a value is more than this process may itself, that is what holds.
/// Default: nothing is taken from an action that this process has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// The most address space of one process, in bytes (`RLIMIT_AS`). Above it the process gets no
    /// memory.
    pub address_space: Option<u64>,
    /// The most processor time of one process, in whole seconds; less than one counts as one
    /// (`RLIMIT_CPU`). Above it the process is killed. A resident process has it for all of its
    /// activations.
    pub processor_time: Option<Duration>,
    /// The largest file that a process may write, in bytes (`RLIMIT_FSIZE`). Above it the process is
    /// killed, or the write fails where it ignores the signal.
    pub file_size: Option<u64>,
    /// One more than the highest number of a descriptor (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// The most processes and threads of the user, all that it has on the machine counted
    /// (`RLIMIT_NPROC`). It does not hold root.
    pub processes: Option<u64>,
    /// Whether a process that is killed by a fault leaves its memory in a file.
    pub core_dumps: CoreDumps,
    /// Whether it may become more than it is, by a setuid program or capabilities of a file.
    pub privileges: Privileges,
    /// Whose processes they are. `None`: of the user and the groups of this process. Where one is
    /// given, what an init brings is made readable to its group; the process has no other groups.
    pub user: Option<User>,
    /// What it may write to.
    pub view: View,
}

/// Whether a process that is killed by a fault leaves its memory in a file (`core(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoreDumps {
    /// As it is with this process.
    #[default]
    Inherited,
    /// None (`RLIMIT_CORE`).
    Off,
}

/// Whether executing a program may give a process more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privileges {
    /// As it is with this process.
    #[default]
    Inherited,
    /// It may not (`PR_SET_NO_NEW_PRIVS`).
    NoNew,
}

/// A user and its group, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The only group of its processes.
    pub gid: u32,
}

/// What of the file system a process may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// What its user may.
    #[default]
    Whole,
    /// Of that, what lies in the action directory, and a directory of its own for temporary files
    /// that `TMPDIR` names (`.actionproxy-tmp` in the action directory, emptied when the action is
    /// opened). Devices below `/dev` may be written to.
    ///
    /// By Landlock: content and names are kept as they are, not modes, owners and times. It takes
    /// [`Privileges::NoNew`] along.
    ReadOnly,
}

/// The version of Landlock's interface that keeps content too: with an older one a file could be cut to
/// nothing.
pub(crate) const LANDLOCK_NEEDED: u32 = 3;

impl Confinement {
    /// What a process reaches without being killed for it: it only sees that something fails.
    pub(crate) fn quiet_limits(&self) -> Option<String> {
        let bytes = |what, value: Option<u64>| value.map(|value| format!("{what} {value} bytes"));
        let count = |what, value: Option<u64>| value.map(|value| format!("{what} {value}"));
        let limits = [
            bytes("address space", self.address_space),
            bytes("file size", self.file_size),
            count("open files", self.open_files),
            count("processes", self.processes),
        ];
        let mut limits: Vec<String> = limits.into_iter().flatten().collect();
        if self.view == View::ReadOnly {
            limits.push("a read-only view of all but its directory and TMPDIR".to_owned());
        }
        let words = || format!("it runs under limits: {}", limits.join(", "));
        (!limits.is_empty()).then(words)
    }
}

/// Why a [`Confinement`] cannot be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfinementError {
    /// Another user was asked for by a process that is not root.
    NotRoot {
        /// Whose process it is.
        uid: u32,
    },
    /// A limit of processes was asked for, of root, whom it does not hold.
    ProcessesOfRoot,
    /// The kernel cannot keep files from being changed.
    NoLandlock {
        /// The version of Landlock's interface that it has, if any.
        found: Option<u32>,
    },
    /// The machine failed.
    Io {
        /// What was being done, as a verb and its object.
        doing: String,
        /// The cause.
        source: io::Error,
    },
}

impl fmt::Display for ConfinementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfinementError::NotRoot { uid } => write!(
                f,
                "only root can run actions as another user, and this process is of user {uid}"
            ),
            ConfinementError::ProcessesOfRoot => f.write_str(
                "a limit of processes does not hold root: expected another user beside it",
            ),
            ConfinementError::NoLandlock { found } => {
                let needed = LANDLOCK_NEEDED;
                f.write_str("a read-only view is kept by Landlock, of which this kernel has ")?;
                match found {
                    None => f.write_str("none")?,
                    Some(found) => write!(f, "version {found}")?,
                }
                write!(
                    f,
                    "; expected version {needed}, which is Linux 6.2, built in and enabled"
                )
            }
            ConfinementError::Io { doing, source } => write!(f, "failed to {doing}: {source}"),
        }
    }
}

impl std::error::Error for ConfinementError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfinementError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
