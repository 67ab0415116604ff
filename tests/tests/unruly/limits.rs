//! Exit and end of output are two events; limits of time end the whole process group.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Proxy, census, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{PIPE_SIZE, run_aside, tell, told, told_pid, wait_for_load};

fn wait_until_gone(pid: i32) {
    eventually("the process to be gone", || {
        (!census::is_alive(pid)).then_some(())
    });
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, Signal::KILL).expect("it is there");
}

#[test]
fn what_stands_in_the_pipe_at_the_exit_is_kept() {
    if !are_here(&["perl"]) {
        return;
    }
    let mut proxy = Proxy::start();
    proxy.init(&format!(
        "#!/usr/bin/perl\n{PIPE_SIZE} syswrite(STDOUT, 'x' x 1000000 . \"\\n{{}}\\n\");\n"
    ));
    for _ in 0..20 {
        assert_eq!(proxy.result(json!({})), "{}");
        assert_eq!(proxy.logs().stdout.len(), 1_000_001);
    }
}

#[test]
fn what_stands_in_the_pipe_is_kept_where_the_log_is_slow_and_a_descendant_lingers() {
    if !are_here(&["perl"]) {
        return;
    }
    let (mut log, out) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder()
        .arg("--linger=10ms")
        .arg("--kill-grace=10ms")
        .stdout(out)
        .start();
    // The descendant is out of reach of the group's signals, and holds the pipe.
    proxy.init(&format!(
        "#!/usr/bin/perl\n{PIPE_SIZE} $| = 1;
         if (!fork) {{ setpgrp; open F, '>../child'; print F \"$$\\n\"; close F; sleep 1000 }}
         until (-s '../child') {{ select undef, undef, undef, 0.01 }}
         syswrite(STDOUT, 'x' x 1000000 . \"\\n{{}}\\n\");\n"
    ));
    thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        let child = told_pid(&proxy, "child");
        let mut read = 0;
        let mut chunk = vec![0; 64 << 10];
        while read < 1_000_001 {
            thread::sleep(Duration::from_millis(30));
            read += log.read(&mut chunk).expect("the log goes on");
        }
        kill(child);
        assert_eq!(answer.join().expect("an answer").text(), "{}");
    });
}

#[test]
fn a_descendant_that_holds_the_pipe_does_not_delay_the_answer_and_is_ended() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/sh\nsleep 1000 &\necho $! > ../child\necho '{\"ok\":true}'\n");
    assert_eq!(proxy.result(json!({})), "{\"ok\":true}");
    wait_until_gone(told_pid(&proxy, "child"));
}

#[test]
fn a_descendant_that_goes_on_writing_is_ended_and_is_not_in_the_next_logs() {
    let mut proxy = Proxy::start();
    proxy.init(
        "#!/bin/sh\nread argument\ncase $argument in *chat*) (while :; do echo chat; done) >&2 &\n\
         echo $! > ../child ;; esac\necho '{}'\n",
    );
    assert_eq!(proxy.result(json!({"do": "chat"})), "{}");
    assert!(proxy.logs().stderr.starts_with("chat\n"));
    wait_until_gone(told_pid(&proxy, "child"));
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(proxy.logs().stderr, "");
}

#[test]
fn a_descendant_outside_the_group_is_left_alone_and_delays_the_answer_no_further() {
    if !are_here(&["setsid"]) {
        return;
    }
    let proxy = Proxy::builder()
        .arg("--linger=10ms")
        .arg("--kill-grace=10ms")
        .start();
    proxy.init("#!/bin/sh\nsetsid sleep 1000 &\necho $! > ../child\necho '{}'\n");
    assert_eq!(proxy.result(json!({})), "{}");
    let child = told_pid(&proxy, "child");
    assert!(census::is_alive(child));
    kill(child);
}

#[test]
fn linger_0_waits_for_the_end_of_the_pipes() {
    let proxy = Proxy::builder().arg("--linger=0").start();
    proxy.init(
        "#!/bin/sh\n(until [ -e ../go ]; do sleep 0.01; done; echo '{\"late\":1}') &\n\
         echo $$ > ../main\necho '{\"late\":0}'\n",
    );
    thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        let main = told_pid(&proxy, "main");
        eventually("the main process to end", || {
            (!census::is_alive(main)).then_some(())
        });
        tell(&proxy, "go");
        assert_eq!(answer.join().expect("an answer").text(), "{\"late\":1}");
    });
}

#[test]
fn a_process_that_closes_its_output_is_waited_for() {
    let proxy = Proxy::start();
    proxy.init(
        "#!/bin/sh\necho '{\"a\":1}'\nexec >/dev/null 2>&1\necho $$ > ../main\n\
         until [ -e ../go ]; do sleep 0.01; done\necho x > ../done\n",
    );
    thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        told(&proxy, "main");
        tell(&proxy, "go");
        assert_eq!(answer.join().expect("an answer").text(), "{\"a\":1}");
        assert!(proxy.scratch().join("done").exists());
    });
}

#[test]
fn a_process_that_closes_its_output_is_ended_in_time() {
    let proxy = Proxy::builder().arg("--timeout=300ms").start();
    proxy.init("#!/bin/sh\necho '{}'\nexec sleep 1000 >/dev/null 2>&1\n");
    assert!(proxy.run(json!({})).error().contains("time limit"));
}

#[test]
fn a_timeout_says_so_ends_the_group_and_completes_the_logs() {
    let mut proxy = Proxy::builder()
        .arg("--timeout=300ms")
        .arg("--kill-grace=50ms")
        .start();
    // Neither takes TERM, and the second has nothing of ours open.
    proxy.init(
        "#!/bin/sh\ntrap '' TERM\n(exec sleep 1000) </dev/null >/dev/null 2>&1 &\necho $! > ../child\n\
         echo $$ > ../main\necho before\nprintf '{\"half\":'\nprintf partial >&2\nsleep 1000 &\nwait\n",
    );
    let answer = proxy.run(json!({}));
    assert_eq!(answer.status, 502);
    let said = "The action was stopped: it passed its time limit of 300 ms.";
    assert_eq!(answer.error(), said);
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "before\n{\"half\":\n");
    assert_eq!(
        logs.stderr,
        "partial\nactionproxy: the action was stopped: it passed its time limit of 300 ms\n"
    );
    wait_until_gone(told_pid(&proxy, "main"));
    wait_until_gone(told_pid(&proxy, "child"));
}

#[test]
fn a_member_of_the_group_that_holds_no_pipe_is_ended_too() {
    let proxy = Proxy::builder()
        .arg("--timeout=300ms")
        .arg("--kill-grace=60s")
        .start();
    proxy.init(
        "#!/bin/sh\n(trap '' TERM; exec sleep 1000) </dev/null >/dev/null 2>&1 &\n\
         echo $! > ../child\nexec sleep 1000\n",
    );
    assert_eq!(proxy.run(json!({})).status, 502);
    wait_until_gone(told_pid(&proxy, "child"));
}

#[test]
fn what_takes_term_has_the_grace_to_end_well() {
    let mut proxy = Proxy::builder()
        .arg("--timeout=200ms")
        .arg("--kill-grace=60s")
        .start();
    proxy.init("#!/bin/sh\ntrap 'echo cleaned; exit' TERM\nsleep 1000 &\nwait\n");
    assert_eq!(proxy.run(json!({})).status, 502);
    assert_eq!(proxy.logs().stdout, "cleaned\n");
}

#[test]
fn a_stopped_process_is_woken_to_take_term() {
    let mut proxy = Proxy::builder()
        .arg("--timeout=200ms")
        .arg("--kill-grace=60s")
        .start();
    proxy.init(
        "#!/bin/sh\ntrap 'echo woken; exit' TERM\nkill -STOP $$\nwhile :; do sleep 1; done\n",
    );
    assert_eq!(proxy.run(json!({})).status, 502);
    assert_eq!(proxy.logs().stdout, "woken\n");
}

#[test]
fn a_process_that_left_its_group_is_ended_too() {
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = Proxy::builder()
        .arg("--timeout=200ms")
        .arg("--kill-grace=50ms")
        .start();
    proxy.init("#!/usr/bin/perl\nsetpgrp(0, getpgrp(getppid)) or die $!;\nsleep 1000 while 1;\n");
    assert!(proxy.run(json!({})).error().contains("time limit"));
}

#[test]
fn an_action_that_ended_in_time_is_not_stopped_for_a_log_that_is_slow() {
    if !are_here(&["perl"]) {
        return;
    }
    let (mut log, out) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder().arg("--timeout=8s").stdout(out).start();
    proxy.init(&format!(
        "#!/usr/bin/perl\n{PIPE_SIZE} open F, '>../main'; print F \"$$\\n\"; close F;
         syswrite(STDOUT, 'x' x 300000 . \"\\n{{}}\\n\");\n"
    ));
    thread::scope(|scope| {
        let started = Instant::now();
        let answer = run_aside(scope, &proxy);
        let main = told_pid(&proxy, "main");
        // It runs already: the limit has passed for certain so much later.
        let passed = Instant::now() + Duration::from_millis(8100);
        eventually("the main process to end", || {
            (!census::is_alive(main)).then_some(())
        });
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "too slow a machine"
        );
        // Nobody reads until the limit has passed: what the log did not take is left out, and the
        // result, which came in time, counts.
        thread::sleep(passed.saturating_duration_since(Instant::now()));
        assert_eq!(answer.join().expect("an answer").text(), "{}");
    });
    // No descendant is to blame: there is none.
    let said = proxy.stderr();
    assert!(!said.contains("still holds"), "{said}");
    drop(proxy);
    let mut read = String::new();
    log.read_to_string(&mut read).expect("text");
    let line = read.lines().next().unwrap_or_default();
    assert!(
        line.len() >= 4096 && line.bytes().all(|b| b == b'x'),
        "{}",
        line.len()
    );
}

/// A run of an action that ends when `../go` is there, with this deadline.
fn run_with_deadline(proxy: &Proxy, deadline: serde_json::Value) -> actionproxy_tests::Answer {
    let body = json!({ "value": {}, "deadline": deadline });
    proxy.post("/run", body.to_string())
}

fn millis(from_now: Duration) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    (now + from_now).as_millis() as u64
}

const WAITS: &str =
    "#!/bin/sh\necho x > ../begun\nuntil [ -e ../go ]; do sleep 0.01; done\necho '{}'\n";

#[test]
fn a_deadline_ends_a_run_be_it_a_number_or_a_string() {
    let proxy = Proxy::builder().arg("--enforce-deadline").start();
    proxy.init(WAITS);
    let soon = millis(Duration::from_millis(500));
    for deadline in [
        json!(soon),
        json!(millis(Duration::from_secs(2)).to_string()),
    ] {
        let answer = run_with_deadline(&proxy, deadline);
        assert_eq!(answer.status, 502);
        assert!(
            answer.error().contains("it passed its deadline of"),
            "{}",
            answer.error()
        );
    }
}

#[test]
fn a_deadline_in_the_past_or_unreadable_is_ignored() {
    let mut proxy = Proxy::builder().arg("--enforce-deadline").start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    for past in [json!(1), json!("1"), json!(null), json!(u64::MAX)] {
        assert_eq!(run_with_deadline(&proxy, past).text(), "{}");
        assert_eq!(proxy.logs().stderr, "");
    }
    for unreadable in [json!("soon"), json!(-1), json!(1.5), json!({}), json!("")] {
        assert_eq!(run_with_deadline(&proxy, unreadable).text(), "{}");
        let said = proxy.logs().stderr;
        assert!(said.contains("ignored the deadline"), "{said}");
    }
}

#[test]
fn a_deadline_is_not_enforced_unless_asked_for() {
    let proxy = Proxy::start();
    proxy.init(WAITS);
    thread::scope(|scope| {
        let deadline = json!(millis(Duration::from_millis(50)));
        let answer = scope.spawn(|| run_with_deadline(&proxy, deadline));
        told(&proxy, "begun");
        thread::sleep(Duration::from_millis(60));
        tell(&proxy, "go");
        assert_eq!(answer.join().expect("an answer").status, 200);
    });
}

#[test]
fn a_run_whose_deadline_passes_while_it_waits_is_not_started() {
    let mut proxy = Proxy::builder().arg("--enforce-deadline").start();
    proxy.init(WAITS);
    let answer = thread::scope(|scope| {
        let first = run_aside(scope, &proxy);
        told(&proxy, "begun");
        let soon = millis(Duration::from_secs(1));
        let proxy = &proxy;
        let second = scope.spawn(move || run_with_deadline(proxy, json!(soon)));
        wait_for_load(proxy, 1, 1);
        assert!(millis(Duration::ZERO) < soon, "too slow a machine");
        eventually("the deadline to pass", || {
            (millis(Duration::ZERO) > soon).then_some(())
        });
        tell(proxy, "go");
        assert_eq!(first.join().expect("an answer").status, 200);
        second.join().expect("an answer")
    });
    assert_eq!(answer.status, 502);
    assert!(
        answer.error().contains("was not started"),
        "{}",
        answer.error()
    );
    proxy.logs();
    assert!(proxy.logs().stderr.contains("was not started"));
}

#[test]
fn stdin_that_is_not_read_or_closed_does_not_matter() {
    let big = json!({ "x": "y".repeat(10_000_000) });
    let proxy = Proxy::builder().env("PROXY_ALLOW_REINIT", "1").start();
    for code in [
        "#!/bin/sh\necho '{}'\n",
        "#!/bin/sh\nexec <&-\necho '{}'\nsleep 0.1\n",
    ] {
        proxy.init(code);
        assert_eq!(proxy.result(big.clone()), "{}");
    }
}

#[test]
fn an_action_that_has_closed_everything_costs_no_processor_time() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{}'\nexec </dev/null >/dev/null 2>&1\nsleep 1\n");
    let before = census::ticks(proxy.pid());
    // The rest of its input can never be given.
    assert_eq!(proxy.result(json!({ "x": "y".repeat(200_000) })), "{}");
    // In hundredths of a second. A loop that never waits takes most of the second that is slept.
    assert!(census::ticks(proxy.pid()) - before < 10);
}

#[test]
fn an_action_may_write_a_lot_before_it_reads() {
    if !are_here(&["perl"]) {
        return;
    }
    let mut proxy = Proxy::start();
    proxy.init(
        "#!/usr/bin/perl\nprint STDERR 'e' x 1000000, \"\\n\"; print STDOUT 'o' x 1000000, \"\\n\";
         undef $/; my $in = <STDIN>; print '{\"read\":', length $in, \"}\\n\";\n",
    );
    let argument = json!({ "x": "y".repeat(10_000_000) });
    let expected = format!("{{\"read\":{}}}", argument.to_string().len());
    assert_eq!(proxy.result(argument), expected);
    let logs = proxy.logs();
    assert_eq!(
        (logs.stdout.len(), logs.stderr.len()),
        (1_000_001, 1_000_001)
    );
}
