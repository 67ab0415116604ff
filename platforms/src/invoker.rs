//! What OpenWhisk's invoker sends to either kind of runtime: the init message, the deadline of an
//! activation, and the line that it reads logs up to.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use actionproxy_core::{Code, Digest, InitError, InitRequest, RawValue, RunError, TimeLimit};

use crate::Moment;
use crate::message::{self, Body, Fields};
use crate::reply::LogLine;

/// The line that ends the logs of an activation.
pub(crate) const SENTINEL: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";

/// The fields of an init value that have a meaning of their own.
const INIT_FIELDS: [&str; 6] = ["name", "main", "code", "binary", "env", "sha256"];

/// An activation whose deadline passed while it waited.
pub(crate) struct TooLate;

impl TooLate {
    /// What the answer and the logs say of it.
    pub(crate) const TEXT: &str =
        "The action was not started: its deadline passed while it waited for others.";
}

/// Replaces `body` by the argument that stands at `range`, as one line: without the line breaks
/// between its tokens. (Inside a JSON string a line break cannot stand.)
pub(crate) fn keep_one_line(body: &mut Vec<u8>, range: Range<usize>) {
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
/// [`TooLate`].
pub(crate) fn deadline(
    metadata: &Fields<'_>,
    Moment { now, waited, .. }: Moment,
    logged: &mut Vec<LogLine>,
) -> Result<Option<TimeLimit>, TooLate> {
    let Some(text) = metadata.value("deadline").and_then(message::variable) else {
        return Ok(None);
    };
    let Ok(millis) = text.trim().parse::<u64>() else {
        logged.push(LogLine::Note(format!(
            "ignored the deadline {text:?}: expected milliseconds since 1970"
        )));
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
        (Some(_), None) => Err(TooLate),
    }
}

/// What a variable holds whose value in `env` is this.
pub(crate) type Variable = fn(&RawValue) -> Option<String>;

/// Reads an init body. The code keeps the body's buffer.
pub(crate) fn init_request(mut body: Vec<u8>, variable: Variable) -> Result<InitRequest, String> {
    let message = match message::parse(&body)? {
        Body::Object(message) => message,
        Body::Other(found) => return Err(format!("The body: expected an object, found {found}.")),
    };
    let value = message.object("value")?.unwrap_or_default();
    let (mut request, form) = init_fields(&value, variable)?;
    let Some(code) = code(&value)? else {
        return Ok(request);
    };
    let range = message::place(&body, code);
    message::unquote_in_place(&mut body, range)
        .map_err(|found| message::wrong_type("code", "text", found))?;
    request.code = Some(form(body));
    Ok(request)
}

/// The init that an object within a larger message describes. The code is copied.
pub(crate) fn init_request_from(value: &Fields<'_>) -> Result<InitRequest, String> {
    let (mut request, form) = init_fields(value, message::variable)?;
    request.code = value.string("code")?.map(|code| form(code.into()));
    Ok(request)
}

/// Text, or an archive in base64.
type Form = fn(Vec<u8>) -> Code;

/// All fields but the code, and the form that it has.
fn init_fields(value: &Fields<'_>, variable: Variable) -> Result<(InitRequest, Form), String> {
    let mut request = InitRequest {
        name: value.string("name")?,
        main: value.string("main")?,
        sha256: digest(value)?,
        ..InitRequest::default()
    };
    let binary = value.boolean("binary")?.unwrap_or(false);
    for (name, raw) in value.object("env")?.unwrap_or_default().iter() {
        if let Some(value) = variable(raw) {
            request.env.set(name, value);
        }
    }
    for (name, raw) in value.iter().filter(|(name, _)| !INIT_FIELDS.contains(name)) {
        request.fields.insert(name.to_owned(), raw.to_owned());
    }
    Ok((request, if binary { Code::Base64 } else { Code::Text }))
}

fn code<'a>(value: &Fields<'a>) -> Result<Option<&'a RawValue>, String> {
    let code = value.value("code");
    match code.map(message::kind) {
        None | Some("a string") => Ok(code),
        Some(found) => Err(message::wrong_type("code", "a string", found)),
    }
}

fn digest(value: &Fields<'_>) -> Result<Option<Digest>, String> {
    value
        .string("sha256")?
        .map(|hex| Digest::parse(&hex).map_err(|e| format!("Field `sha256`: {e}.")))
        .transpose()
}

/// What is said of an init that failed. Only the end of the proxy stops one.
pub(crate) fn init_text(error: &InitError) -> String {
    match error {
        InitError::Stopped => format!("{error}: the proxy is shutting down"),
        error => error.to_string(),
    }
}

/// What is said of a run without a result. Only the end of the proxy stops one.
pub fn run_text(error: &RunError) -> String {
    match error {
        RunError::Stopped => format!("{error}: the proxy is shutting down"),
        error => error.to_string(),
    }
}

/// Such a text as a sentence of an answer.
pub(crate) fn sentence(text: String) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}
