//! Hooks as commands, and the cache of what they build: from the options to a runner and a
//! configuration of core.

use std::io;
use std::path::{Path, PathBuf};

use actionproxy_core::{ActionRunner, BuildCache, CommandLine, CommandRunner};

use crate::action_loop::absolute;
use crate::options::Options;

/// What is particular to them.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub preinit: Option<CommandLine>,
    pub epilogue: Option<CommandLine>,
    pub build: Option<CommandLine>,
    pub verify: Option<CommandLine>,
    pub env: Option<CommandLine>,
    /// Where what is built is kept, if it is.
    pub cache: Option<PathBuf>,
    /// The most that it may take, in bytes.
    pub cache_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            preinit: None,
            epilogue: None,
            build: None,
            verify: None,
            env: None,
            cache: None,
            cache_size: 256 << 20,
        }
    }
}

/// `runner` with the commands that were given, and the cache in the configuration.
///
/// # Errors
/// One line: a relative path in a working directory that cannot be told.
pub(crate) fn runner<R: ActionRunner>(
    runner: R,
    options: &mut Options,
) -> Result<CommandRunner<R>, String> {
    let failed = |e: io::Error| format!("the working directory cannot be told: {e}");
    let settings = &options.hooks;
    let placed = |line: &Option<CommandLine>| line.clone().map(placed).transpose().map_err(failed);
    let runner = CommandRunner {
        preinit: placed(&settings.preinit)?,
        epilogue: placed(&settings.epilogue)?,
        build: placed(&settings.build)?,
        verify: placed(&settings.verify)?,
        env: placed(&settings.env)?,
        inner: runner,
    };
    options.config.build_cache = match &settings.cache {
        None => None,
        Some(dir) => Some(BuildCache {
            dir: std::path::absolute(dir).map_err(failed)?,
            max_bytes: settings.cache_size,
        }),
    };
    Ok(runner)
}

/// A command runs in another directory than the proxy.
fn placed(line: CommandLine) -> io::Result<CommandLine> {
    let program = absolute(Path::new(line.program()))?;
    Ok(line.with_program(&program))
}
