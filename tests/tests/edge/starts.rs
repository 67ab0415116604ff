//! Starts against a client that connects all the time: from the first connection that succeeds
//! on, none is refused, reset or lost.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actionproxy_tests::wait::LIMIT;

use super::*;

/// Connections of each client from the first that succeeds.
const CONNECTIONS: usize = 10;
const CLIENTS: usize = 2;

/// `ACTIONPROXY_STARTS=1000` makes so many starts.
#[test]
fn no_connection_is_lost() {
    let starts = std::env::var("ACTIONPROXY_STARTS");
    let starts: usize = starts.map_or(100, |n| n.parse().expect("a number"));
    let mut lost = Vec::new();
    for n in 0..starts {
        let dir = tempfile::tempdir().expect("a directory");
        let address = address_outside_ephemeral(n);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let connect = || connect_all_the_time(address, &over);
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(connect)).collect();
            let proxy = Started::new(
                Command::new(actionproxy_tests::binary::proxy())
                    .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
                    .arg("--action-dir")
                    .arg(dir.path()),
            );
            for client in clients {
                let said = client.join().expect("a client");
                lost.extend(said.map(|why| format!("start {n}: {why}")));
            }
            drop(proxy);
        });
    }
    println!("{starts} starts, {} connections lost", lost.len());
    assert!(lost.is_empty(), "{lost:#?}");
}

/// What became of the first connection that was lost, if one was.
fn connect_all_the_time(address: SocketAddr, over: &AtomicBool) -> Option<String> {
    let until = Instant::now() + LIMIT;
    let mut answered = 0;
    while answered < CONNECTIONS {
        // Asked first: another client's may succeed while this one is being refused.
        let must_succeed = over.load(Ordering::Acquire);
        let stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(e) if e.kind() == ErrorKind::ConnectionRefused && !must_succeed => {
                assert!(Instant::now() < until, "the proxy listens");
                continue;
            }
            Err(e) => return Some(format!("connection {answered} of a client: {e}")),
        };
        // From here on every client's must succeed.
        over.store(true, Ordering::Release);
        if let Err(e) = ask(stream) {
            return Some(format!("request {answered} of a client: {e}"));
        }
        answered += 1;
    }
    None
}

fn ask(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("{answer:?}"))),
    }
}

/// A free port that no client is given for its own end: connecting to such a one again and again
/// would one day connect a socket to itself.
fn address_outside_ephemeral(n: usize) -> SocketAddr {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok());
    let first: u16 = first.unwrap_or(32_768);
    let low = 2_000;
    let start = std::process::id() as usize * 101 + n;
    let ports = (0..usize::from(first - low))
        .map(|k| low + ((start + k) % usize::from(first - low)) as u16);
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses
        .find(|&address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

/// Where the kernel cannot watch what tells of connections, nobody would ever be heard. A user may have
/// too many watches (`ENOSPC`, epoll_ctl(2)); here a library of our own says so about an epoll inside
/// another, which is how the proxy learns of all others.
#[test]
fn a_proxy_that_would_hear_nobody_does_not_start() {
    if !tools::are_here(&["cc"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (source, library) = (dir.path().join("full.c"), dir.path().join("full.so"));
    std::fs::write(&source, FULL).expect("our own directory");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.expect("cc runs").success());
    let mut command = actionproxy_tests::binary::command();
    command
        .args(["--host", "127.0.0.1", "--port", "0", "--action-dir"])
        .arg(dir.path())
        .env("LD_PRELOAD", &library);
    listeners::assert_refused(&mut command, "failed to start: No space left on device");
}

/// `epoll_ctl` of a program whose user has too many watches for one more epoll.
const FULL: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int epoll_ctl(int epoll, int what, int fd, void *event) {
    char path[64], name[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)!readlink(path, name, sizeof name - 1);
    if (!strcmp(name, "anon_inode:[eventpoll]")) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_epoll_ctl, epoll, what, fd, event);
}
"#;
