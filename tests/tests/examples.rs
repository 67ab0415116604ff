//! The example programs do what they say.

use std::io::Write;
use std::process::{Command, Stdio};

use actionproxy_tests::{Proxy, binary};
use serde_json::json;

#[test]
fn the_c_runtime_compiles_and_runs_posted_source() {
    let mut proxy = Proxy::builder()
        .program(binary::example("actionproxy-server", "c_runtime"))
        .start();
    let broken = proxy.init_with(json!({"code": "int main(void) { return oops; }"}));
    assert_eq!(broken.status, 502);
    let logs = proxy.logs();
    assert!(
        logs.stderr.contains("oops"),
        "the compiler's words: {}",
        logs.stderr
    );
    assert!(
        logs.stderr
            .contains("build failed: `cc` exited with status 1"),
        "{}",
        logs.stderr
    );
    proxy.init(
        "#include <stdio.h>\nint main(int c, char **v) { printf(\"{\\\"got\\\":%s}\\n\", v[1]); return 0; }",
    );
    assert_eq!(proxy.result(json!({"n": 1})), r#"{"got":{"n":1}}"#);
    assert_eq!(proxy.logs().stderr, "");
}

#[test]
fn the_shell_runtime_appends_its_glue() {
    let shell = || {
        Proxy::builder()
            .program(binary::example("actionproxy-server", "shell_runtime"))
            .start()
    };
    let proxy = shell();
    proxy.init("main() { echo log; echo \"{\\\"got\\\":$1}\"; }");
    assert_eq!(proxy.result(json!({"n": 1})), r#"{"got":{"n":1}}"#);

    let proxy = shell();
    let code = "greet() { echo '{\"hello\":true}'; }";
    let answer = proxy.init_with(json!({"code": code, "main": "greet"}));
    assert_eq!(answer.status, 200, "{}", proxy.stderr());
    assert_eq!(proxy.result(json!({})), r#"{"hello":true}"#);

    let mut proxy = shell();
    assert_eq!(proxy.init_with(json!({"code": "main() { if"})).status, 502);
    assert!(
        proxy
            .logs()
            .stderr
            .contains("build failed: `sh` exited with status")
    );
    assert!(
        !proxy.action_dir().join("exec.sh").exists(),
        "nothing is left of a failed init"
    );
}

#[test]
fn the_stdin_invoker_answers_line_by_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(binary::example("actionproxy-core", "stdin_invoker"))
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let messages = [
        json!({"run": {}}),
        json!({"init": {"code": "#!/bin/sh\necho log\necho \"{\\\"got\\\":$1}\""}}),
        json!({"run": {"n": 1}}),
        json!({"init": {}}),
        json!(7),
    ];
    let mut stdin = child.stdin.take().expect("piped");
    for message in messages {
        writeln!(stdin, "{message}").expect("it reads");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let answers = String::from_utf8(output.stdout).expect("text");
    let expected = [
        r#"{"error":"not initialized"}"#,
        r#"{"ok":true}"#,
        r#"{"got":{"n":1}}"#,
        r#"{"error":"the action is already initialized"}"#,
        r#"{"error":"expected an object, found 7"}"#,
    ];
    assert_eq!(answers.lines().collect::<Vec<_>>(), expected);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "log\n");
}
