//! A start: which directory is served, what is said of it, and the stub.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use actionproxy_tests::proxy::write_executable;
use actionproxy_tests::{Connection, Proxy, binary, eventually, request, root};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty;
use serde_json::json;

/// A proxy that is told to take any port, and no action directory, behind `words`; `stderr` is
/// where it says which it took.
fn start_anywhere(
    words: &[std::ffi::OsString],
    temporary: &Path,
    stderr: Stdio,
) -> std::process::Child {
    let mut words = words.to_vec();
    words.push(binary::proxy().into());
    Command::new(&words[0])
        .args(&words[1..])
        .args(["--host", "127.0.0.1", "--port", "0"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("the proxy runs")
}

/// The address and the directory that the only line in `log` names.
fn said(log: &Path) -> (std::net::SocketAddr, String) {
    let line = eventually("the first log line", || {
        let said = fs::read_to_string(log).expect("the log");
        said.ends_with('\n').then_some(said)
    });
    let (before, dir) = line
        .trim_end()
        .split_once(", action directory ")
        .unwrap_or_else(|| panic!("neither is named: {line}"));
    let address = before.rsplit(' ').next().expect("an address");
    (address.parse().expect("an address"), dir.to_owned())
}

fn run(address: std::net::SocketAddr) -> String {
    let mut connection = Connection::open(address).expect("it listens");
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    connection.answer().expect("an answer").text().to_owned()
}

#[test]
fn without_an_action_directory_a_temporary_one_is_named_and_removed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let empty = dir.path().join("root");
    fs::create_dir(&empty).expect("our own");
    let words = match Path::new("/action").exists() {
        false => Vec::new(),
        true => match root::with_action(&empty, None) {
            Some(words) => words,
            None => return,
        },
    };
    let log = dir.path().join("stderr");
    let file = File::create(&log).expect("a log file");
    let mut child = start_anywhere(&words, dir.path(), file.into());
    let (address, action_dir) = said(&log);
    assert!(run(address).contains("stub action"));
    assert!(
        Path::new(&action_dir).starts_with(dir.path()),
        "{action_dir}"
    );
    assert!(Path::new(&action_dir).join("exec").exists());
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    assert!(!Path::new(&action_dir).exists());
}

#[test]
fn where_there_is_an_action_directory_it_is_the_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [empty, action_dir] = ["root", "action"].map(|name| dir.path().join(name));
    for dir in [&empty, &action_dir] {
        fs::create_dir(dir).expect("our own");
    }
    write_executable(
        &action_dir.join("exec"),
        b"#!/bin/sh\necho '{\"mine\":1}'\n",
    );
    let Some(words) = root::with_action(&empty, Some(&action_dir)) else {
        return;
    };
    let log = dir.path().join("stderr");
    let file = File::create(&log).expect("a log file");
    let mut child = start_anywhere(&words, dir.path(), file.into());
    let (address, served) = said(&log);
    assert_eq!(served, "/action");
    assert_eq!(run(address), "{\"mine\":1}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    assert!(
        action_dir.join("exec").exists(),
        "it is not the proxy's to remove"
    );
}

#[test]
fn a_start_on_a_terminal_says_where_it_listens_and_what_it_serves() {
    let terminal = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY);
    let terminal = terminal.expect("a terminal");
    pty::grantpt(&terminal).expect("ours");
    pty::unlockpt(&terminal).expect("ours");
    let name = pty::ptsname(&terminal, Vec::new()).expect("it has one");
    let other = File::options()
        .write(true)
        .open(name.to_str().expect("ASCII"));
    let proxy = Proxy::builder().stderr(other.expect("ours")).start();
    rustix::io::ioctl_fionbio(&terminal, true).expect("ours");
    let mut terminal = File::from(terminal);
    let mut said = Vec::new();
    let line = eventually("a line on the terminal", || {
        let mut chunk = [0; 1000];
        let read = terminal.read(&mut chunk).unwrap_or(0);
        said.extend_from_slice(&chunk[..read]);
        said.ends_with(b"\n")
            .then(|| String::from_utf8_lossy(&said).into_owned())
    });
    let expected = format!(
        "actionproxy: listening on {}, action directory {}",
        proxy.address(),
        proxy.action_dir().display()
    );
    assert_eq!(line.trim_end(), expected);
    // Elsewhere those are the logs of the first activation.
    assert_eq!(Proxy::start().stderr(), "");
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
