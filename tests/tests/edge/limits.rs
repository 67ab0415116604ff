//! Time and number: idle and stuck connections, too many of them, heads without end, garbage.

use super::*;

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
