//! Errors, one enum a phase, each able to say whose [`Fault`] it is.
//!
//! The texts go to the logs. What a client is told is the platform's business.

mod init;
mod run;
mod start;
mod verify;

pub use init::{HookError, InitError};
pub use run::{RunError, SpawnStep, When};
pub use start::StartError;
pub use verify::VerifyError;

/// Who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong, or taken back, whatever the action.
    Caller,
    /// The action: its code, its archive, its process.
    Action,
    /// The machine: disk, memory, descriptors.
    Host,
}
