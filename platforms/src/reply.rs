//! What goes back: to the client, and to the logs before it.

use std::borrow::Cow;

/// A reply, free of any wire format but the numbers and names of HTTP.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The media type of `body`; none for a reply without one.
    pub content_type: Option<Cow<'static, str>>,
    /// Further headers. Their names and values hold no line breaks.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Lines that the logs get first.
    pub logged: Vec<LogLine>,
    /// What ends the logs, between those lines and the reply.
    pub end_of_logs: EndOfLogs,
}

impl Reply {
    /// A JSON body; nothing in the logs.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Reply {
            status,
            content_type: Some("application/json".into()),
            headers: Vec::new(),
            body: body.into(),
            logged: Vec::new(),
            end_of_logs: EndOfLogs::Nothing,
        }
    }
}

/// Whether the logs of an activation end with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfLogs {
    /// One sentinel goes to each stream before the reply.
    Sentinel,
    /// None: the platform reads no logs for this request, or reads on.
    Nothing,
}

/// A line for the logs, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogLine {
    /// The proxy's own words about the activation, on stderr, told apart from the action's output.
    Note(String),
    /// A line of the contract's on stderr, as it is.
    Stderr(String),
}
