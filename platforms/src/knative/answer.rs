//! Every answer of the single entrypoint but a result, with its status, text and sentinel.

use std::fmt;

use serde_json::json;

use crate::reply::{EndOfLogs, Reply};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Initialized,
    AlreadyInitialized,
    /// An init where the code was given at the start.
    Dedicated,
    /// An init without code.
    NoCode,
    /// A message that is not what the contract says; the text names the field.
    BadRequest(String),
    NotInitialized,
    InitFailed,
    InitStopped(String),
    NoBinary,
    NoResult,
    /// A result that is no reply; the text says why.
    BadResult(String),
    RunStopped(String),
    HostFailed(String),
    ShuttingDown,
}

impl Answer {
    fn status(&self) -> u16 {
        match self {
            Answer::Initialized => 200,
            Answer::BadRequest(_) => 400,
            Answer::AlreadyInitialized | Answer::Dedicated | Answer::NoCode => 403,
            Answer::NotInitialized | Answer::HostFailed(_) => 500,
            Answer::InitFailed
            | Answer::InitStopped(_)
            | Answer::NoBinary
            | Answer::NoResult
            | Answer::BadResult(_)
            | Answer::RunStopped(_) => 502,
            Answer::ShuttingDown => 503,
        }
    }

    fn end_of_logs(&self) -> EndOfLogs {
        match self {
            Answer::InitFailed
            | Answer::InitStopped(_)
            | Answer::NoBinary
            | Answer::NoResult
            | Answer::BadResult(_)
            | Answer::RunStopped(_)
            | Answer::HostFailed(_) => EndOfLogs::Sentinel,
            Answer::Initialized
            | Answer::AlreadyInitialized
            | Answer::Dedicated
            | Answer::NoCode
            | Answer::BadRequest(_)
            | Answer::NotInitialized
            | Answer::ShuttingDown => EndOfLogs::Nothing,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let body = match &answer {
            Answer::Initialized => json!({ "OK": true }),
            refusal => json!({ "error": refusal.to_string() }),
        };
        Reply {
            end_of_logs: answer.end_of_logs(),
            ..Reply::json(answer.status(), body.to_string())
        }
    }
}

impl fmt::Display for Answer {
    /// The text of the `error` field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Initialized => f.write_str("OK"),
            Answer::AlreadyInitialized => {
                f.write_str("Cannot initialize the action more than once.")
            }
            Answer::Dedicated => {
                f.write_str("Cannot initialize a runtime with a dedicated function.")
            }
            Answer::NoCode => f.write_str("Missing main/no code to execute."),
            Answer::NotInitialized => {
                f.write_str("The action is not initialized; expected `init` in the message.")
            }
            Answer::InitFailed => f.write_str(
                "The action failed to generate or locate a binary. See logs for details.",
            ),
            Answer::NoBinary => {
                f.write_str("The action failed to locate a binary. See logs for details.")
            }
            Answer::NoResult => f.write_str("The action did not return a dictionary or array."),
            Answer::BadResult(text) => write!(f, "The action's result is no reply: {text}."),
            Answer::BadRequest(text)
            | Answer::InitStopped(text)
            | Answer::RunStopped(text)
            | Answer::HostFailed(text) => f.write_str(text),
            Answer::ShuttingDown => f.write_str("The proxy is shutting down."),
        }
    }
}
