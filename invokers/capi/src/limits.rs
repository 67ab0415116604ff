//! The setters of what unpacking an archive, an init and a run may cost.

use std::time::Duration;

use crate::config::{actionproxy_config, limit, set_config};
use crate::last_error::actionproxy_status;

/// The most bytes that one archive may write. Default: 536870912 (512 MiB).
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_max_unpacked(
    config: *mut actionproxy_config,
    bytes: u64,
) -> actionproxy_status {
    set_config(config, |config| config.unpack.max_bytes = bytes)
}

/// The most entries of one archive, directories included. Default: 65535.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_max_entries(
    config: *mut actionproxy_config,
    entries: u64,
) -> actionproxy_status {
    set_config(config, |config| config.unpack.max_entries = entries)
}

/// The deepest directory of an archive, counted from the action directory. Default: 64.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_max_depth(
    config: *mut actionproxy_config,
    depth: usize,
) -> actionproxy_status {
    set_config(config, |config| config.unpack.max_depth = depth)
}

/// How long an init, its hooks and build together, or one run may take, in milliseconds, before the
/// process group of what runs is ended. Default: ACTIONPROXY_NO_LIMIT.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_timeout(
    config: *mut actionproxy_config,
    milliseconds: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.process.timeout = limit(milliseconds)
    })
}

/// From TERM to KILL, in milliseconds. Default: 1000.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_kill_grace(
    config: *mut actionproxy_config,
    milliseconds: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.process.kill_grace = Duration::from_millis(milliseconds);
    })
}

/// After the action has exited: how long, in milliseconds, a pipe that a descendant keeps open may stay
/// silent before the process group is ended. ACTIONPROXY_NO_LIMIT waits for the end of the pipes for
/// ever. Default: 200.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_linger(
    config: *mut actionproxy_config,
    milliseconds: u64,
) -> actionproxy_status {
    set_config(config, |config| config.process.linger = limit(milliseconds))
}

/// The same while no result line stands, for one that a descendant writes after the action has exited.
/// ACTIONPROXY_NO_LIMIT waits for ever. Default: 10000.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_late_result(
    config: *mut actionproxy_config,
    milliseconds: u64,
) -> actionproxy_status {
    set_config(config, |config| {
        config.process.late_result = limit(milliseconds);
    })
}

/// The longest result line, in bytes. A longer one is no result. Default: 67108864 (64 MiB).
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_config_set_max_result(
    config: *mut actionproxy_config,
    bytes: usize,
) -> actionproxy_status {
    set_config(config, |config| config.process.max_result = bytes)
}
