//! Answers arrive, whole and in order, and the connection is kept or closed as was asked.

use super::*;

#[test]
fn a_client_that_goes_away_before_the_answer_costs_nothing() {
    let mut proxy = Proxy::start();
    let gate = init_gated(&proxy);
    run_gated(&proxy, &gate);
    proxy.logs();
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
fn a_large_result_reaches_a_client_that_reads_slowly() {
    let proxy = Proxy::start();
    proxy.init(LARGE);
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
fn answers_of_every_size_keep_the_connection() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/bash\nread -r line\nn=${line//[^0-9]/}\nhead -c $((n - 8)) /dev/zero | tr '\\0' x | sed 's/^/{\"a\":\"/; s/$/\"}/'\n");
    let mut connection = proxy.connect();
    let sizes = [
        9,
        1024,
        8191,
        8192,
        8193,
        65_535,
        65_536,
        65_537,
        1 << 20,
        20 << 20,
    ];
    // Waited for one by one, then asked for all at once.
    for size in sizes {
        connection.send(&run_of(size)).expect("sent");
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (200, size));
        assert_eq!(answer.header("connection"), None);
    }
    let all: Vec<_> = sizes.into_iter().flat_map(run_of).collect();
    connection.send(&all).expect("sent");
    for size in sizes {
        let answer = connection.answer().expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (200, size));
    }
}

fn run_of(size: usize) -> Vec<u8> {
    let body = json!({"value": {"size": size}}).to_string();
    request("POST", "/run", body.as_bytes())
}

#[test]
fn a_request_and_the_end_of_sending_in_one_moment_are_answered() {
    let mut proxy = initialized();
    for n in 0..100 {
        let mut connection = proxy.connect();
        let body = json!({"value": {"n": n}}).to_string();
        connection
            .send(&request("POST", "/run", body.as_bytes()))
            .expect("sent");
        connection.finish().expect("open");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), format!("{{\"n\":{n}}}"));
        assert!(connection.is_at_its_end());
        proxy.logs();
    }
    assert_serves(&mut proxy);
}
