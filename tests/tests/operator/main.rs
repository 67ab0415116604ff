//! The operator's port: health, readiness and metrics.

mod clients;
mod port;

use std::io::Write;
use std::process::{Command, Stdio};

use actionproxy_tests::proxy::free_address;
use actionproxy_tests::{Answer, Connection, Proxy, eventually, request, tools};
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
    // It is taken from the kernel in its own time.
    eventually("the connection to be counted", || {
        let page = get(operator, "/metrics").text().to_owned();
        (metric(&page, "actionproxy_connections") >= 1.0).then_some(())
    });
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
