//! Runtimes whose code is given when they start.

use super::*;
use actionproxy_tests::eventually;
use actionproxy_tests::proxy::free_address;

#[test]
fn it_is_prepared_before_the_first_request_which_only_runs() {
    let mut proxy = start(&[("__OW_ACTION_CODE", ECHO), ("__OW_ACTION_NAME", "mine")]);
    eventually("the action to be prepared", || {
        proxy
            .get("/healthz")
            .text()
            .contains("\"initialized\":true")
            .then_some(())
    });
    let answer = post(&proxy, &json!({"value": {"a": 1}}));
    assert_eq!((answer.status, body(&answer)["a"].clone()), (200, json!(1)));
    assert_eq!(proxy.logs().stdout, "logged\n");
    let refused = post(&proxy, &json!({"init": {"code": ECHO}}));
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.error(),
        "Cannot initialize a runtime with a dedicated function."
    );
}

#[test]
fn an_archive_in_a_file_and_a_raw_body() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("code");
    let code = base64::engine::general_purpose::STANDARD.encode(ECHO);
    std::fs::write(&file, code).expect("written");
    let proxy = start(&[
        ("__OW_ACTION_CODE_FILE", file.to_str().expect("text")),
        ("__OW_ACTION_BINARY", "true"),
        ("__OW_ACTION_RAW", "True"),
    ]);
    let answer = proxy.post("/", "not json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(body(&answer)["__ow_body"], "bm90IGpzb24=");
}

#[test]
fn a_broken_one_is_named_once_and_answers_502() {
    let operator = free_address();
    let mut proxy = start(&[
        ("__OW_ACTION_CODE", "!!!"),
        ("__OW_ACTION_BINARY", "true"),
        ("ACTIONPROXY_OPERATOR_PORT", &operator.port().to_string()),
    ]);
    for _ in 0..2 {
        let answer = post(&proxy, &json!({"value": {}}));
        assert_eq!(answer.status, 502);
        assert!(
            answer.error().contains("failed to generate or locate"),
            "{}",
            answer.error()
        );
    }
    let said = proxy.stderr();
    assert_eq!(said.matches("failed to decode").count(), 1, "{said}");
    let mut connection = eventually("the operator's port to be open", || {
        actionproxy_tests::Connection::open(operator).ok()
    });
    connection
        .send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    let ready = connection.answer().expect("an answer");
    assert_eq!(ready.status, 503);
    assert!(ready.error().contains("prepared"), "{}", ready.error());
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn the_port_is_the_platforms() {
    let (general, upstream) = (free_address(), free_address());
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = std::process::Command::new(actionproxy_tests::binary::proxy())
        .args(["--host", "127.0.0.1", "--action-dir"])
        .arg(dir.path())
        .env("__OW_RUNTIME_PLATFORM", "knative")
        .env("PORT", general.port().to_string())
        .env("FLASK_PROXY_PORT", upstream.port().to_string())
        .spawn()
        .expect("it runs");
    eventually("the port to be taken", || {
        std::net::TcpStream::connect(general).ok()
    });
    assert!(std::net::TcpStream::connect(upstream).is_err());
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}

#[test]
fn one_process_for_all_activations_is_started_before_the_first_request() {
    let proxy = Proxy::builder()
        .env("__OW_RUNTIME_PLATFORM", "knative")
        .env(
            "__OW_ACTION_CODE",
            "#!/bin/bash\nwhile read -r line; do echo '{\"loop\":1}' >&3; done\n",
        )
        .arg("--action-loop")
        .start();
    eventually("the action to be prepared", || {
        let health = proxy.get("/healthz");
        health.text().contains("\"initialized\":true").then_some(())
    });
    assert_eq!(post(&proxy, &json!({"value": {}})).text(), "{\"loop\":1}");
}
