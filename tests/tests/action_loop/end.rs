//! The end of the proxy is the end of its loop.

use std::thread;

use actionproxy_tests::census::is_alive;
use rustix::process::Signal;
use serde_json::json;

use crate::{ECHO, begin, builder, result, told, told_pid};

/// Writes who it is and what it started, and answers; `told-term` where it gets TERM.
const FAMILY: &str = "#!/bin/bash\ntrap 'echo yes > $SCRATCH/told-term; exit' TERM\nsleep 1000 &\n\
                      echo $! > $SCRATCH/child\necho $$ > $SCRATCH/pid\n\
                      while read -r line; do echo '{}' >&3; done\n";

#[test]
fn an_idle_loop_and_its_group_end_with_the_proxy_term_first() {
    let mut proxy = builder().start();
    begin(&proxy, FAMILY);
    result(&proxy, json!({}));
    let pids = ["pid", "child"].map(|name| told_pid(&proxy, name));
    assert_eq!(proxy.stop(), 0);
    assert_eq!(told(&proxy, "told-term"), "yes");
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn a_loop_that_is_deaf_to_term_is_killed() {
    let mut proxy = builder().arg("--kill-grace=100ms").start();
    begin(
        &proxy,
        &FAMILY.replace(
            "trap 'echo yes > $SCRATCH/told-term; exit' TERM",
            "trap '' TERM",
        ),
    );
    let pids = ["pid", "child"].map(|name| told_pid(&proxy, name));
    assert_eq!(proxy.stop(), 0);
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn a_proxy_without_an_action_ends_at_once() {
    let mut proxy = builder().arg("--grace=1h").arg("--kill-grace=1h").start();
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn the_running_activation_is_answered_first() {
    let mut proxy = builder().arg("--grace=1h").start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do echo > $SCRATCH/begun; until [ -e $SCRATCH/go ]; do sleep 0.01; \
         done; echo '{}' >&3; done\n",
    );
    thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run(json!({})));
        told(&proxy, "begun");
        proxy.signal(Signal::TERM);
        actionproxy_tests::eventually("the signal to be seen", || {
            (proxy.run(json!({})).status == 503).then_some(())
        });
        crate::tell(&proxy, "go");
        assert_eq!(running.join().expect("an answer").status, 200);
    });
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn when_the_grace_is_over_the_running_activation_is_ended() {
    let mut proxy = builder()
        .arg("--grace=100ms")
        .arg("--kill-grace=100ms")
        .start();
    begin(
        &proxy,
        &FAMILY.replace("echo '{}' >&3", "echo > $SCRATCH/begun"),
    );
    let pids = ["pid", "child"].map(|name| told_pid(&proxy, name));
    thread::scope(|scope| {
        let running = scope.spawn(|| proxy.run(json!({})));
        told(&proxy, "begun");
        proxy.signal(Signal::TERM);
        let answer = running.join().expect("an answer");
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(
            answer.error().contains("shutting down"),
            "{}",
            answer.text()
        );
    });
    assert_eq!(proxy.wait(), 0);
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn an_idle_proxy_uses_no_processor_time() {
    let proxy = builder().start();
    begin(&proxy, ECHO);
    result(&proxy, json!({}));
    let before = actionproxy_tests::census::ticks(proxy.pid());
    // A proxy that spins takes a hundred in this time on a machine that has it, and a fair share of
    // them on one that has not.
    thread::sleep(std::time::Duration::from_secs(1));
    assert!(actionproxy_tests::census::ticks(proxy.pid()) - before < 10);
}
