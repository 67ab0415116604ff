//! Every answer of the OpenWhisk contract, with its status, text and sentinel: the only table of
//! its kind.

use std::fmt;

use serde_json::json;

use crate::reply::{EndOfLogs, Reply};

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The init succeeded.
    Initialized,
    /// The activation's result, as the action wrote it.
    Result(Vec<u8>),
    /// A second init.
    AlreadyInitialized,
    /// An init whose body is not what the contract says; the text names the field.
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
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        match self {
            Answer::Initialized | Answer::Result(_) => 200,
            Answer::BadInit(_) | Answer::BadRun(_) => 400,
            Answer::AlreadyInitialized => 403,
            Answer::BadArgument => 404,
            Answer::HostFailed(_) => 500,
            Answer::InitFailed
            | Answer::InitStopped(_)
            | Answer::NoBinary
            | Answer::NoResult
            | Answer::RunStopped(_) => 502,
            Answer::ShuttingDown => 503,
        }
    }

    pub(super) fn end_of_logs(&self) -> EndOfLogs {
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
            | Answer::ShuttingDown => EndOfLogs::Nothing,
        }
    }

    /// The body: JSON, but for the two bytes `OK` that answer an init.
    fn into_body(self) -> Vec<u8> {
        match self {
            Answer::Initialized => b"OK".to_vec(),
            Answer::Result(result) => result,
            refusal => json!({ "error": refusal.to_string() })
                .to_string()
                .into_bytes(),
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let (status, end_of_logs) = (answer.status(), answer.end_of_logs());
        Reply {
            end_of_logs,
            ..Reply::json(status, answer.into_body())
        }
    }
}

impl fmt::Display for Answer {
    /// The text of the `error` field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Initialized | Answer::Result(_) => f.write_str("OK"),
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
            | Answer::HostFailed(text) => f.write_str(text),
            Answer::ShuttingDown => f.write_str("The proxy is shutting down."),
        }
    }
}
