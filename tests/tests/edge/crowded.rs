//! More connections than may be open: which goes, who is refused, and what each is told.

use actionproxy_tests::proxy::free_address;
use actionproxy_tests::unread::Unread;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::*;

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
fn where_all_are_at_work_one_more_is_told_so() {
    let proxy = Proxy::builder().arg("--max-connections").arg("4").start();
    let gate = init_gated(&proxy);
    let mut working: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = proxy.connect();
            connection
                .send(&request("POST", "/run", b"{}"))
                .expect("sent");
            connection
        })
        .collect();
    let (told, mut connection) = eventually("all to be at work", || {
        let mut connection = proxy.connect();
        connection
            .send(&request("GET", "/healthz", b""))
            .expect("sent");
        let answer = connection.answer().expect("an answer");
        (answer.status != 200).then_some((answer, connection))
    });
    assert_eq!(told.status, 503, "{told:?}");
    assert!(told.error().contains("Too many connections"), "{told:?}");
    assert_eq!(told.header("connection"), Some("close"));
    assert!(connection.is_at_its_end());
    for connection in &mut working {
        open_gate(&gate);
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
}

#[test]
fn of_many_that_come_while_all_are_at_work_each_is_told_so() {
    let proxy = Proxy::builder().arg("--max-connections").arg("4").start();
    let gate = init_gated(&proxy);
    let run = |body: &[u8]| {
        let mut connection = proxy.connect();
        connection
            .send(&request("POST", "/run", body))
            .expect("sent");
        connection
    };
    let mut working: Vec<_> = (0..4).map(|_| run(b"{}")).collect();
    eventually("all to be at work", || {
        (proxy.get("/healthz").status == 503).then_some(())
    });
    // None of them goes: each is parting while the next ones come.
    let mut refused = Vec::new();
    for n in 0..40 {
        let mut connection =
            run(format!("{{\"value\":\"{}\"}}", "x".repeat(n * 10_000)).as_bytes());
        assert_eq!(connection.answer().expect("an answer").status, 503, "{n}");
        refused.push(connection);
    }
    for connection in &mut working {
        open_gate(&gate);
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
}

/// As README.md has it.
#[test]
fn of_1024_descriptors_most_are_left_for_connections() {
    raise_descriptors();
    let operator = free_address().port().to_string();
    for (arguments, most) in [(&[][..], 955), (&["--operator-port", &operator], 891)] {
        let under = ["sh", "-c", "ulimit -n 1024; exec \"$@\"", "sh"];
        let builder = Proxy::builder().under(under);
        let builder = arguments.iter().fold(builder, |b, word| b.arg(word));
        let proxy = builder.start();
        let open = || {
            let mut connection = proxy.connect();
            connection
                .send(&request("GET", "/healthz", b""))
                .expect("sent");
            assert_eq!(connection.answer().expect("an answer").status, 200);
            connection
        };
        let mut all: Vec<_> = (0..most).map(|_| open()).collect();
        let is_open = |connection: &mut Connection| {
            let sent = connection.send(&request("GET", "/healthz", b""));
            sent.is_ok() && connection.answer().is_ok_and(|a| a.status == 200)
        };
        assert!(all.iter_mut().all(is_open), "{most}");
        let _one_more = open();
        let gone = all.iter_mut().map(is_open).filter(|is_open| !is_open);
        assert_eq!(gone.count(), 1, "{most}");
    }
}

/// This test and the proxy need a descriptor for each connection, more than most shells allow.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
}

#[test]
fn one_that_goes_for_another_in_the_midst_of_a_request_is_told_why() {
    let proxy = Proxy::builder().arg("--max-connections").arg("8").start();
    let unread = Unread::new();
    let begun = |bytes: &[u8]| {
        let mut connection = proxy.connect();
        connection.send(bytes).expect("sent");
        unread.wait(connection.stream());
        connection
    };
    let mut open: Vec<_> = (0..8)
        .map(|n| match n % 2 {
            0 => begun(b"POST /run HTTP/1.1\r\n"),
            _ => begun(b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"),
        })
        .collect();
    // The one that the start asked with may still be parting, and goes first.
    let _more: Vec<_> = (0..2).map(|_| begun(b"POST /run HTTP/1.1\r\n")).collect();
    let answer = open[0].answer().expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.error().contains("make room"), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(open[0].is_at_its_end());
}

#[test]
fn accepting_goes_on_after_a_moment_without_descriptors() {
    let proxy = Proxy::builder().arg("--idle-timeout").arg("300ms").start();
    let tasks = format!("/proc/{}/task", proxy.pid().as_raw_nonzero());
    // With no connection open nothing but the next client would wake it.
    eventually("the watch to have nothing to do", || {
        let tasks = std::fs::read_dir(&tasks).expect("the proxy is there");
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        tasks
            .map(|task| task.expect("a thread").path())
            .any(|task| {
                read(task.join("comm")) == "watch\n" && read(task.join("wchan")).contains("futex")
            })
            .then_some(())
    });
    let limit = |current| Rlimit {
        current: Some(current),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let open = format!("/proc/{}/fd", proxy.pid().as_raw_nonzero());
    let first_free = (0..).find(|n| !std::fs::exists(format!("{open}/{n}")).expect("it is there"));
    let none = limit(first_free.expect("an end"));
    let old = prlimit(Some(proxy.pid()), Resource::Nofile, none).expect("our own child");
    let mut waiting = proxy.connect();
    waiting
        .send(&request("GET", "/healthz", b""))
        .expect("sent");
    let time = Some(std::time::Duration::from_millis(300));
    waiting.stream().set_read_timeout(time).expect("a time");
    assert!(waiting.answer().is_err(), "there was a descriptor left");
    prlimit(Some(proxy.pid()), Resource::Nofile, old).expect("our own child");
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn a_thousand_idle_connections_are_all_served() {
    raise_descriptors();
    let proxy = Proxy::builder()
        .under(["sh", "-c", "ulimit -n 4096; exec \"$@\"", "sh"])
        .start();
    let mut open: Vec<_> = (0..1000).map(|_| proxy.connect()).collect();
    for round in 0..2 {
        for connection in &mut open {
            connection
                .send(&request("GET", "/healthz", b""))
                .expect("sent");
        }
        for (n, connection) in open.iter_mut().enumerate() {
            let answer = connection.answer();
            let answer = answer.unwrap_or_else(|e| panic!("connection {n}, round {round}: {e}"));
            assert_eq!(answer.status, 200);
        }
    }
    let before = count(&proxy, "fd");
    drop(open);
    assert_no_leak(&proxy, before - 1000);
    assert_eq!(proxy.get("/healthz").status, 200);
}
