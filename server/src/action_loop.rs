//! The ActionLoop contract, from the variables of the runtime images to a configuration of core.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actionproxy_core::{
    ActionRunner, CompilerRunner, Config, Environment, Greeting, InstanceKind, ResidentConfig,
};
use actionproxy_platforms::{ActionLoop, InitErrors};

use crate::options::Options;

/// The name under which the program serves this contract without being told.
pub(crate) const PROGRAM: &str = "proxy";
/// Where actions lie unless it is said otherwise, under the working directory.
pub(crate) const ACTION_DIR: &str = "action";

/// What is particular to this contract. The variables of its images (`OW_…`) are on where they hold
/// anything.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whether it is served.
    pub is_served: bool,
    pub compiler: Option<PathBuf>,
    pub wait_for_ack: Option<String>,
    pub init_errors: InitErrors,
    pub execution_env: Option<String>,
    pub save_jar: Option<PathBuf>,
    /// How long an action that sends no ack has to live.
    pub start_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            is_served: false,
            compiler: None,
            wait_for_ack: None,
            init_errors: InitErrors::InAnswer,
            execution_env: None,
            save_jar: None,
            start_wait: Duration::from_millis(5),
        }
    }
}

/// The contract.
pub(crate) fn contract(options: &Options) -> ActionLoop {
    ActionLoop {
        init_errors: options.action_loop.init_errors,
        enforce_deadline: options.enforce_deadline,
    }
}

/// Has core run one process for all activations, in the environment that this contract gives.
pub(crate) fn configure(options: &mut Options) {
    let settings = &options.action_loop;
    let config = &mut options.config;
    config.instance = InstanceKind::Resident(ResidentConfig {
        greeting: match settings.wait_for_ack {
            Some(_) => Greeting::Ack,
            None => Greeting::LivesFor(settings.start_wait),
        },
        execution_env: settings.execution_env.clone(),
        keep_jar: settings.save_jar.clone(),
    });
    config.env = environment(config, settings);
}

/// What compilers and actions see of the proxy's own environment: `PATH` and what begins with `__OW_`;
/// before that, what this contract tells them.
fn environment(config: &Config, settings: &Settings) -> Environment {
    let told = [
        ("__OW_PROXY_VERSION", Some(env!("CARGO_PKG_VERSION"))),
        ("__OW_EXECUTION_ENV", settings.execution_env.as_deref()),
        ("__OW_WAIT_FOR_ACK", settings.wait_for_ack.as_deref()),
    ];
    let told = told
        .into_iter()
        .filter_map(|(name, value)| Some((OsStr::new(name), OsStr::new(value?))));
    let own = config.env.iter();
    told.chain(own.filter(|(name, _)| is_for_actions(name)))
        .collect()
}

fn is_for_actions(name: &OsStr) -> bool {
    name == "PATH" || name.as_bytes().starts_with(b"__OW_")
}

/// `runner` with the compile script before its own `build`.
///
/// # Errors
/// One line: a relative path in a working directory that cannot be told.
pub(crate) fn runner<R: ActionRunner>(
    runner: R,
    settings: &Settings,
) -> Result<CompilerRunner<R>, String> {
    let compiler = settings.compiler.as_deref().map(absolute).transpose();
    Ok(CompilerRunner {
        compiler: compiler.map_err(|e| format!("OW_COMPILER: {e}"))?,
        inner: runner,
    })
}

/// A compiler, or a hook, runs in another directory than the proxy. A name without a slash is searched in PATH.
pub(crate) fn absolute(program: &Path) -> io::Result<PathBuf> {
    match program.as_os_str().as_bytes().contains(&b'/') {
        true => std::path::absolute(program),
        false => Ok(program.to_path_buf()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_see_path_what_is_theirs_and_what_they_are_told() {
        let config = Config {
            env: [
                ("HOME", "/root"),
                ("PATH", "/bin"),
                ("__OW_API_HOST", "a=b=c"),
                ("OW_COMPILER", "/bin/compile"),
            ]
            .into(),
            ..Config::default()
        };
        let settings = Settings {
            execution_env: Some("x/y".to_owned()),
            ..Settings::default()
        };
        let expected = [
            ("__OW_PROXY_VERSION", env!("CARGO_PKG_VERSION")),
            ("__OW_EXECUTION_ENV", "x/y"),
            ("PATH", "/bin"),
            ("__OW_API_HOST", "a=b=c"),
        ];
        assert_eq!(environment(&config, &settings), expected.into());
    }
}
