//! A proxy that is stopped and continued, as a frozen container is: what waits in the kernel is
//! answered, however long the pause was.

use std::io::Read;
use std::time::Duration;

use super::*;

/// Well over the idle timeout of these proxies. Its passing is what is tested.
const PAUSE: Duration = Duration::from_secs(4);

fn start() -> Proxy {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("3s").start();
    proxy.init(ECHO);
    proxy
}

/// Stops the proxy for longer than its idle timeout; `meanwhile` the client does something.
fn pause(proxy: &Proxy, meanwhile: impl FnOnce()) {
    proxy.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", proxy.pid().as_raw_nonzero());
    eventually("the proxy to stop", || {
        let stat = std::fs::read_to_string(&stat).expect("the proxy is there");
        stat.rsplit(')').next()?.starts_with(" T").then_some(())
    });
    meanwhile();
    thread::sleep(PAUSE);
    proxy.signal(Signal::CONT);
}

#[test]
fn a_request_on_a_kept_connection_is_answered() {
    let mut proxy = start();
    for _ in 0..2 {
        let mut kept: Vec<_> = (0..10).map(|_| proxy.connect()).collect();
        for connection in &mut kept {
            connection
                .send(&request("GET", "/healthz", b""))
                .expect("sent");
            assert_eq!(connection.answer().expect("an answer").status, 200);
        }
        pause(&proxy, || {
            for connection in &mut kept {
                connection
                    .send(&request("POST", "/run", b"{}"))
                    .expect("sent");
            }
        });
        for connection in &mut kept {
            assert_eq!(connection.answer().expect("an answer").status, 200);
        }
        for _ in &kept {
            proxy.logs();
        }
    }
    assert_serves(&mut proxy);
}

#[test]
fn a_connection_made_meanwhile_is_answered() {
    let mut proxy = start();
    for _ in 0..2 {
        let mut made = Vec::new();
        pause(&proxy, || {
            for _ in 0..10 {
                let mut connection = proxy.connect();
                connection
                    .send(&request("POST", "/run", b"{}"))
                    .expect("sent");
                made.push(connection);
            }
        });
        for connection in &mut made {
            assert_eq!(connection.answer().expect("an answer").status, 200);
            proxy.logs();
        }
    }
    assert_serves(&mut proxy);
}

#[test]
fn the_rest_of_a_request_is_taken() {
    let mut proxy = start();
    let whole = request("POST", "/run", b"{\"value\":{\"a\":1}}");
    let head = whole.len() - 17;
    // In the head, behind it, in the body.
    let cuts = [1, head / 2, head - 1, head, head + 1, whole.len() - 1];
    let mut open = Vec::new();
    for cut in cuts {
        let mut connection = proxy.connect();
        connection.send(&whole[..cut]).expect("sent");
        open.push((connection, cut));
    }
    pause(&proxy, || {
        for (connection, cut) in &mut open {
            connection.send(&whole[*cut..]).expect("sent");
        }
    });
    for (connection, cut) in &mut open {
        let answer = connection.answer();
        let answer = answer.unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert_eq!(
            (answer.status, answer.text()),
            (200, "{\"a\":1}"),
            "cut at {cut}"
        );
        proxy.logs();
    }
    assert_serves(&mut proxy);
}

#[test]
fn an_answer_that_could_not_be_sent_is_sent() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("3s").start();
    proxy.init(LARGE);
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    let stream = connection.stream();
    stream.peek(&mut [0]).expect("the answer has begun");
    // The client makes room while the proxy cannot see it.
    let mut begun = 0;
    pause(&proxy, || {
        stream.set_nonblocking(true).expect("our own socket");
        let mut bytes = vec![0; 1 << 20];
        while let Ok(read) = { stream }.read(&mut bytes) {
            begun += read;
        }
        stream.set_nonblocking(false).expect("our own socket");
    });
    // To its end: then it is idle, and closed.
    let rest = connection.rest().expect("closed in order");
    assert!(
        rest.len() + begun > 20_000_008,
        "{} and {begun}",
        rest.len()
    );
}
