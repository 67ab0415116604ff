//! Time: idle and stuck connections.

use actionproxy_tests::unread::Unread;

use super::*;

#[test]
fn a_body_that_trickles_is_stuck() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    let mut connection = proxy.connect();
    connection
        .send(b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .expect("sent");
    // A byte now and then is no sign of life, however often it comes.
    eventually("the proxy to hang up", || {
        thread::sleep(std::time::Duration::from_millis(20));
        connection.send(b" ").is_err().then_some(())
    });
}

/// 20 KiB a second, for longer than the timeout: far less than what a large body has to bring.
#[test]
fn a_small_body_that_comes_slowly_is_not_stuck() {
    let idle = std::time::Duration::from_secs(3);
    let proxy = Proxy::builder().arg("--idle-timeout").arg("3s").start();
    let body = serde_json::to_vec(&json!({"value": {"code": "x".repeat(80 << 10)}})).expect("JSON");
    let mut connection = proxy.connect();
    connection
        .send(
            format!(
                "POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        )
        .expect("sent");
    let began = std::time::Instant::now();
    for piece in body.chunks(1 << 10) {
        connection.send(piece).expect("sent");
        thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(began.elapsed() > idle);
    assert_eq!(connection.answer().expect("an answer").status, 200);
}

/// The kernel tells of room for more of an answer only where a third of its buffer is free: what the
/// client takes in between is a sign of life too.
#[test]
fn an_answer_that_is_taken_slowly_is_not_stuck() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("6s").start();
    proxy.init("#!/bin/sh\nhead -c 24000000 /dev/zero | tr '\\0' x | sed 's/.*/{\"a\":\"&\"}/'\n");
    let mut connection = proxy.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(connection.stream(), 32 << 10)
        .expect("a smaller buffer");
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    let mut stream = connection.stream();
    let mut taken = 0;
    // Twice the time, in which far less is taken than the buffer has room for, but more than enough.
    for _ in 0..24 {
        let mut piece = [0; 64 << 10];
        std::io::Read::read_exact(&mut stream, &mut piece).expect("the answer goes on");
        taken += piece.len();
        thread::sleep(std::time::Duration::from_millis(500));
    }
    let left = 24_000_000 - taken as u64;
    let mut rest = std::io::Read::take(stream, left);
    let rest = std::io::copy(&mut rest, &mut std::io::sink());
    assert_eq!(rest.expect("the rest"), left);
}

/// Nor is the one behind it, of which nothing can be taken before.
#[test]
fn an_answer_behind_one_that_is_taken_slowly_is_not_stuck() {
    let mut proxy = Proxy::builder().arg("--idle-timeout").arg("3s").start();
    proxy.init(LARGE);
    let mut connection = proxy.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(connection.stream(), 32 << 10)
        .expect("a smaller buffer");
    connection
        .send(&request("POST", "/run", b"{}").repeat(2))
        .expect("sent");
    let length = 20_000_008;
    let mut stream = connection.stream();
    let mut take = |length: usize| {
        let mut bytes = vec![0; length];
        std::io::Read::read_exact(&mut stream, &mut bytes).expect("the answers go on");
    };
    take(length - (1 << 20));
    // Both have been made.
    proxy.logs();
    proxy.logs();
    // Twice the time, in which the kernel tells of no room.
    for _ in 0..15 {
        take(64 << 10);
        thread::sleep(std::time::Duration::from_millis(400));
    }
    let mut rest = 0;
    while rest < length {
        let mut bytes = vec![0; 1 << 20];
        rest += std::io::Read::read(&mut stream, &mut bytes).expect("the answers go on");
        assert_ne!(bytes[0], 0, "the answers end at {rest}");
    }
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
fn a_signal_while_connections_are_open_ends_the_proxy() {
    let mut proxy = initialized();
    let mut open: Vec<Connection> = (0..5).map(|_| proxy.connect()).collect();
    open[0]
        .send(b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        .expect("sent");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    proxy.init(ECHO);
    proxy.run(json!({}));
    proxy.logs();
    let before = count(&proxy, "fd");
    assert_eq!(proxy.connect().rest().expect("closed in order"), b"");
    let mut kept = proxy.connect();
    kept.send(&request("POST", "/run", b"{}")).expect("sent");
    assert_eq!(kept.answer().expect("an answer").status, 200);
    assert_eq!(kept.rest().expect("closed in order"), b"");
    proxy.logs();
    assert_no_leak(&proxy, before);
    assert_serves(&mut proxy);
}

#[test]
fn a_request_that_does_not_come_whole_is_answered_with_408() {
    let mut proxy = Proxy::builder().arg("--idle-timeout").arg("2s").start();
    proxy.init(ECHO);
    let cases = [
        "POST /run HT",
        "POST /run HTTP/1.1\r\n",
        "POST /run HTTP/1.1\r\nHost: a\r\n",
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{",
        "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{",
    ];
    // First on its connection, and behind another. All at once, since each takes the whole time.
    let open: Vec<_> = [0, 1]
        .into_iter()
        .flat_map(|earlier| cases.map(|sent| (earlier, sent)))
        .map(|(earlier, sent)| {
            let mut connection = proxy.connect();
            let first = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(earlier);
            connection
                .send(format!("{first}{sent}").as_bytes())
                .expect("sent");
            (connection, earlier, sent)
        })
        .collect();
    for (mut connection, earlier, sent) in open {
        for _ in 0..earlier {
            assert_eq!(connection.answer().expect("an answer").status, 200);
        }
        let answer = connection.answer().expect(sent);
        // At the wrong path, either is true.
        let fits = answer.status == 408 || (answer.status == 404 && sent.contains("/nothing"));
        assert!(fits, "{sent}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(!answer.error().is_empty());
        assert!(connection.is_at_its_end(), "{sent}");
    }
    assert_serves(&mut proxy);
}

#[test]
fn an_answer_that_is_not_read_ends_its_connection() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("1s").start();
    proxy.init(LARGE);
    let unread = Unread::new();
    let whole = request("POST", "/run", b"{}");
    // Where the request comes in two pieces, the proxy has waited once already.
    for pieces in [&[&whole[..]][..], &[&whole[..20], &whole[20..]]] {
        let mut connection = proxy.connect();
        for piece in pieces {
            connection.send(piece).expect("sent");
            unread.wait(connection.stream());
        }
        // Nor does the kernel keep for it what it does not read.
        eventually("the proxy to give up", || {
            unread.is_gone(connection.stream()).then_some(())
        });
        assert!(connection.answer().is_err());
    }
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn requests_whose_answers_are_not_read_do_not_pile_up() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    let before = memory::peak(&proxy);
    let mut connection = proxy.connect();
    let requests = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    // Sending fails once the proxy has had enough.
    let refused = (0..200).any(|_| connection.send(requests.as_bytes()).is_err());
    assert!(refused);
    let peak = memory::peak(&proxy);
    assert!(peak < before + (4 << 20), "{peak} and {before}");
    assert_eq!(proxy.get("/healthz").status, 200);
}
