//! Logs of an activation are complete before its sentinel, and those written between two belong to
//! the later one.

use std::io::PipeReader;

use actionproxy_tests::{Proxy, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::{assert_logs, assert_silent, begin, builder, result, tell, told};

#[test]
fn what_is_written_before_the_answer_stands_before_the_sentinel() {
    let mut proxy = builder().start();
    begin(
        &proxy,
        "#!/usr/bin/env python3\nimport os, sys\nfor line in sys.stdin:\n    \
         for n in range(2000):\n        os.write(1, b'o' * 99 + b'\\n')\n        \
         os.write(2, b'e' * 49 + b'\\n')\n    os.write(1, 'fine ü'.encode())\n    \
         os.write(3, b'{}\\n')\n",
    );
    let stdout = format!("{}fine ü\n", ("o".repeat(99) + "\n").repeat(2000));
    let stderr = ("e".repeat(49) + "\n").repeat(2000);
    for _ in 0..5 {
        result(&proxy, json!({}));
        assert_logs(&mut proxy, &stdout, &stderr);
    }
}

#[test]
fn a_line_of_any_length_passes() {
    let mut proxy = builder().start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do head -c 3000000 /dev/zero | tr '\\0' x; echo '{}' >&3; done\n",
    );
    result(&proxy, json!({}));
    assert_logs(&mut proxy, &("x".repeat(3_000_000) + "\n"), "");
}

#[test]
fn what_is_written_between_activations_never_stops_the_loop_and_belongs_to_the_next() {
    let mut proxy = builder().start();
    // After the first answer it writes far more than two pipes hold, and only then reads on.
    begin(
        &proxy,
        "#!/bin/bash\nread -r line; echo '{\"n\":1}' >&3\nuntil [ -e $SCRATCH/go ]; do sleep 0.01; done\n\
         for n in {1..20000}; do echo late-out-$n; echo late-err-$n >&2; done\necho > $SCRATCH/written\n\
         read -r line; echo now; echo '{\"n\":2}' >&3\nread -r line\n",
    );
    assert_eq!(result(&proxy, json!({})), json!({"n": 1}));
    assert_logs(&mut proxy, "", "");
    tell(&proxy, "go");
    told(&proxy, "written");
    assert_eq!(result(&proxy, json!({})), json!({"n": 2}));
    let lines = |stream: &str| -> String {
        (1..=20_000)
            .map(|n| format!("late-{stream}-{n}\n"))
            .collect()
    };
    let logs = proxy.logs();
    assert!(
        logs.stdout == lines("out") + "now\n",
        "{} bytes",
        logs.stdout.len()
    );
    assert!(logs.stderr == lines("err"), "{} bytes", logs.stderr.len());
    assert_silent(&proxy);
}

/// A process that logs between activations, for nobody: the proxy stands in the middle of its log.
fn start_unread(arguments: &[&str]) -> (Proxy, PipeReader) {
    let (log, out) = std::io::pipe().expect("a pipe");
    let builder = arguments.iter().fold(builder(), |b, word| b.arg(word));
    let proxy = builder.stdout(out).start();
    begin(
        &proxy,
        "#!/bin/bash\ntrap 'echo > $SCRATCH/ended; exit' TERM\nread -r line; echo '{}' >&3\n\
         (while :; do echo chat; done) &\nwhile :; do sleep 0.01; done\n",
    );
    assert_eq!(result(&proxy, json!({})), json!({}));
    let unread = || rustix::io::ioctl_fionread(&log).expect("a pipe");
    let mut before = 0;
    eventually("the pipe to be full", || {
        let now = unread();
        let is_full = now > 32_768 && now == std::mem::replace(&mut before, now);
        std::thread::sleep(std::time::Duration::from_millis(50));
        is_full.then_some(())
    });
    (proxy, log)
}

#[test]
fn a_log_that_nobody_reads_between_activations_costs_the_next_no_more_than_its_time() {
    let (proxy, _log) = start_unread(&["--timeout=1s"]);
    let answer = proxy.run(json!({}));
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("time limit"), "{answer:?}");
    told(&proxy, "ended");
}

#[test]
fn a_log_that_nobody_reads_between_activations_does_not_stop_the_end() {
    let (mut proxy, mut log) = start_unread(&["--kill-grace=1h"]);
    proxy.signal(Signal::TERM);
    told(&proxy, "ended");
    let reader = std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    assert_eq!(proxy.wait(), 0);
    reader.join().expect("no panic").expect("a pipe");
}

#[test]
fn a_hundred_megabytes_pass_in_the_memory_of_a_pipe() {
    let mut proxy = builder()
        .stdout(std::fs::File::create("/dev/null").expect("the device"))
        .start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do head -c 100000000 /dev/zero; echo '{}' >&3; done\n",
    );
    actionproxy_tests::census::forget_peak(proxy.pid());
    let before = actionproxy_tests::census::memory(proxy.pid());
    result(&proxy, json!({}));
    let peak = actionproxy_tests::census::peak_memory(proxy.pid());
    assert!(peak < before + (4 << 20), "from {before} to {peak}");
    assert_eq!(proxy.stop(), 0);
}
