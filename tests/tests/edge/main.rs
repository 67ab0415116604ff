//! The HTTP edge: requests that are wrong, hostile or unfinished, and clients that are.

mod answers;
mod conformance;
mod crowded;
mod framing;
mod leaving;
mod limits;
mod listeners;
mod memory;
mod paused;
mod refusals;
mod starts;

use std::process::{Child, Command, Stdio};
use std::thread;

use actionproxy_tests::{Connection, Proxy, eventually, request, tools};
use rustix::process::Signal;
use serde_json::json;

const ECHO: &str = "#!/bin/bash\nread -r line\necho \"$line\"\n";

/// Answers with 20 MB, more than the kernel takes at once.
const LARGE: &str = "#!/bin/bash
head -c 20000000 /dev/zero | tr '\\0' x | sed 's/^/{\"a\":\"/; s/$/\"}/'
";

fn initialized() -> Proxy {
    let proxy = Proxy::start();
    proxy.init(ECHO);
    proxy
}

/// Makes a named pipe that an action waits at until the test writes to it.
fn make_gate(proxy: &Proxy) -> std::path::PathBuf {
    let path = proxy.scratch().join("gate");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a named pipe");
    path
}

/// Initialises an action that echoes its argument once the test opens the gate.
fn init_gated(proxy: &Proxy) -> std::path::PathBuf {
    let path = make_gate(proxy);
    let gate = path.display();
    // The one before may leave while its writer still has the pipe open: then there is nothing to
    // read at first.
    proxy.init(&format!(
        "#!/bin/bash\nread -r line\nuntil read -r _ < '{gate}'; do :; done\necho \"$line\"\n"
    ));
    path
}

/// Waits until `/healthz` says so.
fn wait_for_state(proxy: &Proxy, state: &str) {
    eventually(state, || {
        proxy.get("/healthz").text().contains(state).then_some(())
    });
}

fn open_gate(path: &std::path::Path) {
    // Opening waits until the action has opened its side.
    std::fs::write(path, "go\n").expect("the action waits");
}

/// The proxy still does its work, and no activation ran that was not asked for.
fn assert_serves(proxy: &mut Proxy) {
    assert_eq!(proxy.result(json!({"still": 1})), r#"{"still":1}"#);
    assert_eq!(proxy.logs().stdout, "");
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
}

/// A proxy that [`Proxy`] cannot start, ended when the test lets go of it.
struct Started(Child);

impl Started {
    fn new(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().expect("it starts"))
    }

    /// Tells it to end, which it does in order.
    fn end(mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), Signal::TERM)
            .expect("it is there");
        let status = eventually("the proxy to end", || self.0.try_wait().expect("our child"));
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One whole run of a gated action: the first one opens what the proxy keeps from then on.
fn run_gated(proxy: &Proxy, gate: &std::path::Path) {
    thread::scope(|scope| {
        scope.spawn(|| open_gate(gate));
        assert_eq!(proxy.run(json!({})).status, 200);
    });
}

fn count(proxy: &Proxy, what: &str) -> usize {
    let dir = format!("/proc/{}/{what}", proxy.pid().as_raw_nonzero());
    std::fs::read_dir(dir).expect("the proxy is there").count()
}

/// Waits until the proxy has no more descriptors than `before`.
fn assert_no_leak(proxy: &Proxy, before: usize) {
    eventually("the proxy to close what it opened", || {
        (count(proxy, "fd") <= before).then_some(())
    });
}

/// Processor time of the proxy so far, in clock ticks.
fn ticks(proxy: &Proxy) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid().as_raw_nonzero()))
        .expect("the proxy is there");
    let fields = stat.rsplit(')').next().expect("fields behind the name");
    let fields: Vec<u64> = fields
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    // After the state come numbers: utime and stime are the 11th and 12th of them.
    fields[10] + fields[11]
}
