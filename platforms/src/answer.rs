//! Every answer the proxy gives, with its status and body: the only table of its kind.

use std::fmt;

use serde_json::json;

/// An HTTP status: code and reason phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: u16,
    /// The phrase that stands behind it on the status line.
    pub phrase: &'static str,
}

/// Whether the logs of an activation end with this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfLogs {
    /// One sentinel goes to each stream before the answer.
    Sentinel,
    /// None: the platform reads no logs for this request, or reads on.
    Nothing,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The init succeeded.
    Initialized,
    /// The activation's result, as the action wrote it.
    Result(Vec<u8>),
    /// A second init.
    AlreadyInitialized,
    /// A body that is not what the contract says; the text names the field.
    BadInit(String),
    /// The init failed; the reason is in the logs.
    InitFailed,
    /// The init was stopped by its time limit; the text names it.
    InitStopped(String),
    /// A run whose body is no JSON; the text says where.
    BadRun(String),
    /// A run whose argument is no object or array.
    BadArgument,
    /// A run with nothing fit to run.
    NoBinary,
    /// The action gave no result, or could not be started.
    NoResult,
    /// The action was stopped, or its result refused; the text says by which limit.
    RunStopped(String),
    /// The machine failed during an init or a run.
    HostFailed(String),
    /// No more runs are taken.
    ShuttingDown,
    /// The proxy is alive; the text is the whole JSON body.
    Healthy(String),
    /// No such path.
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// The path knows other methods.
    MethodNotAllowed {
        /// What was asked.
        method: String,
        /// The path.
        path: String,
        /// What it allows.
        allowed: &'static str,
    },
    /// A request that cannot be read; the text names the header and what was expected.
    BadRequest(String),
    /// A body without a length.
    LengthRequired(String),
    /// A body over the limit.
    TooLarge {
        /// The declared length.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// Too many bodies at once for the proxy's memory.
    Overloaded,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> Status {
        let (code, phrase) = match self {
            Answer::Initialized | Answer::Result(_) | Answer::Healthy(_) => (200, "OK"),
            Answer::BadInit(_) | Answer::BadRun(_) | Answer::BadRequest(_) => (400, "Bad Request"),
            Answer::AlreadyInitialized => (403, "Forbidden"),
            Answer::BadArgument | Answer::NotFound { .. } => (404, "Not Found"),
            Answer::MethodNotAllowed { .. } => (405, "Method Not Allowed"),
            Answer::LengthRequired(_) => (411, "Length Required"),
            Answer::TooLarge { .. } => (413, "Content Too Large"),
            Answer::HostFailed(_) => (500, "Internal Server Error"),
            Answer::InitFailed
            | Answer::InitStopped(_)
            | Answer::NoBinary
            | Answer::NoResult
            | Answer::RunStopped(_) => (502, "Bad Gateway"),
            Answer::ShuttingDown | Answer::Overloaded => (503, "Service Unavailable"),
        };
        Status { code, phrase }
    }

    /// Whether a sentinel goes before it.
    pub fn end_of_logs(&self) -> EndOfLogs {
        match self {
            Answer::Result(_)
            | Answer::InitFailed
            | Answer::InitStopped(_)
            | Answer::BadRun(_)
            | Answer::BadArgument
            | Answer::NoBinary
            | Answer::NoResult
            | Answer::RunStopped(_)
            | Answer::HostFailed(_) => EndOfLogs::Sentinel,
            Answer::Initialized
            | Answer::AlreadyInitialized
            | Answer::BadInit(_)
            | Answer::ShuttingDown
            | Answer::Healthy(_)
            | Answer::NotFound { .. }
            | Answer::MethodNotAllowed { .. }
            | Answer::BadRequest(_)
            | Answer::LengthRequired(_)
            | Answer::TooLarge { .. }
            | Answer::Overloaded => EndOfLogs::Nothing,
        }
    }

    /// The body: JSON, but for the two bytes `OK` that answer an init.
    pub fn into_body(self) -> Vec<u8> {
        match self {
            Answer::Initialized => b"OK".to_vec(),
            Answer::Result(result) => result,
            Answer::Healthy(body) => body.into_bytes(),
            refusal => json!({ "error": refusal.to_string() })
                .to_string()
                .into_bytes(),
        }
    }
}

impl fmt::Display for Answer {
    /// The text of the `error` field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Initialized | Answer::Result(_) | Answer::Healthy(_) => f.write_str("OK"),
            Answer::AlreadyInitialized => {
                f.write_str("Cannot initialize the action more than once.")
            }
            Answer::InitFailed => f.write_str(
                "The action failed to generate or locate a binary. See logs for details.",
            ),
            Answer::BadArgument => {
                f.write_str("The action did not receive a dictionary or array as an argument.")
            }
            Answer::NoBinary => {
                f.write_str("The action failed to locate a binary. See logs for details.")
            }
            Answer::NoResult => f.write_str("The action did not return a dictionary or array."),
            Answer::BadInit(text)
            | Answer::InitStopped(text)
            | Answer::BadRun(text)
            | Answer::RunStopped(text)
            | Answer::HostFailed(text)
            | Answer::BadRequest(text)
            | Answer::LengthRequired(text) => f.write_str(text),
            Answer::ShuttingDown => f.write_str("The proxy is shutting down."),
            Answer::NotFound { path } => write!(
                f,
                "There is nothing at {path:?}; expected /init, /run or /healthz."
            ),
            Answer::MethodNotAllowed {
                method,
                path,
                allowed,
            } => write!(f, "{path} does not take {method:?}; expected {allowed}."),
            Answer::TooLarge { length, limit } => write!(
                f,
                "The body of {length} bytes is over the limit of {limit} bytes."
            ),
            Answer::Overloaded => f.write_str(
                "Too many large requests at once; expected fewer, or the same one later.",
            ),
        }
    }
}
