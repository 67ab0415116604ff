//! Answers arrive, whole and in order, and the connection is kept or closed as was asked.

use super::*;

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
