//! The command line: what it does, what it refuses, and with which exit status.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use actionproxy_tests::proxy::{free_address, write_executable};
use actionproxy_tests::{Proxy, binary, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

fn actionproxy(arguments: &[&str]) -> Output {
    Command::new(binary::proxy())
        .args(arguments)
        .output()
        .expect("the proxy runs")
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

fn action(dir: &Path, code: &str) -> String {
    let path = dir.join("my action");
    write_executable(&path, code.as_bytes());
    path.display().to_string()
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
    assert_refused(&actionproxy(&["--port"]), "--port: expected PORT");
    assert_refused(
        &actionproxy(&["--host", "localhost"]),
        "--host: expected an IP address",
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
    assert_refused(&actionproxy(&["run"]), "expected an executable");
    let output = Command::new(binary::proxy())
        .env("FLASK_PROXY_PORT", "99999")
        .output()
        .expect("the proxy runs");
    assert_refused(
        &output,
        "FLASK_PROXY_PORT: expected a number from 0 to 65535, found \"99999\"",
    );
    let output = Command::new(binary::proxy())
        .env("__OW_RUNTIME_PLATFORM", "knative")
        .output()
        .expect("the proxy runs");
    assert_refused(&output, "__OW_RUNTIME_PLATFORM");
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
fn run_gives_the_result_as_the_last_line_and_the_logs_before_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action(
        dir.path(),
        "#!/bin/sh\necho log\necho err >&2\nread -r in\necho \"{\\\"got\\\":$in}\"\n",
    );
    let output = actionproxy(&["run", &file, r#"{"n": 1}"#]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "log\n{\"got\":{\"n\": 1}}\n");
    assert_eq!(text(&output.stderr), "err\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(text(&output.stdout), "log\n{\"got\":{}}\n");
    assert!(
        !dir.path().join("exec").exists(),
        "no stub beside somebody's file"
    );
}

#[test]
fn run_fails_with_the_cause() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action(dir.path(), "#!/bin/sh\necho hello\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(1), "hello\n")
    );
    assert!(
        text(&output.stderr).contains("no JSON object or array"),
        "{output:?}"
    );

    let file = action(dir.path(), "#!/bin/sh\nkill -SEGV $$\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("SIGSEGV"), "{output:?}");

    let output = actionproxy(&[
        "--timeout",
        "100ms",
        "run",
        &action(dir.path(), "#!/bin/sh\nsleep 1000\n"),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("time limit of 100 ms"),
        "{output:?}"
    );

    assert_refused(
        &actionproxy(&["run", &file, "7"]),
        "expected a JSON object or array",
    );
    assert_refused(&actionproxy(&["run", "/no/such/file"]), "/no/such/file");
}

#[test]
fn run_gives_the_argument_as_one_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action(
        dir.path(),
        "#!/bin/sh\nread -r line\necho \"[$line,$1,$(wc -l)]\"\n",
    );
    let output = actionproxy(&["run", &file, "{\r\n \"n\":\n 1}\n"]);
    assert_eq!(
        text(&output.stdout),
        "[{ \"n\": 1},{ \"n\": 1},0]\n",
        "{output:?}"
    );
}

#[test]
fn run_fails_where_the_result_cannot_be_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let output = Command::new(binary::proxy())
        .args(["run", &action(dir.path(), "#!/bin/sh\necho '{}'\n")])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the proxy runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("failed to write the result: "), "{stderr}");
}

#[test]
fn run_ends_with_all_that_the_action_started_when_it_is_told_to() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pids = dir.path().join("pids");
        // One process in the action's group that is deaf to TERM, one that has left the group.
        let code = format!(
            "#!/bin/sh\ntrap '' TERM\nsetsid sleep 1000 &\necho $! $$ > {0}.new\nmv {0}.new {0}\n\
             sleep 1000\nsleep 1000\n",
            pids.display()
        );
        let mut child = Command::new(binary::proxy())
            .args(["run", &action(dir.path(), &code)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy runs");
        let pids = eventually("the action to start", || {
            std::fs::read_to_string(&pids).ok()
        });
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        let ended = eventually("the end", || child.try_wait().expect("our child"));
        assert_eq!(ended.code(), Some(status));
        for pid in pids.split_whitespace() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            assert!(
                stat.as_ref().map_or(true, |stat| stat.contains(") Z ")),
                "{stat:?} runs on"
            );
        }
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
    let output = Command::new(binary::proxy())
        .arg("health")
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

#[test]
fn without_an_action_directory_a_temporary_one_is_named_and_removed() {
    assert!(
        !Path::new("/action").exists(),
        "this test needs a machine without /action"
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("stderr");
    let mut child = Command::new(binary::proxy())
        .args(["--host", "127.0.0.1", "--port", "0"])
        .env("TMPDIR", dir.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log file"))
        .spawn()
        .expect("the proxy runs");
    let line = eventually("the first log line", || {
        let said = std::fs::read_to_string(&log).expect("the log");
        said.ends_with('\n').then_some(said)
    });
    let (before, action_dir) = line
        .trim_end()
        .split_once(", action directory ")
        .expect("both");
    let address = before
        .rsplit(' ')
        .next()
        .expect("an address")
        .parse()
        .expect("an address");
    let mut connection = actionproxy_tests::Connection::open(address).expect("it listens");
    let body = json!({"value": {}}).to_string();
    connection
        .send(&actionproxy_tests::request("POST", "/run", body.as_bytes()))
        .expect("sent");
    assert!(
        connection
            .answer()
            .expect("an answer")
            .text()
            .contains("stub action")
    );
    assert!(Path::new(action_dir).join("exec").exists());
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    assert!(!Path::new(action_dir).exists());
}

/// The end of a directory of no entries.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn the_stub_is_known_and_works_wherever_the_proxy_stands() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let action_dir = dir.path().join("action");
    let exec = action_dir.join("exec");
    let mut stubs = std::collections::BTreeSet::new();
    for place in ["bin", "it's here", &"long/".repeat(60)] {
        let place = dir.path().join(place);
        std::fs::create_dir_all(&place).expect("a directory");
        let program = place.join("actionproxy");
        std::fs::copy(binary::proxy(), &program).expect("a copy");
        // On what the proxy at the last place left, which is gone.
        let proxy = Proxy::builder()
            .program(&program)
            .arg("--action-dir")
            .arg(action_dir.to_str().expect("UTF-8"))
            .start();
        let answer = proxy.run(json!({"n": 1}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains("This is a stub action"),
            "{}",
            answer.text()
        );
        // It is not an executable that an archive may come without.
        let empty = actionproxy_tests::files::base64(EMPTY_ZIP);
        let answer = proxy.init_with(json!({"binary": true, "code": empty}));
        assert_eq!(answer.status, 502, "{}", answer.text());
        stubs.insert(std::fs::read_to_string(&exec).expect("the stub"));
        drop(proxy);
        std::fs::remove_file(program).expect("our copy");
    }
    assert_eq!(stubs.len(), 3);
}
