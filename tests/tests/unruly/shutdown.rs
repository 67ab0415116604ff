//! TERM and INT: the running activation ends, the rest is refused, nothing is left.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Proxy, census, eventually, request, root};
use rustix::process::Signal;
use serde_json::json;

use crate::{health, run_aside, tell, told, told_pid, wait_for_load};

/// Runs until `../go` is there.
const WAITS: &str =
    "#!/bin/sh\necho $$ > ../begun\nuntil [ -e ../go ]; do sleep 0.01; done\necho '{\"done\":1}'\n";

/// Under nohup, tests ignore SIGHUP, and what they start does.
const HEARS_HUP: [&str; 2] = ["env", "--default-signal=HUP"];

fn wait_until_stopping(proxy: &Proxy) {
    eventually("the proxy to see the signal", || {
        (health(proxy)["status"] == "stopping").then_some(())
    });
}

#[test]
fn an_idle_proxy_waits_for_nothing_and_ends_with_status_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut proxy = Proxy::builder().under(HEARS_HUP).arg("--grace=1h").start();
        proxy.init("#!/bin/sh\necho '{}'\n");
        proxy.result(json!({}));
        // A connection that is kept does not hold it up.
        let kept = proxy.connect();
        proxy.signal(signal);
        // Long before the time that it would leave to activations.
        assert_eq!(proxy.wait(), 0);
        drop(kept);
        assert_eq!(proxy.unread().stderr, proxy.stderr());
    }
}

#[test]
fn a_request_that_has_not_come_whole_is_told_that_the_proxy_ends() {
    let whole = request("POST", "/run", b"{\"value\": {}}");
    for sent in [&whole[..30], &whole[..whole.len() - 3]] {
        let mut proxy = Proxy::builder().arg("--grace=1h").start();
        proxy.init("#!/bin/sh\necho '{}'\n");
        let mut connection = proxy.connect();
        connection.send(sent).expect("sent");
        actionproxy_tests::unread::Unread::new().wait(connection.stream());
        proxy.signal(Signal::TERM);
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.error(), "The proxy is shutting down.");
        assert_eq!(proxy.wait(), 0);
    }
}

#[test]
fn the_running_activation_is_answered_and_those_that_wait_are_refused_at_once() {
    let mut proxy = Proxy::builder().arg("--grace=1h").start();
    proxy.init(WAITS);
    thread::scope(|scope| {
        let running = run_aside(scope, &proxy);
        told(&proxy, "begun");
        let waiting = run_aside(scope, &proxy);
        wait_for_load(&proxy, 1, 1);
        proxy.signal(Signal::TERM);
        // The running one goes on.
        let refused = waiting.join().expect("an answer");
        assert_eq!(refused.status, 503);
        assert_eq!(refused.error(), "The proxy is shutting down.");
        assert_eq!(refused.header("connection"), Some("close"));
        assert_eq!(proxy.run(json!({})).status, 503);
        assert_eq!(health(&proxy)["running"], 1);
        tell(&proxy, "go");
        let answer = running.join().expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, "{\"done\":1}"));
    });
    assert_eq!(proxy.wait(), 0);
    // One activation was run, so there is one sentinel.
    proxy.logs();
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
}

#[test]
fn when_the_grace_runs_out_the_group_is_ended_and_the_client_answered() {
    let mut proxy = Proxy::builder()
        .arg("--grace=100ms")
        .arg("--kill-grace=100ms")
        .start();
    proxy.init(
        "#!/bin/sh\ntrap 'echo told' TERM\nsleep 1000 &\necho $! > ../child\necho $$ > ../begun\n\
         while :; do sleep 0.05; done\n",
    );
    thread::scope(|scope| {
        let running = run_aside(scope, &proxy);
        told(&proxy, "begun");
        proxy.signal(Signal::TERM);
        let answer = running.join().expect("an answer");
        assert_eq!(answer.status, 502);
        assert!(
            answer.error().contains("shutting down"),
            "{}",
            answer.error()
        );
    });
    assert_eq!(proxy.wait(), 0);
    let logs = proxy.logs();
    assert!(logs.stdout.starts_with("told\n"), "{logs:?}");
    assert!(
        logs.stderr.contains("the proxy is shutting down"),
        "{logs:?}"
    );
    for name in ["begun", "child"] {
        assert!(!census::is_alive(told_pid(&proxy, name)), "{name} is left");
    }
}

#[test]
fn each_process_of_the_group_is_told_once() {
    if !are_here(&["strace"]) {
        return;
    }
    // Time for a handler to run before the next signal is sent. -D: the proxy is our child and not strace's.
    let strace = "strace -D -f -o /dev/null -e trace=kill -e inject=kill:delay_exit=200000";
    let mut proxy = Proxy::builder()
        .under(strace.split(' '))
        .arg("--grace=0s")
        .arg("--kill-grace=1h")
        .start();
    let loops = "until [ -e ../end ]; do sleep 0.01; done";
    proxy.init(&format!(
        "#!/bin/sh\ntell() {{ trap \"echo $1 TERM >> ../told\" TERM; trap \"echo > ../$1-woken\" CONT; }}\n\
         (tell child; echo > ../child-begun; {loops}) &\ntell leader; echo > ../leader-begun; {loops}\n"
    ));
    thread::scope(|scope| {
        let running = run_aside(scope, &proxy);
        for name in ["child-begun", "leader-begun"] {
            told(&proxy, name);
        }
        proxy.signal(Signal::TERM);
        // What wakes a stopped process is sent behind it.
        for name in ["child-woken", "leader-woken"] {
            told(&proxy, name);
        }
        tell(&proxy, "end");
        assert_eq!(running.join().expect("an answer").status, 502);
    });
    assert_eq!(proxy.wait(), 0);
    let log = fs::read_to_string(proxy.scratch().join("told")).expect("a file");
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["child TERM", "leader TERM"]);
}

#[test]
fn a_long_answer_arrives_whole() {
    if !are_here(&["perl"]) {
        return;
    }
    let mut proxy = Proxy::builder().arg("--grace=1h").start();
    proxy.init(
        "#!/usr/bin/perl\nopen F, '>../begun'; print F \"x\\n\"; close F;
         until (-e '../go') { select undef, undef, undef, 0.01 }
         print '[\"', 'x' x 20000000, '\"]';\n",
    );
    thread::scope(|scope| {
        let running = run_aside(scope, &proxy);
        told(&proxy, "begun");
        proxy.signal(Signal::TERM);
        wait_until_stopping(&proxy);
        tell(&proxy, "go");
        let answer = running.join().expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (200, 20_000_004));
    });
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn a_log_that_is_not_read_does_not_keep_it_from_ending() {
    let (log, out) = std::io::pipe().expect("a pipe");
    let mut proxy = Proxy::builder()
        .arg("--grace=100ms")
        .arg("--kill-grace=100ms")
        .stdout(out)
        .start();
    proxy.init("#!/bin/sh\necho $$ > ../begun\nexec tail -c 1000000 /dev/zero\n");
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("the proxy takes the request");
    let begun = told_pid(&proxy, "begun");
    assert_eq!(proxy.stop(), 0);
    assert!(!census::is_alive(begun));
    drop(log);
}

#[test]
fn an_init_is_ended_too_and_leaves_no_file() {
    let mut proxy = Proxy::builder()
        .program(env!("CARGO_BIN_EXE_moody"))
        .arg("--grace=100ms")
        .start();
    let begun = proxy.scratch().join("begun").display().to_string();
    thread::scope(|scope| {
        let code = format!("# tool\necho $$ > {begun}\nexec sleep 1000\n");
        let proxy = &proxy;
        let init = scope.spawn(move || proxy.init_with(json!({ "code": code })));
        told(proxy, "begun");
        proxy.signal(Signal::TERM);
        assert_eq!(init.join().expect("an answer").status, 502);
    });
    assert_eq!(proxy.wait(), 0);
    assert!(!census::is_alive(told_pid(&proxy, "begun")));
    let left = fs::read_dir(proxy.action_dir()).expect("our own").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["exec"]);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    if !are_here(&["setsid"]) {
        return;
    }
    let mut proxy = Proxy::builder().arg("--grace=1h").start();
    proxy.init("#!/bin/sh\ntrap '' TERM INT\nsetsid sleep 1000 &\necho $! > ../child\necho $$ > ../begun\nwait\n");
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("the proxy takes the request");
    told(&proxy, "begun");
    proxy.signal(Signal::TERM);
    wait_until_stopping(&proxy);
    proxy.signal(Signal::INT);
    assert_eq!(proxy.wait(), 128 + 2);
    for name in ["begun", "child"] {
        assert!(!census::is_alive(told_pid(&proxy, name)), "{name} is left");
    }
}

#[test]
fn no_process_and_no_file_is_left() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        assert_nothing_is_left_after(signal);
    }
}

fn assert_nothing_is_left_after(signal: Signal) {
    if !are_here(&["setsid"]) {
        return;
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = temporary.path().to_str().expect("a plain name").to_owned();
    // Without an action directory it makes its own, where there is no /action.
    let empty = tempfile::tempdir().expect("a temporary directory");
    let mut under = HEARS_HUP.map(OsString::from).to_vec();
    under.extend(match Path::new("/action").exists() {
        false => Vec::new(),
        true => match root::with_action(empty.path(), None) {
            Some(words) => words,
            None => return,
        },
    });
    let shell = "for a; do shift; case $a in --action-dir) skip=1; continue;; esac; \
                 [ -z \"$skip\" ] && set -- \"$@\" \"$a\"; skip=; done; exec \"$@\"";
    under.extend(["sh", "-c", shell, "sh"].map(OsString::from));
    let mut proxy = Proxy::builder().under(under).env("TMPDIR", &dir).start();
    let orphan = temporary.path().join("orphan");
    proxy.init(&format!(
        "#!/bin/sh\n(exec >/dev/null 2>&1; setsid sh -c 'echo $$ > {}; exec sleep 1000' &)\necho '{{}}'\n",
        orphan.display()
    ));
    proxy.result(json!({}));
    let pid = eventually("the orphan", || {
        fs::read_to_string(&orphan).ok()?.trim().parse().ok()
    });
    proxy.signal(signal);
    assert_eq!(proxy.wait(), 0);
    assert!(!census::is_alive(pid), "the orphan is left");
    let left = fs::read_dir(&dir).expect("our own").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["orphan"]);
}
