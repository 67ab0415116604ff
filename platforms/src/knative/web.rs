//! The result of a web action as an HTTP reply.
//!
//! OpenWhisk's documentation of web actions, as the single entrypoint of its runtimes implements
//! it (apache/openwhisk-runtime-nodejs, `platform/knative.js`). What an action says never becomes a
//! header that it should not, nor two: names and values are checked, and what frames the message
//! is the server's.

use std::borrow::Cow;

use actionproxy_core::RawValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::{self, Fields};
use crate::reply::{LogLine, Reply};

/// Headers that a reply has unless the action gives others.
const ALLOW_ORIGIN: (&str, &str) = ("Access-Control-Allow-Origin", "*");
const ALLOW_METHODS: (&str, &str) = (
    "Access-Control-Allow-Methods",
    "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH",
);
const ALLOW_HEADERS: &str = "Access-Control-Allow-Headers";
const USUAL_HEADERS: &str =
    "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent";

/// Headers between two neighbours (RFC 9110, section 7.6.1), and those that frame a message.
const NOT_THE_ACTIONS: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Media types whose string bodies are base64.
const BINARY: [&str; 4] = ["image/", "audio/", "video/", "font/"];
const BINARY_APPLICATIONS: [&str; 6] = [
    "application/octet-stream",
    "application/zip",
    "application/gzip",
    "application/pdf",
    "application/wasm",
    "application/x-protobuf",
];

/// What stands in a result instead of a web action's reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadStatus(pub String);

/// The reply to a run with this result. `allow_headers` is what a browser asks to be allowed.
///
/// # Errors
/// A status that is none.
pub(super) fn reply(result: Vec<u8>, allow_headers: Option<&str>) -> Result<Reply, BadStatus> {
    let fields: Fields<'_> = serde_json::from_slice(&result).unwrap_or_default();
    let (code, headers, body) = (
        fields.value("statusCode"),
        fields.value("headers"),
        fields.raw("body"),
    );
    let mut reply = if code.is_none() && headers.is_none() && body.is_none() {
        Reply::json(200, result)
    } else {
        let mut reply = Reply::json(code.map_or(Ok(200), status)?, Vec::new());
        reply.content_type = None;
        if let Some(headers) = headers {
            add_headers(&mut reply, headers);
        }
        add_body(&mut reply, body.filter(|raw| raw.get() != "null"));
        reply
    };
    if reply.status == 200 && reply.body.is_empty() {
        reply.status = 204;
    }
    if matches!(reply.status, 204 | 304) {
        reply.body.clear();
        reply.content_type = None;
    }
    allow(&mut reply, allow_headers);
    Ok(reply)
}

/// Lets browsers use the reply on pages from elsewhere.
pub(super) fn allow(reply: &mut Reply, headers: Option<&str>) {
    let asked = headers.filter(|text| is_value(text));
    let asked = asked.map_or(Cow::Borrowed(USUAL_HEADERS), |text| text.to_owned().into());
    for (name, value) in [
        (ALLOW_ORIGIN.0, ALLOW_ORIGIN.1.into()),
        (ALLOW_METHODS.0, ALLOW_METHODS.1.into()),
        (ALLOW_HEADERS, asked),
    ] {
        if !reply
            .headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            reply.headers.push((name.into(), value));
        }
    }
}

/// A number, or a string of its digits.
fn status(raw: &RawValue) -> Result<u16, BadStatus> {
    let text = raw.get().trim_matches('"');
    text.parse()
        .ok()
        .filter(|code| (200..=599).contains(code))
        .ok_or_else(|| {
            BadStatus(format!(
                "`statusCode`: expected a number from 200 to 599, found {}",
                raw.get()
            ))
        })
}

fn add_headers(reply: &mut Reply, headers: &RawValue) {
    let fields: Fields<'_> = match serde_json::from_str(headers.get()) {
        Ok(fields) => fields,
        Err(_) => {
            let found = message::kind(headers);
            return note(
                reply,
                format!("left out `headers`: expected an object, found {found}"),
            );
        }
    };
    for (name, raw) in fields.iter() {
        if NOT_THE_ACTIONS.contains(&name.to_ascii_lowercase().as_str()) {
            note(
                reply,
                format!("left out the header {name:?}: it is the server's"),
            );
            continue;
        }
        // An array stands for a header that is sent several times, as `Set-Cookie` is.
        let values: Vec<&RawValue> = match message::kind(raw) {
            "an array" => serde_json::from_str(raw.get()).unwrap_or_default(),
            _ => vec![raw],
        };
        for value in values.into_iter().filter_map(message::variable) {
            if !is_name(name) || !is_value(&value) {
                note(
                    reply,
                    format!(
                        "left out the header {name:?} with the value {value:?}: expected a name and text without control characters"
                    ),
                );
            } else if name.eq_ignore_ascii_case("content-type") {
                reply.content_type = Some(value.into());
            } else {
                reply.headers.push((name.to_owned().into(), value.into()));
            }
        }
    }
}

fn add_body(reply: &mut Reply, body: Option<&RawValue>) {
    let Some(raw) = body else { return };
    let is_text = message::kind(raw) == "a string";
    if !is_text {
        reply.body = raw.get().into();
        reply
            .content_type
            .get_or_insert_with(|| "application/json".into());
        return;
    }
    let text = message::variable(raw).unwrap_or_default();
    let media = reply.content_type.get_or_insert_with(|| "text/html".into());
    if is_binary(media) {
        match STANDARD.decode(text.trim()) {
            Ok(bytes) => {
                reply.body = bytes;
                return;
            }
            Err(e) => {
                let line =
                    format!("sent `body` as text: its type is {media}, but it is no base64: {e}");
                note(reply, line);
            }
        }
    }
    reply.body = text.into_bytes();
}

fn is_binary(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    // An image, but text.
    if media == "image/svg+xml" {
        return false;
    }
    BINARY.iter().any(|start| media.starts_with(start))
        || BINARY_APPLICATIONS.contains(&media.as_str())
}

/// RFC 9110, section 5.6.2.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_value(value: &str) -> bool {
    !value.chars().any(|c| c.is_control() && c != '\t')
}

fn note(reply: &mut Reply, line: String) {
    reply.logged.push(LogLine::Note(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(result: &str) -> Reply {
        reply(result.into(), None).expect("a reply")
    }

    fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
        let mut found = reply.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_ref());
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[test]
    fn a_result_with_none_of_the_keys_is_the_body() {
        let reply = of(r#"{"b":1.0, "a":2}"#);
        assert_eq!(
            (reply.status, &reply.body[..]),
            (200, &br#"{"b":1.0, "a":2}"#[..])
        );
        assert_eq!(reply.content_type.as_deref(), Some("application/json"));
        assert_eq!(header(&reply, ALLOW_ORIGIN.0), Some("*"));
        assert_eq!(of("[1]").body, b"[1]");
    }

    #[test]
    fn status_headers_and_body_are_the_actions() {
        let reply = of(
            r#"{"statusCode": "404", "headers": {"X-A": 1, "set-cookie": ["a=1", "b=2"], "Access-Control-Allow-Origin": "https://a"}, "body": "<p>\u00fc"}"#,
        );
        assert_eq!((reply.status, reply.body), (404, "<p>ü".into()));
        assert_eq!(reply.content_type.as_deref(), Some("text/html"));
        let cookies: Vec<_> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_ref())
            .collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        let reply = of(r#"{"body": {"a": [1, 2]}}"#);
        assert_eq!(reply.body, br#"{"a": [1, 2]}"#);
        assert_eq!(reply.content_type.as_deref(), Some("application/json"));
        assert_eq!(of(r#"{"body": 7}"#).body, b"7");
    }

    #[test]
    fn an_empty_body_is_no_content() {
        for empty in [
            r#"{"body": ""}"#,
            r#"{"body": null}"#,
            r#"{"statusCode": 200}"#,
        ] {
            let reply = of(empty);
            assert_eq!((reply.status, reply.content_type), (204, None), "{empty}");
        }
        assert_eq!(
            of(r#"{"statusCode": 302, "headers": {"Location": "/x"}}"#).status,
            302
        );
        assert_eq!(of(r#"{"statusCode": 304, "body": "x"}"#).body, b"");
    }

    #[test]
    fn binary_bodies_are_decoded_and_what_is_none_is_sent_as_text() {
        let reply = of(r#"{"headers": {"content-type": "IMAGE/png"}, "body": "iVBORw0K"}"#);
        assert_eq!(reply.body, b"\x89PNG\r\n");
        assert_eq!(reply.content_type.as_deref(), Some("IMAGE/png"));
        let reply =
            of(r#"{"headers": {"Content-Type": "application/pdf; a=b"}, "body": "JVBERg=="}"#);
        assert_eq!(reply.body, b"%PDF");
        let reply = of(r#"{"headers": {"Content-Type": "image/png"}, "body": "no!"}"#);
        assert_eq!((reply.body, reply.logged.len()), (b"no!".to_vec(), 1));
        let reply = of(r#"{"headers": {"Content-Type": "image/svg+xml"}, "body": "<svg/>"}"#);
        assert_eq!((reply.body, reply.logged.len()), (b"<svg/>".to_vec(), 0));
    }

    #[test]
    fn an_action_cannot_split_or_frame_a_reply() {
        for bad in [
            r#"{"a\r\nb": "c"}"#,
            r#"{"a": "b\r\nSet-Cookie: c"}"#,
            r#"{"a": "b\n"}"#,
            r#"{"a": "b\u0000"}"#,
            r#"{"": "b"}"#,
            r#"{"a b": "c"}"#,
            r#"{"Content-Length": "3"}"#,
            r#"{"transfer-encoding": "chunked"}"#,
            r#"{"Connection": "close"}"#,
            r#"{"Content-Type": "text/plain\r\nA: b"}"#,
            r#"["a"]"#,
        ] {
            let reply = of(&format!("{{\"headers\": {bad}, \"body\": \"x\"}}"));
            assert_eq!(reply.logged.len(), 1, "{bad}");
            assert_eq!(reply.headers.len(), 3, "{bad}");
            assert_eq!(reply.content_type.as_deref(), Some("text/html"), "{bad}");
        }
    }

    #[test]
    fn a_status_that_is_none_is_an_error() {
        for bad in ["100", "600", "\"ok\"", "1.5", "-1", "{}", "true"] {
            let result = format!("{{\"statusCode\": {bad}}}");
            assert!(reply(result.into(), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_preflight_asks_for_is_allowed_but_not_a_second_header() {
        let asked = reply(b"{}".to_vec(), Some("x-token, content-type")).expect("a reply");
        assert_eq!(header(&asked, ALLOW_HEADERS), Some("x-token, content-type"));
        let usual = reply(b"{}".to_vec(), None).expect("a reply");
        assert_eq!(header(&usual, ALLOW_HEADERS), Some(USUAL_HEADERS));
        let split = reply(b"{}".to_vec(), Some("a\r\nb")).expect("a reply");
        assert_eq!(header(&split, ALLOW_HEADERS), Some(USUAL_HEADERS));
    }
}
