//! The ActionLoop contract, row by row, in front of loops in bash, Python and C and of compile scripts
//! of a few lines: status, exact body, logs, sentinels; and loops that misbehave.

mod compile;
mod contract;
mod deaths;
mod end;
mod health;
mod leaving;
mod logs;
mod named;
mod results;
mod start;
mod unruly;

use std::fs;

use actionproxy_tests::proxy::{Builder, write_executable};
use actionproxy_tests::{Answer, Proxy, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Answers each question with itself.
const ECHO: &str = "#!/bin/bash\nwhile read -r line; do printf '%s\\n' \"$line\" >&3; done\n";

/// Answers each question with the id of its process and the value of the question.
const WHO: &str = r#"#!/usr/bin/env python3
import json, os, sys
out = os.fdopen(3, "w", buffering=1)
for line in sys.stdin:
    print(json.dumps({"pid": os.getpid(), "value": json.loads(line)["value"]}), file=out)
"#;

const OK: &str = "{\"ok\":true}\n";
const EXITED: &str = "{\"error\":\"command exited\"}\n";
const NO_RESULT: &str = "{\"error\":\"The action did not return a dictionary or array.\"}\n";

/// A compile script in a directory of its own.
struct Compiler {
    path: String,
    _dir: TempDir,
}

impl Compiler {
    /// Its lines in bash: `$1` is the entry point, `$2` where the source is, `$3` where the executable
    /// has to be.
    fn new(lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = format!("#!/bin/bash\n{lines}\n");
        let path = dir.path().join("compile");
        write_executable(&path, script.as_bytes());
        let path = path.to_str().expect("a path in UTF-8").to_owned();
        Compiler { path, _dir: dir }
    }

    fn path(&self) -> &str {
        &self.path
    }
}

fn builder() -> Builder {
    Proxy::builder().arg("--action-loop")
}

fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_answer(answer, status, &format!("{}\n", json!({ "error": error })));
}

/// Initialises text; its `SCRATCH` is the proxy's scratch directory.
fn init(proxy: &Proxy, code: &str) -> Answer {
    proxy.init_with(json!({ "code": code, "env": { "SCRATCH": scratch(proxy) } }))
}

/// The same, which must succeed.
fn begin(proxy: &Proxy, code: &str) {
    let answer = init(proxy, code);
    assert_eq!(
        (answer.status, answer.text()),
        (200, OK),
        "{}",
        proxy.stderr()
    );
}

fn scratch(proxy: &Proxy) -> &str {
    proxy.scratch().to_str().expect("a path in UTF-8")
}

/// Runs with this value; it must succeed.
fn result(proxy: &Proxy, value: Value) -> Value {
    let answer = proxy.run(value);
    assert_eq!(answer.status, 200, "{}: {}", answer.text(), proxy.stderr());
    assert!(answer.text().ends_with('\n'), "{}", answer.text());
    serde_json::from_str(answer.text()).expect("JSON")
}

/// Both streams end in one sentinel for the activation and hold this before it; nothing follows.
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

/// What is in a file of the scratch directory, once its last line is whole.
fn told(proxy: &Proxy, name: &str) -> String {
    eventually(name, || {
        let text = fs::read_to_string(proxy.scratch().join(name)).ok()?;
        Some(text.strip_suffix('\n')?.to_owned())
    })
}

fn told_pid(proxy: &Proxy, name: &str) -> i32 {
    told(proxy, name).parse().expect("a process id")
}

/// Makes a file in the scratch directory.
fn tell(proxy: &Proxy, name: &str) {
    fs::write(proxy.scratch().join(name), "").expect("our own directory");
}

/// The names in the action directory.
fn actions(proxy: &Proxy) -> Vec<String> {
    let entries = fs::read_dir(proxy.action_dir()).expect("the action directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}
