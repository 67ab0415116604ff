//! The head of a request: read by `httparse`, then held against what RFC 9112 leaves open.
//!
//! A head that two readers could take for two different requests is refused, never guessed at:
//! lengths that are no plain number or differ, a length beside a transfer coding, a line that ends
//! in a bare LF, white space before a colon, folded lines, a missing or second `Host`. Whatever the
//! cuts between the pieces in which a head comes, it is read the same.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::refusal::Refusal;

/// The longest head, in bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// The most header fields.
const MAX_FIELDS: usize = 128;

/// How the body of a request is framed (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Neither a length nor a transfer coding: there is no body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    text: Vec<u8>,
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// The minor version of HTTP/1.
    pub(super) minor: u8,
    pub(crate) framing: Framing,
    /// Whether the client would like to send more on the same connection.
    pub(super) persistent: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

impl Head {
    /// As it came: case matters.
    pub(crate) fn method(&self) -> &str {
        self.string(&self.method)
    }

    /// The path, without scheme, host and query.
    pub(crate) fn path(&self) -> &str {
        let target = self.origin_form();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What stands behind the question mark, if there is one.
    pub(crate) fn query(&self) -> Option<&str> {
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// Name and value of each header field, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| {
            let value = self.text.get(value.clone()).unwrap_or_default();
            (self.string(name), value)
        })
    }

    /// The target of a client that names scheme and host too (RFC 9112, section 3.2.2), without
    /// them.
    fn origin_form(&self) -> &str {
        let target = self.string(&self.target);
        let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
            let start = target.get(..scheme.len())?;
            start
                .eq_ignore_ascii_case(scheme)
                .then(|| &target[scheme.len()..])
        });
        match rest {
            None => target,
            Some(rest) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        }
    }

    fn string(&self, range: &Range<usize>) -> &str {
        let bytes = self.text.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Reads heads from bytes that come in pieces.
///
/// It looks at them again only where a line has ended or they have doubled, so that a head which
/// comes byte by byte costs no more than one that is twice as long.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// How many bytes were there when they were last read as a head.
    looked_at: usize,
    /// How many have been searched for the end of a line.
    searched: usize,
}

impl HeadReader {
    /// The head at the start of `buffer`, which is left with what stands behind it; nothing while
    /// it is not complete.
    ///
    /// # Errors
    /// What cannot become a request.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Head>, Refusal> {
        let new = buffer.get(self.searched..).unwrap_or_default();
        if new.is_empty() {
            return Ok(None);
        }
        self.searched = buffer.len();
        let is_due = buffer.len() <= 1024
            || buffer.len() >= 2 * self.looked_at
            || buffer.len() > MAX_HEAD
            || memchr::memchr(b'\n', new).is_some();
        if is_due {
            self.looked_at = buffer.len();
            let within = &buffer[..buffer.len().min(MAX_HEAD)];
            if let Some((length, mut head)) = parse(within)? {
                *self = HeadReader::default();
                let rest = buffer.split_off(length);
                head.text = std::mem::replace(buffer, rest);
                return Ok(Some(head));
            }
        }
        if buffer.len() > MAX_HEAD {
            return Err(Refusal::HeadTooLarge(format!(
                "The head of the request is over the limit of {MAX_HEAD} bytes."
            )));
        }
        Ok(None)
    }
}

/// The head at the start of `bytes`, still without its text, and its length.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Refusal> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) => return version(bytes),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::HeadTooLarge(format!(
                "The head of the request has more than {MAX_FIELDS} header fields."
            )));
        }
        Err(e) => return Err(malformed(bytes, e)),
    };
    refuse_bare_line_feeds(&bytes[..length])?;
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
        start..start + part.len()
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Ok(None);
    };
    let mut head = Head {
        text: Vec::new(),
        method: place(method.as_bytes()),
        target: place(target.as_bytes()),
        fields: request
            .headers
            .iter()
            .map(|field| (place(field.name.as_bytes()), place(field.value)))
            .collect(),
        minor,
        framing: Framing::None,
        persistent: minor > 0,
        expects_continue: false,
    };
    interpret(&mut head, request.headers)?;
    Ok(Some((length, head)))
}

/// What the fields say about framing, persistence and expectations.
fn interpret(head: &mut Head, fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    let (mut length, mut codings, mut hosts) = (None, Vec::new(), 0);
    let mut close = false;
    for httparse::Header { name, value } in fields {
        if name.eq_ignore_ascii_case("content-length") {
            let found = content_length(value)?;
            if length.is_some_and(|known| known != found) {
                return Err(Refusal::Malformed(format!(
                    "Header `Content-Length`: expected one value, found {} and {found}.",
                    length.unwrap_or_default()
                )));
            }
            length = Some(found);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            codings.extend(list(value).map(<[u8]>::to_ascii_lowercase));
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation(format!(
                    "Header `Expect`: expected `100-continue`, found {:?}.",
                    String::from_utf8_lossy(value)
                )));
            }
            // A client of HTTP/1.0 would take the interim answer for the answer.
            head.expects_continue = head.minor > 0;
        } else if name.eq_ignore_ascii_case("connection") {
            for option in list(value) {
                close |= option.eq_ignore_ascii_case(b"close");
                head.persistent |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if !is_host(value.trim_ascii()) {
                return Err(Refusal::Malformed(format!(
                    "Header `Host`: expected a name or an address, with or without a port, found {:?}.",
                    String::from_utf8_lossy(value)
                )));
            }
        }
    }
    head.persistent &= !close;
    if hosts > 1 || (hosts == 0 && head.minor > 0) {
        return Err(Refusal::Malformed(format!(
            "Header `Host`: expected one, found {hosts}."
        )));
    }
    head.framing = framing(head.minor, length, &codings)?;
    Ok(())
}

/// RFC 9112, section 3.2, and RFC 3986, sections 3.2.2 and 3.2.3. A name may be empty.
fn is_host(value: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let (host, port) = match value.strip_prefix(b"[") {
        Some(address) => {
            let end = address.iter().position(|&byte| byte == b']');
            let Some(end) = end else { return false };
            (&address[..end], &address[end + 1..])
        }
        None => value.split_at(value.iter().position(|&b| b == b':').unwrap_or(value.len())),
    };
    let is_address = value.starts_with(b"[");
    host.iter()
        .all(|byte| is_of_name(byte) || (is_address && *byte == b':'))
        && (port.is_empty()
            || port
                .strip_prefix(b":")
                .is_some_and(|port| port.iter().all(u8::is_ascii_digit)))
}

/// RFC 9112, sections 6.1 and 6.3.
fn framing(minor: u8, length: Option<u64>, codings: &[Vec<u8>]) -> Result<Framing, Refusal> {
    let Some((last, others)) = codings.split_last() else {
        return Ok(length.map_or(Framing::None, Framing::Length));
    };
    let all = || String::from_utf8_lossy(&codings.join(&b", "[..])).into_owned();
    if length.is_some() {
        return Err(Refusal::Malformed(
            "Expected `Content-Length` or `Transfer-Encoding`, found both.".to_owned(),
        ));
    }
    if minor == 0 {
        return Err(Refusal::Malformed(
            "Header `Transfer-Encoding`: expected none in HTTP/1.0.".to_owned(),
        ));
    }
    if last != b"chunked" || others.iter().any(|coding| coding == b"chunked") {
        // Where the body ends cannot be known.
        return Err(Refusal::Malformed(format!(
            "Header `Transfer-Encoding`: expected `chunked` once, as the last, found {:?}.",
            all()
        )));
    }
    if !others.is_empty() {
        return Err(Refusal::NotImplemented(format!(
            "Header `Transfer-Encoding`: expected `chunked` alone, found {:?}.",
            all()
        )));
    }
    Ok(Framing::Chunked)
}

/// The members of a list (RFC 9110, section 5.6.1). A header that is there but empty has one empty
/// member, which is nothing that anybody expects.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Only digits: no sign, no list, no empty value, nothing over 64 bits.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let text = value.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Refusal::Malformed(format!(
                "Header `Content-Length`: expected a number of bytes, found {:?}.",
                String::from_utf8_lossy(value)
            ))
        })
}

/// A reader that ends lines at CR LF alone would see another head (RFC 9112, section 2.2).
fn refuse_bare_line_feeds(head: &[u8]) -> Result<(), Refusal> {
    let mut before = 0;
    for at in memchr::memchr_iter(b'\n', head) {
        if at == before || head[at - 1] != b'\r' {
            return Err(Refusal::Malformed(
                "Expected CR LF at the end of each line of the head, found LF alone.".to_owned(),
            ));
        }
        before = at + 1;
    }
    Ok(())
}

/// Another version of HTTP, something else altogether, or a version of which not all has come.
fn version<T>(bytes: &[u8]) -> Result<Option<T>, Refusal> {
    let malformed = || malformed(bytes, httparse::Error::Version);
    let text = bytes.trim_ascii_start();
    let (line, is_whole) = match memchr::memchr2(b'\r', b'\n', text) {
        Some(end) => (&text[..end], true),
        None => (text, false),
    };
    let mut words = line.split(|byte| *byte == b' ');
    let (method, _, version) = (words.next(), words.next(), words.next());
    let Some(number) = version.and_then(|word| word.strip_prefix(b"HTTP/")) else {
        return Err(malformed());
    };
    let is_digit = |at: usize| number.get(at).is_none_or(u8::is_ascii_digit);
    if !is_digit(0) || number.get(1).is_some_and(|b| *b != b'.') || !is_digit(2) {
        return Err(malformed());
    }
    // The preface of HTTP/2 is made to be refused (RFC 9113, section 3.4).
    if number.len() > 3 || (is_whole && number.len() < 3) || method == Some(b"PRI") {
        return Err(malformed());
    }
    if !is_whole {
        // What comes may make another word of it.
        return Ok(None);
    }
    Err(Refusal::Version(format!(
        "Expected HTTP/1.1 or HTTP/1.0, found HTTP/{}.",
        String::from_utf8_lossy(number)
    )))
}

fn malformed(bytes: &[u8], error: httparse::Error) -> Refusal {
    let start = &bytes[..bytes.len().min(24)];
    let known = [
        (&b"\x16\x03"[..], "a TLS hello; this port speaks plain HTTP"),
        (
            b"PRI * HTTP/2",
            "the preface of HTTP/2; this port speaks HTTP/1.1",
        ),
        (b"PROXY ", "a line of the PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\n", "a head of the PROXY protocol"),
    ];
    let found = known
        .iter()
        .find(|(beginning, _)| start.starts_with(&beginning[..beginning.len().min(start.len())]));
    Refusal::Malformed(match found {
        Some((_, what)) => format!("Expected an HTTP/1.1 request, found {what}."),
        None => format!("Expected an HTTP/1.1 request: {error}."),
    })
}

#[cfg(test)]
mod tests;
