//! The example runtimes of `runtimes/`: their scripts on this machine, or, where
//! `ACTIONPROXY_TEST_LAUNCHER` starts containers of one of them, its image.
//!
//! A module tests the runtime of its name: with a launcher, name one (`-- python::`).

mod c;
mod dockerfile;
mod go;
mod python;
mod swift;

use std::fs;
use std::process::Command;

use actionproxy_tests::files::{base64, shell};
use actionproxy_tests::proxy::Builder;
use actionproxy_tests::{Answer, Proxy};
use serde_json::{Value, json};

const NO_RESULT: &str = "The action did not return a dictionary or array.";
const NOT_BUILT: &str = "The action failed to generate or locate a binary. See logs for details.";

/// Whether the tests are given containers, in which another machine's files are.
fn is_image() -> bool {
    std::env::var_os("ACTIONPROXY_TEST_LAUNCHER").is_some()
}

/// A proxy set up as the runtime's Dockerfile says; a container's image is so already.
fn builder(runtime: &str) -> Builder {
    let builder = Proxy::builder();
    if is_image() {
        return builder;
    }
    let variables = dockerfile::variables(runtime).into_iter();
    variables.fold(builder, |builder, (name, value)| builder.env(&name, &value))
}

fn start(runtime: &str) -> Proxy {
    builder(runtime).start()
}

/// Initialises; it must succeed.
fn begin(proxy: &Proxy, value: Value) {
    let answer = proxy.init_with(value);
    assert_eq!(answer.status, 200, "{}: {}", answer.text(), proxy.stderr());
}

fn begun(runtime: &str, code: &str) -> Proxy {
    let proxy = start(runtime);
    begin(&proxy, json!({ "code": code }));
    proxy
}

/// Runs with this value; it must succeed.
fn result(proxy: &Proxy, value: Value) -> Value {
    serde_json::from_str(&proxy.result(value)).expect("JSON")
}

/// The init must fail, in this way and with these words in the logs.
fn assert_refused(proxy: &mut Proxy, value: Value, error: &str, words: &[&str]) {
    let answer = proxy.init_with(value);
    assert_eq!((answer.status, answer.error().as_str()), (502, error));
    let logs = proxy.logs();
    for word in words {
        assert!(
            logs.stderr.contains(word),
            "no {word:?} in: {}",
            logs.stderr
        );
    }
}

fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error));
}

/// The logs of an activation, trimmed: first stdout, then stderr. Nothing must follow them.
fn logs(proxy: &mut Proxy) -> (String, String) {
    let logs = proxy.logs();
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
    (logs.stdout.trim().to_owned(), logs.stderr.trim().to_owned())
}

/// Values that come back as they are: with all of Unicode that makes trouble, and as much of it as
/// an invoker sends.
fn values() -> [Value; 3] {
    [
        json!({}),
        json!({"text": "ü € 🚀 \" \\ \u{0} \n \u{2028} <&>", "n": [1, 2.5, null, true]}),
        json!({"text": "ü".repeat(450_000)}),
    ]
}

/// An action that gives back what it is given and writes `to stdout ü` and `to stderr ü`.
fn echoes(proxy: &mut Proxy) {
    for value in values() {
        assert!(result(proxy, value.clone()) == value);
        let expected = ("to stdout ü".to_owned(), "to stderr ü".to_owned());
        assert_eq!(logs(proxy), expected);
    }
}

/// The directory's own test, which whoever copies it begins with.
fn passes_its_own_test(runtime: &str) {
    passes_its_own_test_on(&start(runtime), runtime);
}

/// The same for a proxy that is there and not initialised.
fn passes_its_own_test_on(proxy: &Proxy, runtime: &str) {
    let output = Command::new(dockerfile::directory(runtime).join("test"))
        .arg(proxy.address().to_string())
        .output()
        .expect("the test starts");
    assert!(output.status.success(), "{output:?}: {}", proxy.stderr());
    assert_eq!(output.stdout, b"it runs\n");
    // And it can fail: the proxy is initialised now.
    let output = Command::new(dockerfile::directory(runtime).join("test"))
        .arg(proxy.address().to_string())
        .output()
        .expect("the test starts");
    assert!(!output.status.success(), "{output:?}");
}

/// The base64 of an archive that `commands`, in an empty directory, leave as `a.zip`.
fn archive(commands: &str) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    shell(dir.path(), commands, &[]);
    let bytes = fs::read(dir.path().join("a.zip")).expect("an archive");
    json!({"code": base64(&bytes), "binary": true})
}
