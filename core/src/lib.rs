//! Turns an executable into an OpenWhisk action, without HTTP, async or a runtime.

pub mod config;
pub mod error;
pub mod init;
pub mod message;

pub use config::{Config, ProcessLimits, Reinit, UnpackLimits, VerifyPolicy};
pub use error::{Fault, HookError, InitError, RunError, VerifyError};
pub use init::checksum::Digest;
pub use message::{Code, InitRequest, Outcome, RunRequest, TimeLimit};

/// The longest argument that is also given on the command line, in bytes: Linux's
/// `MAX_ARG_STRLEN` less its NUL with 4 KiB pages, and the contract on every machine.
pub const MAX_ARGUMENT: usize = 131_071;
