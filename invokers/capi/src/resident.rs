//! The setters of what runs the activations: a process for each, or a resident one.

use std::ffi::c_char;

use actionproxy_core::{Config, Greeting, InstanceKind, ResidentConfig};

use crate::config::{actionproxy_config, limit, set, set_config};
use crate::foreign;
use crate::last_error::{Failure, actionproxy_status};

/// A process for each run: its argument is its input, the last line of its stdout the result. The
/// default.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_process(
    config: *mut actionproxy_config,
) -> actionproxy_status {
    set_config(config, |config| config.instance = InstanceKind::Process)
}

/// One process for all runs, which reads each as a line on stdin and writes the result as a line on
/// descriptor 3: OpenWhisk's ActionLoop. It has started when it has lived for so many milliseconds, or
/// has written a line to descriptor 3; with ACTIONPROXY_NO_LIMIT, when its first line there is a JSON
/// object with `"ok": true`.
///
/// Each init has a directory of its own, `N` in the action directory: code is received in `N/src`,
/// where text becomes `exec`, and what is run is `N/bin/exec`.
///
/// Somebody has to call `actionproxy_tend` whenever no run goes on.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_resident(
    config: *mut actionproxy_config,
    lives_for: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.instance = InstanceKind::Resident(ResidentConfig {
            greeting: limit(lives_for).map_or(Greeting::Ack, Greeting::LivesFor),
            ..of(&config.instance)
        });
    })
}

/// Of a resident process: what the file `bin/exec.env` has to hold, white space at its ends aside.
/// Default: NULL, by which it need not be there.
///
/// # Errors
/// ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `text` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_execution_env(
    config: *mut actionproxy_config,
    text: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        let text = (!text.is_null()).then(|| unsafe { foreign::text("text", text) });
        known_resident(&mut set.config)?.execution_env = text.transpose()?;
        Ok(())
    })
}

/// Of a resident process: the name under which a jar (a zip that holds `META-INF/MANIFEST.MF`) is kept
/// whole in `src`. Default: NULL, by which it is unpacked like any other.
///
/// # Errors
/// ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `name` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_keep_jar(
    config: *mut actionproxy_config,
    name: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        // SAFETY: promised by the host.
        let name = (!name.is_null()).then(|| unsafe { foreign::path("name", name) });
        known_resident(&mut set.config)?.keep_jar = name.transpose()?;
        Ok(())
    })
}

/// Of a resident process: the program that makes `bin` from `src`, as OpenWhisk's runtimes have one:
/// `COMPILER MAIN SRC BIN`, with the paths of the two directories. It fails by printing anything, and by
/// leaving no `bin/exec`. Code that is an executable already, an ELF file or a `#!` script, is not
/// compiled. Default: NULL, by which all code has to be that.
///
/// # Errors
/// ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `path` is NULL, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_config_set_compiler(
    config: *mut actionproxy_config,
    path: *const c_char,
) -> actionproxy_status {
    set(config, |set| {
        known_resident(&mut set.config)?;
        // SAFETY: promised by the host.
        let path = (!path.is_null()).then(|| unsafe { foreign::path("path", path) });
        set.compiler = path.transpose()?;
        Ok(())
    })
}

/// What is set of a resident process so far.
pub(crate) fn of(instance: &InstanceKind) -> ResidentConfig {
    match instance {
        InstanceKind::Resident(resident) => resident.clone(),
        InstanceKind::Process => ResidentConfig {
            greeting: Greeting::Ack,
            execution_env: None,
            keep_jar: None,
        },
    }
}

fn known_resident(config: &mut Config) -> Result<&mut ResidentConfig, Failure> {
    match &mut config.instance {
        InstanceKind::Resident(resident) => Ok(resident),
        InstanceKind::Process => Err(Failure::misuse(
            "only a resident process has this: call `actionproxy_config_set_resident` first",
        )),
    }
}
