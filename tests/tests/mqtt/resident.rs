//! ActionLoop: one process for all runs of an action.

use std::fs;

use actionproxy_tests::eventually;
use actionproxy_tests::mosquitto::{Broker, Invoker, Subscriber};
use actionproxy_tests::proxy::write_executable;
use serde_json::{Value, json};

use crate::lines;

/// Answers with the id of its process, how often it was asked, and the message.
const COUNT: &str = "#!/bin/sh\nn=0\nwhile read -r line; do n=$((n+1))\n\
    echo \"{\\\"pid\\\":$$,\\\"n\\\":$n,\\\"a\\\":\\\"$A\\\",\\\"asked\\\":$line}\" >&3; done\n";

fn init(broker: &Broker, name: &str, code: &str) {
    let message = json!({ "value": { "code": code, "env": { "A": "1" } } }).to_string();
    broker.publish_with(&format!("device/action/{name}/init"), message, &["-r"]);
}

fn initialised(broker: &Broker, seen: &Subscriber, name: &str, code: &str) {
    let status = format!("device/action/{name}/status");
    let before = seen.count(&status);
    init(broker, name, code);
    let told = seen.nth(&status, before);
    assert_eq!(told.json()["ok"], true, "{told:?}");
}

fn run(broker: &Broker, seen: &Subscriber, name: &str, id: &str) -> Value {
    let message = json!({ "activation_id": id, "value": {} }).to_string();
    broker.publish(&format!("device/action/{name}/run"), message);
    seen.answer(id).json()
}

fn has_ended(process: &Value) {
    eventually("the process to end", || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"));
        stat.is_err().then_some(())
    });
}

#[test]
fn one_process_has_all_runs_until_another_takes_its_place() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("#");
    let invoker = Invoker::start(&broker, &["--action-loop"]);
    initialised(&broker, &seen, "count", COUNT);
    let first = run(&broker, &seen, "count", "1");
    let asked = json!({ "activation_id": "1", "value": {} });
    assert_eq!((&first["n"], &first["asked"]), (&json!(1), &asked));
    assert_eq!(first["a"], "1");
    // The answer is a line; its end is no part of it.
    assert!(seen.answer("1").text().ends_with("}}"));
    let second = run(&broker, &seen, "count", "2");
    assert_eq!((&second["pid"], &second["n"]), (&first["pid"], &json!(2)));
    // Who gives no id is told the one that was made here.
    let there = ["-D", "publish", "response-topic", "answers/me"];
    broker.publish_with("device/action/count/run", r#"{"value": {}}"#, &there);
    let answer = seen.nth("answers/me", 0);
    let id = answer.json()["asked"]["activation_id"].clone();
    let id = id.as_str().expect("an id");
    assert_eq!(answer.properties, [format!("activation_id:{id}")]);

    let again = COUNT.replace("n=0", "n=10");
    initialised(&broker, &seen, "count", &again);
    has_ended(&first["pid"]);
    let other = run(&broker, &seen, "count", "4");
    assert_eq!(other["n"], 11);
    broker.publish_with("device/action/count/init", "", &["-r"]);
    invoker.wait_said("action count: removed");
    has_ended(&other["pid"]);
    assert!(!invoker.actions().join("count").exists());
    invoker.stop();
}

#[test]
fn a_process_that_ended_by_itself_is_started_anew() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--action-loop"]);
    let code = COUNT.replace("do ", "do case $line in *fall*) exit 3;; esac; ");
    initialised(&broker, &seen, "count", &code);
    let first = run(&broker, &seen, "count", "1");
    let told = run(&broker, &seen, "count", "fall");
    assert_eq!(told["error"], "command exited");
    assert_eq!(seen.answer("fall").properties[0], "kind:action");
    let second = run(&broker, &seen, "count", "2");
    assert_eq!(second["n"], 1);
    assert_ne!(first["pid"], second["pid"]);
    invoker.stop();
}

#[test]
fn what_a_process_writes_between_runs_is_the_actions_log_and_term_ends_it() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--action-loop"]);
    let (gate, ended) = (invoker.file("gate"), invoker.file("ended"));
    let code = COUNT.replace(
        "n=0\n",
        &format!(
            "trap 'echo TERM >> {}; exit 0' TERM\n(while [ ! -e {} ]; do sleep 0.01; done; echo later) &\nn=0\n",
            ended.display(),
            gate.display()
        ),
    );
    initialised(&broker, &seen, "count", &code);
    run(&broker, &seen, "count", "1");
    fs::write(&gate, "").expect("written");
    assert_eq!(seen.nth("device/action/count/log", 0).text(), "later");
    let dir = invoker.stop();
    assert_eq!(lines(&dir.path().join("ended")), ["TERM"]);
}

#[test]
fn after_a_restart_an_init_is_done_again_and_runs_wait_for_it() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--action-loop"]);
    initialised(&broker, &seen, "count", COUNT);
    run(&broker, &seen, "count", "1");
    let dir = invoker.stop();
    broker.publish("device/action/count/run", r#"{"activation_id": "2"}"#);
    let flags = ["--action-loop", "--init-wait", "1h"];
    let invoker = Invoker::again(&broker, dir, &flags);
    let answer = seen.answer("2").json();
    assert_eq!((&answer["n"], &answer["a"]), (&json!(1), &json!("1")));
    // Of the former process nothing is left.
    let dirs = fs::read_dir(invoker.actions().join("count")).expect("a directory");
    assert_eq!(dirs.count(), 1);
    // And in the other way the same message is another action.
    let invoker = Invoker::again(&broker, invoker.stop(), &["--init-wait", "1h"]);
    invoker.wait_said("action count: initialised");
    assert!(invoker.actions().join("count/exec").is_file());
    invoker.stop();
}

#[test]
fn the_variables_of_the_images_have_their_meaning() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let dir = tempfile::tempdir().expect("a directory");
    let compiler = dir.path().join("compile");
    let script = "#!/bin/sh\nif grep -q mistake \"$2/exec\"; then echo \"line 3: $1\"; exit 0; fi\n\
        (echo '#!/bin/sh'; echo 'echo \"{\\\"ok\\\":true}\" >&3'; cat \"$2/exec\") > \"$3/exec\"; chmod 755 \"$3/exec\"\n";
    write_executable(&compiler, script.as_bytes());
    let variables = [
        ("ACTIONPROXY_ACTION_LOOP", "1"),
        ("OW_COMPILER", compiler.to_str().expect("text")),
        ("OW_WAIT_FOR_ACK", "1"),
    ];
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let place = tempfile::tempdir().expect("a directory");
    let invoker = Invoker::begin_with(&url, place, &[], &variables);
    let source = COUNT.trim_start_matches("#!/bin/sh\n");
    initialised(&broker, &seen, "count", source);
    assert_eq!(run(&broker, &seen, "count", "1")["n"], 1);
    init(&broker, "wrong", "mistake");
    let told = seen.nth("device/action/wrong/status", 0);
    assert_eq!(told.json()["error"], "line 3: main\n");
    assert_eq!(told.properties, ["kind:action"]);
    invoker.stop();
}
