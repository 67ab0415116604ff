//! The setters of hooks that are commands, and of what their builds leave.

use std::ffi::c_char;

use actionproxy_core::{BuildCache, CommandLine};

use crate::config::{actionproxy_config, set};
use crate::foreign;
use crate::last_error::{Failure, actionproxy_status};

/// The hooks of an init that may be a command, in the order in which they are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_hook {
    /// Before anything is done with the code, also where none came.
    ACTIONPROXY_HOOK_PREINIT = 0,
    /// When the code is unpacked: may append to the source.
    ACTIONPROXY_HOOK_EPILOGUE = 1,
    /// After that: makes the executable.
    ACTIONPROXY_HOOK_BUILD = 2,
    /// When the executable has been found fit to run: refuses it by its exit status.
    ACTIONPROXY_HOOK_VERIFY = 3,
    /// Last: prints variables for the action, as `NAME=value` lines.
    ACTIONPROXY_HOOK_ENV = 4,
}

/// The command of a hook, an `actionproxy_hook`: words as a shell splits them, with its quotes and
/// backslashes but without a shell; what needs one is `sh -c '...'`. It runs once in an init, in the staging
/// directory, with the value of the init message on stdin and `ACTION_SOURCE`, `ACTION_EXECUTABLE`,
/// `ACTION_MAIN`, `ACTION_NAME`, `ACTION_FORM`, `ACTION_STAGE` and `ACTION_HOOK` in its environment, over the
/// configuration's and init's. It fails the init by any exit status but 0. What it prints is log, but
/// for the variables. Default: NULL, by which the hook does nothing. UTF-8.
///
/// Threads: any, several at once.
///
/// # Safety
/// `command` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_hook(
    config: *mut actionproxy_config,
    hook: i32,
    command: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        let hooks = &mut set.hooks;
        let place = match hook {
            0 => &mut hooks.preinit,
            1 => &mut hooks.epilogue,
            2 => &mut hooks.build,
            3 => &mut hooks.verify,
            4 => &mut hooks.env,
            other => {
                return Err(Failure::bad_value(format_args!(
                    "`hook` is {other}; expected 0 to 4"
                )));
            }
        };
        if command.is_null() {
            *place = None;
            return Ok(());
        }
        // SAFETY: promised by the host.
        let text = unsafe { foreign::text("command", command) }?;
        let line = CommandLine::parse(&text).map_err(|expected| {
            Failure::bad_value(format_args!("`command` is {text:?}; expected {expected}"))
        })?;
        *place = Some(line);
        Ok(())
    })
}

/// Where what the commands of `epilogue` and `build` have made is kept, so that the same code need not be
/// built again: a directory, and the most that it may take, in bytes. It is made where it is missing. Whoever
/// can write there can have programs run. Default: NULL, by which nothing is kept.
///
/// Threads: any, several at once. Several processes may share the directory.
///
/// # Safety
/// `directory` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_build_cache(
    config: *mut actionproxy_config,
    directory: *const c_char,
    max_bytes: u64,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        let dir = (!directory.is_null()).then(|| unsafe { foreign::path("directory", directory) });
        set.config.build_cache = dir.transpose()?.map(|dir| BuildCache { dir, max_bytes });
        Ok(())
    })
}
