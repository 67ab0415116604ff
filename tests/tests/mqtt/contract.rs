//! Topics, messages and answers.

use std::process::Command;

use actionproxy_tests::eventually;
use actionproxy_tests::mosquitto::{Broker, Invoker};

use crate::ECHO;

#[test]
fn actions_have_their_own_directories_and_answers_are_what_they_gave() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    broker.init(&seen, "echo", ECHO);
    broker.init(
        &seen,
        "where",
        "#!/bin/sh\nprintf '{\"pwd\":\"%s\"}\\n' \"$PWD\"",
    );
    broker.publish(
        "device/action/echo/run",
        r#"{"activation_id": "a-1", "value": {"z": 1, "a": 1.50}}"#,
    );
    let answer = seen.answer("a-1");
    // Key order, numbers and white space.
    assert_eq!(answer.text(), r#"{"got":  {"z": 1, "a": 1.50},"id":"a-1"}"#);
    assert_eq!(answer.properties, ["activation_id:a-1"]);
    broker.publish(
        "device/action/where/run",
        r#"{"activation": {"activation_id": "a-2"}}"#,
    );
    let place = invoker.actions().join("where");
    assert_eq!(
        seen.answer("a-2").json()["pwd"],
        place.to_str().expect("text")
    );
    assert!(invoker.actions().join("echo/exec").is_file());
    let status = seen.wait("both actions", |m| {
        m.topic == "device/status" && m.json()["actions"] == serde_json::json!(["echo", "where"])
    });
    assert_eq!(status.json()["status"], "ok");
    invoker.stop();
}

#[test]
fn who_names_a_topic_is_answered_there_with_its_correlation_data() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("#");
    let invoker = Invoker::start(&broker, &[]);
    let message = serde_json::json!({ "value": { "code": ECHO } }).to_string();
    let there = [
        "-D",
        "publish",
        "response-topic",
        "answers/me",
        "-D",
        "publish",
        "correlation-data",
    ];
    broker.publish_with(
        "device/action/echo/init",
        message,
        &[&there[..], &["init"]].concat(),
    );
    let answer = seen.nth("answers/me", 0);
    assert_eq!(
        (answer.json()["ok"].as_bool(), answer.correlation.as_str()),
        (Some(true), "init")
    );
    broker.publish_with(
        "device/action/echo/run",
        "{}",
        &[&there[..], &["c 1"]].concat(),
    );
    let answer = seen.nth("answers/me", 1);
    assert_eq!(answer.correlation, "c 1");
    // Without an id it is given one, which the action knows too.
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(answer.properties, [format!("activation_id:{id}")]);
    // As a client that asks and waits does it.
    let asked = Command::new("mosquitto_rr")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &broker.port().to_string(),
            "-V",
            "mqttv5",
            "-q",
            "1",
        ])
        .args([
            "-t",
            "device/action/echo/run",
            "-e",
            "answers/rr",
            "-W",
            "60",
        ])
        .args(["-m", r#"{"value": [1]}"#])
        .output()
        .expect("mosquitto_rr");
    let text = String::from_utf8(asked.stdout).expect("text");
    assert!(text.starts_with(r#"{"got":  [1],"id":"#), "{text}");
    invoker.stop();
}

#[test]
fn a_failure_is_an_object_with_error_and_says_whose_fault_it_is() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--init-wait", "0"]);
    broker.init(&seen, "echo", ECHO);
    broker.init(&seen, "silent", "#!/bin/sh\n");
    broker.init(&seen, "slow", "#!/bin/sh\nexec sleep 600");
    for (action, id, rest, kind, text) in [
        (
            "echo",
            "1",
            r#""value": 7"#,
            "caller",
            "The action did not receive a dictionary or array as an argument.",
        ),
        (
            "silent",
            "2",
            r#""value": {}"#,
            "action",
            "The action did not return a dictionary or array.",
        ),
        (
            "nothing",
            "4",
            r#""value": {}"#,
            "caller",
            "There is no action \"nothing\": expected its init before.",
        ),
    ] {
        let message = format!(r#"{{"activation_id": "{id}", {rest}}}"#);
        broker.publish(&format!("device/action/{action}/run"), message);
        let answer = seen.answer(id);
        assert_eq!(answer.json()["error"], text);
        assert_eq!(
            answer.properties,
            [format!("kind:{kind}"), format!("activation_id:{id}")]
        );
    }
    // No JSON has no id.
    broker.publish_with(
        "device/action/echo/run",
        "{",
        &["-D", "publish", "response-topic", "device/answers"],
    );
    let answer = seen.nth("device/answers", 0);
    assert!(
        answer.json()["error"]
            .as_str()
            .is_some_and(|e| e.starts_with("The body is not valid JSON"))
    );
    assert_eq!(answer.properties[0], "kind:caller");
    // However slow the machine is: nothing else has to be done within this time.
    let invoker = Invoker::again(&broker, invoker.stop(), &["--timeout", "100ms"]);
    broker.publish("device/action/slow/run", r#"{"activation_id": "3"}"#);
    let answer = seen.answer("3");
    assert_eq!(
        answer.json()["error"],
        "The action was stopped: it passed its time limit of 100 ms."
    );
    assert_eq!(answer.properties, ["kind:action", "activation_id:3"]);
    invoker.stop();
}

#[test]
fn an_init_that_fails_says_why_and_leaves_what_was_there() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    broker.init(&seen, "echo", ECHO);
    let zip = r#"{"value": {"binary": true, "code": "UEsDBAo="}}"#;
    broker.publish_with("device/action/echo/init", zip, &["-r"]);
    let told = seen.nth("device/action/echo/status", 1);
    assert_eq!(
        told.json()["error"],
        "The action failed to generate or locate a binary. See logs for details."
    );
    assert_eq!(told.properties, ["kind:action"]);
    let log = seen.nth("device/action/echo/log", 0);
    assert!(log.text().starts_with("actionproxy: "), "{}", log.text());
    assert!(
        invoker.said().contains("action echo: "),
        "{}",
        invoker.said()
    );
    broker.publish("device/action/echo/run", r#"{"activation_id": "1"}"#);
    assert_eq!(seen.answer("1").json()["id"], "1");
    // One that never was has no directory.
    broker.publish_with("device/action/other/init", zip, &["-r"]);
    seen.nth("device/action/other/status", 0);
    broker.publish("device/action/other/run", r#"{"activation_id": "2"}"#);
    assert_eq!(seen.answer("2").properties[0], "kind:caller");
    assert!(!invoker.actions().join("other").exists());
    invoker.stop();
}

#[test]
fn a_retained_empty_init_removes_an_action() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--init-wait", "0"]);
    broker.init(&seen, "echo", ECHO);
    broker.publish_with("device/action/echo/init", "", &["-r"]);
    invoker.wait_said("action echo: removed");
    assert!(!invoker.actions().join("echo").exists());
    broker.publish("device/action/echo/run", r#"{"activation_id": "1"}"#);
    assert_eq!(seen.answer("1").properties[0], "kind:caller");
    let gone = seen.nth("device/action/echo/status", 1);
    assert_eq!(gone.payload, b"");
    // And it can come back.
    broker.init(&seen, "echo", ECHO);
    broker.publish("device/action/echo/run", r#"{"activation_id": "2"}"#);
    assert_eq!(seen.answer("2").json()["id"], "2");
    invoker.stop();
}

#[test]
fn a_device_that_was_off_gets_its_actions_and_its_runs() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    // The first time it makes its session, in which the broker keeps what comes.
    let dir = Invoker::start(&broker, &[]).stop();
    broker.publish("device/action/echo/run", r#"{"activation_id": "1"}"#);
    let message = serde_json::json!({ "value": { "code": ECHO, "env": { "A": "b" } } }).to_string();
    broker.publish_with("device/action/echo/init", message, &["-r"]);
    broker.publish("device/action/echo/run", r#"{"activation_id": "2"}"#);
    // The first run is there before the action: it waits for it.
    let invoker = Invoker::again(&broker, dir, &["--init-wait", "1h"]);
    assert_eq!(seen.answer("1").json()["id"], "1");
    assert_eq!(seen.answer("2").json()["id"], "2");
    invoker.stop();
}

#[test]
fn after_a_restart_an_action_runs_with_its_variables_and_is_not_initialised_again() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    let code = "#!/bin/sh\necho \"{\\\"a\\\":\\\"$A\\\",\\\"b\\\":\\\"$B\\\"}\"";
    let init = |env: serde_json::Value| {
        let message = serde_json::json!({ "value": { "code": code, "env": env } }).to_string();
        broker.publish_with("device/action/env/init", message, &["-r"]);
    };
    init(serde_json::json!({ "A": "1" }));
    init(serde_json::json!({ "B": "2" }));
    seen.nth("device/action/env/status", 1);
    let run = |id: &str| {
        broker.publish(
            "device/action/env/run",
            format!(r#"{{"activation_id": "{id}"}}"#),
        );
        seen.answer(id).text().to_owned()
    };
    // Nothing of the first init is left to the second.
    assert_eq!(run("1"), r#"{"a":"","b":"2"}"#);
    let invoker = Invoker::again(&broker, invoker.stop(), &[]);
    assert_eq!(run("2"), r#"{"a":"","b":"2"}"#);
    assert!(
        !invoker.said().contains("initialised"),
        "{}",
        invoker.said()
    );
    // An executable that somebody changed does not run.
    std::fs::write(invoker.actions().join("env/exec"), "#!/bin/sh\necho '{}'").expect("written");
    broker.publish("device/action/env/run", r#"{"activation_id": "3"}"#);
    assert_eq!(seen.answer("3").properties[0], "kind:action");
    invoker.stop();
}

#[test]
fn several_actions_run_at_once_and_one_of_them_at_a_time() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    // Each waits for the other; alone neither would end.
    for (me, other) in [("a", "b"), ("b", "a")] {
        let (mine, its) = (invoker.file(me), invoker.file(other));
        let code = format!(
            "#!/bin/sh\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.01; done\necho '{{}}'",
            mine.display(),
            its.display()
        );
        broker.init(&seen, me, &code);
    }
    broker.publish("device/action/a/run", r#"{"activation_id": "a"}"#);
    broker.publish("device/action/b/run", r#"{"activation_id": "b"}"#);
    assert_eq!(seen.answer("a").text(), "{}");
    assert_eq!(seen.answer("b").text(), "{}");
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    broker.init(&seen, "gated", &crate::gated(&runs, &gate));
    for id in ["1", "2"] {
        broker.publish(
            "device/action/gated/run",
            format!(r#"{{"activation_id": "{id}"}}"#),
        );
    }
    // What came last is dealt with before the gate opens, so the second run has come, and waits.
    broker.publish("device/action/a/run", r#"{"activation_id": "c"}"#);
    seen.answer("c");
    eventually("the first run", || {
        (!crate::lines(&runs).is_empty()).then_some(())
    });
    assert_eq!(crate::lines(&runs), ["1"]);
    std::fs::write(gate, "").expect("written");
    seen.answer("2");
    assert_eq!(crate::lines(&runs), ["1", "2"]);
    invoker.stop();
}

#[test]
fn runs_of_one_action_overlap_where_that_is_allowed_and_secrets_are_not_given_to_them() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let variables = [
        ("__OW_ALLOW_CONCURRENT", "true"),
        ("ACTIONPROXY_KEEP_ALIVE", "30s"),
        ("OTHER", "1"),
    ];
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let dir = tempfile::tempdir().expect("a directory");
    let invoker = Invoker::begin_with(&url, dir, &[], &variables);
    // Each waits for the other.
    let place = invoker.file("");
    let code = format!(
        "#!/bin/sh\ncd {}\ntouch $__OW_ACTIVATION_ID\nwhile [ ! -e a ] || [ ! -e b ]; do sleep 0.01; done\n\
         echo \"{{\\\"other\\\":\\\"$OTHER\\\",\\\"own\\\":\\\"$ACTIONPROXY_KEEP_ALIVE\\\"}}\"",
        place.display()
    );
    broker.init(&seen, "pair", &code);
    for id in ["a", "b"] {
        broker.publish(
            "device/action/pair/run",
            format!(r#"{{"activation_id": "{id}"}}"#),
        );
    }
    for id in ["a", "b"] {
        assert_eq!(seen.answer(id).text(), r#"{"other":"1","own":""}"#);
    }
    invoker.stop();
}
