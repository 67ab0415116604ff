//! What strangers send.

use std::fs;

use actionproxy_tests::eventually;
use actionproxy_tests::mosquitto::{Broker, Invoker};

use crate::ECHO;

#[test]
fn names_that_are_none_are_refused_and_leave_nothing() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("#");
    let invoker = Invoker::start(&broker, &[]);
    let there = ["-D", "publish", "response-topic", "answers"];
    let long = "x".repeat(200);
    let names = ["..", ".", ".hidden", "", &long];
    for (n, name) in names.iter().enumerate() {
        for (m, what) in ["init", "run"].iter().enumerate() {
            let message = serde_json::json!({ "value": { "code": ECHO } }).to_string();
            broker.publish_with(&format!("device/action/{name}/{what}"), message, &there);
            let answer = seen.nth("answers", 2 * n + m);
            let error = answer.json()["error"]
                .as_str()
                .expect("an error")
                .to_owned();
            assert!(
                error.starts_with("expected the name of an action"),
                "{error}"
            );
            assert_eq!(answer.properties[0], "kind:caller");
        }
    }
    let left: Vec<_> = fs::read_dir(invoker.actions())
        .expect("a directory")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!invoker.file("exec").exists());
    invoker.stop();
}

#[test]
fn what_is_too_large_is_refused_and_let_go() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("answers");
    let told = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--max-body", "4K"]);
    broker.init(&told, "echo", ECHO);
    let there = ["-D", "publish", "response-topic", "answers"];
    broker.publish_with("device/action/echo/run", vec![b' '; 5 << 20], &there);
    let answer = seen.nth("answers", 0);
    assert_eq!(
        answer.json()["error"],
        "The message has 5242880 bytes: expected at most 4096, which --max-body allows."
    );
    assert_eq!(answer.properties[0], "kind:caller");
    broker.publish_with("device/action/echo/run", vec![b' '; 4096], &there);
    assert!(seen.nth("answers", 1).json()["id"].is_string());
    // An init too, retained as it is.
    broker.publish_with("device/action/echo/init", vec![b' '; 5000], &["-r"]);
    let refused = told.nth("device/action/echo/status", 1);
    assert!(refused.json()["error"].is_string());
    invoker.stop();
}

#[test]
fn an_answer_goes_nowhere_where_it_would_be_a_message_to_the_invoker() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    // An action whose result is an init of another.
    let code = "#!/bin/sh\necho '{\"value\":{\"code\":\"#!/bin/sh\"}}'";
    broker.init(&seen, "trojan", code);
    for topic in ["device/action/other/init", "device/status"] {
        let there = ["-D", "publish", "response-topic", topic];
        let before = seen.messages().len();
        broker.publish_with("device/action/trojan/run", r#"{"value": {}}"#, &there);
        seen.wait("a refusal", |m| {
            m.topic.ends_with("/result")
                && m.text().contains(topic)
                && m.properties[0] == "kind:caller"
        });
        let since = seen.messages().split_off(before);
        assert!(since.iter().all(|m| m.topic != topic), "{since:?}");
    }
    assert!(!invoker.actions().join("other").exists());
    invoker.stop();
}

#[test]
fn ids_that_cannot_stand_in_a_topic_are_refused() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("#");
    let invoker = Invoker::start(&broker, &[]);
    broker.init(&seen, "echo", ECHO);
    let there = ["-D", "publish", "response-topic", "answers"];
    for (n, id) in ["a/b", "#", "+", "", "x\\u0000"].iter().enumerate() {
        let message = format!(r#"{{"activation_id": "{id}"}}"#);
        broker.publish_with("device/action/echo/run", message, &there);
        let answer = seen.nth("answers", n);
        let error = answer.json()["error"]
            .as_str()
            .expect("an error")
            .to_owned();
        assert!(
            error.starts_with("expected an `activation_id`"),
            "{id}: {error}"
        );
    }
    invoker.stop();
}

#[test]
fn there_are_no_more_actions_than_allowed() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--max-actions", "1"]);
    broker.init(&seen, "one", ECHO);
    let message = serde_json::json!({ "value": { "code": ECHO } }).to_string();
    broker.publish("device/action/two/init", message);
    let refused = seen.nth("device/action/two/status", 0);
    assert_eq!(
        refused.json()["error"],
        "There are 1 actions already, as many as --max-actions allows."
    );
    invoker.stop();
}

#[test]
fn inits_that_would_fill_the_memory_are_refused_and_stop_no_run() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let dir = tempfile::tempdir().expect("a directory");
    let (gate, begun) = (dir.path().join("gate"), dir.path().join("begun"));
    fs::write(&gate, "").expect("written");
    let build = format!(
        "sh -c 'echo > {}; until [ -e {} ]; do sleep 0.01; done'",
        begun.display(),
        gate.display()
    );
    let invoker = Invoker::start(&broker, &["--max-body", "1M", "--build", &build]);
    broker.init(&seen, "cat", "#!/bin/sh\ncat");
    for file in [&gate, &begun] {
        fs::remove_file(file).expect("it is there");
    }
    for n in 0..5 {
        if n == 1 {
            eventually("the first to begin", || begun.exists().then_some(()));
        }
        let code = format!("{ECHO} # {n}{}", "x".repeat(900_000));
        let message = serde_json::json!({ "value": { "code": code } }).to_string();
        broker.publish("device/action/big/init", message);
    }
    // The first has begun, two wait.
    for n in 0..2 {
        let refused = seen.nth("device/action/big/status", n).json();
        let error = refused["error"].as_str().expect("an error");
        assert!(error.contains("bytes of inits would wait"), "{error}");
    }
    let value = serde_json::json!({ "big": "x".repeat(500_000) });
    let message = serde_json::json!({ "activation_id": "1", "value": value }).to_string();
    broker.publish("device/action/cat/run", message);
    assert_eq!(seen.answer("1").json(), value);
    fs::write(&gate, "").expect("written");
    for n in 2..5 {
        let told = seen.nth("device/action/big/status", n).json();
        assert_eq!(told["ok"], true, "{told}");
    }
    invoker.stop();
}
