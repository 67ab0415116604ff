//! A refusal always arrives, whole, and leaves no trace in the logs, whatever the client still
//! sends.

use super::*;

/// What is refused by its head, with the status.
const REFUSED: [(&str, u16); 8] = [
    (
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        400,
    ),
    (
        "POST /run HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n",
        400,
    ),
    ("\x16\x03\x01", 400),
    (
        "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n",
        404,
    ),
    (
        "PUT /run HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n",
        405,
    ),
    (
        "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n",
        413,
    ),
    (
        "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        501,
    ),
    ("GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n", 505),
];

#[test]
fn the_whole_answer_arrives_behind_fifty_megabytes() {
    let mut proxy = Proxy::builder().arg("--max-body").arg("1M").start();
    proxy.init(ECHO);
    let part = vec![b' '; 1_000_000];
    for (head, status) in REFUSED {
        let mut connection = proxy.connect();
        connection.send(head.as_bytes()).expect("sent");
        // As a simple client does it: all is sent before a byte is read.
        for n in 0..50 {
            let sent = connection.send(&part);
            sent.unwrap_or_else(|e| panic!("{head:?}, megabyte {n}: {e}"));
        }
        let answer = connection.answer().expect(head);
        assert_eq!(answer.status, status, "{head}");
        assert!(!answer.error().is_empty());
        connection.finish().expect("still open");
        assert!(connection.is_at_its_end(), "{head}");
    }
    assert_serves(&mut proxy);
}

#[test]
fn what_is_refused_is_told_before_the_client_has_sent_it() {
    let mut proxy = Proxy::builder().arg("--max-body").arg("1M").start();
    proxy.init(ECHO);
    for (head, status) in REFUSED {
        let mut connection = proxy.connect();
        connection.send(head.as_bytes()).expect("sent");
        let answer = connection.answer().expect(head);
        assert_eq!(answer.status, status, "{head}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_serves(&mut proxy);
}

#[test]
fn many_at_once_are_all_told() {
    let mut proxy = Proxy::builder().arg("--max-body").arg("1M").start();
    proxy.init(ECHO);
    let part = vec![b' '; 4_000_000];
    thread::scope(|scope| {
        for n in 0..40 {
            let (proxy, part) = (&proxy, &part);
            scope.spawn(move || {
                let (head, status) = REFUSED[n % REFUSED.len()];
                let mut connection = proxy.connect();
                connection
                    .send(&[head.as_bytes(), part].concat())
                    .expect(head);
                assert_eq!(connection.answer().expect(head).status, status, "{head}");
            });
        }
    });
    assert_serves(&mut proxy);
}

#[test]
fn garbage_is_refused_and_leaves_nothing_in_the_logs() {
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
        let mut bytes: Vec<u8> = (0..1 + random() % 3000)
            .map(|_| (random() >> 32) as u8)
            .collect();
        if round % 4 == 0 {
            // A good start, then noise.
            bytes.splice(
                0..0,
                *b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nX: ",
            );
        }
        let mut connection = proxy.connect();
        connection.send(&bytes).expect("sent");
        connection.finish().expect("open");
        assert_eq!(
            connection.answer().expect("an answer").status,
            400,
            "round {round}"
        );
        assert!(connection.is_at_its_end());
    }
    // Some go away at once.
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..3000).map(|_| (random() >> 32) as u8).collect();
        proxy.connect().send(&bytes).expect("sent");
    }
    assert_no_leak(&proxy, before);
    assert_serves(&mut proxy);
}
