//! The other parser: RFC 9112 with the choices that the proxy documents, in one pass over the whole.

use actionproxy_server::wire::{Decoded, End};

/// Bytes of one body.
pub const MAX_BODY: usize = 9_000;
const MAX_HEAD: usize = 64 << 10;
const MAX_FIELDS: usize = 128;
const MAX_BESIDE: usize = 16 << 10;

/// All requests of a stream, and how it ends.
pub fn whole(stream: &[u8]) -> (Vec<Decoded>, End) {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let mut head = Reader {
            bytes: &stream[at..stream.len().min(at + MAX_HEAD)],
            at: 0,
        };
        let meaning = match read_head(&mut head) {
            Ok(meaning) => meaning,
            // All that may be there is there, and it is no whole head.
            Err(Wrong::Short) if stream.len() - at > MAX_HEAD => return (found, End::Refused(431)),
            Err(Wrong::Short) if stream[at..].iter().all(|byte| b"\r\n".contains(byte)) => {
                return (found, End::Between);
            }
            Err(wrong) => return (found, wrong.into()),
        };
        let mut body = Reader {
            bytes: &stream[at + head.at..],
            at: 0,
        };
        let bytes = match read_body(&mut body, &meaning.framing) {
            Ok(bytes) => bytes,
            Err(wrong) => return (found, wrong.into()),
        };
        at += head.at + body.at;
        found.push(Decoded {
            body: bytes,
            ..meaning.request
        });
    }
}

/// Why there is no request.
enum Wrong {
    /// The bytes end early.
    Short,
    Status(u16),
}

impl From<Wrong> for End {
    fn from(wrong: Wrong) -> End {
        match wrong {
            Wrong::Short => End::Inside,
            Wrong::Status(status) => End::Refused(status),
        }
    }
}

const BAD: Wrong = Wrong::Status(400);

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<u8, Wrong> {
        let byte = *self.bytes.get(self.at).ok_or(Wrong::Short)?;
        self.at += 1;
        Ok(byte)
    }

    /// The bytes up to the first that does not fit, and that one.
    fn span(&mut self, fits: impl Fn(u8) -> bool) -> Result<(&'a [u8], u8), Wrong> {
        let start = self.at;
        loop {
            let byte = self.next()?;
            if !fits(byte) {
                return Ok((&self.bytes[start..self.at - 1], byte));
            }
        }
    }

    fn line_feed(&mut self) -> Result<(), Wrong> {
        match self.next()? {
            b'\n' => Ok(()),
            _ => Err(BAD),
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

enum Framing {
    Length(usize),
    Chunked,
}

struct Meaning {
    request: Decoded,
    framing: Framing,
}

fn read_head(reader: &mut Reader<'_>) -> Result<Meaning, Wrong> {
    // A lone LF is told when the head is whole: until then it may be wrong in a way of its own.
    let mut lone = false;
    let first = loop {
        match reader.next()? {
            b'\r' => reader.line_feed()?,
            b'\n' => lone = true,
            first => break first,
        }
    };
    if !is_token(first) {
        return Err(BAD);
    }
    let start = reader.at - 1;
    let (_, behind) = reader.span(is_token)?;
    let method = &reader.bytes[start..reader.at - 1];
    if behind != b' ' {
        return Err(BAD);
    }
    let (target, behind) = reader.span(|byte| byte > b' ' && byte != 0x7f)?;
    let target = std::str::from_utf8(target).map_err(|_| BAD)?;
    if behind != b' ' || target.is_empty() {
        return Err(BAD);
    }
    let minor = read_version(reader, method)?;
    lone |= read_line_end(reader)?;
    let mut fields = Vec::new();
    loop {
        let before = reader.at;
        match reader.next()? {
            b'\r' => {
                reader.line_feed()?;
                break;
            }
            b'\n' => {
                lone = true;
                break;
            }
            _ => reader.at = before,
        }
        let (name, colon) = reader.span(is_token)?;
        if name.is_empty() || colon != b':' {
            return Err(BAD);
        }
        let (value, end) = reader.span(is_text)?;
        match end {
            b'\r' => reader.line_feed()?,
            b'\n' => lone = true,
            _ => return Err(BAD),
        }
        if fields.len() == MAX_FIELDS {
            return Err(Wrong::Status(431));
        }
        fields.push((
            String::from_utf8_lossy(name).into_owned(),
            trim(value).to_vec(),
        ));
    }
    if lone {
        return Err(BAD);
    }
    let framing = read_meaning(&fields, minor)?;
    Ok(Meaning {
        request: Decoded {
            method: String::from_utf8_lossy(method).into_owned(),
            path: path_of(target),
            fields,
            body: Vec::new(),
        },
        framing,
    })
}

fn read_line_end(reader: &mut Reader<'_>) -> Result<bool, Wrong> {
    match reader.next()? {
        b'\r' => reader.line_feed().map(|()| false),
        b'\n' => Ok(true),
        _ => Err(BAD),
    }
}

fn read_version(reader: &mut Reader<'_>, method: &[u8]) -> Result<u8, Wrong> {
    let rest = &reader.bytes[reader.at..];
    for minor in [0, 1] {
        if rest.starts_with(format!("HTTP/1.{minor}").as_bytes()) {
            reader.at += 8;
            return Ok(minor);
        }
    }
    if b"HTTP/1.0".starts_with(rest) || b"HTTP/1.1".starts_with(rest) {
        return Err(Wrong::Short);
    }
    let is_whole = rest.iter().any(|byte| b"\r\n".contains(byte));
    let mut words = rest.split(|byte| b" \r\n".contains(byte));
    let word = words.next().unwrap_or_default();
    let number = word.strip_prefix(b"HTTP/").ok_or(BAD)?;
    let fits = |(at, byte): (usize, &u8)| match at {
        0 | 2 => byte.is_ascii_digit(),
        1 => *byte == b'.',
        _ => false,
    };
    // The beginning of HTTP/2 is no request of another version, but none at all.
    if !number.iter().enumerate().all(fits) || method == b"PRI" {
        return Err(BAD);
    }
    match (number.len(), is_whole) {
        (3, true) => Err(Wrong::Status(505)),
        (_, true) => Err(BAD),
        // Told by the whole line alone.
        (_, false) => Err(Wrong::Short),
    }
}

fn path_of(target: &str) -> String {
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme));
    let rest = match scheme {
        None => target,
        Some(scheme) => {
            let rest = &target[scheme.len()..];
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
    };
    rest.split('?').next().unwrap_or_default().to_owned()
}

fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &&u8| b" \t".contains(byte);
    let start = value.iter().take_while(is_space).count();
    let rest = &value[start..];
    &rest[..rest.len() - rest.iter().rev().take_while(is_space).count()]
}

/// RFC 3986: `[` address `]` or a name, and `:` with digits behind it or neither.
fn names_host(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_matches([' ', '\t']);
    let (host, port) = match text.rfind(']') {
        Some(end) if text.starts_with('[') => (&text[1..end], &text[end + 1..]),
        _ => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let colons = if text.starts_with('[') { ":" } else { "" };
    let signs = format!("-._~!$&'()*+,;=%{colons}");
    let is_sign = |letter: char| letter.is_ascii_alphanumeric() || signs.contains(letter);
    let is_closed = !text.starts_with('[') || text.contains(']');
    let digits = port.strip_prefix(':').unwrap_or("");
    is_closed
        && host.chars().all(is_sign)
        && digits.chars().all(|digit| digit.is_ascii_digit())
        && (port.is_empty() || port.starts_with(':'))
}

fn read_meaning(fields: &[(String, Vec<u8>)], minor: u8) -> Result<Framing, Wrong> {
    let all = |name: &str| -> Vec<&[u8]> {
        let same = fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| &value[..]).collect()
    };
    // In their order, since they are refused with different statuses.
    let mut length: Option<u64> = None;
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("content-length") {
            let text = String::from_utf8_lossy(value);
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_number).ok_or(BAD)?;
            if length.is_some_and(|known| known != number) {
                return Err(BAD);
            }
            length = Some(number);
        }
        if name.eq_ignore_ascii_case("expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Wrong::Status(417));
        }
        if name.eq_ignore_ascii_case("host") && !names_host(value) {
            return Err(BAD);
        }
    }
    let hosts = all("host").len();
    if hosts > 1 || (hosts == 0 && minor == 1) {
        return Err(BAD);
    }
    if all("transfer-encoding").is_empty() {
        let length = length.unwrap_or(0);
        return match usize::try_from(length) {
            Ok(length) if length <= MAX_BODY => Ok(Framing::Length(length)),
            _ => Err(Wrong::Status(413)),
        };
    }
    let codings = all("transfer-encoding")
        .join(&b","[..])
        .to_ascii_lowercase();
    let codings: Vec<&[u8]> = codings.split(|byte| *byte == b',').map(trim).collect();
    let chunked = codings
        .iter()
        .filter(|coding| **coding == *b"chunked")
        .count();
    if length.is_some()
        || minor == 0
        || chunked != 1
        || codings.last().is_none_or(|last| *last != b"chunked")
    {
        return Err(BAD);
    }
    match codings.len() {
        1 => Ok(Framing::Chunked),
        _ => Err(Wrong::Status(501)),
    }
}

fn read_body(reader: &mut Reader<'_>, framing: &Framing) -> Result<Vec<u8>, Wrong> {
    if let Framing::Length(length) = framing {
        let bytes = reader.bytes.get(..*length).ok_or(Wrong::Short)?;
        reader.at += length;
        return Ok(bytes.to_vec());
    }
    let mut body = Vec::new();
    let mut extensions = 0;
    loop {
        let size = read_size(reader, body.len(), &mut extensions)?;
        if size == 0 {
            break;
        }
        let chunk = reader.bytes.get(reader.at..reader.at + size);
        body.extend_from_slice(chunk.ok_or(Wrong::Short)?);
        reader.at += size;
        if reader.next()? != b'\r' {
            return Err(BAD);
        }
        reader.line_feed()?;
    }
    read_trailers(reader)?;
    Ok(body)
}

/// A size and its extensions, to the end of the line.
fn read_size(
    reader: &mut Reader<'_>,
    before: usize,
    extensions: &mut usize,
) -> Result<usize, Wrong> {
    let mut digits = String::new();
    let mut behind = loop {
        let byte = reader.next()?;
        if !byte.is_ascii_hexdigit() {
            break byte;
        }
        digits.push(byte.into());
        if digits.len() > 16 {
            return Err(BAD);
        }
    };
    if digits.is_empty() || !b"\r; \t".contains(&behind) {
        return Err(BAD);
    }
    let size = u64::from_str_radix(&digits, 16).map_err(|_| BAD)?;
    if size > (MAX_BODY - before) as u64 {
        return Err(Wrong::Status(413));
    }
    let mut count = || {
        *extensions += 1;
        match *extensions > before + MAX_BESIDE {
            true => Err(BAD),
            false => Ok(()),
        }
    };
    if b" \t".contains(&behind) {
        loop {
            behind = reader.next()?;
            match behind {
                b' ' | b'\t' => count()?,
                b';' => break,
                _ => return Err(BAD),
            }
        }
    }
    if behind == b';' {
        loop {
            match reader.next()? {
                b'\r' => break,
                byte if is_text(byte) => count()?,
                _ => return Err(BAD),
            }
        }
    }
    reader.line_feed()?;
    Ok(size as usize)
}

/// To the empty line behind them.
fn read_trailers(reader: &mut Reader<'_>) -> Result<(), Wrong> {
    let mut room = MAX_BESIDE;
    loop {
        let mut in_name = true;
        let mut length = 0;
        loop {
            let byte = reader.next()?;
            match byte {
                b'\r' if length == 0 => return reader.line_feed(),
                b'\r' if !in_name => break,
                b':' if in_name && length > 0 => in_name = false,
                _ if in_name && !is_token(byte) => return Err(BAD),
                _ if !is_text(byte) => return Err(BAD),
                _ => {}
            }
            length += 1;
            room = room.checked_sub(1).ok_or(BAD)?;
        }
        reader.line_feed()?;
    }
}
