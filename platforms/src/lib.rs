//! The serverless platforms' wire contracts, mapped onto [`actionproxy_core`].
//!
//! Pure: it calls nothing. `decode` turns a request into what is to be done, `encode` turns what
//! came of it into a reply. No sockets, no clock, no environment, no locks: the server has those.
//!
//! ```text
//! Request ── decode ──> Asked: init, run or both ── server: core ──>  Done ── encode ──> Reply
//! ```
//! One module a contract; each owns its table of statuses and texts. What HTTP itself refuses (a
//! path that no contract names, a method, a body without end) is refused before it comes here.

pub mod action_loop;
mod invoker;
pub mod knative;
mod message;
pub mod openwhisk;
mod reply;

use std::time::{Duration, SystemTime};

use actionproxy_core::{InitError, InitRequest, Outcome, RunError, RunRequest};

pub use action_loop::{ActionLoop, InitErrors};
pub use invoker::run_text;
pub use knative::Knative;
pub use openwhisk::OpenWhisk;
pub use reply::{EndOfLogs, LogLine, Reply};

/// A platform's contract: which requests it sends and what it expects back.
pub trait Contract: Send + Sync {
    /// The paths that the platform uses.
    fn endpoints(&self) -> Vec<Endpoint>;

    /// What a request asks for.
    ///
    /// # Errors
    /// The reply to a request that is not what the contract says.
    fn decode(&self, request: Request, moment: Moment) -> Result<Asked, Reply>;

    /// The reply to a request, from what came of it.
    fn encode(&self, done: Done, context: &Context) -> Reply;

    /// The line, without its newline, that ends the logs of an activation on both streams.
    fn end_of_logs(&self) -> &'static str;
}

/// A path, and what is asked for there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The path, without a query.
    pub path: &'static str,
    /// The methods that it takes.
    pub methods: Vec<&'static str>,
    /// What a request to it may ask for.
    pub purpose: Purpose,
}

/// What a request asks for, as far as its path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To initialise the action.
    Init,
    /// To run an activation.
    Run,
    /// To initialise, to run, or both: its body tells.
    Either,
}

/// One request to an [`Endpoint`].
#[derive(Debug)]
pub struct Request {
    /// What its path says.
    pub purpose: Purpose,
    /// The method, as it came.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What stands behind the question mark, if there is one.
    pub query: Option<String>,
    /// Names and values of the headers, in their order. What is no UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// What is so when a request has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: SystemTime,
    /// How long the request has waited for other activations.
    pub waited: Duration,
    /// Whether an init has succeeded.
    pub initialized: bool,
    /// Whether that init had `raw` set: the action reads bodies itself.
    pub raw: bool,
}

/// What a request asks for.
#[derive(Debug)]
pub struct Asked {
    /// What is to be done.
    pub task: Task,
    /// What the logs are to say before it is done.
    pub logged: Vec<LogLine>,
    /// What the reply needs of the request.
    pub context: Context,
}

/// What a reply needs of the request that it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The headers that a browser asks to be allowed (`Access-Control-Request-Headers`).
    pub allow_headers: Option<String>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// An init.
    Init(InitRequest),
    /// A run.
    Run(RunRequest),
    /// An init and, if it succeeds, a run.
    InitThenRun(InitRequest, RunRequest),
}

/// What came of a request. Of an init and a run in one request, the init where it failed, else the
/// run.
#[derive(Debug)]
pub enum Done {
    /// The init.
    Init(Result<(), InitError>),
    /// The run.
    Run(Result<Outcome, RunError>),
    /// The proxy itself could not do it; the sentence says why.
    Failed(String),
    /// It was not begun: the proxy is shutting down.
    ShuttingDown,
}
