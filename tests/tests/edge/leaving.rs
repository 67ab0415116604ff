//! Clients that go away while their run waits or runs, and clients that only end their sending.

use std::io::Write;
use std::net::TcpStream;

use super::*;

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Closes,
    Resets,
    IsKilled,
}

/// Runs wait for the gate, having told stderr that they began.
fn start() -> (Proxy, std::path::PathBuf) {
    let proxy = Proxy::start();
    let gate = make_gate(&proxy);
    proxy.init(&format!(
        "#!/bin/bash\nread -r line\necho \"ran $line\" >&2\nuntil read -r _ < '{}'; do :; done\necho \"$line\"\n",
        gate.display()
    ));
    (proxy, gate)
}

fn run(name: &str) -> Vec<u8> {
    request(
        "POST",
        "/run",
        json!({"value": {"run": name}}).to_string().as_bytes(),
    )
}

/// Sends a request that will wait, and leaves.
fn leave(proxy: &Proxy, how: Leaving, bytes: &[u8], waiting: &str) {
    match how {
        Leaving::Closes => {
            let mut connection = proxy.connect();
            connection.send(bytes).expect("sent");
            wait_for_state(proxy, waiting);
        }
        Leaving::Resets => {
            let mut connection = proxy.connect();
            connection.send(bytes).expect("sent");
            wait_for_state(proxy, waiting);
            let no_wait = Some(std::time::Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(connection.stream(), no_wait).expect("set");
        }
        Leaving::IsKilled => {
            // The socket is the other process's alone once this one has let go of it.
            let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
            stream.write_all(bytes).expect("sent");
            let socket = std::os::fd::OwnedFd::from(stream);
            let mut holder = Command::new("sleep");
            let mut holder = holder.arg("1000").stdin(socket).spawn().expect("it starts");
            wait_for_state(proxy, waiting);
            holder.kill().expect("our own child");
            holder.wait().expect("our own child");
        }
    }
}

#[test]
fn a_run_whose_client_left_before_its_turn_is_not_executed() {
    for how in [Leaving::Resets, Leaving::Closes, Leaving::IsKilled] {
        let (mut proxy, gate) = start();
        let mut first = proxy.connect();
        first.send(&run("first")).expect("sent");
        wait_for_state(&proxy, "\"running\":1");
        leave(&proxy, how, &run("left"), "\"running\":1,\"waiting\":1");
        let mut last = proxy.connect();
        last.send(&run("last")).expect("sent");
        // The one that left may be counted still.
        eventually("the last one to wait", || {
            let health = proxy.get("/healthz").text().to_owned();
            let waits = ["\"waiting\":1", "\"waiting\":2"]
                .iter()
                .any(|w| health.contains(w));
            waits.then_some(())
        });
        open_gate(&gate);
        assert_eq!(
            first.answer().expect("an answer").text(),
            "{\"run\":\"first\"}"
        );
        open_gate(&gate);
        assert_eq!(
            last.answer().expect("an answer").text(),
            "{\"run\":\"last\"}",
            "{how:?}"
        );
        assert_eq!(proxy.logs().stderr, "ran {\"run\":\"first\"}\n", "{how:?}");
        assert_eq!(proxy.logs().stderr, "ran {\"run\":\"last\"}\n", "{how:?}");
        assert_eq!(proxy.unread().stderr, "", "{how:?}");
    }
}

#[test]
fn a_client_that_only_ended_its_sending_gets_its_answer() {
    let (mut proxy, gate) = start();
    let mut first = proxy.connect();
    first.send(&run("first")).expect("sent");
    wait_for_state(&proxy, "\"running\":1");
    let mut waiting = proxy.connect();
    waiting.send(&run("waiting")).expect("sent");
    waiting.finish().expect("open");
    wait_for_state(&proxy, "\"running\":1,\"waiting\":1");
    // While it runs, too.
    first.finish().expect("open");
    for (connection, name) in [(&mut first, "first"), (&mut waiting, "waiting")] {
        open_gate(&gate);
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), format!("{{\"run\":\"{name}\"}}"));
        assert!(connection.is_at_its_end());
        assert_eq!(proxy.logs().stderr, format!("ran {{\"run\":\"{name}\"}}\n"));
    }
}

#[test]
fn a_run_whose_client_left_meanwhile_goes_on() {
    for how in [Leaving::Resets, Leaving::Closes, Leaving::IsKilled] {
        let (mut proxy, gate) = start();
        run_gated(&proxy, &gate);
        proxy.logs();
        let before = count(&proxy, "fd");
        leave(&proxy, how, &run("left"), "\"running\":1");
        open_gate(&gate);
        // It ran to its end, with its sentinels.
        assert_eq!(proxy.logs().stderr, "ran {\"run\":\"left\"}\n", "{how:?}");
        assert_no_leak(&proxy, before);
        let opener = thread::spawn(move || open_gate(&gate));
        assert_eq!(proxy.run(json!({"still": 1})).text(), "{\"still\":1}");
        opener.join().expect("the gate was opened");
    }
}

#[test]
fn requests_behind_one_whose_client_left_are_not_executed() {
    let (mut proxy, gate) = start();
    let both = [run("first"), run("second")].concat();
    leave(&proxy, Leaving::Resets, &both, "\"running\":1");
    open_gate(&gate);
    assert_eq!(proxy.logs().stderr, "ran {\"run\":\"first\"}\n");
    wait_for_state(&proxy, "\"running\":0,\"waiting\":0");
    let opener = thread::spawn(move || open_gate(&gate));
    assert_eq!(proxy.run(json!({"still": 1})).text(), "{\"still\":1}");
    opener.join().expect("the gate was opened");
    assert_eq!(proxy.logs().stderr, "ran {\"still\":1}\n");
}
