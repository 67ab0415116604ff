//! The operator's port: health, readiness and metrics.

use std::io::Write;
use std::process::{Command, Stdio};

use actionproxy_tests::proxy::free_address;
use actionproxy_tests::{Answer, Connection, Proxy, binary, eventually, request, tools};
use rustix::process::Signal;
use serde_json::json;
use std::net::SocketAddr;

/// Says that it runs, and waits to be told to end.
const WAITS: &str = "#!/bin/sh\necho log > /dev/stderr\ntouch ../begun\n\
                     until [ -e ../go ]; do sleep 0.01; done\necho '{}'\n";

fn start(arguments: &[&str]) -> (Proxy, SocketAddr) {
    let operator = free_address();
    let port = operator.port().to_string();
    let builder = Proxy::builder().arg("--operator-port").arg(&port);
    let builder = arguments
        .iter()
        .fold(builder, |b, argument| b.arg(argument));
    let proxy = builder.start();
    // It listens a moment after the port of activations, on which the proxy was seen to answer.
    eventually("the operator's port to be open", || {
        Connection::open(operator).ok()
    });
    (proxy, operator)
}

fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = Connection::open(address).expect("the port takes connections");
    let bytes = format!("GET {path} HTTP/1.1\r\nHost: operator\r\n\r\n");
    connection.send(bytes.as_bytes()).expect("sent");
    connection.answer().expect("an answer")
}

/// The value of a line of the page.
fn metric(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    value.parse().expect("a number")
}

#[test]
fn there_is_no_such_port_unless_it_is_asked_for() {
    let proxy = Proxy::start();
    let pid = proxy.pid().as_raw_nonzero();
    let sockets = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the proxy is there");
    let inodes: Vec<String> = sockets
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.to_owned();
            Some(
                link.strip_prefix("socket:[")?
                    .trim_end_matches(']')
                    .to_owned(),
            )
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("a table");
    // The fourth column is the state, 0A is listening; the tenth is the inode (proc(5)).
    let listening = table.lines().filter(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.get(3) == Some(&"0A")
            && columns
                .get(9)
                .is_some_and(|i| inodes.contains(&(*i).into()))
    });
    assert_eq!(listening.count(), 1);
    assert_eq!(proxy.get("/metrics").status, 404);
    assert_eq!(proxy.get("/readyz").status, 404);
}

#[test]
fn health_is_the_same_as_on_the_port_of_activations() {
    let (proxy, operator) = start(&[]);
    proxy.init("#!/bin/sh\necho '{}'\n");
    let answer = get(operator, "/healthz");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), proxy.get("/healthz").text());
    assert!(answer.text().contains("\"initialized\":true"));
}

#[test]
fn a_proxy_is_ready_until_it_stops_and_while_its_directory_can_be_used() {
    let (mut proxy, operator) = start(&["--grace=1h"]);
    let ready = get(operator, "/readyz");
    assert_eq!(
        (ready.status, ready.text()),
        (200, "{\"status\":\"ready\"}")
    );
    proxy.init(WAITS);

    let dir = proxy.action_dir();
    let aside = proxy.scratch().join("aside");
    std::fs::rename(&dir, &aside).expect("moved");
    let without = get(operator, "/readyz");
    assert_eq!(without.status, 503);
    assert!(
        without.error().contains(dir.to_str().expect("text")),
        "{}",
        without.error()
    );
    std::fs::rename(&aside, &dir).expect("moved back");
    assert_eq!(get(operator, "/readyz").status, 200);

    let mut running = proxy.connect();
    running.send(&request("POST", "/run", b"{}")).expect("sent");
    let scratch = proxy.scratch().to_owned();
    eventually("the action to begin", || {
        scratch.join("begun").exists().then_some(())
    });
    assert_eq!(get(operator, "/readyz").status, 200);
    proxy.signal(Signal::TERM);
    eventually("the proxy not to be ready", || {
        let answer = get(operator, "/readyz");
        (answer.status == 503).then(|| assert_eq!(answer.error(), "stopping"))
    });
    std::fs::write(scratch.join("go"), "").expect("written");
    assert_eq!(running.answer().expect("an answer").status, 200);
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn metrics_tell_what_came_of_requests() {
    let (mut proxy, operator) = start(&["--timeout", "300ms"]);
    assert_eq!(proxy.post("/init", "{").status, 400);
    proxy.init("#!/bin/sh\nread -r line\ncase $line in *hang*) exec sleep 100;; *bad*) echo no;; esac\necho logged\necho '{}'\n");
    assert_eq!(proxy.run(json!({})).status, 200);
    assert_eq!(proxy.run(json!({})).status, 200);
    proxy.logs();
    assert_eq!(proxy.run(json!({"hang": 1})).status, 502);
    assert_eq!(proxy.run(json!("text")).status, 404);
    let kept = proxy.connect();
    let page = get(operator, "/metrics");
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let page = page.text().to_owned();
    for (name, value) in [
        ("actionproxy_inits_total{outcome=\"caller_error\"}", 1.0),
        ("actionproxy_inits_total{outcome=\"ok\"}", 1.0),
        ("actionproxy_activations_total{outcome=\"ok\"}", 2.0),
        ("actionproxy_activations_total{outcome=\"limit\"}", 1.0),
        (
            "actionproxy_activations_total{outcome=\"caller_error\"}",
            1.0,
        ),
        ("actionproxy_activation_duration_seconds_count", 4.0),
        (
            "actionproxy_activation_duration_seconds_bucket{le=\"+Inf\"}",
            4.0,
        ),
        ("actionproxy_activations_running", 0.0),
        ("actionproxy_activations_waiting", 0.0),
        ("actionproxy_log_bytes_total{stream=\"stdout\"}", 14.0),
    ] {
        assert_eq!(metric(&page, name), value, "{name}");
    }
    assert!(metric(&page, "actionproxy_activation_duration_seconds_sum") >= 0.3);
    assert!(metric(&page, "actionproxy_connections") >= 1.0);
    assert!(metric(&page, "process_resident_memory_bytes") > 500_000.0);
    assert!(page.contains("actionproxy_build_info{version=\""));
    drop(kept);
}

#[test]
fn prometheus_finds_nothing_wrong_with_the_metrics() {
    if !tools::are_here(&["promtool"]) {
        return;
    }
    let (proxy, operator) = start(&[]);
    proxy.init("#!/bin/sh\necho '{}'\n");
    proxy.result(json!({}));
    let page = get(operator, "/metrics").body;
    let mut linter = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let mut stdin = linter.stdin.take().expect("piped");
    stdin.write_all(&page).expect("written");
    drop(stdin);
    let output = linter.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    assert_eq!(String::from_utf8_lossy(&said), "");
}

#[test]
fn what_it_does_not_know_is_refused() {
    let (_proxy, operator) = start(&[]);
    assert_eq!(get(operator, "/run").status, 404);
    let mut connection = Connection::open(operator).expect("a connection");
    connection
        .send(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 405);
    assert!(
        answer.error().contains("expected GET"),
        "{}",
        answer.error()
    );
}

#[test]
fn more_connections_than_probes_need_are_closed() {
    let (proxy, operator) = start(&[]);
    // Of 64 a few less: the library may not have seen yet that earlier ones have gone.
    let mut open: Vec<_> = (0..60)
        .map(|_| Connection::open(operator).expect("a connection"))
        .collect();
    for connection in &mut open {
        connection
            .send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    let mut more: Vec<_> = (0..10)
        .map(|_| Connection::open(operator).expect("taken"))
        .collect();
    assert!(more.pop().expect("the last").closed());
    drop((open, more));
    eventually("a place to be free", || {
        let mut connection = Connection::open(operator).ok()?;
        connection
            .send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .ok()?;
        connection.answer().ok()
    });
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn connections_to_it_leave_the_port_of_activations_its_descriptors() {
    if !tools::are_here(&["prlimit"]) {
        return;
    }
    let operator = free_address();
    let proxy = Proxy::builder()
        .under(["prlimit", "--nofile=40", "--"])
        .arg("--operator-port")
        .arg(&operator.port().to_string())
        .start();
    eventually("the operator's port to be open", || {
        Connection::open(operator).ok()
    });
    // Far more than there are descriptors; those over its share are closed.
    let open: Vec<_> = (0..60).map(|_| Connection::open(operator)).collect();
    assert_eq!(proxy.get("/healthz").status, 200);
    let closed = open.into_iter().flatten().rev().take(20);
    assert!(closed.into_iter().all(Connection::closed));
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn a_port_in_use_is_a_line_and_status_2() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let output = binary::command()
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--operator-port",
            &port,
        ])
        .arg("--action-dir")
        .arg(dir.path())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().expect("a line");
    assert!(
        last.contains("operator's port") && last.contains(&port) && last.contains("in use"),
        "{said}"
    );
}
