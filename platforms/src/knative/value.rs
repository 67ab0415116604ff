//! The value that an action is given: what the message holds, and what HTTP says around it.

use actionproxy_core::RawValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::{self, Fields};

/// What HTTP says of a request.
pub(super) struct Http<'a> {
    pub method: &'a str,
    pub query: &'a str,
    pub headers: &'a [(String, String)],
    /// The namespace that the action is called for.
    pub user: &'a str,
}

/// The fields that are the proxy's to set. A message's own of the same names are left out.
const CONTEXT: [&str; 6] = [
    "__ow_method",
    "__ow_headers",
    "__ow_path",
    "__ow_user",
    "__ow_query",
    "__ow_body",
];

/// The body of a request, as an action that asks for it raw is given it.
pub(super) enum Entity<'a> {
    /// These bytes, as they came.
    Bytes(&'a [u8]),
    /// The text of a string.
    Text(String),
}

impl<'a> Entity<'a> {
    /// The `value` of the message where there is one, else all of the body.
    pub(super) fn of(value: Option<&'a RawValue>, message: &Fields<'_>, body: &'a [u8]) -> Self {
        match value {
            Some(raw) if message::kind(raw) == "a string" => {
                Entity::Text(message::variable(raw).unwrap_or_default())
            }
            Some(raw) => Entity::Bytes(raw.get().as_bytes()),
            // Metadata alone is no body.
            None if message.raw("activation").is_some() => Entity::Bytes(b""),
            None => Entity::Bytes(body),
        }
    }
}

/// The value with the context added, on one line, its own fields as they came.
///
/// # Errors
/// A value that is no object: there is no place for the context in it.
pub(super) fn with_context(http: &Http<'_>, value: Option<&RawValue>) -> Result<Vec<u8>, String> {
    let fields: Fields<'_> = match value {
        None => Fields::default(),
        Some(raw) => match message::kind(raw) {
            "an object" => {
                serde_json::from_str(raw.get()).map_err(|e| format!("Field `value`: {e}."))?
            }
            found => return Err(message::wrong_type("value", "an object", found)),
        },
    };
    let mut object = Object::new();
    for (name, raw) in fields.iter().filter(|(name, _)| !CONTEXT.contains(name)) {
        object.raw(name, raw.get());
    }
    add(&mut object, http);
    Ok(object.finish())
}

/// The context alone, with the body in base64.
pub(super) fn raw(http: &Http<'_>, body: &Entity<'_>) -> Vec<u8> {
    let mut object = Object::new();
    let bytes = match body {
        Entity::Bytes(bytes) => bytes,
        Entity::Text(text) => text.as_bytes(),
    };
    object.string("__ow_body", &STANDARD.encode(bytes));
    add(&mut object, http);
    object.finish()
}

/// A message with this value, as OpenWhisk sends it.
pub(super) fn message(value: &[u8], activation: &Fields<'_>) -> Vec<u8> {
    let mut object = Object::new();
    object.raw("value", &String::from_utf8_lossy(value));
    for (name, raw) in activation.iter().filter(|(name, _)| *name != "value") {
        object.raw(name, raw.get());
    }
    object.finish()
}

fn add(object: &mut Object, http: &Http<'_>) {
    object.string("__ow_method", &http.method.to_ascii_lowercase());
    let mut headers = Object::new();
    let mut seen: Vec<String> = Vec::new();
    for (name, _) in http.headers {
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            continue;
        }
        let values = http
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(&name))
            .map(|(_, value)| value.as_str());
        // One that came several times is one list (RFC 9110, section 5.3).
        headers.string(&name, &values.collect::<Vec<_>>().join(", "));
        seen.push(name);
    }
    object.raw("__ow_headers", &String::from_utf8_lossy(&headers.finish()));
    object.string("__ow_path", "");
    object.string("__ow_user", http.user);
    object.string("__ow_query", http.query);
}

/// A JSON object on one line.
struct Object(Vec<u8>);

impl Object {
    fn new() -> Self {
        Object(vec![b'{'])
    }

    fn string(&mut self, name: &str, value: &str) {
        self.raw(name, &serde_json::Value::from(value).to_string());
    }

    /// `json` may have line breaks between its tokens.
    fn raw(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0
            .extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
        self.0.push(b':');
        let bytes = json.bytes().filter(|b| !matches!(b, b'\n' | b'\r'));
        self.0.extend(bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
