//! Clients of the operator's port that are wrong, hostile or unfinished.

use actionproxy_tests::census;

use super::*;

/// Sends bytes on a connection of its own, and gives the answer and the connection.
fn exchange(operator: SocketAddr, bytes: impl AsRef<[u8]>) -> (Answer, Connection) {
    let mut connection = Connection::open(operator).expect("the port takes connections");
    connection.send(bytes.as_ref()).expect("sent");
    let answer = connection.answer().expect("an answer");
    (answer, connection)
}

#[test]
fn what_it_does_not_know_is_refused() {
    let (_proxy, operator) = start(&[]);
    assert_eq!(get(operator, "/run").status, 404);
    let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let (answer, _connection) = exchange(operator, post);
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    let error = answer.error();
    assert!(error.contains("expected GET"), "{error}");
}

#[test]
fn what_is_no_request_is_refused_and_not_in_the_logs() {
    let (proxy, operator) = start(&[]);
    for (wrong, status) in [
        (&b"no request\r\n\r\n"[..], 400),
        (b"\x16\x03\x01\0\xc8\x01\0\0\xc4\x03\x03", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n", 400),
        (
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 505),
        (
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n",
            413,
        ),
    ] {
        let text = String::from_utf8_lossy(wrong);
        let (answer, connection) = exchange(operator, wrong);
        assert_eq!(answer.status, status, "{text:?}");
        assert!(!answer.error().is_empty(), "{text:?}");
        assert!(connection.closed(), "{text:?}");
    }
    assert_eq!(get(operator, "/healthz").status, 200);
    assert_eq!(proxy.stderr(), "");
    assert_eq!(proxy.unread().stdout, "");
}

#[test]
fn as_many_headers_as_a_mesh_adds_are_taken() {
    let (_proxy, operator) = start(&[]);
    let fields: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let request = format!("GET /readyz HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(exchange(operator, request).0.status, 200);
}

#[test]
fn a_head_without_end_takes_no_memory() {
    let (proxy, operator) = start(&[]);
    assert_eq!(get(operator, "/metrics").status, 200);
    let peak = || -> u64 {
        let peak = census::status(proxy.pid(), "VmHWM").expect("it is there");
        peak.parse().expect("KiB")
    };
    let before = peak();
    let mut connection = Connection::open(operator).expect("a connection");
    connection.send(b"GET /healthz HTTP/1.1\r\n").expect("sent");
    let part = "X: y\r\n".repeat(10_000);
    let _ = (0..1_000).find_map(|_| connection.send(part.as_bytes()).err());
    assert_eq!(connection.answer().expect("an answer").status, 431);
    let grown = peak() - before;
    assert!(grown < 4 << 10, "{grown} KiB");
}

#[test]
fn one_that_has_ended_its_sending_gets_its_answers() {
    let (_proxy, operator) = start(&[]);
    for path in ["/healthz", "/readyz", "/metrics", "/nothing"] {
        let mut connection = Connection::open(operator).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.send(request.repeat(2).as_bytes()).expect("sent");
        connection.finish().expect("open");
        let expected = if path == "/nothing" { 404 } else { 200 };
        for _ in 0..2 {
            let answer = connection.answer().expect("an answer");
            assert_eq!(answer.status, expected, "{path}");
        }
        assert!(connection.is_at_its_end(), "{path}");
    }
}

#[test]
fn head_is_answered_with_the_length_of_what_get_gets() {
    let (_proxy, operator) = start(&[]);
    let length = get(operator, "/readyz").body.len().to_string();
    let mut connection = Connection::open(operator).expect("a connection");
    for _ in 0..2 {
        connection
            .send(b"HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
        let answer = connection.answer_to_head().expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), Some(&*length));
    }
}

#[test]
fn one_that_is_silent_is_closed_and_one_that_stalls_is_told() {
    let (_proxy, operator) = start(&["--idle-timeout=300ms"]);
    let silent = Connection::open(operator).expect("a connection");
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
    let (stalled, connection) = exchange(operator, request);
    assert_eq!(stalled.status, 408);
    assert!(connection.closed());
    assert_eq!(silent.rest().expect("closed in order"), b"");
}

#[test]
fn an_old_client_is_answered_and_told_what_becomes_of_its_connection() {
    let (_proxy, operator) = start(&[]);
    let (answer, connection) = exchange(operator, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.closed());
}

#[test]
fn above_the_most_connections_the_one_idle_longest_goes() {
    let (proxy, operator) = start(&[]);
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open: Vec<_> = (0..70).map(|_| exchange(operator, request)).collect();
    assert!(open.iter().all(|(answer, _)| answer.status == 200));
    let (_, mut newest) = open.pop().expect("there are some");
    newest.send(request.as_bytes()).expect("sent");
    assert_eq!(newest.answer().expect("an answer").status, 200);
    for (_, oldest) in open.drain(..6) {
        assert!(oldest.closed());
    }
    assert_eq!(proxy.get("/healthz").status, 200);
}
