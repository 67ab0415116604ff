//! What the head of a request says about its body, decided before a byte of it is read.
//!
//! RFC 9112, section 6: a length that can be read in two ways is refused, never guessed.

use actionproxy_platforms::Answer;

/// The part of a request's head that matters to the edge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Length of the body in bytes; no header is no body (RFC 9112, section 6.3).
    pub length: u64,
    /// There was such a header.
    pub has_length: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client wants the connection closed after the answer.
    pub close: bool,
}

/// Reads the headers of a request of HTTP/1.`minor`.
///
/// # Errors
/// The answer to a head that leaves the body's length open. The connection cannot be used after
/// it: where the next request begins is not known.
pub(crate) fn read<'h>(
    minor: u8,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> Result<Head, Answer> {
    let mut length = None;
    let mut head = Head {
        length: 0,
        has_length: false,
        expects_continue: false,
        close: minor == 0,
    };
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-length") {
            let found = content_length(value)?;
            if length.is_some_and(|known| known != found) {
                return Err(Answer::BadRequest(format!(
                    "Header `Content-Length`: expected one value, found {} and {found}.",
                    length.unwrap_or_default()
                )));
            }
            length = Some(found);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Answer::LengthRequired(format!(
                "Header `Transfer-Encoding`: expected a `Content-Length` instead, found {:?}.",
                String::from_utf8_lossy(value)
            )));
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                return Err(Answer::BadRequest(format!(
                    "Header `Expect`: expected `100-continue`, found {:?}.",
                    String::from_utf8_lossy(value)
                )));
            }
            // A client of HTTP/1.0 would take the interim answer for the answer.
            head.expects_continue = minor > 0;
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            head.close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
        }
    }
    head.length = length.unwrap_or_default();
    head.has_length = length.is_some();
    Ok(head)
}

/// Only digits: no sign, no list, no empty value, nothing over 64 bits.
fn content_length(value: &[u8]) -> Result<u64, Answer> {
    let text = value.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Answer::BadRequest(format!(
                "Header `Content-Length`: expected a number of bytes, found {:?}.",
                String::from_utf8_lossy(value)
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(minor: u8, headers: &[(&str, &str)]) -> Result<Head, u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        read(minor, headers).map_err(|answer| answer.status().code)
    }

    #[test]
    fn a_length_is_digits_once_or_the_same_again() {
        let length = |values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|v| ("Content-Length", *v)).collect();
            head(1, &headers).map(|head| head.length)
        };
        assert_eq!(length(&[]), Ok(0));
        assert_eq!(length(&["12"]), Ok(12));
        assert_eq!(length(&["12", "12"]), Ok(12));
        for bad in [
            "",
            "+1",
            "-1",
            "1, 1",
            "1,2",
            "0x1",
            "1 2",
            "99999999999999999999",
            "١",
        ] {
            assert_eq!(length(&[bad]), Err(400), "{bad:?}");
        }
        assert_eq!(length(&["1", "2"]), Err(400));
    }

    #[test]
    fn any_transfer_encoding_asks_for_a_length() {
        for value in ["chunked", "identity", "", "gzip, chunked"] {
            assert_eq!(
                head(1, &[("TRANSFER-encoding", value)]),
                Err(411),
                "{value:?}"
            );
        }
        let both = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
        assert_eq!(head(1, &both), Err(411));
    }

    #[test]
    fn continue_and_close_are_read_by_version() {
        let asks = [("Expect", "100-Continue"), ("Connection", "foo, Close")];
        let found = head(1, &asks).expect("a fine head");
        assert!(found.expects_continue && found.close);
        assert!(!head(0, &asks).expect("a fine head").expects_continue);
        assert!(head(0, &[]).expect("a fine head").close);
        assert_eq!(head(1, &[("Expect", "200-ok")]), Err(400));
    }
}
