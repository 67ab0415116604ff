//! What a hostile client can make the proxy hold.

use super::*;

/// The most memory that the proxy has had in use so far, in bytes.
pub(super) fn peak(proxy: &Proxy) -> u64 {
    memory(proxy, "VmHWM:")
}

/// What the kernel tells of the proxy's memory under this name, in bytes.
fn memory(proxy: &Proxy, name: &str) -> u64 {
    let status = format!("/proc/{}/status", proxy.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(status).expect("the proxy is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes
        .and_then(|n| n.parse::<u64>().ok())
        .expect("a number")
        << 10
}

/// Sends `head`, then `part` without end, until the proxy refuses more or 100 MB are gone. The
/// status of the answer.
fn flood(proxy: &Proxy, head: &str, part: &str) -> u16 {
    let mut connection = proxy.connect();
    connection.send(head.as_bytes()).expect("sent");
    let parts = part.repeat((64 << 10) / part.len());
    let _ = (0..1600).find_map(|_| connection.send(parts.as_bytes()).err());
    connection.answer().expect("an answer").status
}

#[test]
fn what_does_not_end_takes_no_memory() {
    let mut proxy = initialized();
    let chunked = "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("a request line", "GET /", "x", &[414, 431][..]),
        ("a header", "GET / HTTP/1.1\r\nX: ", "x", &[431]),
        ("headers", "GET / HTTP/1.1\r\n", "X: y\r\n", &[431]),
        ("empty lines", "\r\n", "\r\n", &[400, 431]),
        (
            "an extension",
            &format!("{chunked}2;"),
            "x",
            &[400, 413, 431],
        ),
        ("a size", chunked, "0", &[400, 413, 431]),
        (
            "a trailer",
            &format!("{chunked}0\r\nX: "),
            "x",
            &[400, 413, 431],
        ),
        (
            "trailers",
            &format!("{chunked}0\r\n"),
            "X: y\r\n",
            &[400, 413, 431],
        ),
    ];
    let before = peak(&proxy);
    for (what, head, part, statuses) in cases {
        let status = flood(&proxy, head, part);
        assert!(statuses.contains(&status), "{what}: {status}");
        let peak = peak(&proxy);
        assert!(
            peak < before + (2 << 20),
            "{what}: {peak} bytes, {before} before"
        );
    }
    assert_serves(&mut proxy);
}

#[test]
fn many_heads_that_do_not_end_take_little() {
    let mut proxy = initialized();
    let before = peak(&proxy);
    let part = "x".repeat(60 << 10);
    let mut open: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for connection in &mut open {
        let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {part}");
        connection.send(head.as_bytes()).expect("sent");
    }
    for connection in &mut open {
        connection.send(b"\r\n\r\n").expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    // 128 KiB for each: a buffer that doubles.
    let peak = peak(&proxy);
    assert!(
        peak < before + ((100 * 128) << 10),
        "{peak} bytes, {before} before"
    );
    drop(open);
    assert_serves(&mut proxy);
}

#[test]
fn announced_bodies_take_no_memory() {
    let mut proxy = initialized();
    let before = peak(&proxy);
    let mut open: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for connection in &mut open {
        let head = "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n";
        connection.send(head.as_bytes()).expect("sent");
        // An interim answer or, where that is too much for all together, 503.
        let status = connection.answer().expect("an answer").status;
        assert!([100, 503].contains(&status), "{status}");
    }
    let peak = peak(&proxy);
    assert!(peak < before + (8 << 20), "{peak} bytes, {before} before");
    drop(open);
    assert_serves(&mut proxy);
}

#[test]
fn what_many_at_once_took_is_given_back() {
    let mut proxy = initialized();
    let before = memory(&proxy, "VmRSS:");
    let body = " ".repeat(30 << 10);
    let open: Vec<_> = (0..500)
        .map(|_| {
            let mut connection = proxy.connect();
            let head = "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
            connection.send(head.as_bytes()).expect("sent");
            connection.send(body.as_bytes()).expect("sent");
            connection
        })
        .collect();
    let held = before + ((500 * 30) << 10);
    eventually("the proxy to hold all bodies", || {
        (memory(&proxy, "VmRSS:") >= held).then_some(())
    });
    drop(open);
    let most = before + (4 << 20);
    eventually("the proxy to give their memory back", || {
        (memory(&proxy, "VmRSS:") < most).then_some(())
    });
    assert_serves(&mut proxy);
}

#[test]
fn what_half_heads_took_is_given_back() {
    let mut proxy = initialized();
    let before = memory(&proxy, "VmRSS:");
    let open: Vec<_> = (0..900)
        .map(|_| {
            let mut connection = proxy.connect();
            connection.send(b"GET /healthz HTT").expect("sent");
            connection
        })
        .collect();
    // A buffer for each, and a stack.
    let held = before + ((900 * 8) << 10);
    eventually("the proxy to hold all heads", || {
        (memory(&proxy, "VmRSS:") >= held).then_some(())
    });
    drop(open);
    let most = before + (2 << 20);
    eventually("the proxy to give their memory back", || {
        (memory(&proxy, "VmRSS:") < most).then_some(())
    });
    assert_serves(&mut proxy);
}
