//! A runtime that is flags and variables alone, under each of the contracts.

use actionproxy_tests::Proxy;
use actionproxy_tests::proxy::Builder;
use serde_json::json;

use crate::{EPILOGUE, SQUARE, actionproxy, assert_refused};

fn c_runtime() -> Builder {
    Proxy::builder()
        .env("ACTIONPROXY_SOURCE_NAME", "exec.c")
        .env("ACTIONPROXY_EPILOGUE", EPILOGUE)
        .arg("--build")
        .arg("cc -O1 exec.c -o exec")
}

#[test]
fn an_action_of_one_function_is_completed_compiled_and_run() {
    let mut proxy = c_runtime().start();
    let answer = proxy.init_with(json!({ "code": SQUARE, "main": "answer" }));
    assert_eq!(
        (answer.status, answer.text()),
        (200, "OK"),
        "{}",
        proxy.stderr()
    );
    assert_eq!(proxy.unread().stdout, "appending answer\n");
    assert_eq!(proxy.result(json!({"n": 12})), r#"{"n":144}"#);
    assert_eq!(proxy.logs().stdout, "appending answer\n");
    // A program needs no source; what is built from none is the hook's to know.
    let names = std::fs::read_dir(proxy.action_dir()).expect("it is there");
    assert_eq!(names.count(), 3, "exec, exec.c and the record");
}

#[test]
fn a_build_that_fails_is_a_failed_init_with_the_words_of_the_compiler_before_the_sentinel() {
    let mut proxy = c_runtime().start();
    let answer = proxy.init_with(json!({ "code": "int answer(int n) { return oops; }" }));
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("failed to generate or locate"));
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "appending main\n");
    let oops = logs.stderr.find("oops").expect("the compiler's words");
    let said = "build failed: `cc` exited with status 1\n";
    let failed = logs.stderr.find(said).expect("the hook and its status");
    assert!(
        oops < failed && logs.stderr.ends_with(said),
        "{}",
        logs.stderr
    );
    // It may be repeated, and what stood there runs.
    assert_eq!(
        proxy
            .init_with(json!({ "code": SQUARE, "main": "answer" }))
            .status,
        200
    );
    assert_eq!(proxy.unread().stderr, "");
}

#[test]
fn a_build_without_end_is_ended_with_all_that_it_started() {
    let mut proxy = Proxy::builder()
        .arg("--timeout=300ms")
        .arg("--kill-grace=50ms")
        .arg("--build")
        .arg("sh -c 'trap : TERM; sleep 1000 & sleep 1000; sleep 1000'")
        .start();
    let answer = proxy.init_with(json!({ "code": "x" }));
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("time limit of 300 ms"),
        "{}",
        answer.text()
    );
    let stopped = "init was stopped in build, after its time limit of 300ms";
    let logs = proxy.logs().stderr;
    assert!(logs.contains(stopped), "{logs}");
}

#[test]
fn variables_of_the_env_hook_are_in_every_run() {
    let proxy = Proxy::builder()
        .env("ACTIONPROXY_ENV", "printf 'A=from the hook\\nB=2'")
        .start();
    proxy.init("#!/bin/sh\necho \"{\\\"a\\\":\\\"$A\\\",\\\"b\\\":$B}\"\n");
    for _ in 0..2 {
        assert_eq!(proxy.result(json!({})), r#"{"a":"from the hook","b":2}"#);
    }
}

#[test]
fn the_resident_process_is_built_and_told_by_hooks() {
    let mut proxy = Proxy::builder()
        .arg("--action-loop")
        .env("ACTIONPROXY_EPILOGUE", r#"sh -c 'echo "done" >>"$ACTION_SOURCE"'"#)
        .env(
            "ACTIONPROXY_BUILD",
            r##"sh -c 'echo building >&2; { echo "#!/bin/bash"; cat "$ACTION_SOURCE"; } >"$ACTION_EXECUTABLE"'"##,
        )
        .env("__OW_TOLD", "x")
        .env("ACTIONPROXY_ENV", "sh -c 'echo TOLD=$__OW_TOLD$PORT'")
        .start();
    let code = "while read -r line; do echo \"{\\\"told\\\":\\\"$TOLD\\\"}\" >&3\n";
    let answer = proxy.init_with(json!({ "code": code }));
    assert_eq!(answer.text(), "{\"ok\":true}\n", "{}", proxy.stderr());
    assert_eq!(proxy.run(json!({})).text(), "{\"told\":\"x\"}\n");
    assert_eq!(proxy.logs().stderr, "building\n");
}

#[test]
fn knative_inits_and_runs_in_one_message_with_hooks() {
    let mut proxy = c_runtime().env("__OW_RUNTIME_PLATFORM", "knative").start();
    let message = json!({
        "init": { "code": SQUARE, "main": "answer" },
        "activation": {},
        "value": { "n": 5 },
    });
    let answer = proxy.post("/", message.to_string());
    assert_eq!(answer.status, 200, "{}", proxy.stderr());
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "appending answer\n");
}

#[test]
fn a_command_that_cannot_be_read_is_refused_at_the_start() {
    for (arguments, said) in [
        (
            ["--build", "cc 'exec.c"],
            "--build: expected a command whose ' is closed",
        ),
        (
            ["--env-command", "x \""],
            "--env-command: expected a command whose \" is closed",
        ),
        (
            ["--preinit", "x\\"],
            "--preinit: expected a command without a last backslash",
        ),
        (
            ["--epilogue", " "],
            "--epilogue: expected a command, found \" \"",
        ),
        (
            ["--verify-command", "digest"],
            "the policy is `--verify` or ACTION_VERIFY",
        ),
        (
            ["--source-name", "a/b"],
            "--source-name: expected the name of a file",
        ),
        (
            ["--build-cache-size", "much"],
            "--build-cache-size: expected a size",
        ),
    ] {
        assert_refused(&actionproxy(&arguments), said);
    }
    let mut command = crate::command(&[]);
    let output = command.env("ACTIONPROXY_BUILD", "'").output();
    assert_refused(
        &output.expect("the proxy runs"),
        "ACTIONPROXY_BUILD: expected",
    );
}
