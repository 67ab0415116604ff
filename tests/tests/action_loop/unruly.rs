//! Loops that end, hang, answer too much, too early, too late, or not at all: the answer is a defined
//! one, no later activation gets another's, and the proxy goes on.

use std::thread;

use actionproxy_tests::census::{is_alive, is_at_rest};
use actionproxy_tests::{Proxy, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{EXITED, NO_RESULT, assert_answer, assert_silent, begin, builder, result, told_pid};

/// Answers with its process and the question's value, unless the value has `only`; does first what
/// `do` in it says, a line of Python.
const OBEYS: &str = r#"#!/usr/bin/env python3
import json, os, signal, subprocess, sys, time
def put(text):
    os.write(3, text.encode())
for line in sys.stdin:
    value = json.loads(line)["value"]
    exec(value.get("do", ""))
    "only" in value or put(json.dumps({"pid": os.getpid(), "value": value}) + "\n")
"#;

fn order(order: &str) -> Value {
    json!({ "do": order })
}

/// The process that answers now; the answer is the one to this question.
fn process(proxy: &Proxy, mark: u32) -> i32 {
    let got = result(proxy, json!({ "mark": mark }));
    assert_eq!(got["value"]["mark"], mark);
    i32::try_from(got["pid"].as_i64().expect("a process id")).expect("a small one")
}

/// A run that is ended at its deadline, whatever TERM says. Wants `--enforce-deadline`.
fn hang(proxy: &Proxy) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let deadline = now.expect("a clock after 1970").as_millis() + 1500;
    let message = json!({
        "value": order("signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"),
        "deadline": deadline.to_string(),
    });
    let answer = proxy.post("/run", message.to_string());
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("deadline"), "{}", answer.error());
}

/// The logs of one activation; its stderr says this.
fn said(proxy: &mut Proxy, words: &[&str]) {
    let logs = proxy.logs();
    for word in words {
        assert!(
            logs.stderr.contains(word),
            "no {word:?} in {:?}",
            logs.stderr
        );
    }
    assert_silent(proxy);
}

#[test]
fn one_that_ends_in_a_run_is_told_and_later_runs_are_refused_at_once() {
    for (does, word) in [
        (
            "print('last words', flush=True); os._exit(3)",
            "exited with status 3",
        ),
        ("sys.exit()", "exited with status 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory"),
        ("put('{\"half\":'); os._exit(0)", "exited with status 0"),
    ] {
        let mut proxy = builder().start();
        begin(&proxy, OBEYS);
        process(&proxy, 1);
        proxy.logs();
        assert_answer(&proxy.run(order(does)), 400, EXITED);
        said(&mut proxy, &[word]);
        for _ in 0..3 {
            assert_answer(&proxy.run(json!({})), 500, EXITED);
            said(&mut proxy, &[word]);
        }
    }
}

#[test]
fn one_that_answers_and_ends_has_answered() {
    let mut proxy = builder().start();
    begin(&proxy, OBEYS);
    let pid = process(&proxy, 1);
    proxy.logs();
    let answer = proxy.run(order("put('{\"last\": 1}\\n'); os._exit(0)"));
    assert_answer(&answer, 200, "{\"last\": 1}\n");
    proxy.logs();
    eventually("its end", || (!is_alive(pid)).then_some(()));
    assert_answer(&proxy.run(json!({})), 500, EXITED);
}

#[test]
fn one_that_ends_between_two_runs_is_refused_and_said_to_have_ended() {
    let mut proxy = builder().start();
    begin(&proxy, OBEYS);
    let pid = process(&proxy, 1);
    proxy.logs();
    kill_process(Pid::from_raw(pid).expect("a process"), Signal::KILL).expect("it is there");
    // Reaped, though nobody asks.
    eventually("the loop to be reaped", || {
        actionproxy_tests::census::process(pid)
            .is_none()
            .then_some(())
    });
    assert_answer(&proxy.run(json!({})), 500, EXITED);
    said(&mut proxy, &["SIGKILL", "between activations"]);
}

#[test]
fn a_run_over_its_time_is_ended_with_its_group_and_its_answer_reaches_nobody() {
    let mut proxy = builder().arg("--timeout=5s").start();
    begin(&proxy, OBEYS);
    let before = process(&proxy, 1);
    proxy.logs();
    let does = "open(os.environ['SCRATCH'] + '/child', 'w').write(\
                str(subprocess.Popen(['sleep', '1000']).pid) + '\\n'); print('began', flush=True); \
                signal.signal(signal.SIGTERM, lambda *_: put('{\"late\": 1}\\n')); time.sleep(1000)";
    let answer = proxy.run(order(does));
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.error(),
        "The action was stopped: it passed its time limit of 5000 ms."
    );
    assert_eq!(proxy.logs().stdout, "began\n");
    assert!(!is_alive(before) && !is_alive(told_pid(&proxy, "child")));
    // The next one finds a new process, and each gets its own answer.
    let after = process(&proxy, 2);
    assert_ne!(before, after);
    assert_eq!(process(&proxy, 3), after);
}

#[test]
fn a_run_past_its_deadline_is_ended_where_that_is_asked_for() {
    let proxy = builder().arg("--enforce-deadline").start();
    begin(&proxy, OBEYS);
    let before = process(&proxy, 1);
    hang(&proxy);
    assert_ne!(process(&proxy, 2), before);
}

#[test]
fn a_restart_that_fails_is_said_and_tried_again() {
    let proxy = builder()
        .env("OW_WAIT_FOR_ACK", "1")
        .arg("--enforce-deadline")
        .start();
    let code = OBEYS.replace(
        "for line",
        "if os.path.exists(os.environ['SCRATCH'] + '/broken'): sys.exit(9)\nput('{\"ok\":true}\\n')\nfor line",
    );
    begin(&proxy, &code);
    process(&proxy, 1);
    hang(&proxy);
    crate::tell(&proxy, "broken");
    for _ in 0..2 {
        let answer = proxy.run(json!({}));
        assert_eq!(answer.status, 500);
        assert!(
            answer.error().contains("start the action again"),
            "{}",
            answer.error()
        );
    }
    std::fs::remove_file(proxy.scratch().join("broken")).expect("our own file");
    process(&proxy, 2);
}

#[test]
fn an_executable_that_changed_is_not_started_again() {
    let proxy = builder().arg("--enforce-deadline").start();
    begin(&proxy, OBEYS);
    process(&proxy, 1);
    let executable = proxy.action_dir().join("1/bin/exec");
    std::fs::write(&executable, OBEYS.replace("mark", "tampered") + "\n#").expect("a file");
    // What runs is in memory.
    process(&proxy, 2);
    hang(&proxy);
    let answer = proxy.run(json!({}));
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("has changed"), "{}", answer.error());
}

#[test]
fn two_lines_for_one_run_end_the_process_before_the_next() {
    let mut proxy = builder().start();
    begin(&proxy, OBEYS);
    let before = process(&proxy, 1);
    proxy.logs();
    assert_answer(
        &proxy.run(order("put('{\"first\": 1}\\n{\"second\": 2}\\n')")),
        200,
        "{\"first\": 1}\n",
    );
    proxy.logs();
    let after = process(&proxy, 2);
    assert_ne!(before, after);
    said(&mut proxy, &["no answer to an activation", "started anew"]);
}

#[test]
fn an_answer_to_a_question_that_was_not_read_ends_the_process_before_the_next() {
    let mut proxy = builder().start();
    // It sees that it is asked, and answers blindly.
    begin(
        &proxy,
        "#!/usr/bin/env python3\nimport os, select, time\nselect.select([0], [], [])\n\
         os.write(3, b'{\"pid\": %d}\\n' % os.getpid())\ntime.sleep(1000)\n",
    );
    let first = result(&proxy, json!({}));
    proxy.logs();
    let second = result(&proxy, json!({}));
    assert_ne!(first, second);
    said(
        &mut proxy,
        &["without reading what it was asked", "started anew"],
    );
}

#[test]
fn one_that_closes_descriptor_3_is_ended() {
    let mut proxy = builder().arg("--kill-grace=100ms").start();
    begin(&proxy, OBEYS);
    let pid = process(&proxy, 1);
    proxy.logs();
    let does = "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.close(3); time.sleep(1000)";
    assert_answer(&proxy.run(order(does)), 400, EXITED);
    said(&mut proxy, &["closed descriptor 3"]);
    assert!(!is_alive(pid));
    assert_answer(&proxy.run(json!({})), 500, EXITED);
}

#[test]
fn one_that_never_reads_its_stdin_is_stopped_by_the_time_limit() {
    let proxy = builder().arg("--timeout=500ms").start();
    begin(&proxy, "#!/bin/bash\nsleep 1000\n");
    for size in [1, 5_000_000] {
        let answer = proxy.run(json!({"x": "x".repeat(size)}));
        assert_eq!(answer.status, 502);
        assert!(answer.error().contains("time limit"), "{}", answer.error());
    }
}

#[test]
fn one_that_closes_its_stdin_may_still_answer() {
    let proxy = builder().arg("--start-wait=0").start();
    // The one byte shows that the question is being asked: an answer before that would be to none.
    // The rest of it is more than a pipe holds, so that some of it is written to nobody.
    begin(
        &proxy,
        "#!/bin/bash\nread -r line; echo '{\"n\":1}' >&3\nread -r -n 1 byte; exec 0<&-; \
         echo \"{\\\"n\\\":2,\\\"read\\\":${#byte}}\" >&3; sleep 1000\n",
    );
    assert_eq!(result(&proxy, json!({})), json!({"n": 1}));
    assert_eq!(
        result(&proxy, json!({"x": "x".repeat(1_000_000)})),
        json!({"n": 2, "read": 1})
    );
}

#[test]
fn one_that_closes_its_stdin_and_thinks_is_waited_for_at_rest() {
    let proxy = builder().arg("--start-wait=0").start();
    begin(
        &proxy,
        "#!/bin/bash\nread -r -n 1 byte; exec 0<&-; echo > $SCRATCH/closed\n\
         until [ -e $SCRATCH/go ]; do sleep 0.01; done; echo '{\"n\":1}' >&3; sleep 1000\n",
    );
    thread::scope(|scope| {
        let asked = scope.spawn(|| result(&proxy, json!({"x": "x".repeat(1_000_000)})));
        crate::told(&proxy, "closed");
        // Waiting for what will not come, it would be found awake soon.
        let mut looks = 0;
        eventually("the proxy to sleep at a hundred looks in a row", || {
            looks = match is_at_rest(proxy.pid()) {
                true => looks + 1,
                false => 0,
            };
            (looks == 100).then_some(())
        });
        crate::tell(&proxy, "go");
        assert_eq!(asked.join().expect("an answer"), json!({"n": 1}));
    });
}

#[test]
fn a_result_over_the_limit_is_refused_and_the_process_goes_on() {
    let mut proxy = builder().arg("--max-result=1000").start();
    begin(&proxy, OBEYS);
    let before = process(&proxy, 1);
    proxy.logs();
    let answer = proxy.run(order("value['x'] = 'x' * 20_000_000"));
    assert_eq!(answer.status, 502);
    assert!(
        answer.error().contains("limit of 1000 bytes"),
        "{}",
        answer.error()
    );
    said(&mut proxy, &["limit of 1000 bytes"]);
    assert_eq!(process(&proxy, 2), before);
}

#[test]
fn a_line_that_is_no_json_is_refused_and_the_process_goes_on() {
    let mut proxy = builder().start();
    begin(&proxy, OBEYS);
    let before = process(&proxy, 1);
    proxy.logs();
    for wrong in ["An error occurred", "", "{\"a\":", "\\xff", "{} {}"] {
        let does = format!("os.write(3, b'{wrong}\\n')");
        let answer = proxy.run(json!({"do": does, "only": true}));
        assert_answer(&answer, 502, NO_RESULT);
        said(&mut proxy, &["the line on descriptor 3"]);
        assert_eq!(process(&proxy, 2), before);
        proxy.logs();
    }
}

#[test]
fn a_descendant_that_holds_the_pipes_does_not_keep_an_answer() {
    let mut proxy = builder().start();
    begin(&proxy, OBEYS);
    let does = "subprocess.Popen(['sh', '-c', 'while :; do echo busy; sleep 0.01; done'])";
    let answer = proxy.run(order(does));
    assert_eq!(answer.status, 200, "{}", answer.text());
    proxy.logs();
    // What it goes on to write belongs to what comes next.
    eventually("a line between the two", || {
        proxy.unread().stdout.contains("busy\n").then_some(())
    });
    process(&proxy, 1);
    assert!(proxy.logs().stdout.starts_with("busy\n"));
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn one_that_answers_twice_is_waited_for_like_one_that_greets_only_once() {
    let proxy = builder().start();
    begin(&proxy, OBEYS);
    for _ in 0..5 {
        let answer = proxy.run(order("put('{}\\n{}\\n')"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let logs = proxy.stderr();
    assert_eq!(logs.matches("started anew").count(), 4, "{logs}");
    assert_eq!(logs.matches("that is waited for").count(), 1, "{logs}");
    // One for each start that was waited in.
    assert_eq!(logs.matches("none is waited for").count(), 1, "{logs}");
}

#[test]
fn nothing_is_left_open_by_a_hundred_restarts() {
    let proxy = builder().start();
    begin(&proxy, OBEYS);
    process(&proxy, 1);
    let before = actionproxy_tests::census::descriptors(proxy.pid());
    for n in 0..100 {
        let answer = proxy.run(order("put('{}\\n{}\\n')"));
        assert_eq!(answer.status, 200, "{n}: {}", answer.text());
    }
    process(&proxy, 1);
    // Connections of clients that have gone take a moment.
    eventually("as many descriptors as before", || {
        (actionproxy_tests::census::descriptors(proxy.pid()) <= before).then_some(())
    });
    assert_eq!(actionproxy_tests::census::children(proxy.pid()).len(), 1);
}
