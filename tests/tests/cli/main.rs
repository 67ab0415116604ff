//! The command line: what it does, what it refuses, and with which exit status.

mod run;
mod start;
mod variables;

use std::net::TcpListener;
use std::process::{Command, Output};

use actionproxy_tests::proxy::free_address;
use actionproxy_tests::{Proxy, binary};

fn command(arguments: &[&str]) -> Command {
    let mut command = binary::command();
    command.args(arguments);
    command
}

fn actionproxy(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the proxy runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// One line on stderr, nothing on stdout, status 2.
fn assert_refused(output: &Output, said: &str) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("actionproxy: ") && stderr.contains(said),
        "{stderr}"
    );
}

#[test]
fn help_lists_every_flag_with_its_variable_and_default() {
    let output = actionproxy(&["--help"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let help = text(&output.stdout);
    for line in [
        "--host ADDRESS [ACTIONPROXY_HOST] (default: 0.0.0.0)",
        "--port PORT [FLASK_PROXY_PORT, PORT] (default: 8080)",
        "--grace TIME [ACTIONPROXY_GRACE] (default: 10s)",
        "--allow-reinit [PROXY_ALLOW_REINIT] (default: off)",
        "[__OW_ALLOW_CONCURRENT] (default: false)",
        "run FILE [JSON]",
        "health",
    ] {
        assert!(help.contains(line), "{line} is missing in:\n{help}");
    }
}

#[test]
fn version() {
    let output = actionproxy(&["--version"]);
    let expected = format!("actionproxy {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), expected.as_str())
    );
}

#[test]
fn bad_flags_and_values_are_named() {
    assert_refused(&actionproxy(&["--nope"]), "unknown flag `--nope`");
    assert_refused(
        &actionproxy(&["--port", "x"]),
        "--port: expected a number from 0 to 65535, found \"x\"",
    );
    assert_refused(
        &actionproxy(&["--host", "no.such.name"]),
        "--host: expected an IP address, `localhost`, or a name",
    );
    assert_refused(
        &actionproxy(&["--timeout", "soon"]),
        "--timeout: expected a time",
    );
    assert_refused(
        &actionproxy(&["--max-body", "1T"]),
        "--max-body: expected a size",
    );
    assert_refused(&actionproxy(&["frob"]), "unknown command \"frob\"");
    assert_refused(&actionproxy(&["run"]), "run needs a FILE");
    let output = command(&[])
        .env("FLASK_PROXY_PORT", "99999")
        .output()
        .expect("the proxy runs");
    assert_refused(
        &output,
        "FLASK_PROXY_PORT: expected a number from 0 to 65535, found \"99999\"",
    );
    assert_refused(
        &actionproxy(&["--platform", "lambda"]),
        "--platform: expected `openwhisk` or `knative`, found \"lambda\"",
    );
}

#[test]
fn a_flag_without_its_value_is_named_with_what_it_needs() {
    assert_refused(&actionproxy(&["--port"]), "--port needs a PORT");
    assert_refused(&actionproxy(&["--host"]), "--host needs an ADDRESS");
    assert_refused(
        &actionproxy(&["--action-dir", "--port", "1"]),
        "--action-dir needs a DIR, found `--port`",
    );
}

#[test]
fn what_a_misspelt_word_was_meant_to_be_is_suggested() {
    for (words, said) in [
        (
            &["--max-bodyy", "1"][..],
            "unknown flag `--max-bodyy`; did you mean `--max-body`?",
        ),
        (
            &["--prot=1"],
            "unknown flag `--prot`; did you mean `--port`?",
        ),
        (&["--hlep"], "unknown flag `--hlep`; did you mean `--help`?"),
        (
            &["-port", "1"],
            "unknown flag `-port`; did you mean `--port`?",
        ),
        (&["-t", "1"], "unknown flag `-t`; did you mean `--timeout`?"),
        (&["-m", "1"], "unknown flag `-m`; `--help` lists them"),
        (
            &["rnu", "x"],
            "unknown command \"rnu\"; expected `run`, `init`, `pack`, `compile`, `health`, `help` or `version`; did you mean `run`?",
        ),
        (&["helth"], "did you mean `health`?"),
    ] {
        assert_refused(&actionproxy(words), said);
    }
}

#[test]
fn help_and_version_are_words_too() {
    for (word, flag) in [("help", "--help"), ("version", "--version")] {
        let [word, flag] = [word, flag].map(|argument| actionproxy(&[argument]));
        assert_eq!(word.status.code(), Some(0));
        assert_eq!(text(&word.stdout), text(&flag.stdout));
        assert!(!word.stdout.is_empty());
    }
}

#[test]
fn localhost_is_an_address_to_listen_on_and_to_ask() {
    let proxy = Proxy::builder().arg("--host").arg("localhost").start();
    let port = proxy.address().port().to_string();
    let output = actionproxy(&["--host", "localhost", "--port", &port, "health"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_port_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let dir = dir.path().display().to_string();
    let arguments = ["--host", "127.0.0.1", "--port", &port, "--action-dir", &dir];
    assert_refused(&actionproxy(&arguments), "failed to listen on 127.0.0.1:");
    // By another proxy too: the library would share it.
    let proxy = Proxy::start();
    let port = proxy.address().port().to_string();
    let arguments = ["--host", "127.0.0.1", "--port", &port, "--action-dir", &dir];
    assert_refused(&actionproxy(&arguments), "failed to listen on 127.0.0.1:");
}

#[test]
fn an_action_directory_that_cannot_be_written_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let below_a_file = file.path().join("dir").display().to_string();
    let port = free_address().port().to_string();
    for dir in [below_a_file.as_str(), "/proc/1/no"] {
        let output = actionproxy(&["--port", &port, "--action-dir", dir]);
        assert_refused(&output, "the action directory cannot be used");
    }
}

#[test]
fn health_asks_the_proxy() {
    let proxy = Proxy::start();
    let port = proxy.address().port().to_string();
    assert_eq!(
        actionproxy(&["--port", &port, "health"]).status.code(),
        Some(0)
    );
    let output = command(&["health"])
        .env("PORT", &port)
        .output()
        .expect("the proxy runs");
    assert_eq!(output.status.code(), Some(0));
    let free = free_address().port().to_string();
    let output = actionproxy(&["--port", &free, "health"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).starts_with("unhealthy: "),
        "{output:?}"
    );
}
