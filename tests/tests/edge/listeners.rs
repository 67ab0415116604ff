//! Where the proxy listens: a socket handed over by a service manager, a Unix socket.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use actionproxy_tests::binary;
use actionproxy_tests::proxy::free_address;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use tempfile::TempDir;

use super::*;

/// A command line that starts the proxy with `socket` as descriptor 3, as a service manager does
/// (sd_listen_fds(3)). `pid` is what `LISTEN_PID` shall be, in the shell's words.
pub(super) fn handing_over(socket: OwnedFd, pid: &str, action_dir: &Path) -> Command {
    handing_over_so_many(socket, "1", pid, action_dir)
}

/// The same where `LISTEN_FDS` is `count`.
fn handing_over_so_many(socket: OwnedFd, count: &str, pid: &str, action_dir: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let script = format!("exec 3<&0 </dev/null; LISTEN_FDS={count} LISTEN_PID={pid} exec \"$@\"");
    command.args(["-c", &script, "sh"]).arg(binary::proxy());
    command.arg("--action-dir").arg(action_dir).stdin(socket);
    // Where it would listen if it took no notice of that socket.
    command
        .env("ACTIONPROXY_HOST", "127.0.0.1")
        .env("PORT", "0");
    command
}

fn exchange(mut connection: Connection) {
    let code = "#!/bin/sh\nthree=closed\n[ ! -e /proc/$$/fd/3 ] || three=open\n\
                printf '{\"env\":\"%s%s\",\"three\":\"%s\"}' \"$LISTEN_FDS\" \"$LISTEN_PID\" $three\n";
    let init = json!({"value": {"code": code}}).to_string();
    connection
        .send(&request("POST", "/init", init.as_bytes()))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").text(), "OK");
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("sent");
    // The action inherits nothing of it.
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.text(), r#"{"env":"","three":"closed"}"#);
}

/// One line on stderr, status 2.
pub(super) fn assert_refused(command: &mut Command, said: &str) {
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    assert_ends(Started(command.spawn().expect("it starts")), said);
}

fn assert_ends(mut proxy: Started, said: &str) {
    let status = eventually("the proxy to end", || {
        proxy.0.try_wait().expect("our child")
    });
    let mut stderr = String::new();
    let mut pipe = proxy.0.stderr.take().expect("piped");
    pipe.read_to_string(&mut stderr).expect("text");
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("actionproxy: ") && stderr.contains(said),
        "{stderr}"
    );
}

#[test]
fn a_socket_that_was_handed_over_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    // It waits for the proxy in the socket's backlog.
    let before = Connection::open(address).expect("it is taken");
    let _proxy = Started::new(&mut handing_over(listener.into(), "$$", dir.path()));
    exchange(before);
    let mut after = Connection::open(address).expect("it is taken");
    after.send(&request("GET", "/healthz", b"")).expect("sent");
    assert_eq!(after.answer().expect("an answer").status, 200);
}

#[test]
fn a_unix_socket_that_was_handed_over_is_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a free path");
    let before = Connection::open_unix(&path).expect("it is taken");
    let actions = dir.path().join("actions");
    std::fs::create_dir(&actions).expect("our own directory");
    let _proxy = Started::new(&mut handing_over(listener.into(), "$$", &actions));
    exchange(before);
}

#[test]
fn a_socket_for_another_process_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free_address();
    let theirs = listener.local_addr().expect("an address");
    let mut command = handing_over(
        listener.try_clone().expect("a copy").into(),
        "1",
        dir.path(),
    );
    let port = address.port().to_string();
    let _proxy = Started::new(command.args(["--host", "127.0.0.1", "--port", &port]));
    let connection = eventually("the proxy to listen", || Connection::open(address).ok());
    exchange(connection);
    // What connects there finds nobody but this test.
    let mut connection = Connection::open(theirs).expect("it is taken");
    connection
        .send(&request("GET", "/healthz", b""))
        .expect("sent");
    let (mut accepted, _) = listener.accept().expect("it is there");
    let mut first = [0; 3];
    accepted.read_exact(&mut first).expect("the request");
    assert_eq!(&first, b"GET");
}

#[test]
fn what_was_handed_over_and_is_no_listener_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = std::fs::File::create(dir.path().join("file")).expect("a file");
    assert_refused(
        &mut handing_over(file.into(), "$$", dir.path()),
        "descriptor 3",
    );
    // A connection is a socket, but none that listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let connection = std::net::TcpStream::connect(address).expect("a connection");
    assert_refused(
        &mut handing_over(connection.into(), "$$", dir.path()),
        "descriptor 3",
    );
}

/// By another process that has it too, which a listener that was handed over may have.
#[test]
fn a_proxy_whose_listener_is_shut_down_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let ours = listener.try_clone().expect("a copy");
    let mut command = handing_over(listener.into(), "$$", dir.path());
    // Of a port that was given it says nothing.
    let command = command.env("PORT", "1").stdout(Stdio::null());
    let proxy = command.stderr(Stdio::piped()).spawn();
    let proxy = Started(proxy.expect("it starts"));
    let mut kept = Connection::open(address).expect("it is taken");
    kept.send(&request("GET", "/healthz", b"")).expect("sent");
    assert_eq!(kept.answer().expect("an answer").status, 200);
    rustix::net::shutdown(&ours, rustix::net::Shutdown::Both).expect("a listener");
    assert_ends(proxy, "nobody can connect to descriptor 3 any more");
}

#[test]
fn a_number_of_listeners_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for (pid, count) in [
        ("$$", "x"),
        ("$$", "-1"),
        ("$$", "0"),
        ("$$", "\"\""),
        ("$$", "99999999999"),
        ("x", "1"),
        ("-1", "1"),
        ("\"\"", "1"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut command = handing_over_so_many(listener.into(), count, pid, dir.path());
        let (name, value) = match pid {
            "$$" => ("LISTEN_FDS", count),
            _ => ("LISTEN_PID", pid),
        };
        assert_refused(&mut command, &format!("{name}: expected"));
        let found = format!("found \"{}\"", value.trim_matches('"'));
        assert_refused(&mut command, &found);
    }
}

fn on_unix(path: &Path, action_dir: &Path) -> Command {
    let mut command = binary::command();
    command
        .arg("--listen")
        .arg(format!("unix:{}", path.display()));
    command
        .arg("--action-dir")
        .arg(action_dir)
        .stdin(Stdio::null());
    command
}

/// A directory, the path of a socket in it, and a directory for actions.
fn socket_and_actions() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let actions = dir.path().join("actions");
    std::fs::create_dir(&actions).expect("our own directory");
    (dir, path, actions)
}

#[test]
fn a_unix_socket_is_served_with_its_mode() {
    let (_dir, path, actions) = socket_and_actions();
    for mode in [0o660, 0o600, 0o777] {
        let mut command = on_unix(&path, &actions);
        let _proxy = Started::new(command.args(["--listen-mode", &format!("{mode:04o}")]));
        let open = || Connection::open_unix(&path).ok();
        exchange(eventually("the proxy to listen", open));
        let metadata = path.metadata().expect("it is there");
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        // The proxy is killed: what it leaves behind does not keep the next one from its place.
    }
}

#[test]
fn a_unix_socket_in_use_is_refused_and_goes_on() {
    let (_dir, path, actions) = socket_and_actions();
    let _proxy = Started::new(&mut on_unix(&path, &actions));
    let open = || Connection::open_unix(&path).ok();
    eventually("the proxy to listen", open);
    assert_refused(&mut on_unix(&path, &actions), &path.display().to_string());
    exchange(open().expect("the first one goes on"));
}

/// To ask whether anybody listens must not mean to wait for a place.
#[test]
fn a_unix_socket_whose_listener_takes_nobody_is_in_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let address = SocketAddrUnix::new(&path).expect("a short path");
    let socket = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket")
    };
    let listener = socket();
    rustix::net::bind(&listener, &address).expect("a free path");
    rustix::net::listen(&listener, 0).expect("a listener");
    let mut waiting = Vec::new();
    loop {
        let client = socket();
        match rustix::net::connect(&client, &address) {
            Ok(()) => waiting.push(client),
            Err(e) => break assert_eq!(e, Errno::AGAIN, "the backlog is full"),
        }
    }
    assert_refused(&mut on_unix(&path, dir.path()), &path.display().to_string());
}

#[test]
fn a_unix_socket_is_taken_away_at_the_end_unless_it_is_another_ones_by_then() {
    let (_dir, path, actions) = socket_and_actions();
    let start = || {
        let proxy = Started::new(&mut on_unix(&path, &actions));
        exchange(eventually("the proxy to listen", || {
            Connection::open_unix(&path).ok()
        }));
        proxy
    };
    start().end();
    assert!(!path.exists());
    let proxy = start();
    std::fs::remove_file(&path).expect("it is there");
    let other = UnixListener::bind(&path).expect("a free path");
    proxy.end();
    let mut client = Connection::open_unix(&path).expect("the other one is there");
    client.send(b"x").expect("sent");
    let (mut accepted, _) = other.accept().expect("it is the other one's");
    let mut byte = [0];
    accepted.read_exact(&mut byte).expect("it was sent");
    assert_eq!(&byte, b"x");
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").expect("our own directory");
    assert_refused(&mut on_unix(&file, dir.path()), &file.display().to_string());
    assert_eq!(
        std::fs::read_to_string(&file).expect("it is there"),
        "precious"
    );
    assert_refused(
        &mut on_unix(&dir.path().join("no/socket"), dir.path()),
        "no/socket",
    );
    // Longer than an address may be.
    let long = dir.path().join("x".repeat(200));
    assert_refused(&mut on_unix(&long, dir.path()), "xxx");
}

#[test]
fn a_place_to_listen_that_is_none_is_refused() {
    for place in ["udp:1", "unix:", "unix"] {
        let mut command = binary::command();
        assert_refused(command.args(["--listen", place]), "--listen: expected");
    }
    for mode in ["rw", "1777", "888", ""] {
        let mut command = binary::command();
        let command = command.args(["--listen", "unix:/tmp/x", "--listen-mode", mode]);
        assert_refused(command, "--listen-mode: expected");
    }
}
