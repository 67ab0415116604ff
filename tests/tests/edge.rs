//! The HTTP edge: requests that are wrong, hostile or unfinished, and clients that are.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;

use actionproxy_tests::{Connection, Proxy, eventually, request, tools};
use rustix::process::Signal;
use serde_json::json;

const ECHO: &str = "#!/bin/bash\nread -r line\necho \"$line\"\n";

fn initialized() -> Proxy {
    let proxy = Proxy::start();
    proxy.init(ECHO);
    proxy
}

/// Initialises an action that echoes its argument once the test opens the gate, a named pipe.
fn init_gated(proxy: &Proxy) -> std::path::PathBuf {
    let path = proxy.scratch().join("gate");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a named pipe");
    let gate = path.display();
    proxy.init(&format!(
        "#!/bin/bash\nread -r line\nread -r _ < '{gate}'\necho \"$line\"\n"
    ));
    path
}

/// Waits until `/healthz` says so.
fn wait_for_state(proxy: &Proxy, state: &str) {
    eventually(state, || {
        proxy.get("/healthz").text().contains(state).then_some(())
    });
}

fn open_gate(path: &std::path::Path) {
    // Opening waits until the action has opened its side.
    std::fs::write(path, "go\n").expect("the action waits");
}

/// The proxy still does its work, and no activation ran that was not asked for.
fn assert_serves(proxy: &mut Proxy) {
    assert_eq!(proxy.result(json!({"still": 1})), r#"{"still":1}"#);
    assert_eq!(proxy.logs().stdout, "");
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
}

fn count(proxy: &Proxy, what: &str) -> usize {
    let dir = format!("/proc/{}/{what}", proxy.pid().as_raw_nonzero());
    std::fs::read_dir(dir).expect("the proxy is there").count()
}

/// Waits until the proxy has no more descriptors than `before`.
fn assert_no_leak(proxy: &Proxy, before: usize) {
    eventually("the proxy to close what it opened", || {
        (count(proxy, "fd") <= before).then_some(())
    });
}

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
fn a_client_that_goes_away_before_the_answer_costs_nothing() {
    let mut proxy = Proxy::start();
    let gate = init_gated(&proxy);
    let before = count(&proxy, "fd");
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    wait_for_state(&proxy, "\"running\":1");
    drop(connection);
    open_gate(&gate);
    // It ran to its end, with its sentinels.
    proxy.logs();
    assert_no_leak(&proxy, before);
    let opener = thread::spawn(move || open_gate(&gate));
    assert_serves(&mut proxy);
    opener.join().expect("the gate was opened");
}

#[test]
fn health_answers_while_an_action_runs_and_others_wait() {
    let proxy = Proxy::start();
    let gate = init_gated(&proxy);
    let mut running: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for connection in &mut running {
        connection
            .send(&request("POST", "/run", b"{}"))
            .expect("sent");
    }
    eventually("one to run and two to wait", || {
        let answer = proxy.get("/healthz");
        answer
            .text()
            .contains("\"running\":1,\"waiting\":2")
            .then_some(())
    });
    for _ in 0..50 {
        assert_eq!(proxy.get("/healthz").status, 200);
    }
    for left in [
        "\"running\":1,\"waiting\":1",
        "\"running\":1,\"waiting\":0",
        "\"running\":0,\"waiting\":0",
    ] {
        open_gate(&gate);
        wait_for_state(&proxy, left);
    }
    for mut connection in running {
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
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
fn a_connection_is_kept_and_answers_stay_in_order() {
    let mut proxy = initialized();
    let mut connection = proxy.connect();
    for n in 0..20 {
        let body = json!({"value": {"n": n}}).to_string();
        connection
            .send(&request("POST", "/run", body.as_bytes()))
            .expect("sent");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), format!("{{\"n\":{n}}}"));
        proxy.logs();
    }
    // Sent all at once.
    let mut all = Vec::new();
    for n in 0..20 {
        all.extend(request(
            "POST",
            "/run",
            json!({"value": {"n": n}}).to_string().as_bytes(),
        ));
    }
    connection.send(&all).expect("sent");
    for n in 0..20 {
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), format!("{{\"n\":{n}}}"));
        proxy.logs();
    }
    assert_serves(&mut proxy);
}

#[test]
fn a_refusal_never_takes_the_place_of_an_earlier_answer() {
    let mut proxy = initialized();
    let mut connection = proxy.connect();
    let mut both = request("POST", "/run", b"{\"value\":{\"first\":1}}");
    both.extend_from_slice(b"POST /run HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    connection.send(&both).expect("sent");
    // The end without an answer, or the first answer: never the refusal first.
    if let Ok(answer) = connection.answer() {
        assert_eq!(answer.text(), r#"{"first":1}"#);
    }
    proxy.logs();
    // One after the other, the refusal arrives.
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{\"value\":{\"first\":1}}"))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    connection
        .send(b"POST /run HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        .expect("sent");
    assert_eq!(connection.answer().expect("the refusal").status, 400);
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn a_last_request_behind_others_does_not_take_their_answers() {
    let mut proxy = initialized();
    let first = request("POST", "/run", b"{\"value\":{\"n\":1}}");
    let last = b"POST /run HTTP/1.1\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{\"value\":{\"n\":2}}";
    let late = request("POST", "/run", b"{\"value\":{\"n\":3}}");
    let mut connection = proxy.connect();
    connection
        .send(&[&first[..], last, &late].concat())
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").text(), r#"{"n":1}"#);
    let answer = connection.answer().expect("an answer");
    assert_eq!(
        (answer.text(), answer.header("connection")),
        (r#"{"n":2}"#, Some("close"))
    );
    // What comes after the last request is not carried out.
    assert_eq!(connection.answer().expect("an answer").status, 400);
    assert!(connection.closed());
    proxy.logs();
    proxy.logs();
    assert_serves(&mut proxy);
}

#[test]
fn answers_that_are_not_read_do_not_pile_up() {
    let proxy = Proxy::start();
    let resident = || {
        let status = format!("/proc/{}/statm", proxy.pid().as_raw_nonzero());
        let statm = std::fs::read_to_string(status).expect("the proxy is there");
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("a number");
        pages * rustix::param::page_size() as u64
    };
    let before = resident();
    let mut connection = proxy.connect();
    let requests = "GET /healthz HTTP/1.1\r\n\r\n".repeat(10_000);
    // Sending fails once the proxy has had enough.
    let refused = (0..200).any(|_| connection.send(requests.as_bytes()).is_err());
    assert!(refused);
    assert!(
        resident() < before + (8 << 20),
        "{} and {before}",
        resident()
    );
    assert_eq!(proxy.get("/healthz").status, 200);
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
fn a_body_that_trickles_is_stuck() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    let mut connection = proxy.connect();
    connection
        .send(b"POST /run HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        .expect("sent");
    // A byte now and then is no sign of life, however often it comes.
    eventually("the proxy to hang up", || {
        thread::sleep(std::time::Duration::from_millis(20));
        connection.send(b" ").is_err().then_some(())
    });
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

#[test]
fn a_client_that_asks_for_it_is_answered_and_closed() {
    let mut proxy = initialized();
    for head in [
        "POST /run HTTP/1.1\r\nConnection: close",
        "POST /run HTTP/1.0",
    ] {
        let mut connection = proxy.connect();
        connection
            .send(format!("{head}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes())
            .expect("sent");
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, "{}"));
        assert_eq!(answer.header("connection"), Some("close"));
        let mut rest = Vec::new();
        let mut stream = connection.stream();
        assert_eq!(stream.read_to_end(&mut rest).expect("closed in order"), 0);
        proxy.logs();
    }
    let mut connection = proxy.connect();
    connection
        .send(b"HEAD /healthz HTTP/1.1\r\n\r\n")
        .expect("sent");
    let head = String::from_utf8(connection.rest().expect("closed in order")).expect("text");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_serves(&mut proxy);
}

#[test]
fn a_large_result_reaches_a_client_that_reads_slowly() {
    let proxy = Proxy::start();
    proxy.init(
        "#!/bin/bash\nhead -c 20000000 /dev/zero | tr '\\0' x | sed 's/^/{\"a\":\"/; s/$/\"}/'\n",
    );
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    // Others are served while it does not read.
    eventually("the answer to be made", || {
        proxy
            .get("/healthz")
            .text()
            .contains("\"running\":0")
            .then_some(())
    });
    let answer = connection.answer().expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 20_000_008));
}

#[test]
fn an_idle_or_stuck_connection_is_closed() {
    let mut proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    proxy.init(ECHO);
    let before = count(&proxy, "fd");
    for sent in [
        &b""[..],
        b"POST /run HT",
        b"POST /run HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
    ] {
        let mut connection = proxy.connect();
        connection.send(sent).expect("sent");
        // Nothing more is sent: only the proxy can end this.
        assert!(connection.closed(), "{sent:?}");
    }
    let mut kept = proxy.connect();
    kept.send(&request("POST", "/run", b"{}")).expect("sent");
    assert_eq!(kept.answer().expect("an answer").status, 200);
    assert!(kept.closed());
    proxy.logs();
    assert_no_leak(&proxy, before);
    assert_serves(&mut proxy);
}

#[test]
fn a_slow_action_is_no_stuck_connection() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("100ms").start();
    let gate = init_gated(&proxy);
    let mut slow = proxy.connect();
    slow.send(&request("POST", "/run", b"{}")).expect("sent");
    // An idle connection opened after it is closed meanwhile: the watch has looked at both.
    wait_for_state(&proxy, "\"running\":1");
    assert!(proxy.connect().closed());
    assert!(proxy.connect().closed());
    open_gate(&gate);
    assert_eq!(slow.answer().expect("an answer").status, 200);
}

#[test]
fn above_the_most_connections_the_one_idle_longest_goes() {
    let proxy = Proxy::builder().arg("--max-connections").arg("8").start();
    let gate = init_gated(&proxy);
    let mut working = proxy.connect();
    working.send(&request("POST", "/run", b"{}")).expect("sent");
    wait_for_state(&proxy, "\"running\":1");
    let mut oldest = proxy.connect();
    oldest.send(&request("GET", "/healthz", b"")).expect("sent");
    oldest.answer().expect("an answer");
    for _ in 0..20 {
        let mut connection = proxy.connect();
        connection
            .send(&request("GET", "/healthz", b""))
            .expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
        std::mem::forget(connection.stream().try_clone().expect("a second handle"));
    }
    assert!(oldest.closed());
    open_gate(&gate);
    assert_eq!(working.answer().expect("an answer").status, 200);
}

#[test]
fn a_thousand_connections_at_once_are_served() {
    let proxy = Proxy::start();
    let mut open: Vec<_> = (0..1000).map(|_| proxy.connect()).collect();
    for connection in &mut open {
        connection
            .send(&request("GET", "/healthz", b""))
            .expect("sent");
    }
    let answered = open
        .iter_mut()
        .filter_map(|c| c.answer().ok())
        .filter(|a| a.status == 200);
    let answered = answered.count();
    // Descriptors may be fewer than connections; then the eldest went.
    assert!(answered >= 900, "{answered}");
    drop(open);
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn garbage_does_no_harm() {
    let mut proxy = initialized();
    let before = count(&proxy, "fd");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..200 {
        let mut bytes: Vec<u8> = (0..random() % 3000)
            .map(|_| (random() >> 32) as u8)
            .collect();
        if round % 4 == 0 {
            // A good start, then noise.
            bytes.splice(0..0, *b"POST /run HTTP/1.1\r\nContent-Length: 50\r\nX: ");
        }
        let mut connection = proxy.connect();
        let _ = connection.send(&bytes);
        if round % 2 == 0 {
            let _ = connection.finish();
        }
    }
    for bad in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "POST /run HTTP/1.1\r\nContent-Length : 2\r\n\r\n{}",
        "POST /run\r\n\r\n",
        "POST /run HTTP/1.1\r\n folded: x\r\n\r\n",
    ] {
        let mut connection = proxy.connect();
        connection.send(bad.as_bytes()).expect("sent");
        connection.finish().expect("open");
        let _ = connection.rest();
    }
    assert_no_leak(&proxy, before);
    // The library names what it cannot parse on stderr; nothing ran.
    assert_eq!(proxy.unread().stdout, "");
    assert_eq!(proxy.result(json!({"still": 1})), r#"{"still":1}"#);
    assert_eq!(proxy.logs().stdout, "");
}

/// Processor time of the proxy so far, in clock ticks.
fn ticks(proxy: &Proxy) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid().as_raw_nonzero()))
        .expect("the proxy is there");
    let fields = stat.rsplit(')').next().expect("fields behind the name");
    let fields: Vec<u64> = fields
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    // After the state come numbers: utime and stime are the 11th and 12th of them.
    fields[10] + fields[11]
}

#[test]
fn half_closed_and_silent_connections_burn_no_processor_time() {
    let proxy = initialized();
    let half_closed: Vec<_> = (0..20)
        .map(|n| {
            let mut connection = proxy.connect();
            if n % 2 == 0 {
                connection.send(b"POST /run HTTP/1.1\r\n").expect("sent");
                connection.finish().expect("open");
            }
            connection
        })
        .collect();
    // A busy loop would burn a tick in every hundredth of these seconds, on every run of this test.
    let before = ticks(&proxy);
    thread::sleep(std::time::Duration::from_secs(1));
    let burnt = ticks(&proxy) - before;
    assert!(burnt < 50, "{burnt} clock ticks in a second of silence");
    drop(half_closed);
}

#[test]
fn an_endless_head_is_cut_off() {
    let proxy = initialized();
    let mut connection = proxy.connect();
    connection.send(b"POST /run HTTP/1.1\r\nX: ").expect("sent");
    // Far more than the limit, far less than memory: sending fails once the proxy has hung up.
    let part = vec![b'x'; 64 << 10];
    let refused = (0..16_000).find_map(|_| connection.send(&part).err());
    let error = refused.expect("not a gigabyte of head is taken");
    let hung_up = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(hung_up.contains(&error.kind()), "{error}");
    assert_eq!(proxy.get("/healthz").status, 200);
}

// What the library decides alone. README names these under Limits.

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

#[test]
fn a_signal_while_connections_are_open_ends_the_proxy() {
    let mut proxy = initialized();
    let mut open: Vec<Connection> = (0..5).map(|_| proxy.connect()).collect();
    open[0]
        .send(b"POST /run HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        .expect("sent");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait(), 0);
}
