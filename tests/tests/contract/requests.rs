//! All the rest that may come, and the logs.

use super::*;

#[test]
fn other_paths_and_methods_are_refused_with_json() {
    let proxy = Proxy::start();
    assert_eq!(proxy.post("/", "").status, 404);
    assert_eq!(proxy.post("/init/", "{}").status, 404);
    assert!(proxy.get("/nothing").error().contains("/nothing"));
    let answer = proxy.get("/run");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert!(answer.error().contains("GET"));
    let mut connection = proxy.connect();
    connection
        .send(&request("DELETE", "/init", b""))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 405);
    assert_eq!(proxy.post("/healthz", "").status, 405);
    assert_silent(&proxy);
}

#[test]
fn healthz_tells_the_state() {
    let proxy = Proxy::start();
    let health = |proxy: &Proxy| -> Value {
        let answer = proxy.get("/healthz");
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    assert_eq!(health(&proxy)["initialized"], false);
    proxy.init(ECHO);
    let state = health(&proxy);
    assert_eq!(
        (&state["status"], &state["initialized"]),
        (&json!("ok"), &json!(true))
    );
    assert_silent(&proxy);
}

#[test]
fn logs_pass_unchanged_and_apart() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\nprintf 'out 1\\n'; printf 'err 1\\n\\n' >&2; printf '\\tütf €\\r\\n'; printf 'partial' >&2; echo '{}'\n");
    assert_answer(&proxy.run(json!({})), 200, "{}");
    assert_logs(&mut proxy, "out 1\n\tütf €\r\n", "err 1\n\npartial\n");
}

#[test]
fn an_action_may_print_the_sentinel_itself() {
    // The platform would take it for the end, but the proxy neither hides nor doubles it.
    let mut proxy = Proxy::start();
    proxy.init(&format!(
        "#!/bin/sh\necho before\necho {SENTINEL}\necho after\necho '{{}}'\n"
    ));
    assert_answer(&proxy.run(json!({})), 200, "{}");
    assert_eq!(proxy.logs().stdout, "before\n");
    assert_eq!(proxy.unread().stdout, format!("after\n{SENTINEL}\n"));
}
