//! Where a request ends: lengths, encodings, bodies that do not come whole, bytes behind.

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
        .send(b"POST /init HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n")
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
fn a_length_that_is_not_one_number_is_refused() {
    let mut proxy = initialized();
    let bad = [
        "Content-Length: x",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 2, 2",
        "Content-Length: 0x2",
        "Content-Length:",
        "Content-Length: 2 2",
        "Content-Length: 99999999999999999999",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\ncontent-length: x",
    ];
    for headers in bad {
        for path in ["/run", "/init", "/healthz", "/nothing"] {
            let mut connection = proxy.connect();
            connection
                .send(format!("POST {path} HTTP/1.1\r\n{headers}\r\n\r\n{{}}").as_bytes())
                .expect("sent");
            let answer = connection.answer().expect(headers);
            assert_eq!(answer.status, 400, "{headers}");
            assert!(
                answer.error().contains("Content-Length"),
                "{}",
                answer.error()
            );
            connection.finish().expect("still open");
            assert!(connection.closed(), "{headers}");
        }
    }
    let mut connection = proxy.connect();
    let same_twice = b"POST /run HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}";
    connection.send(same_twice).expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn any_transfer_encoding_is_refused_and_nothing_runs() {
    let mut proxy = initialized();
    for headers in [
        "Transfer-Encoding: chunked",
        "transfer-encoding: identity",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
    ] {
        let mut connection = proxy.connect();
        connection
            .send(
                format!("POST /run HTTP/1.1\r\n{headers}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n").as_bytes(),
            )
            .expect("sent");
        let answer = connection.answer().expect(headers);
        assert_eq!(answer.status, 411, "{headers}");
        assert!(
            answer.error().contains("Transfer-Encoding"),
            "{}",
            answer.error()
        );
        connection.finish().expect("still open");
        assert!(connection.closed());
    }
    assert_serves(&mut proxy);
}

#[test]
fn a_client_that_asks_to_go_on_is_told_at_once() {
    let mut proxy = initialized();
    let body = json!({"value": {"a": "x".repeat(2_000_000)}}).to_string();
    let mut connection = proxy.connect();
    let head = format!(
        "POST /run HTTP/1.1\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
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
            "POST {path} HTTP/1.1\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes()).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, status);
    }
    assert_serves(&mut proxy);
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
                    "POST /run HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
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
fn a_truncated_body_never_becomes_a_request() {
    let mut proxy = initialized();
    let before = count(&proxy, "fd");
    for sent in [&b""[..], b"{", b"{}"] {
        // The client says that nothing more comes, once the proxy waits for the body.
        let mut connection = proxy.connect();
        connection
            .send(b"POST /run HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            .expect("sent");
        assert_eq!(connection.answer().expect("an interim answer").status, 100);
        connection.send(sent).expect("sent");
        connection.finish().expect("open");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, 400);
        assert!(
            answer.error().contains("expected 3 bytes"),
            "{}",
            answer.error()
        );
        // The client is gone.
        let mut connection = proxy.connect();
        connection
            .send(b"POST /init HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
            .expect("sent");
        connection.send(sent).expect("sent");
        drop(connection);
    }
    assert_no_leak(&proxy, before);
    assert_serves(&mut proxy);
}

#[test]
fn bytes_behind_a_refused_request_are_no_request() {
    let mut proxy = initialized();
    let hidden = String::from_utf8(request("POST", "/run", b"{}")).expect("text");
    for refused in [
        "POST /run HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /run HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /run HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
        "POST /run HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /nothing HTTP/1.1\r\nContent-Length: 99999\r\n\r\n",
    ] {
        let mut connection = proxy.connect();
        connection
            .send(format!("{refused}{hidden}").as_bytes())
            .expect("sent");
        let answer = connection.answer().expect(refused);
        assert!((400..500).contains(&answer.status), "{refused}");
        connection.finish().expect("still open");
        let rest = connection.rest().expect("closed in order");
        assert_eq!(String::from_utf8_lossy(&rest), "", "{refused}");
    }
    // The one activation of `assert_serves` is the only one there was.
    assert_serves(&mut proxy);
}

#[test]
fn a_short_body_of_a_wrong_path_does_not_hide_the_next_request() {
    let mut proxy = initialized();
    let mut connection = proxy.connect();
    let smuggled = request("POST", "/run", b"{}");
    connection
        .send(&request("POST", "/nothing", &smuggled))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 404);
    connection
        .send(&request("GET", "/healthz", b""))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    assert_serves(&mut proxy);
}

#[test]
fn a_post_without_a_length_is_no_init_and_a_run_without_a_body() {
    let mut proxy = Proxy::start();
    let code = r#"{"value":{"code":"x"}}"#;
    let mut connection = proxy.connect();
    connection
        .send(format!("POST /init HTTP/1.1\r\n\r\n{code}").as_bytes())
        .expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 411);
    assert!(
        answer.error().contains("Content-Length"),
        "{}",
        answer.error()
    );
    proxy.init(ECHO);
    let mut connection = proxy.connect();
    connection
        .send(b"POST /run HTTP/1.1\r\n\r\n")
        .expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.header("connection"), Some("close"));
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn a_target_may_name_the_host() {
    let proxy = initialized();
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "http://proxy:8080/run?x=y", b"{}"))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").text(), "{}");
}
