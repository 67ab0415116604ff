//! Landlock: which parts of the file system a process may change (`landlock(7)`).
//!
//! JUSTIFICATION: the rules are made once and put on in a child between `clone` and `execve`, where
//! nothing may allocate: that takes the bare descriptor and the bare call. The C libraries have no
//! functions for the three calls.

use std::ffi::{c_long, c_uint};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use rustix::fs::{Mode, OFlags};

use crate::confinement::{ConfinementError, LANDLOCK_NEEDED};

/// The same on every architecture: `asm-generic/unistd.h` and all tables since Linux 5.13.
const CREATE_RULESET: c_long = 444;
const ADD_RULE: c_long = 445;
const RESTRICT_SELF: c_long = 446;

const CREATE_RULESET_VERSION: c_uint = 1;
const RULE_PATH_BENEATH: c_uint = 1;

/// `linux/landlock.h`.
mod access {
    pub(super) const WRITE_FILE: u64 = 1 << 1;
    /// From removing a directory (bit 4) to making a symlink (bit 12).
    pub(super) const NAMES: u64 = 0x1ff0;
    /// Linking and renaming between directories.
    pub(super) const REFER: u64 = 1 << 13;
    pub(super) const TRUNCATE: u64 = 1 << 14;

    /// All that changes content or names.
    pub(super) const CHANGE: u64 = WRITE_FILE | NAMES | REFER | TRUNCATE;
}

/// `struct landlock_ruleset_attr`, of which a kernel takes as much as it is told.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// Whether the kernel has what is needed.
pub(crate) fn check() -> Result<(), ConfinementError> {
    // SAFETY: with this flag the kernel reads no memory and makes nothing.
    let version = unsafe {
        libc::syscall(
            CREATE_RULESET,
            ptr::null::<RulesetAttr>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    let found = u32::try_from(version).ok();
    match found {
        Some(version) if version >= LANDLOCK_NEEDED => Ok(()),
        found => Err(ConfinementError::NoLandlock { found }),
    }
}

/// What of the file system may be changed: nothing but what lies in `dirs`, and what devices there
/// are.
#[derive(Debug)]
pub(crate) struct Ruleset(OwnedFd);

impl Ruleset {
    pub(crate) fn new(dirs: &[&Path]) -> Result<Self, ConfinementError> {
        check()?;
        let attr = RulesetAttr {
            handled_access_fs: access::CHANGE,
        };
        // SAFETY: the kernel reads as many bytes of a live struct as it is told.
        let fd = unsafe {
            libc::syscall(
                CREATE_RULESET,
                &raw const attr,
                size_of::<RulesetAttr>(),
                0 as c_uint,
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
        let fd = fd.ok_or_else(|| error("make a set of Landlock rules"))?;
        // SAFETY: the kernel has just opened it for us, close-on-exec.
        let ruleset = Ruleset(unsafe { OwnedFd::from_raw_fd(fd) });
        for dir in dirs {
            ruleset.allow(dir, access::CHANGE)?;
        }
        if Path::new("/dev").is_dir() {
            ruleset.allow(Path::new("/dev"), access::WRITE_FILE)?;
        }
        Ok(ruleset)
    }

    fn allow(&self, dir: &Path, allowed_access: u64) -> Result<(), ConfinementError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(dir, flags, Mode::empty());
        let opened = opened.map_err(|e| ConfinementError::Io {
            doing: format!("open {}", dir.display()),
            source: e.into(),
        })?;
        let attr = PathBeneathAttr {
            allowed_access,
            parent_fd: opened.as_raw_fd(),
        };
        // SAFETY: the kernel reads one live struct of this rule's kind; both descriptors are open.
        let failed = unsafe {
            libc::syscall(
                ADD_RULE,
                self.0.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const attr,
                0 as c_uint,
            )
        };
        match failed {
            0 => Ok(()),
            _ => Err(error(&format!("add a Landlock rule for {}", dir.display()))),
        }
    }

    /// Puts the rules on the calling process, for good. It has to have `PR_SET_NO_NEW_PRIVS`. Makes
    /// one system call and nothing else: see `spawn/child.rs`. Comes back with -1 and `errno` where
    /// it failed.
    pub(crate) fn restrict_self(&self) -> c_long {
        // SAFETY: no memory is given; the descriptor is open as long as `self` lives.
        unsafe { libc::syscall(RESTRICT_SELF, self.0.as_raw_fd(), 0 as c_uint) }
    }
}

fn error(doing: &str) -> ConfinementError {
    ConfinementError::Io {
        doing: doing.to_owned(),
        source: io::Error::last_os_error(),
    }
}
