//! Reads the table: what its rows look like is told in README.md beside this file.

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub name: String,
    pub sent: Vec<u8>,
    pub answers: Vec<Expected>,
    pub then: Then,
}

/// One of these answers.
pub(super) type Expected = Vec<Form>;

/// What an answer looks like.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub statuses: Vec<u16>,
    pub body: Body,
    pub header: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Health,
    /// Of an answer to a HEAD.
    None,
    /// What the action answers.
    Result(String),
    Error,
    /// Of an interim answer, which need not come.
    Interim,
}

/// What becomes of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    Kept,
    Closed,
    /// As the last answer says.
    Said,
    /// Nothing is answered before the client ends its sending; then one of these, 0 for nothing.
    Waits(Vec<u16>),
}

/// The rows of a file.
///
/// # Panics
/// With the line that is no part of a row.
pub(super) fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(part) = line.strip_prefix("  ") else {
            rows.push(Row {
                name: line.to_owned(),
                sent: Vec::new(),
                answers: Vec::new(),
                then: Then::Said,
            });
            continue;
        };
        let row = rows.last_mut().expect("a row begins with its name");
        read_part(row, part).unwrap_or_else(|| panic!("line {}: {line}", number + 1));
    }
    for row in &rows {
        let says_something = !row.answers.is_empty() || matches!(row.then, Then::Waits(_));
        assert!(says_something, "{}: nothing is expected", row.name);
    }
    rows
}

fn read_part(row: &mut Row, part: &str) -> Option<()> {
    match part {
        "kept" => row.then = Then::Kept,
        "closed" => row.then = Then::Closed,
        _ if part.starts_with("waits ") => {
            let end = part["waits ".len()..].replace("nothing", "0");
            row.then = Then::Waits(numbers(&end)?);
        }
        _ if part.starts_with('>') => {
            let (times, text) = times(&part[1..])?;
            row.sent.extend(bytes(text)?.repeat(times));
        }
        _ if part.starts_with('<') => {
            let (times, text) = times(&part[1..])?;
            let forms: Option<Vec<Form>> = text.split(" or ").map(form).collect();
            row.answers.extend(vec![forms?; times]);
        }
        _ => return None,
    }
    Some(())
}

/// `*N text` or ` text`.
fn times(text: &str) -> Option<(usize, &str)> {
    match text.strip_prefix('*') {
        Some(text) => {
            let (times, text) = text.split_once(' ')?;
            Some((times.parse().ok()?, text))
        }
        None => Some((1, text.strip_prefix(' ')?)),
    }
}

/// `STATUS BODY; HEADER: VALUE`.
fn form(text: &str) -> Option<Form> {
    let (text, header) = match text.split_once("; ") {
        Some((text, header)) => {
            let (name, value) = header.split_once(": ")?;
            (text, Some((name.to_owned(), value.to_owned())))
        }
        None => (text, None),
    };
    if text == "100?" {
        return Some(Form {
            statuses: vec![100],
            body: Body::Interim,
            header,
        });
    }
    let (statuses, body) = text.split_once(' ')?;
    let body = match body {
        "health" => Body::Health,
        "head" => Body::None,
        "error" => Body::Error,
        _ => Body::Result(body.strip_prefix("ran ")?.to_owned()),
    };
    Some(Form {
        statuses: numbers(statuses)?,
        body,
        header,
    })
}

fn numbers(text: &str) -> Option<Vec<u16>> {
    text.split('|').map(|number| number.parse().ok()).collect()
}

/// Bytes written with escapes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[test]
fn bytes_are_written_with_escapes() {
    assert_eq!(
        bytes(r"a\r\n\t\0\s\\\x7f"),
        Some(b"a\r\n\t\0 \\\x7f".to_vec())
    );
    assert_eq!(bytes(r"\q"), None);
    assert_eq!(bytes(r"\x1"), None);
}
