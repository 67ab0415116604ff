//! The actionproxy server, as a library: a language runtime is an
//! [`ActionRunner`] and one line.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use actionproxy_core::{ActionRunner, HookError, Staged};
//!
//! /// Compiles C.
//! struct C;
//!
//! impl ActionRunner for C {
//!     fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
//!         let (source, executable) = (staged.source(), staged.executable());
//!         staged.tool("cc", [source.as_os_str(), "-o".as_ref(), executable.as_os_str()])
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     actionproxy_server::Runtime::new(C).source("exec.c").main()
//! }
//! ```
//!
//! ```text
//! http (coroutines)           workers (threads)                       main thread
//! bytes -> request ─────────> decode -> core -> encode                signals, orphans, shutdown
//!    bytes <───────────────── reply, sentinels
//! ```

mod action_loop;
mod action_port;
mod archive;
mod compile;
mod contract;
mod health;
mod hooks;
mod http;
mod logs;
mod metrics;
mod once;
mod operator;
mod options;
mod pack;
mod process;
mod serve;
mod shutdown;
mod source;
mod stub;
mod supervised;
mod trial;
mod wake;
mod workers;

/// How the server reads a stream of bytes; no part of its interface.
#[doc(hidden)]
pub mod wire {
    pub use crate::http::decode::{Decoded, End, requests};
}

/// What another program of this project takes from the proxy; no part of its interface.
#[doc(hidden)]
pub mod shared {
    pub use crate::options::shared::{Asked, Common, Own, Program, read};
    pub use crate::options::values;
    pub use crate::process::{
        Orphans, end_children, keep_descriptors_from_actions, name, report_panics_in_a_line,
        return_memory, survive_limits,
    };
    pub use crate::shutdown::{Shutdown, Woken, exit_status, finish_line};
    pub use crate::wake::Wake;
}

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use actionproxy_core::{ActionRunner, Config, Environment};

use http::listener::HANDED_OVER;
use options::{Command, Parsed};

/// Runs the command line with `runner`, where its defaults are fine. See [`Runtime`].
pub fn main(runner: impl ActionRunner + 'static) -> ExitCode {
    Runtime::new(runner).main()
}

/// A language runtime's whole program.
pub struct Runtime<R> {
    runner: R,
    config: Config,
}

impl<R: ActionRunner + 'static> Runtime<R> {
    /// A runtime whose source and executable are both `exec`.
    pub fn new(runner: R) -> Self {
        Runtime {
            runner,
            config: Config::default(),
        }
    }

    /// The file that text code is written to, relative to the action directory.
    #[must_use]
    pub fn source(mut self, name: impl Into<PathBuf>) -> Self {
        self.config.source = name.into();
        self
    }

    /// The file that is run, relative to the action directory.
    #[must_use]
    pub fn executable(mut self, name: impl Into<PathBuf>) -> Self {
        self.config.executable = name.into();
        self
    }

    /// Runs the command line of this process, to its end: `actionproxy --help` tells what there
    /// is. Exit status 0 when all went well, 1 when an activation of `run` or a health check
    /// failed, 2 when the proxy could not do what it was asked, with one line on stderr; 128 and
    /// the signal's number when a signal ended a `run`, or a shutdown that was under way.
    pub fn main(self) -> ExitCode {
        process::report_panics_in_a_line();
        let mut config = self.config;
        // An action must not take descriptors of its own for listeners handed over to it.
        config.env = Environment::new(
            std::env::vars_os()
                .filter(|(name, _)| !HANDED_OVER.iter().any(|variable| name == variable)),
        );
        let parsed = options::parse(config, std::env::args_os());
        let done = parsed.and_then(|Parsed { command, warnings }| {
            // A health check is asked for every few seconds, and its logs are the container's too.
            if !matches!(command, Command::Health(_)) {
                warnings.iter().for_each(|warning| say(warning));
            }
            perform(live_within_limits(command)?, self.runner)
        });
        done.unwrap_or_else(|e| {
            say(&e);
            ExitCode::from(2)
        })
    }
}

/// Prepares this process, and the options of what is to be done, for the limits it was started with.
fn live_within_limits(mut command: Command) -> Result<Command, String> {
    if let Command::Serve(options)
    | Command::Once { options, .. }
    | Command::Try { options, .. }
    | Command::Compile { options, .. } = &mut command
    {
        process::survive_limits();
        process::check_stack()?;
        let lowered = process::fit_into_memory(options)?;
        let warnings = lowered.into_iter().chain(process::warning_of_time());
        warnings.for_each(|warning: String| say(&warning));
    }
    Ok(command)
}

fn perform(command: Command, runner: impl ActionRunner + 'static) -> Result<ExitCode, String> {
    match command {
        Command::Serve(mut options) => {
            let runner = hooks::runner(runner, &mut options)?;
            if !options.action_loop.is_served {
                return serve::serve(runner, options);
            }
            let runner = action_loop::runner(runner, &options.action_loop)?;
            action_loop::configure(&mut options);
            return serve::serve(runner, options);
        }
        Command::Try { trial, mut options } => {
            let runner = hooks::runner(runner, &mut options)?;
            return match options.action_loop.is_served {
                true => trial::run(
                    action_loop::runner(runner, &options.action_loop)?,
                    trial,
                    options,
                ),
                false => trial::run(runner, trial, options),
            };
        }
        Command::Compile {
            main,
            env,
            mut options,
        } => {
            let runner = hooks::runner(runner, &mut options)?;
            return compile::run(runner, main, env.as_deref(), options);
        }
        Command::Pack {
            files,
            naming,
            options,
        } => return pack::run(&files, naming, &options),
        Command::Once {
            file,
            argument,
            options,
        } => return once::run(runner, file, argument, options),
        Command::Health(options) => return Ok(health::check(&options)),
        Command::Stub => stub::run(),
        Command::Help => print(&options::help(&process::name())),
        Command::Version => print(concat!("actionproxy ", env!("CARGO_PKG_VERSION"), "\n")),
    }
    Ok(ExitCode::SUCCESS)
}

/// One line on stderr.
fn say(line: &str) {
    let line = format!("{}: {line}\n", process::name());
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A reader that has gone away is no reason to fail.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
