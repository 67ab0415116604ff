//! Every answer of the ActionLoop contract, with its status, text and sentinel: the only table of its
//! kind. The words are those of the Go proxy (apache/openwhisk-runtime-go), whose bodies end in a
//! newline.

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
    /// An init without code.
    NoCode,
    /// An init whose body is not what the contract says; the text names the field.
    BadInit(String),
    /// An init whose code cannot be decoded or unpacked, or does not compile; why.
    NotBuilt(String),
    /// The same, with the reason in the logs.
    NotBuiltSeeLogs,
    /// An init whose action cannot be started; why.
    NotStarted(String),
    /// The same, with the reason in the logs.
    NotStartedSeeLogs,
    /// The init was stopped by its time limit; the text names it.
    InitStopped(String),
    /// A run whose body is no JSON object; the text says where.
    BadRun(String),
    /// A run before there is an action.
    NoAction,
    /// The action ended in this run.
    Exited,
    /// It ended in an earlier one.
    ExitedBefore,
    /// The action did not answer with an object or array.
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
            Answer::BadInit(_) | Answer::BadRun(_) | Answer::Exited => 400,
            Answer::AlreadyInitialized | Answer::NoCode => 403,
            Answer::NoAction | Answer::ExitedBefore | Answer::HostFailed(_) => 500,
            Answer::NotBuilt(_)
            | Answer::NotBuiltSeeLogs
            | Answer::NotStarted(_)
            | Answer::NotStartedSeeLogs
            | Answer::InitStopped(_)
            | Answer::NoResult
            | Answer::RunStopped(_) => 502,
            Answer::ShuttingDown => 503,
        }
    }

    /// Every run has its sentinels, and every init whose reason is in the logs.
    pub(super) fn end_of_logs(&self) -> EndOfLogs {
        match self {
            Answer::Result(_)
            | Answer::NotBuiltSeeLogs
            | Answer::NotStartedSeeLogs
            | Answer::BadRun(_)
            | Answer::NoAction
            | Answer::Exited
            | Answer::ExitedBefore
            | Answer::NoResult
            | Answer::RunStopped(_)
            | Answer::HostFailed(_) => EndOfLogs::Sentinel,
            Answer::Initialized
            | Answer::AlreadyInitialized
            | Answer::NoCode
            | Answer::BadInit(_)
            | Answer::NotBuilt(_)
            | Answer::NotStarted(_)
            | Answer::InitStopped(_)
            | Answer::ShuttingDown => EndOfLogs::Nothing,
        }
    }

    fn into_body(self) -> Vec<u8> {
        let mut body = match self {
            Answer::Initialized => b"{\"ok\":true}".to_vec(),
            Answer::Result(result) => result,
            refusal => json!({ "error": refusal.to_string() })
                .to_string()
                .into_bytes(),
        };
        body.push(b'\n');
        body
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
            Answer::NoCode => f.write_str("Missing main/no code to execute."),
            Answer::NotBuiltSeeLogs => f.write_str(
                "The action failed to generate or locate a binary. See logs for details.",
            ),
            Answer::NotStarted(reason) => write!(f, "cannot start action: {reason}"),
            Answer::NotStartedSeeLogs => {
                f.write_str("Cannot start action. Check logs for details.")
            }
            Answer::NoAction => f.write_str("no action defined yet"),
            Answer::Exited | Answer::ExitedBefore => f.write_str("command exited"),
            Answer::NoResult => f.write_str("The action did not return a dictionary or array."),
            Answer::BadInit(text)
            | Answer::NotBuilt(text)
            | Answer::InitStopped(text)
            | Answer::BadRun(text)
            | Answer::RunStopped(text)
            | Answer::HostFailed(text) => f.write_str(text),
            Answer::ShuttingDown => f.write_str("The proxy is shutting down."),
        }
    }
}
