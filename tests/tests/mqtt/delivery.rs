//! Nothing is lost and nothing run twice, whatever becomes of the broker.

use std::collections::BTreeMap;
use std::fs;

use actionproxy_tests::eventually;
use actionproxy_tests::mosquitto::{Broker, Invoker, Message};

use crate::{gated, lines};

#[test]
fn a_run_that_comes_again_is_answered_again_and_not_run_again() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    let runs = invoker.file("runs");
    let code = format!(
        "#!/bin/sh\necho $$ >> {}\necho \"{{\\\"pid\\\":$$}}\"",
        runs.display()
    );
    broker.init(&seen, "count", &code);
    let message = r#"{"activation_id": "1", "value": {"n": 1}}"#;
    // One that comes while the first still runs has its answer with that.
    for nth in 0..3 {
        broker.publish("device/action/count/run", message);
        let answer = seen.nth("device/activation/1/result", nth);
        assert_eq!(answer, seen.answer("1"));
    }
    assert_eq!(lines(&runs).len(), 1);
    // Another message is another run, whatever its id.
    broker.publish("device/action/count/run", r#"{"activation_id": "1"}"#);
    seen.nth("device/activation/1/result", 3);
    assert_eq!(lines(&runs).len(), 2);
    invoker.stop();
}

#[test]
fn no_more_answers_are_remembered_than_asked() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--remember", "2"]);
    let runs = invoker.file("runs");
    let code = format!(
        "#!/bin/sh\necho \"$__OW_ACTIVATION_ID\" >> {}\necho '{{}}'",
        runs.display()
    );
    broker.init(&seen, "note", &code);
    let mut answers = BTreeMap::new();
    // The third has the first forgotten; the second and the third are remembered, and so it goes on.
    for id in ["1", "2", "3", "2", "3", "1", "3"] {
        let message = format!(r#"{{"activation_id": "{id}"}}"#);
        broker.publish("device/action/note/run", message);
        let nth = answers.entry(id).or_insert(0);
        seen.nth(&format!("device/activation/{id}/result"), *nth);
        *nth += 1;
    }
    assert_eq!(lines(&runs), ["1", "2", "3", "1"]);
    invoker.stop();
}

#[test]
fn of_a_hundred_runs_each_is_run_once_and_answered_though_the_broker_is_killed() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/activation/+/result");
    let status = broker.subscribe("device/#");
    let invoker = Invoker::start(
        &broker,
        &["--max-queue", "200", "--reconnect-pause", "200ms"],
    );
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    broker.init(&status, "work", &gated(&runs, &gate));
    let messages: String = (0..100)
        .map(|n| format!("{{\"activation_id\": \"{n}\"}}\n"))
        .collect();
    broker.publish_lines("device/action/work/run", &messages);
    fs::write(&gate, "").expect("written");
    // In the middle, twice: with runs that wait, that run, and that are answered.
    for answered in [20, 60] {
        eventually("some answers", || {
            (seen.messages().len() > answered).then_some(())
        });
        let connections = invoker.said().matches(": connected to").count();
        broker.kill();
        eventually("the loss to be seen", || {
            let said = invoker.said();
            said.rsplit(": connected to")
                .next()
                .is_some_and(|last| last.lines().count() > 1)
                .then_some(())
        });
        broker.restart();
        eventually("a new connection", || {
            let now = invoker.said().matches(": connected to").count();
            (now > connections).then_some(())
        });
    }
    let ids: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    eventually("all answers", || {
        let messages = seen.messages();
        let answered = |id: &String| {
            messages
                .iter()
                .any(|m| m.topic == format!("device/activation/{id}/result"))
        };
        ids.iter().all(answered).then_some(())
    });
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for id in lines(&runs) {
        *ran.entry(id).or_default() += 1;
    }
    assert_eq!(ran.len(), 100);
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    // With QoS 1 an answer may come more often than once, if the broker died before it could say that
    // it has it; it is always the same.
    let results: Vec<_> = seen
        .messages()
        .into_iter()
        .filter(|m| m.topic.ends_with("/result"))
        .collect();
    assert!(results.iter().all(|m| m.text() == r#"{"done":true}"#));
    invoker.stop();
}

#[test]
fn what_is_answered_while_the_broker_is_away_is_sent_when_it_is_back() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--reconnect-pause", "200ms"]);
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    let after = invoker.file("after");
    let code = format!("{}\ntouch {}", gated(&runs, &gate), after.display());
    broker.init(
        &seen,
        "work",
        &code.replace(
            "\necho '{\"done\":true}'",
            "\necho late\necho '{\"done\":true}'",
        ),
    );
    broker.publish("device/action/work/run", r#"{"activation_id": "1"}"#);
    eventually("the run", || (!lines(&runs).is_empty()).then_some(()));
    broker.kill();
    invoker.wait_said(": connected to");
    eventually("the loss to be seen", || {
        (invoker.said().lines().count() > 2).then_some(())
    });
    fs::write(&gate, "").expect("written");
    eventually("the end of the run", || after.exists().then_some(()));
    broker.restart();
    assert_eq!(seen.answer("1").text(), r#"{"done":true}"#);
    assert_eq!(lines(&runs), ["1"]);
    invoker.stop();
}

#[test]
fn a_run_is_acknowledged_with_its_answer_and_comes_again_to_the_next_process() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    broker.init(&seen, "work", &gated(&runs, &gate));
    broker.publish("device/action/work/run", r#"{"activation_id": "1"}"#);
    eventually("the run", || (!lines(&runs).is_empty()).then_some(()));
    invoker.signal(rustix::process::Signal::KILL);
    let (_, dir) = invoker.wait();
    // The broker tells who subscribed.
    let told = seen.wait("the will", |m| m.text() == r#"{"status":"offline"}"#);
    assert_eq!(told.topic, "device/status");
    let (runs, gate) = (dir.path().join("runs"), dir.path().join("gate"));
    fs::write(gate, "").expect("written");
    let invoker = Invoker::again(&broker, dir, &[]);
    assert_eq!(seen.answer("1").text(), r#"{"done":true}"#);
    assert_eq!(lines(&runs), ["1", "1"]);
    // Now it is acknowledged: a third process gets nothing.
    let invoker = Invoker::again(&broker, invoker.stop(), &[]);
    broker.publish("device/action/work/run", r#"{"activation_id": "2"}"#);
    seen.answer("2");
    assert_eq!(lines(&invoker.file("runs")), ["1", "1", "2"]);
    invoker.stop();
}

#[test]
fn a_full_queue_refuses_and_what_it_holds_is_run() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--max-queue", "2"]);
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    broker.init(&seen, "work", &gated(&runs, &gate));
    broker.publish("device/action/work/run", r#"{"activation_id": "0"}"#);
    eventually("the first", || (!lines(&runs).is_empty()).then_some(()));
    for id in 1..=3 {
        broker.publish(
            "device/action/work/run",
            format!(r#"{{"activation_id": "{id}"}}"#),
        );
    }
    let refused = seen.answer("3");
    assert_eq!(
        refused.json()["error"],
        "The queue is full: 2 runs wait, as many as --max-queue allows."
    );
    assert_eq!(refused.properties[0], "kind:host");
    fs::write(&gate, "").expect("written");
    seen.answer("2");
    assert_eq!(lines(&runs), ["0", "1", "2"]);
    // One that was refused may be sent again.
    broker.publish("device/action/work/run", r#"{"activation_id": "3"}"#);
    let is_run =
        |m: &Message| m.topic == "device/activation/3/result" && m.text() == r#"{"done":true}"#;
    seen.wait("the run that was refused", is_run);
    invoker.stop();
}
