//! The OpenWhisk contract, row by row: status, exact body, log streams, sentinels.
//!
//! Runs against the local release binary, or against whatever `ACTIONPROXY_TEST_LAUNCHER` starts.

mod fit;
mod init;
mod requests;
mod results;
mod run;

use actionproxy_tests::{Answer, Proxy, SENTINEL, request, tools};
use serde_json::{Value, json};

const NO_BINARY_AT_INIT: &str =
    r#"{"error":"The action failed to generate or locate a binary. See logs for details."}"#;
const NO_BINARY: &str =
    r#"{"error":"The action failed to locate a binary. See logs for details."}"#;
const NO_ARGUMENT: &str =
    r#"{"error":"The action did not receive a dictionary or array as an argument."}"#;
const NO_RESULT: &str = r#"{"error":"The action did not return a dictionary or array."}"#;
const NOT_TWICE: &str = r#"{"error":"Cannot initialize the action more than once."}"#;
const STUB: &str = r#"{"error":"This is a stub action. Replace it with custom logic."}"#;

/// Prints the argument that came on stdin.
const ECHO: &str = "#!/bin/bash\nread -r line\necho \"$line\"\n";

fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// Both streams end in exactly one sentinel for the activation and hold this before it.
fn assert_logs(proxy: &mut Proxy, stdout: &str, stderr: &str) {
    let logs = proxy.logs();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        (stdout, stderr)
    );
    assert_silent(proxy);
}

/// Nothing was logged since, no sentinel either.
fn assert_silent(proxy: &Proxy) {
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
}
