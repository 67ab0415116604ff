//! The serverless platforms' wire contracts, mapped onto [`actionproxy_core`].
//!
//! Pure: bytes of a request in, one core call, an [`Answer`] out. No sockets, no clock, no
//! environment; the server has those. Knows what a message means, and nothing of HTTP but the
//! numbers in [`answer`].

pub mod answer;
mod message;
pub mod openwhisk;

use std::time::{Duration, SystemTime};

use actionproxy_core::{Action, Logs};

pub use answer::{Answer, EndOfLogs, Status};
pub use openwhisk::OpenWhisk;

/// A platform: which requests it sends and what it expects back.
pub trait Platform: Send + Sync {
    /// What a request line asks for, known before its body is read.
    ///
    /// # Errors
    /// The answer to a path or method that the platform does not use.
    fn route(&self, method: &str, path: &str) -> Result<Route, Answer>;

    /// Initialises the action from the body of a request.
    fn init(&self, action: &mut Action, body: Vec<u8>, logs: &mut Logs<'_>) -> Answer;

    /// Runs one activation from the body of a request, at this moment.
    fn run(&self, action: &Action, body: Vec<u8>, moment: Moment, logs: &mut Logs<'_>) -> Answer;

    /// The line, without its newline, that ends the logs of an activation on both streams.
    fn end_of_logs(&self) -> &'static str;
}

/// When an activation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: SystemTime,
    /// How long the request has waited for other activations.
    pub waited: Duration,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Initialise the action.
    Init,
    /// Run an activation.
    Run,
}
