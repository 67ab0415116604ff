//! The setters of what an action's processes may not do, where no container says it.

use actionproxy_core::confinement::{CoreDumps, Privileges, User, View};

use crate::config::{ACTIONPROXY_NO_LIMIT, actionproxy_config, limit, no_such, set, set_config};
use crate::last_error::actionproxy_status;

/// Whether a process that is killed by a fault leaves its memory in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_core_dumps {
    /// As it is with this process. The default.
    ACTIONPROXY_CORE_DUMPS_INHERITED = 0,
    /// None (`RLIMIT_CORE`).
    ACTIONPROXY_CORE_DUMPS_OFF = 1,
}

/// Whether executing a program may give a process more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_privileges {
    /// As it is with this process. The default.
    ACTIONPROXY_PRIVILEGES_INHERITED = 0,
    /// It may not (`PR_SET_NO_NEW_PRIVS`).
    ACTIONPROXY_PRIVILEGES_NO_NEW = 1,
}

/// What of the file system a process may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_view {
    /// What its user may. The default.
    ACTIONPROXY_VIEW_WHOLE = 0,
    /// Of that, what lies in the action directory, and a directory of its own that `TMPDIR` names; by
    /// Landlock. It takes ACTIONPROXY_PRIVILEGES_NO_NEW along.
    ACTIONPROXY_VIEW_READ_ONLY = 1,
}

fn count(value: u64) -> Option<u64> {
    (value != ACTIONPROXY_NO_LIMIT).then_some(value)
}

/// The most address space of one process of the action, in bytes (`RLIMIT_AS`). It holds, as all that
/// follows up to the view, for the processes of runs and for a resident process, not for hooks; what this
/// process itself may not exceed holds in any case. Default: ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_address_space(
    config: *mut actionproxy_config,
    bytes: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.confinement.address_space = count(bytes)
    })
}

/// The most processor time of one process of the action, in milliseconds, of which whole seconds count,
/// and at least one (`RLIMIT_CPU`). Above it the process is killed. A resident process has it for all
/// its runs. Default: ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_processor_time(
    config: *mut actionproxy_config,
    milliseconds: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.confinement.processor_time = limit(milliseconds);
    })
}

/// The largest file that a process of the action may write, in bytes (`RLIMIT_FSIZE`). Above it the
/// process is killed, or the write fails where it ignores the signal. Default: ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_file_size(
    config: *mut actionproxy_config,
    bytes: u64,
) -> actionproxy_status {
    set_config(config, |config| config.confinement.file_size = count(bytes))
}

/// One more than the highest number of a descriptor of the action's (`RLIMIT_NOFILE`). Default:
/// ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_open_files(
    config: *mut actionproxy_config,
    files: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.confinement.open_files = count(files)
    })
}

/// The most processes and threads of the user, all that it has on the machine counted
/// (`RLIMIT_NPROC`). It does not hold root: then the action cannot be opened. Default: ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_processes(
    config: *mut actionproxy_config,
    processes: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.confinement.processes = count(processes)
    })
}

/// Whether a process of the action that is killed by a fault leaves its memory in a file: an
/// `actionproxy_core_dumps`. Default: inherited.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_core_dumps(
    config: *mut actionproxy_config,
    core_dumps: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.confinement.core_dumps = match core_dumps {
            0 => CoreDumps::Inherited,
            1 => CoreDumps::Off,
            other => return Err(no_such("core_dumps", other, 1)),
        };
        Ok(())
    })
}

/// Whether the action may become more than it is, by a setuid program or capabilities of a file: an
/// `actionproxy_privileges`. Default: inherited.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_privileges(
    config: *mut actionproxy_config,
    privileges: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.confinement.privileges = match privileges {
            0 => Privileges::Inherited,
            1 => Privileges::NoNew,
            other => return Err(no_such("privileges", other, 1)),
        };
        Ok(())
    })
}

/// Whose processes the action's are: a user, and the only group that they have. What an init brings is
/// made readable to that group. Only root can: for another user, the action cannot be opened. Default:
/// those of this process.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_user(
    config: *mut actionproxy_config,
    uid: u32,
    gid: u32,
) -> actionproxy_status {
    set_config(config, |config| {
        config.confinement.user = Some(User { uid, gid });
    })
}

/// What of the file system the action may change: an `actionproxy_view`. Where the kernel cannot keep it
/// from the rest, the action cannot be opened. Default: whole.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_view(
    config: *mut actionproxy_config,
    view: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.confinement.view = match view {
            0 => View::Whole,
            1 => View::ReadOnly,
            other => return Err(no_such("view", other, 1)),
        };
        Ok(())
    })
}
