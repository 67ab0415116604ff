//! What is taken from an action's process: made ready once, put on in each child.
//!
//! JUSTIFICATION: it is put on between `clone` and `execve`, under the rules of `spawn/child.rs`,
//! where only bare system calls may be made: the C library's `setuid` and its like would go through
//! all threads of the parent, whose list a child that shares memory sees.

pub(crate) mod landlock;

use std::ffi::{c_int, c_long};
use std::path::{Path, PathBuf};
use std::ptr;

use crate::confinement::{Confinement, ConfinementError, CoreDumps, Privileges, User, View};
use landlock::Ruleset;

/// The private directory for temporary files, in the action directory. Its name is the proxy's.
pub(crate) const PRIVATE: &str = ".actionproxy-tmp";

/// Where an action with a read-only view has its temporary files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// In a directory of its own.
    InActionDir,
    /// Nowhere: no file is to be touched.
    None,
}

/// A confinement that is ready to be put on.
#[derive(Debug)]
pub(crate) struct Confined {
    limits: Vec<Limit>,
    privileges: Privileges,
    user: Option<User>,
    view: Option<Ruleset>,
    private_dir: Option<PathBuf>,
    quiet_limits: Option<String>,
}

/// The kernel's `struct rlimit64`, and what it is of.
#[derive(Debug, Clone, Copy)]
struct Limit {
    resource: c_int,
    value: [u64; 2],
}

/// The C library's constants differ in type between libraries, and in number between architectures.
macro_rules! resource {
    ($name:ident) => {
        libc::$name as c_int
    };
}

impl Confinement {
    /// Whether this machine and this process can have it.
    ///
    /// # Errors
    /// [`ConfinementError`], with what is missing.
    pub fn check(&self) -> Result<(), ConfinementError> {
        let own = rustix::process::geteuid();
        if self.user.is_some() && !own.is_root() {
            return Err(ConfinementError::NotRoot { uid: own.as_raw() });
        }
        let uid = self.user.map_or(own.as_raw(), |user| user.uid);
        if self.processes.is_some() && uid == 0 {
            return Err(ConfinementError::ProcessesOfRoot);
        }
        match self.view {
            View::Whole => Ok(()),
            View::ReadOnly => landlock::check(),
        }
    }
}

impl Confined {
    /// `None` where nothing is taken. `action_dir` has to exist.
    pub(crate) fn prepare(
        wanted: &Confinement,
        action_dir: &Path,
        private: Private,
    ) -> Result<Option<Self>, ConfinementError> {
        if *wanted == Confinement::default() {
            return Ok(None);
        }
        wanted.check()?;
        let seconds = |time: std::time::Duration| time.as_secs().max(1);
        let no_core = match wanted.core_dumps {
            CoreDumps::Inherited => None,
            CoreDumps::Off => Some(0),
        };
        let limits = [
            (resource!(RLIMIT_AS), wanted.address_space),
            (resource!(RLIMIT_CPU), wanted.processor_time.map(seconds)),
            (resource!(RLIMIT_FSIZE), wanted.file_size),
            (resource!(RLIMIT_NOFILE), wanted.open_files),
            (resource!(RLIMIT_NPROC), wanted.processes),
            (resource!(RLIMIT_CORE), no_core),
        ];
        let limits = limits.into_iter().filter_map(|(resource, value)| {
            let most = hard_limit(resource);
            Some(Limit {
                resource,
                value: [value?.min(most); 2],
            })
        });
        let (view, private_dir) = match wanted.view {
            View::Whole => (None, None),
            View::ReadOnly => {
                // It lies in the action directory, which is open to the action in any case.
                let dir = || action_dir.join(PRIVATE);
                let private_dir = (private == Private::InActionDir).then(dir);
                (Some(Ruleset::new(&[action_dir])?), private_dir)
            }
        };
        Ok(Some(Confined {
            limits: limits.collect(),
            privileges: wanted.privileges,
            user: wanted.user,
            view,
            private_dir,
            quiet_limits: wanted.quiet_limits(),
        }))
    }

    /// Whose process it becomes, if another's.
    pub(crate) fn user(&self) -> Option<User> {
        self.user
    }

    /// What `TMPDIR` is, where it is the action's own.
    pub(crate) fn private_dir(&self) -> Option<&Path> {
        self.private_dir.as_deref()
    }

    /// The limits that a process is not killed for, in words.
    pub(crate) fn quiet_limits(&self) -> Option<&str> {
        self.quiet_limits.as_deref()
    }

    /// Puts on all but the view, which would keep the working directory from nothing. Only system
    /// calls. `false`: one failed, and `errno` has why.
    pub(crate) fn limit_self(&self) -> bool {
        for limit in &self.limits {
            // SAFETY: the kernel reads one live `struct rlimit64`, and writes nothing.
            let failed = unsafe {
                libc::syscall(
                    libc::SYS_prlimit64,
                    0 as c_int,
                    limit.resource,
                    limit.value.as_ptr(),
                    ptr::null_mut::<u64>(),
                )
            };
            if failed != 0 {
                return false;
            }
        }
        self.user.is_none_or(become_user)
    }

    /// Puts on the rest: what cannot be undone by executing a program, and the view.
    pub(crate) fn restrict_self(&self) -> bool {
        if self.privileges == Privileges::NoNew || self.view.is_some() {
            // SAFETY: takes numbers alone.
            let failed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            if failed != 0 {
                return false;
            }
        }
        match &self.view {
            Some(ruleset) => ruleset.restrict_self() == 0,
            None => true,
        }
    }
}

/// What this process may have at most; what may not be told is taken for none.
fn hard_limit(resource: c_int) -> u64 {
    let mut value = [u64::MAX; 2];
    // SAFETY: the kernel writes one `struct rlimit64`, two numbers of 64 bits, to a live array.
    unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0 as c_int,
            resource,
            ptr::null::<u64>(),
            value.as_mut_ptr(),
        );
    }
    let [_, hard] = value;
    hard
}

/// 32-bit ports have calls of 16-bit numbers under the plain names.
#[cfg(any(target_arch = "arm", target_arch = "x86"))]
mod numbers {
    pub(super) use libc::{
        SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID,
    };
}
#[cfg(not(any(target_arch = "arm", target_arch = "x86")))]
mod numbers {
    pub(super) use libc::{
        SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID,
    };
}

fn become_user(user: User) -> bool {
    let User { uid, gid } = user;
    let (uid, gid) = (
        c_long::from(uid.cast_signed()),
        c_long::from(gid.cast_signed()),
    );
    // SAFETY: the first is given no groups and no memory, the others numbers alone.
    unsafe {
        libc::syscall(numbers::SETGROUPS, 0 as c_long, ptr::null::<u32>()) == 0
            && libc::syscall(numbers::SETRESGID, gid, gid, gid) == 0
            && libc::syscall(numbers::SETRESUID, uid, uid, uid) == 0
    }
}
