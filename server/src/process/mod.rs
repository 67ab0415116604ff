//! The proxy as a process: its name and its file, and what it is careful with.

mod children;
mod descriptors;
mod limits;
mod memory;
mod own_dir;
mod panics;
mod signals;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod stack_bounds;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

pub use children::{Orphans, end_children};
pub(crate) use children::{adopt_orphans, reap_orphans};
pub(crate) use descriptors::check_descriptors;
pub use descriptors::keep_descriptors_from_actions;
pub(crate) use limits::{check_stack, fit_into_memory, warning_of_time};
pub use memory::return_memory;
pub(crate) use own_dir::OwnDir;
pub(crate) use panics::quietly;
pub use panics::report_panics_in_a_line;
pub use signals::survive_limits;
pub(crate) use signals::{end_in_order, let_signals_in};

/// The program's name, as messages begin with it.
pub fn name() -> String {
    std::env::args_os()
        .next()
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_name)
        .map_or_else(|| "actionproxy".into(), OsStr::to_string_lossy)
        .into_owned()
}

/// Where the proxy's own file is.
pub(crate) fn executable() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}
