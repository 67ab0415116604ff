//! Apache OpenWhisk: `POST /init` and `POST /run`, as `dockerskeleton`'s `actionproxy.py` defines
//! them and the invoker expects them.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use actionproxy_core::{
    Action, Code, Digest, Ended, Fault, InitError, InitRequest, Logs, RunError, RunRequest,
    TimeLimit,
};

use crate::answer::Answer;
use crate::message::{self, Body, Fields};
use crate::{Moment, Platform, Route};

/// The line that ends the logs of an activation.
const SENTINEL: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";

/// The fields of an init value that have a meaning of their own.
const INIT_FIELDS: [&str; 6] = ["name", "main", "code", "binary", "env", "sha256"];

/// The OpenWhisk platform.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenWhisk {
    /// Whether a run is ended at the `deadline` of its message. Default: no, as upstream: the
    /// invoker ends it by removing the container.
    pub enforce_deadline: bool,
}

impl Platform for OpenWhisk {
    fn route(&self, method: &str, path: &str) -> Result<Route, Answer> {
        let route = match path.split_once('?').map_or(path, |(path, _)| path) {
            "/init" => Route::Init,
            "/run" => Route::Run,
            _ => {
                return Err(Answer::NotFound {
                    path: path.to_owned(),
                });
            }
        };
        match method {
            "POST" => Ok(route),
            _ => Err(Answer::MethodNotAllowed {
                method: method.to_owned(),
                path: path.to_owned(),
                allowed: "POST",
            }),
        }
    }

    fn init(&self, action: &mut Action, body: Vec<u8>, logs: &mut Logs<'_>) -> Answer {
        let request = match init_request(body) {
            Ok(request) => request,
            Err(text) => return Answer::BadInit(text),
        };
        let error = match action.init(request, logs) {
            Ok(()) => return Answer::Initialized,
            Err(error) => error,
        };
        match &error {
            InitError::AlreadyInitialized => {
                // Upstream's own words, where users look for them.
                let _ = writeln!(logs.stderr, "{}", Answer::AlreadyInitialized);
                Answer::AlreadyInitialized
            }
            InitError::TimedOut { limit } => {
                logs.note(&error);
                Answer::InitStopped(format!(
                    "The initialization was stopped: it passed its time limit of {} ms.",
                    limit.as_millis()
                ))
            }
            _ => {
                logs.note(&error);
                match error.fault() {
                    Fault::Host => Answer::HostFailed(sentence(&error)),
                    Fault::Action | Fault::Caller => Answer::InitFailed,
                }
            }
        }
    }

    fn run(&self, action: &Action, body: Vec<u8>, moment: Moment, logs: &mut Logs<'_>) -> Answer {
        let request = match self.run_request(body, moment, logs) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        let error = match action.run(request, logs) {
            Ok(outcome) => {
                if let Ended::Signaled(_) = outcome.ended {
                    logs.note(outcome.ended);
                }
                return Answer::Result(outcome.result);
            }
            Err(error) => error,
        };
        logs.note(&error);
        match &error {
            RunError::Verify(_) => Answer::NoBinary,
            RunError::TimedOut { .. } | RunError::Stopped | RunError::ResultTooLarge { .. } => {
                Answer::RunStopped(sentence(&error))
            }
            _ => match error.fault() {
                Fault::Host => Answer::HostFailed(sentence(&error)),
                Fault::Action | Fault::Caller => Answer::NoResult,
            },
        }
    }

    fn end_of_logs(&self) -> &'static str {
        SENTINEL
    }
}

impl OpenWhisk {
    /// Reads a run body. The argument keeps the body's buffer.
    fn run_request(
        &self,
        mut body: Vec<u8>,
        moment: Moment,
        logs: &mut Logs<'_>,
    ) -> Result<RunRequest, Answer> {
        let message = match message::parse(&body).map_err(Answer::BadRun)? {
            Body::Object(message) => message,
            Body::Other(_) => return Err(Answer::BadArgument),
        };
        let argument = match message.value("value") {
            None => None,
            Some(value) => match message::kind(value) {
                "an object" | "an array" => Some(message::place(&body, value)),
                _ => return Err(Answer::BadArgument),
            },
        };
        let (metadata, skip) = match message.raw("activation") {
            None => (message, "value"),
            Some(_) => {
                let inner = message.object("activation").map_err(Answer::BadRun)?;
                (inner.unwrap_or_default(), "")
            }
        };
        let mut request = RunRequest::default();
        for (name, raw) in metadata.iter().filter(|(name, _)| *name != skip) {
            if let Some(value) = message::variable(raw) {
                request
                    .env
                    .push((format!("__OW_{}", name.to_uppercase()), value));
            }
        }
        if self.enforce_deadline {
            request.time_limit = deadline(&metadata, moment, logs)?;
        }
        request.argument = match argument {
            None => b"{}".to_vec(),
            Some(range) => {
                keep_one_line(&mut body, range);
                body
            }
        };
        Ok(request)
    }
}

/// Replaces `body` by the argument that stands at `range`, as one line: without the line breaks
/// between its tokens. (Inside a JSON string a line break cannot stand.)
fn keep_one_line(body: &mut Vec<u8>, range: Range<usize>) {
    body.truncate(range.end);
    body.drain(..range.start);
    if memchr::memchr2(b'\n', b'\r', body).is_some() {
        body.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    }
}

/// The time that is left to the message's deadline, in epoch milliseconds as a string or a number.
/// One that was past when the request arrived is ignored: the clocks of invoker and container may
/// differ, and the invoker would not have sent a run that is over. One that cannot be read is named
/// in the logs.
///
/// # Errors
/// The answer to a run whose deadline passed while it waited.
fn deadline(
    metadata: &Fields<'_>,
    Moment { now, waited }: Moment,
    logs: &mut Logs<'_>,
) -> Result<Option<TimeLimit>, Answer> {
    let Some(text) = metadata.value("deadline").and_then(message::variable) else {
        return Ok(None);
    };
    let Ok(millis) = text.trim().parse::<u64>() else {
        logs.note(format_args!(
            "ignored the deadline {text:?}: expected milliseconds since 1970"
        ));
        return Ok(None);
    };
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let left = |from| {
        at.and_then(|at| at.duration_since(from).ok())
            .filter(|t| !t.is_zero())
    };
    match (now.checked_sub(waited).and_then(left), left(now)) {
        (None, _) => Ok(None),
        (Some(_), Some(left)) => Ok(Some(TimeLimit::Deadline(left))),
        (Some(_), None) => {
            let text =
                "The action was not started: its deadline passed while it waited for others.";
            logs.note(text);
            Err(Answer::RunStopped(text.to_owned()))
        }
    }
}

/// Reads an init body. The code keeps the body's buffer.
fn init_request(mut body: Vec<u8>) -> Result<InitRequest, String> {
    let message = match message::parse(&body)? {
        Body::Object(message) => message,
        Body::Other(found) => return Err(format!("The body: expected an object, found {found}.")),
    };
    let value = message.object("value")?.unwrap_or_default();
    let mut request = InitRequest {
        name: value.string("name")?,
        main: value.string("main")?,
        sha256: digest(&value)?,
        ..InitRequest::default()
    };
    let binary = value.boolean("binary")?.unwrap_or(false);
    for (name, raw) in value.object("env")?.unwrap_or_default().iter() {
        if let Some(value) = message::variable(raw) {
            request.env.push((name.to_owned(), value));
        }
    }
    for (name, raw) in value.iter().filter(|(name, _)| !INIT_FIELDS.contains(name)) {
        request.fields.insert(name.to_owned(), raw.to_owned());
    }
    let Some(code) = value.value("code") else {
        return Ok(request);
    };
    if message::kind(code) != "a string" {
        return Err(message::wrong_type("code", "a string", message::kind(code)));
    }
    let range = message::place(&body, code);
    message::unquote_in_place(&mut body, range)
        .map_err(|found| message::wrong_type("code", "text", found))?;
    request.code = Some(if binary {
        Code::Base64(body)
    } else {
        Code::Text(body)
    });
    Ok(request)
}

fn digest(value: &Fields<'_>) -> Result<Option<Digest>, String> {
    value
        .string("sha256")?
        .map(|hex| Digest::parse(&hex).map_err(|e| format!("Field `sha256`: {e}.")))
        .transpose()
}

/// An error of core as a sentence of an answer.
fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}
