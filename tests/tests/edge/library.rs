//! What the HTTP library decides alone. README names these under Limits.

use super::*;

#[test]
fn more_than_sixteen_headers_close_the_connection_without_an_answer() {
    let mut proxy = initialized();
    let with = |headers: usize| {
        let mut connection = proxy.connect();
        let more: String = (1..headers).map(|n| format!("X-{n}: y\r\n")).collect();
        let bytes = format!("POST /run HTTP/1.1\r\n{more}Content-Length: 2\r\n\r\n{{}}");
        connection.send(bytes.as_bytes()).expect("sent");
        connection.answer()
    };
    assert_eq!(with(16).expect("an answer").status, 200);
    assert!(with(17).is_err());
    proxy.logs();
    assert!(proxy.unread().stderr.contains("TooManyHeaders"));
}

#[test]
fn a_request_and_the_end_of_sending_at_once_may_stay_unanswered() {
    let mut proxy = initialized();
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream
        .write_all(&request("POST", "/run", b"{}"))
        .expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("open");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 200 "));
    if !answer.is_empty() {
        proxy.logs();
    }
    assert_serves(&mut proxy);
}

#[test]
fn garbage_right_behind_a_request_takes_its_answer_away() {
    let mut proxy = initialized();
    let mut connection = proxy.connect();
    let mut bytes = request("POST", "/run", b"{}");
    bytes.extend_from_slice(b"\0garbage\r\n\r\n");
    connection.send(&bytes).expect("sent");
    assert!(connection.answer().is_err());
    // It ran, though.
    proxy.logs();
}
