//! The argument of a run: JSON on one line.

use serde_json::value::RawValue;

use crate::last_error::Failure;

/// The argument without line breaks, which can stand between its tokens alone. Nothing is `{}`.
pub(crate) fn line(mut argument: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if argument.is_empty() {
        return Ok(b"{}".to_vec());
    }
    let json: &RawValue = serde_json::from_slice(&argument)
        .map_err(|e| Failure::bad_argument(format_args!("the argument is no JSON: {e}")))?;
    let kind = match json.get().as_bytes().first() {
        Some(b'{' | b'[') => None,
        Some(b'"') => Some("a string"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        _ => Some("a number"),
    };
    if let Some(kind) = kind {
        return Err(Failure::bad_argument(format_args!(
            "the argument is {kind}; expected a JSON object or array"
        )));
    }
    argument.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    Ok(argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::last_error::actionproxy_status;

    #[test]
    fn an_object_or_array_is_put_on_one_line() {
        let line =
            |text: &str| line(text.into()).map(|line| String::from_utf8(line).expect("text"));
        assert_eq!(line("").expect("nothing is an object"), "{}");
        let pretty = line("{\r\n  \"a\": [1,\n 2.50]\n}\n");
        assert_eq!(pretty.expect("an object"), "{  \"a\": [1, 2.50]}");
        assert_eq!(line(" [] ").expect("an array"), " [] ");
        for (text, said) in [
            (
                "7",
                "the argument is a number; expected a JSON object or array",
            ),
            (
                "\"{}\"",
                "the argument is a string; expected a JSON object or array",
            ),
            (
                "null",
                "the argument is null; expected a JSON object or array",
            ),
            (
                "{",
                "the argument is no JSON: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            let failure = line(text).expect_err(text);
            assert_eq!(failure.text, said);
            assert_eq!(failure.status, actionproxy_status::ACTIONPROXY_CALLER);
        }
        assert!(super::line(b"{\"a\":\"\xff\"}".to_vec()).is_err());
    }
}
