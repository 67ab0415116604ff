//! Bodies: limits, `100-continue`, and what does not come whole. What ends a body is in
//! `conformance/`.

use std::net::TcpListener;

use actionproxy_tests::unread::Unread;

use super::listeners::handing_over;
use super::*;

#[test]
fn a_body_over_the_limit_is_refused_unread_and_the_answer_arrives() {
    let mut proxy = Proxy::builder().arg("--max-body").arg("1000").start();
    proxy.init(ECHO);
    // The whole body is sent before the answer is read, as a simple client does.
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", &vec![b'{'; 1_000_000]))
        .expect("sent");
    let answer = connection.answer().expect("the answer arrives");
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("1000000") && answer.error().contains("1000 "));
    assert_eq!(answer.header("connection"), Some("close"));
    connection.finish().expect("still open");
    assert!(connection.closed());
    // Announced only: refused before a byte of it came.
    let mut connection = proxy.connect();
    connection
        .send(b"POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n")
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 413);
    let at_the_limit = json!({"value": {"a": "x".repeat(982)}}).to_string();
    assert_eq!(at_the_limit.len(), 1000);
    assert_eq!(proxy.post("/run", &at_the_limit).status, 200);
    assert_eq!(proxy.post("/run", at_the_limit + " ").status, 413);
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn a_client_that_asks_to_go_on_is_told_at_once() {
    let mut proxy = initialized();
    let body = json!({"value": {"a": "x".repeat(2_000_000)}}).to_string();
    let mut connection = proxy.connect();
    let head = format!(
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes()).expect("sent");
    // No byte of the body is sent before the interim answer.
    assert_eq!(connection.answer().expect("an interim answer").status, 100);
    connection.send(body.as_bytes()).expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 2_000_000 + 8));
    proxy.logs();
    // What will be refused is refused instead.
    for (path, length, status) in [("/run", 200 << 20, 413), ("/nothing", 5, 404)] {
        let mut connection = proxy.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes()).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, status);
    }
    assert_serves(&mut proxy);
}

/// Where the kernel has no room for the interim answer, or for all of it.
#[test]
fn a_client_that_asks_to_go_on_before_it_reads_is_told_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    // Its connections have it from there: room for a few answers.
    rustix::net::sockopt::set_socket_send_buffer_size(&listener, 2048).expect("a smaller buffer");
    let _proxy = Started::new(&mut handing_over(listener.into(), "$$", dir.path()));
    let unread = Unread::new();
    // So long are the answers before it, to a few bytes.
    for length in (2_000..8_000).step_by(50) {
        let mut connection = Connection::open(address).expect("it is taken");
        rustix::net::sockopt::set_socket_recv_buffer_size(connection.stream(), 2048)
            .expect("a smaller buffer");
        // Each answer names the path.
        let paths: Vec<_> = (0..length)
            .step_by(1_000)
            .map(|at| "x".repeat(900.min(length - at)))
            .collect();
        let first = |path| format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let before: String = paths.iter().map(first).collect();
        let asks =
            "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        connection
            .send((before + asks).as_bytes())
            .expect("it fits");
        unread.wait(connection.stream());
        for _ in &paths {
            assert_eq!(connection.answer().expect("an answer").status, 404);
        }
        let told = connection.answer();
        assert_eq!(told.expect("an interim answer").status, 100, "{length}");
        connection.send(b"{}").expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
}

#[test]
fn curl_posts_two_megabytes() {
    if !tools::are_here(&["curl"]) {
        return;
    }
    let mut proxy = initialized();
    let file = proxy.scratch().join("body");
    std::fs::write(
        &file,
        json!({"value": {"a": "x".repeat(2_000_000)}}).to_string(),
    )
    .expect("written");
    let output = std::process::Command::new("curl")
        .args([
            "-sS",
            "-v",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "Expect: 100-continue",
        ])
        .arg("--data-binary")
        .arg(format!("@{}", file.display()))
        .arg(format!("http://{}/run", proxy.address()))
        .output()
        .expect("curl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"200", "{said}");
    assert!(said.contains("HTTP/1.1 100 Continue"), "{said}");
    assert!(!said.contains("Done waiting for 100-continue"), "{said}");
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn bodies_of_all_connections_together_are_bounded() {
    // At most twice the largest body, or 64 MiB, whichever is more.
    let proxy = Proxy::builder().arg("--max-body").arg("30M").start();
    let part = vec![b' '; 29 << 20];
    let mut open: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    thread::scope(|scope| {
        for connection in &mut open {
            let part = &part;
            scope.spawn(move || {
                // One byte stays owed, so that every body stays in memory.
                let head = format!(
                    "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                    part.len() + 1
                );
                connection.send(head.as_bytes()).expect("sent");
                // The one that is refused may not get rid of all of it.
                let _ = connection.send(part);
            });
        }
    });
    for connection in &open {
        let _ = connection.finish();
    }
    let answers = open
        .iter_mut()
        .filter_map(|c| Some(c.answer().ok()?.status));
    let answers: Vec<_> = answers.collect();
    assert!(answers.contains(&503), "{answers:?}");
    assert_eq!(proxy.run(json!({})).status, 200);
}

#[test]
fn a_post_without_a_length_is_no_init() {
    let mut proxy = Proxy::start();
    let code = r#"{"value":{"code":"x"}}"#;
    let mut connection = proxy.connect();
    connection
        .send(format!("POST /init HTTP/1.1\r\nHost: a\r\n\r\n{code}").as_bytes())
        .expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 411);
    assert!(
        answer.error().contains("Content-Length"),
        "{}",
        answer.error()
    );
    proxy.init(ECHO);
    assert_serves(&mut proxy);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_and_the_answer_arrives() {
    let mut proxy = Proxy::builder().arg("--max-body").arg("1000").start();
    proxy.init(ECHO);
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", " ".repeat(size));
    let head = "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let small = chunk(1).repeat(1001);
    for body in [chunk(1001), chunk(600).repeat(2), small, chunk(1 << 20)] {
        let mut connection = proxy.connect();
        connection
            .send(format!("{head}{body}").as_bytes())
            .expect("sent");
        let answer = connection.answer().expect("the answer arrives");
        assert_eq!(answer.status, 413);
        assert!(answer.error().contains("1000"), "{}", answer.error());
        assert_eq!(answer.header("connection"), Some("close"));
        connection.finish().expect("still open");
        assert!(connection.is_at_its_end());
    }
    // Neither the framing nor a trailer counts.
    let fits = format!(
        "{head}{}2\r\n{{}}\r\n0\r\nX: {}\r\n\r\n",
        chunk(1).repeat(998),
        "x".repeat(500)
    );
    let mut connection = proxy.connect();
    connection.send(fits.as_bytes()).expect("sent");
    assert_eq!(connection.answer().expect("an answer").text(), "{}");
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn a_megabyte_in_chunks_of_every_size_arrives_whole() {
    let mut proxy = initialized();
    let body = json!({"value": {"a": "x".repeat(1 << 20)}}).to_string();
    for size in [1000, 4096, 65_535, 65_536, 1 << 20] {
        let mut bytes =
            b"POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.as_bytes().chunks(size) {
            bytes.extend(format!("{:x};x=y\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        let mut connection = proxy.connect();
        connection.send(&bytes).expect("sent");
        let answer = connection.answer().expect("an answer");
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, (1 << 20) + 8),
            "{size}"
        );
        proxy.logs();
    }
    assert_serves(&mut proxy);
}

#[test]
fn a_body_whose_client_went_away_never_becomes_a_request() {
    let mut proxy = initialized();
    let before = count(&proxy, "fd");
    for head in [
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n",
    ] {
        for sent in ["", "{", "{}"] {
            let mut connection = proxy.connect();
            connection
                .send(format!("{head}{sent}").as_bytes())
                .expect("sent");
        }
    }
    // `{}` is a whole JSON text, but not a whole body.
    let mut connection = proxy.connect();
    let asking =
        b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    connection.send(asking).expect("sent");
    assert_eq!(connection.answer().expect("an interim answer").status, 100);
    connection.send(b"{}").expect("sent");
    connection.finish().expect("open");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 400);
    assert!(
        answer.error().contains('3') && answer.error().contains('2'),
        "{}",
        answer.error()
    );
    drop(connection);
    assert_no_leak(&proxy, before);
    assert_serves(&mut proxy);
}
