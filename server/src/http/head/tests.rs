use super::*;

/// The head in one piece, which must be what it is byte by byte.
fn read(text: &[u8]) -> Result<Option<Head>, u16> {
    let whole = HeadReader::default()
        .read(&mut text.to_vec())
        .map_err(|refusal| refusal.status());
    let mut reader = HeadReader::default();
    let mut buffer = Vec::new();
    let mut cut = Ok(None);
    for byte in text {
        buffer.push(*byte);
        cut = reader.read(&mut buffer).map_err(|r| r.status());
        if !matches!(cut, Ok(None)) {
            break;
        }
    }
    let told = |result: &Result<Option<Head>, u16>| match result {
        Ok(head) => Ok(head.as_ref().map(|h| h.text.clone())),
        Err(status) => Err(*status),
    };
    assert_eq!(
        told(&whole),
        told(&cut),
        "{:?}",
        String::from_utf8_lossy(text)
    );
    whole
}

fn with(version: &str, fields: &[&str]) -> Result<Head, u16> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let text = format!("POST /run {version}\r\nHost: x\r\n{fields}\r\n");
    read(text.as_bytes()).map(|head| head.expect("a whole head"))
}

#[test]
fn a_length_is_digits_once_or_the_same_again() {
    let framing = |values: &[&str]| {
        let fields: Vec<_> = values
            .iter()
            .map(|v| format!("Content-Length: {v}"))
            .collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        with("HTTP/1.1", &fields).map(|head| head.framing)
    };
    assert_eq!(framing(&[]), Ok(Framing::None));
    assert_eq!(framing(&["12"]), Ok(Framing::Length(12)));
    assert_eq!(framing(&["12", "12"]), Ok(Framing::Length(12)));
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
        assert_eq!(framing(&[bad]), Err(400), "{bad:?}");
    }
    assert_eq!(framing(&["1", "2"]), Err(400));
}

#[test]
fn only_chunked_alone_is_a_transfer_coding() {
    let framing = |fields: &[&str]| with("HTTP/1.1", fields).map(|head| head.framing);
    assert_eq!(
        framing(&["TRANSFER-encoding: Chunked"]),
        Ok(Framing::Chunked)
    );
    for (value, status) in [
        ("identity", 400),
        ("", 400),
        ("chunked, gzip", 400),
        ("chunked, chunked", 400),
        ("gzip, chunked", 501),
        ("xchunked", 400),
    ] {
        let field = format!("Transfer-Encoding: {value}");
        assert_eq!(framing(&[&field]), Err(status), "{value:?}");
    }
    let both = ["Content-Length: 3", "Transfer-Encoding: chunked"];
    assert_eq!(framing(&both), Err(400));
    let twice = ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"];
    assert_eq!(framing(&twice), Err(400));
    assert_eq!(
        with("HTTP/1.0", &["Transfer-Encoding: chunked"]).err(),
        Some(400)
    );
}

#[test]
fn persistence_and_expectations_go_by_version() {
    let head = |version, fields: &[&str]| with(version, fields).expect("a fine head");
    assert!(head("HTTP/1.1", &[]).persistent);
    assert!(!head("HTTP/1.1", &["Connection: foo, Close"]).persistent);
    assert!(!head("HTTP/1.0", &[]).persistent);
    assert!(head("HTTP/1.0", &["Connection: Keep-Alive"]).persistent);
    assert!(!head("HTTP/1.0", &["Connection: keep-alive, close"]).persistent);
    assert!(head("HTTP/1.1", &["Expect: 100-Continue"]).expects_continue);
    assert!(!head("HTTP/1.0", &["Expect: 100-continue"]).expects_continue);
    assert_eq!(with("HTTP/1.1", &["Expect: 200-ok"]).err(), Some(417));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for bad in [
        &b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.x\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"{\"value\": {}}",
    ] {
        let text = String::from_utf8_lossy(bad);
        assert_eq!(read(bad).err(), Some(400), "{text:?}");
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"] {
        let text = format!("GET / {version}\r\nHost: x\r\n\r\n");
        assert_eq!(read(text.as_bytes()).err(), Some(505), "{version}");
    }
}

#[test]
fn a_head_has_limits() {
    let many = |count| {
        let fields: String = (0..count).map(|n| format!("A{n}: b\r\n")).collect();
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        read(text.as_bytes()).map(|head| head.is_some())
    };
    assert_eq!(many(MAX_FIELDS - 1), Ok(true));
    assert_eq!(many(MAX_FIELDS), Err(431));
    let long = |length: usize| {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\nA: ".to_vec();
        let fill = length - text.len() - 4;
        let text = [text, vec![b'a'; fill], b"\r\n\r\n".to_vec()].concat();
        read(&text).map(|head| head.is_some())
    };
    assert_eq!(long(MAX_HEAD), Ok(true));
    assert_eq!(long(MAX_HEAD + 1), Err(431));
}

#[test]
fn a_target_is_taken_apart() {
    for (target, path, query) in [
        ("/run", "/run", None),
        ("/run?a=b?c", "/run", Some("a=b?c")),
        ("http://host:80/run?x", "/run", Some("x")),
        ("HTTP://host", "/", None),
        ("https://host/healthz", "/healthz", None),
        ("*", "*", None),
    ] {
        let text = format!("POST {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = read(text.as_bytes()).expect("fine").expect("whole");
        assert_eq!((head.path(), head.query()), (path, query));
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("Host", &b"x"[..])]);
    }
}

#[test]
fn what_stands_behind_a_head_is_left() {
    let mut buffer = b"\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET".to_vec();
    let head = HeadReader::default().read(&mut buffer);
    let head = head.expect("fine").expect("whole");
    assert_eq!((head.method(), head.path()), ("POST", "/a"));
    assert_eq!(buffer, b"{}GET");
}
