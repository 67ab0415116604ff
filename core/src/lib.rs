//! Turns an executable into an OpenWhisk action: unpack it, build it, verify it, run it.
//!
//! Pure and synchronous: no HTTP, no async, no threads, no globals, nothing read from the process
//! environment. Everything comes in by value (a [`Config`], a request, a sink for [`Logs`]), so an
//! invoker that speaks no HTTP can link it.
//!
//! ```text
//! init   decode -> unpack -> epilogue -> build -> verify -> install
//! run    verify -> env -> spawn -> feed + collect -> result
//! ```
//! An error at any step of init leaves the previous action intact.
//!
//! ```
//! use actionproxy_core::{Action, Code, Config, InitRequest, Logs, NativeRunner, RunRequest};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let mut action = Action::open(Config::new(dir.path()), NativeRunner)?;
//!
//! let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
//! let mut logs = Logs::new(&mut stdout, &mut stderr);
//! let code = "#!/bin/sh\necho hello\necho \"{\\\"got\\\":$1}\"\n";
//! action.init(InitRequest::new(Code::Text(code.into())), &mut logs)?;
//! let outcome = action.run(RunRequest::new("{\"n\":1}"), &mut logs)?;
//! assert_eq!(outcome.result, b"{\"got\":{\"n\":1}}");
//! assert_eq!(stdout, b"hello\n");
//! # Ok(())
//! # }
//! ```

mod action;
mod command;
mod compiler;
mod config;
pub mod confinement;
mod digest;
mod error;
// Public for fuzzing, benchmarks and the other crates of this workspace; no part of the interface.
#[doc(hidden)]
pub mod init;
mod instance;
pub mod limits;
mod message;
mod rehearsal;
#[doc(hidden)]
pub mod run;
mod runner;
mod tool;

pub use action::{Action, Built};
pub use command::{CommandLine, CommandRunner, Hook};
pub use compiler::CompilerRunner;
pub use config::{
    BuildCache, Config, Durability, Greeting, InstanceKind, ProcessLimits, Reinit, ResidentConfig,
    Stub, UnpackLimits, VerifyPolicy,
};
pub use confinement::Confinement;
pub use digest::Digest;
pub use error::{Fault, HookError, InitError, RunError, SpawnStep, StartError, VerifyError, When};
pub use init::contents::Contents;
pub use init::verify::Executable;
pub use instance::Rest;
pub use message::{Code, InitRequest, Outcome, RunRequest, TimeLimit};
pub use rehearsal::Rehearsal;
pub use run::Activation;
pub use run::env::Environment;
pub use run::logs::{Lines, LogSink, LogStream, Logs, Stream};
pub use run::status::{Cause, Ended, Killed};
pub use run::stop::Stop;
pub use runner::{ActionRunner, NativeRunner, Staged};
/// JSON text as it came: the type of [`InitRequest::fields`].
pub use serde_json::value::RawValue;

/// The longest argument that is also given on the command line, in bytes: Linux's
/// `MAX_ARG_STRLEN` less its NUL with 4 KiB pages, and the contract on every machine.
pub const MAX_ARGUMENT: usize = 131_071;
