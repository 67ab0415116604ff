//! What HTTP itself refuses, with its status and text: the only table of its kind.

use std::fmt;

use super::reply::Reply;

/// A request that is refused before any service sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be read, or could be read in two ways; the text says what was expected.
    Malformed(String),
    /// No such path.
    NotFound { path: String, known: String },
    /// The path takes other methods.
    MethodNotAllowed {
        method: String,
        path: String,
        allowed: String,
    },
    /// The rest of it did not come in time.
    TimedOut,
    /// A body that needs a length has none; the text says which.
    LengthRequired(String),
    /// A body over the limit; its length where it was announced.
    TooLarge { length: Option<u64>, limit: u64 },
    /// It expects what there is not.
    Expectation(String),
    /// A head over a limit; the text names it.
    HeadTooLarge(String),
    /// The service let go of it without a reply.
    Failed,
    /// A transfer coding other than chunked.
    NotImplemented(String),
    /// More bytes of bodies at a time than there is memory for.
    Overloaded,
    /// The server closes its connections, and the rest of the request has not come.
    Closing,
    /// More connections than there may be, and all of them work.
    TooManyConnections,
    /// The rest of it has not come, and another connection needs its place.
    MadeRoom,
    /// Another version of HTTP.
    Version(String),
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::NotFound { .. } => 404,
            Refusal::MethodNotAllowed { .. } => 405,
            Refusal::TimedOut => 408,
            Refusal::LengthRequired(_) => 411,
            Refusal::TooLarge { .. } => 413,
            Refusal::Expectation(_) => 417,
            Refusal::HeadTooLarge(_) => 431,
            Refusal::Failed => 500,
            Refusal::NotImplemented(_) => 501,
            Refusal::Overloaded
            | Refusal::Closing
            | Refusal::TooManyConnections
            | Refusal::MadeRoom => 503,
            Refusal::Version(_) => 505,
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut reply = Reply::error(refusal.status(), &refusal.to_string());
        if let Refusal::MethodNotAllowed { allowed, .. } = refusal {
            reply.headers.push(("Allow".into(), allowed.into()));
        }
        reply
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(text)
            | Refusal::LengthRequired(text)
            | Refusal::Expectation(text)
            | Refusal::HeadTooLarge(text)
            | Refusal::NotImplemented(text)
            | Refusal::Version(text) => f.write_str(text),
            Refusal::NotFound { path, known } => {
                write!(f, "There is nothing at {path:?}; expected {known}.")
            }
            Refusal::MethodNotAllowed {
                method,
                path,
                allowed,
            } => write!(f, "{path} does not take {method:?}; expected {allowed}."),
            Refusal::TimedOut => {
                f.write_str("The rest of the request did not come within the idle timeout.")
            }
            Refusal::TooLarge {
                length: Some(length),
                limit,
            } => write!(
                f,
                "The body of {length} bytes is over the limit of {limit} bytes."
            ),
            Refusal::TooLarge {
                length: None,
                limit,
            } => write!(f, "The body is over the limit of {limit} bytes."),
            Refusal::Failed => f.write_str("The proxy failed to answer this request."),
            Refusal::Overloaded => f.write_str(
                "Too many large requests at once; expected fewer, or the same one later.",
            ),
            Refusal::Closing => f.write_str("The proxy is shutting down."),
            Refusal::MadeRoom => f.write_str(
                "Ended before the rest of the request came, to make room for another connection; \
                 expected fewer, or the same one later.",
            ),
            Refusal::TooManyConnections => {
                f.write_str("Too many connections at once; expected fewer, or the same one later.")
            }
        }
    }
}
