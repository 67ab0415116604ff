//! The configuration: each value of core's, by a setter.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actionproxy_core::{
    ActionRunner, CommandRunner, CompilerRunner, Config, Durability, InstanceKind, NativeRunner,
    Reinit, Stub, VerifyPolicy,
};

use crate::border::enter;
use crate::foreign;
use crate::handle::{self, Handled};
use crate::last_error::{Failure, actionproxy_status};
use crate::logs::{Callbacks, actionproxy_log};

/// A configuration. It can be changed, opened with and freed independently of the actions that were
/// opened with it: each has a copy.
#[allow(non_camel_case_types)]
pub struct actionproxy_config {
    _private: (),
}

/// In the place of a time: no limit.
pub const ACTIONPROXY_NO_LIMIT: u64 = u64::MAX;

/// Whether an init may replace an action that is initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_reinit {
    /// A second init is refused. The default, and the platform's contract.
    ACTIONPROXY_REINIT_REFUSE = 0,
    /// Every init replaces the action.
    ACTIONPROXY_REINIT_ALLOW = 1,
}

/// What must hold before an executable is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_verify {
    /// It is an executable regular file, and its content is what it was when init ended. The default.
    ACTIONPROXY_VERIFY_DIGEST = 0,
    /// Only that it is an executable regular file: for actions that rewrite themselves.
    ACTIONPROXY_VERIFY_PERMISSION = 1,
}

/// What an installed action outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_durability {
    /// The end of this process, however it ends. The default.
    ACTIONPROXY_DURABILITY_PROCESS = 0,
    /// A loss of power too: everything is synced to disk before an init ends.
    ACTIONPROXY_DURABILITY_POWER_LOSS = 1,
}

/// What a configuration handle stands for.
pub(crate) struct Configuration(Mutex<Set>);

#[derive(Clone, Default)]
pub(crate) struct Set {
    pub config: Config,
    /// Of a resident process.
    pub compiler: Option<PathBuf>,
    pub hooks: CommandRunner<NativeRunner>,
    pub logs: Callbacks,
}

impl Handled for Configuration {
    const NAME: &'static str = "a configuration";
    type Opaque = actionproxy_config;
}

impl Configuration {
    fn lock(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is now.
    pub(crate) fn copy(&self) -> Set {
        self.lock().clone()
    }
}

pub(crate) fn set(
    config: *mut actionproxy_config,
    change: impl FnOnce(&mut Set) -> Result<(), Failure>,
) -> actionproxy_status {
    enter(|| {
        let settings: Arc<Configuration> = handle::find(config)?;
        change(&mut settings.lock())
    })
}

pub(crate) fn set_config(
    config: *mut actionproxy_config,
    change: impl FnOnce(&mut Config),
) -> actionproxy_status {
    set(config, |set| {
        change(&mut set.config);
        Ok(())
    })
}

/// A time in milliseconds.
pub(crate) fn limit(milliseconds: u64) -> Option<Duration> {
    (milliseconds != ACTIONPROXY_NO_LIMIT).then(|| Duration::from_millis(milliseconds))
}

/// Makes a configuration with every default, for an action that lives in the directory `action_dir`:
/// archives are unpacked into it, and the executable runs there. A relative path is one from the working
/// directory of the process when the action is opened. `*config` is the handle, and NULL where this
/// fails.
///
/// Threads: any, several at once.
///
/// # Safety
/// `action_dir` is NULL, which is refused, or ends in NUL; `config` is NULL, which is refused, or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_new(
    action_dir: *const c_char,
    config: *mut *mut actionproxy_config,
) -> actionproxy_status {
    enter(|| {
        foreign::has_place("config", config)?;
        // SAFETY: promised by the host.
        unsafe { foreign::put(config, std::ptr::null_mut()) };
        // SAFETY: promised by the host.
        let action_dir = unsafe { foreign::path("action_dir", action_dir) }?;
        let made = handle::make(Configuration(Mutex::new(Set {
            config: Config::new(action_dir),
            ..Set::default()
        })));
        // SAFETY: promised by the host.
        unsafe { foreign::put(config, made) };
        Ok(())
    })
}

/// Frees a configuration. NULL is nothing to free.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_free(config: *mut actionproxy_config) -> actionproxy_status {
    enter(|| match config.is_null() {
        true => Ok(()),
        false => handle::free::<Configuration>(config, |_| Ok(())).map(drop),
    })
}

/// Who is given the logs of one stream where a call has no callback of its own: of inits and runs, and
/// of what a resident process writes between them (`actionproxy_tend`). `stream` is an
/// `actionproxy_stream`, `form` an `actionproxy_form`, and `user` is passed on to `log`. Default: NULL,
/// by which logs are dropped.
///
/// Threads: any, several at once. `log` is called on the thread that inits, runs, tends or closes.
///
/// # Safety
/// `log` and `user` can be used until each action that was opened with it is closed, from every thread
/// that is given one of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_log(
    config: *mut actionproxy_config,
    stream: i32,
    form: i32,
    log: actionproxy_log,
    user: *mut c_void,
) -> actionproxy_status {
    set(config, |set| set.logs.set(stream, form, log, user))
}

/// The file, relative to the action directory, that text code is written to. Default: `exec`. A
/// resident process has its own.
///
/// Threads: any, several at once.
///
/// # Safety
/// `path` is NULL, which is refused, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_source(
    config: *mut actionproxy_config,
    path: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        set.config.source = unsafe { foreign::path("path", path) }?;
        Ok(())
    })
}

/// The file, relative to the action directory, that is run. Default: `exec`. A resident process has
/// its own.
///
/// Threads: any, several at once.
///
/// # Safety
/// `path` is NULL, which is refused, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_executable(
    config: *mut actionproxy_config,
    path: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        set.config.executable = unsafe { foreign::path("path", path) }?;
        Ok(())
    })
}

/// The program, a `#!` script, that stands for the action until an init brings one. UTF-8. Default: NULL, by
/// which there is none, and what is run before is refused. A resident process has no use for one.
///
/// Threads: any, several at once.
///
/// # Safety
/// `text` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_stub(
    config: *mut actionproxy_config,
    text: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        let text = (!text.is_null()).then(|| unsafe { foreign::text("text", text) });
        set.config.stub = text.transpose()?.map(Stub);
        Ok(())
    })
}

/// Adds a variable to the environment that every action starts from. Default: none, not even PATH;
/// of the environment of the process nothing is taken. A name that is there already gets the new value.
///
/// Threads: any, several at once.
///
/// # Safety
/// `name` and `value` are NULL, which is refused, or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_add_env(
    config: *mut actionproxy_config,
    name: *const c_char,
    value: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        let name = unsafe { foreign::os_text("name", name) }?;
        // SAFETY: promised by the host.
        let value = unsafe { foreign::os_text("value", value) }?;
        set.config.env.set(name, value);
        Ok(())
    })
}

/// Whether an init may replace an action that is initialised: an `actionproxy_reinit`. Default: refuse.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_reinit(
    config: *mut actionproxy_config,
    reinit: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.reinit = match reinit {
            0 => Reinit::Refuse,
            1 => Reinit::Allow,
            other => return Err(no_such("reinit", other, 1)),
        };
        Ok(())
    })
}

/// What must hold before an executable is run: an `actionproxy_verify`. Default: digest.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_verify(
    config: *mut actionproxy_config,
    verify: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.verify = match verify {
            0 => VerifyPolicy::Digest,
            1 => VerifyPolicy::Permission,
            other => return Err(no_such("verify", other, 1)),
        };
        Ok(())
    })
}

/// What an installed action outlives: an `actionproxy_durability`. Default: the process.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_durability(
    config: *mut actionproxy_config,
    durability: i32,
) -> actionproxy_status {
    set(config, |set| {
        set.config.durability = match durability {
            0 => Durability::Process,
            1 => Durability::PowerLoss,
            other => return Err(no_such("durability", other, 1)),
        };
        Ok(())
    })
}

pub(crate) fn no_such(what: &str, found: i32, last: i32) -> Failure {
    Failure::bad_value(format_args!("`{what}` is {found}; expected 0 to {last}"))
}

impl Set {
    /// Whose hooks are called.
    pub(crate) fn runner(&self) -> Box<dyn ActionRunner> {
        match self.config.instance {
            InstanceKind::Process => Box::new(self.hooks.clone()),
            InstanceKind::Resident(_) => Box::new(CompilerRunner {
                compiler: self.compiler.clone(),
                inner: self.hooks.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actionproxy_core::{Confinement, ProcessLimits, ResidentConfig, UnpackLimits};

    /// Fails to compile when core's configuration has a field that none of the setters sets.
    #[test]
    fn there_is_a_setter_for_every_field() {
        let Config {
            action_dir: _,
            instance: _,
            source: _,
            executable: _,
            env: _,
            stub: _,
            reinit: _,
            verify: _,
            durability: _,
            unpack:
                UnpackLimits {
                    max_bytes: _,
                    max_entries: _,
                    max_depth: _,
                },
            build_cache: _,
            process:
                ProcessLimits {
                    timeout: _,
                    kill_grace: _,
                    linger: _,
                    late_result: _,
                    max_result: _,
                },
            confinement:
                Confinement {
                    address_space: _,
                    processor_time: _,
                    file_size: _,
                    open_files: _,
                    processes: _,
                    core_dumps: _,
                    privileges: _,
                    user: _,
                    view: _,
                },
        } = Config::default();
        let ResidentConfig {
            greeting: _,
            execution_env: _,
            keep_jar: _,
        } = crate::resident::of(&InstanceKind::Process);
    }
}
