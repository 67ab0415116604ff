//! Actions that misbehave, and what happens around them: nothing may hang, leak or be lost.

mod causes;
mod concurrency;
mod confined;
mod host;
mod init;
mod killed;
mod late;
mod limits;
mod logs;
mod readers;
mod rlimits;
mod shutdown;
mod unstarted;
mod wrong;

use std::fs;
use std::thread::{self, ScopedJoinHandle};

use actionproxy_tests::proxy::Logs;
use actionproxy_tests::{Answer, Proxy, eventually};
use serde_json::{Value, json};

/// A run of `proxy` fails with the contract's text; what is in its logs.
fn fail(proxy: &mut Proxy, argument: Value) -> Logs {
    let answer = proxy.run(argument);
    let said = "The action did not return a dictionary or array.";
    assert_eq!((answer.status, answer.error()), (502, said.to_owned()));
    proxy.logs()
}

/// A proxy that takes one init after the other.
fn reinitialised() -> Proxy {
    Proxy::builder().env("PROXY_ALLOW_REINIT", "1").start()
}

/// What `/healthz` says.
fn health(proxy: &Proxy) -> Value {
    serde_json::from_slice(&proxy.get("/healthz").body).expect("JSON")
}

/// Waits until so many activations run and wait.
fn wait_for_load(proxy: &Proxy, running: u64, waiting: u64) {
    eventually("the load", || {
        let health = health(proxy);
        (health["running"] == running && health["waiting"] == waiting).then_some(())
    });
}

/// The line in a file of the proxy's scratch directory, once it is whole. Actions write `../NAME`.
fn told(proxy: &Proxy, name: &str) -> String {
    eventually(name, || {
        let text = fs::read_to_string(proxy.scratch().join(name)).ok()?;
        Some(text.strip_suffix('\n')?.to_owned())
    })
}

/// The process id in such a file.
fn told_pid(proxy: &Proxy, name: &str) -> i32 {
    told(proxy, name).parse().expect("a process id")
}

/// Makes such a file.
fn tell(proxy: &Proxy, name: &str) {
    fs::write(proxy.scratch().join(name), "").expect("our own directory");
}

/// Runs `{}` in another thread.
fn run_aside<'s>(
    scope: &'s thread::Scope<'s, '_>,
    proxy: &'s Proxy,
) -> ScopedJoinHandle<'s, Answer> {
    scope.spawn(|| proxy.run(json!({})))
}

/// The numbers of `prctl` and `clone`, for filters of system calls; a skip where they are not known.
fn filtered_calls() -> Option<[&'static str; 2]> {
    match std::env::consts::ARCH {
        "x86_64" => Some(["157", "56"]),
        "aarch64" => Some(["167", "220"]),
        arch => {
            actionproxy_tests::tools::leave_out(&format!(
                "this test does not know the system calls of {arch}"
            ));
            None
        }
    }
}

/// The numbers by which Perl's `fcntl` sets a pipe's size.
const PIPE_SIZE: &str = "fcntl(STDOUT, 1031, 1 << 20) or die $!;";
