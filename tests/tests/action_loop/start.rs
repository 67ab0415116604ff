//! The start of a loop: acks, and what counts without one.

use std::thread;

use actionproxy_tests::census::is_alive;
use actionproxy_tests::eventually;
use serde_json::json;

use crate::{
    Compiler, OK, actions, assert_answer, assert_error, assert_logs, assert_silent, begin, builder,
    init, result, told_pid,
};

const NOT_BUILT_SEE_LOGS: &str =
    "The action failed to generate or locate a binary. See logs for details.";
const NOT_STARTED_SEE_LOGS: &str = "Cannot start action. Check logs for details.";

fn acking(ack: &str) -> String {
    format!(
        "#!/bin/bash\necho starting\n{ack}\nwhile read -r line; do printf '%s\\n' \"$line\" >&3; done\n"
    )
}

#[test]
fn an_ack_is_waited_for_and_is_no_answer() {
    let mut proxy = builder().env("OW_WAIT_FOR_ACK", "1").start();
    begin(&proxy, &acking("sleep 0.1; echo '{ \"ok\": true}' >&3"));
    assert_eq!(result(&proxy, json!(7)), json!({"value": 7}));
    assert_logs(&mut proxy, "starting\n", "");
}

#[test]
fn a_bad_ack_fails_the_init() {
    let proxy = builder().env("OW_WAIT_FOR_ACK", "1").start();
    let denied = init(&proxy, &acking("echo '{\"ok\":false}' >&3"));
    let text = "cannot start action: The action did not initialize properly.";
    assert_error(&denied, 502, text);
    for (ack, word) in [
        ("echo ready >&3", "found \\\"ready\\\""),
        ("echo '[true]' >&3", "expected {\\\"ok\\\": true}"),
        ("head -c 1000000 /dev/zero >&3", "longer than 65536 bytes"),
    ] {
        let answer = init(&proxy, &acking(&format!("{ack}; echo >&3")));
        assert_eq!(answer.status, 502);
        let said = answer.text();
        assert!(
            said.contains("cannot start action: ") && said.contains(word),
            "{said}"
        );
    }
    for exits in ["exit 3", "kill -SEGV $$", "exec 3>&-; exit 0"] {
        let answer = init(&proxy, &acking(exits));
        let text = "cannot start action: Command exited abruptly during initialization.";
        assert_error(&answer, 502, text);
    }
    let said = proxy.stderr();
    assert!(
        said.contains("status 3") && said.contains("SIGSEGV"),
        "{said}"
    );
    assert_eq!(actions(&proxy), [""; 0]);
    // No sentinel was written, and the next init starts afresh.
    let unread = proxy.unread();
    assert!(!(unread.stdout + &unread.stderr).contains(actionproxy_tests::SENTINEL));
    begin(&proxy, &acking("echo '{\"ok\":true}' >&3"));
    assert_eq!(actions(&proxy), ["1"]);
}

#[test]
fn a_loop_that_never_acks_is_stopped_by_the_time_limit() {
    let proxy = builder()
        .env("OW_WAIT_FOR_ACK", "1")
        .arg("--timeout=5s")
        .start();
    let code = acking("sleep 1000 & echo $! > $SCRATCH/child; echo $$ > $SCRATCH/pid; wait");
    let answer = init(&proxy, &code);
    assert_error(
        &answer,
        502,
        "The initialization was stopped: it passed its time limit of 5000 ms.",
    );
    for name in ["pid", "child"] {
        assert!(!is_alive(told_pid(&proxy, name)));
    }
    assert_eq!(actions(&proxy), [""; 0]);
}

#[test]
fn without_an_ack_a_loop_that_ends_early_has_failed_and_no_time_is_lost_waiting() {
    // It is waited for so long only where it shows nothing.
    let proxy = builder().arg("--start-wait=1h").start();
    let answer = init(&proxy, "#!/bin/bash\necho broken >&2\nexit 3\n");
    assert_error(&answer, 502, "cannot start action: command exited");
    let said = proxy.unread().stderr;
    assert!(
        said.starts_with("broken\n") && said.contains("exited with status 3"),
        "{said}"
    );
    // What cannot be executed at all.
    let answer = init(&proxy, "#!/nowhere/interpreter\n");
    assert_error(&answer, 502, "cannot start action: command exited");
    assert!(
        proxy.unread().stderr.contains("/nowhere/interpreter"),
        "{}",
        proxy.stderr()
    );
    // An ack that nobody asked for, as the launcher of Go writes it, is one; so is any line.
    begin(&proxy, &acking("echo '{ \"ok\": true}' >&3"));
    assert_eq!(result(&proxy, json!(7)), json!({"value": 7}));
}

#[test]
fn a_line_before_the_first_question_is_no_answer() {
    let mut proxy = builder().arg("--start-wait=1h").start();
    begin(&proxy, &acking("echo '{\"stale\":1}' >&3"));
    assert_eq!(result(&proxy, json!(7)), json!({"value": 7}));
    let logs = proxy.logs();
    assert!(
        logs.stderr.contains("before it was asked"),
        "{}",
        logs.stderr
    );
}

#[test]
fn one_that_greets_late_is_waited_for_when_it_is_started_anew() {
    let scratch = tempfile::tempdir().expect("a directory");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let mut proxy = builder().arg("--start-wait=5ms").start();
    // At its first start not before it is asked, when the line passes for an answer.
    begin(
        &proxy,
        &format!(
            "#!/bin/bash\n\
             if [ -e {again} ]; then sleep 0.02; else touch {again}; until read -t 0; do sleep 0.01; done; fi\n\
             echo '{{\"ok\": true}}' >&3\n\
             while read -r line; do printf '%s\\n' \"$line\" >&3; touch {answered}; done\n",
            again = at("again"),
            answered = at("answered"),
        ),
    );
    assert_eq!(result(&proxy, json!(7)), json!({"ok": true}));
    eventually("its answer", || {
        scratch.path().join("answered").exists().then_some(())
    });
    for (n, is_started_anew) in [(8, true), (9, false)] {
        proxy.logs();
        assert_eq!(result(&proxy, json!(n)), json!({"value": n}));
        let logs = proxy.unread().stderr;
        assert_eq!(logs.contains("started anew"), is_started_anew, "{logs}");
    }
}

#[test]
fn lines_behind_an_ack_are_no_answers() {
    // In one write: a line that comes later has the process started anew.
    let lines = "printf '{\"ok\":true}\\n{\"stray\":1}\\n{\"stray\":2}\\n' > $SCRATCH/lines; cat $SCRATCH/lines >&3";
    for (wait_for_ack, start_wait) in [("1", "--start-wait=0"), ("", "--start-wait=1h")] {
        let mut proxy = builder()
            .env("OW_WAIT_FOR_ACK", wait_for_ack)
            .arg(start_wait)
            .start();
        begin(&proxy, &acking(lines));
        for n in [7, 8] {
            assert_eq!(result(&proxy, json!(n)), json!({"value": n}));
        }
        // It was not started again for that.
        let logs = proxy.logs();
        assert_eq!(logs.stdout, "starting\n");
        assert!(logs.stderr.contains("stray"), "{}", logs.stderr);
        assert_logs(&mut proxy, "", "");
    }
}

#[test]
fn the_reason_of_a_failed_init_goes_to_the_logs_where_that_is_asked_for() {
    let mut proxy = builder()
        .env("OW_LOG_INIT_ERROR", "1")
        .env("OW_WAIT_FOR_ACK", "1")
        .env("OW_COMPILER", "/bin/false")
        .start();
    assert_error(&init(&proxy, "a source"), 502, NOT_BUILT_SEE_LOGS);
    assert_logs(&mut proxy, "", "exit status 1\n");
    assert_error(
        &init(&proxy, &acking("echo why >&2; exit 1")),
        502,
        NOT_STARTED_SEE_LOGS,
    );
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "starting\n");
    let (first, rest) = logs.stderr.split_at("why\n".len());
    assert_eq!(first, "why\n");
    let line = "Command exited abruptly during initialization.\n";
    assert!(
        rest.starts_with(line) && rest.contains("status 1"),
        "{rest}"
    );
    assert_silent(&proxy);
}

#[test]
fn the_execution_environment_has_to_be_the_one_that_was_built_for() {
    let compiler = Compiler::new(
        "(echo '#!/bin/bash'; cat $2/exec) > $3/exec; [ -z \"$WRITES\" ] || echo \" $WRITES\" > $3/exec.env",
    );
    let proxy = builder()
        .env("OW_EXECUTION_ENV", "my/env")
        .env("OW_COMPILER", compiler.path())
        .start();
    let source = "while read -r line; do echo \"[\\\"$__OW_EXECUTION_ENV\\\"]\" >&3; done\n";
    let send = |writes: &str| proxy.init_with(json!({"code": source, "env": {"WRITES": writes}}));
    for other in ["", "my/other"] {
        let answer = send(other);
        let text =
            "cannot start action: Execution environment version mismatch. See logs for details.";
        assert_error(&answer, 502, text);
    }
    let said = proxy.stderr();
    assert!(
        said.contains("expected \"my/env\", found \"my/other\""),
        "{said}"
    );
    assert!(said.contains("there is no "), "{said}");
    assert_eq!(actions(&proxy), [""; 0]);
    assert_answer(&send("my/env"), 200, OK);
    assert_eq!(result(&proxy, json!({})), json!(["my/env"]));
}

#[test]
fn an_init_waits_for_no_ack_longer_than_the_loop_takes() {
    let proxy = builder().env("OW_WAIT_FOR_ACK", "1").start();
    thread::scope(|scope| {
        let code =
            acking("until [ -e $SCRATCH/go ]; do sleep 0.01; done; echo '{\"ok\":true}' >&3");
        let proxy = &proxy;
        let initialising = scope.spawn(move || init(proxy, &code));
        eventually("the loop to start", || {
            proxy.unread().stdout.contains("starting").then_some(())
        });
        crate::tell(proxy, "go");
        assert_answer(&initialising.join().expect("an answer"), 200, OK);
    });
}
