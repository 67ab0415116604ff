//! The end of the invoker.

use std::fs;

use actionproxy_tests::eventually;
use actionproxy_tests::mosquitto::{Broker, Invoker};
use rustix::process::Signal;

use crate::{gated, lines};

#[test]
fn on_term_what_runs_is_answered_and_what_waits_is_left_to_the_next_process() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--grace", "1h"]);
    let (runs, gate) = (invoker.file("runs"), invoker.file("gate"));
    broker.init(&seen, "work", &gated(&runs, &gate));
    for id in 0..3 {
        broker.publish(
            "device/action/work/run",
            format!(r#"{{"activation_id": "{id}"}}"#),
        );
    }
    eventually("the first run", || (!lines(&runs).is_empty()).then_some(()));
    invoker.signal(Signal::TERM);
    seen.wait("the end to be told", |m| {
        m.topic == "device/status" && m.json()["status"] == "stopping"
    });
    fs::write(&gate, "").expect("written");
    let (status, dir) = invoker.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(lines(&dir.path().join("runs")), ["0"]);
    seen.answer("0");
    seen.wait("the last word", |m| m.text() == r#"{"status":"offline"}"#);
    let invoker = Invoker::again(&broker, dir, &[]);
    seen.answer("2");
    assert_eq!(lines(&invoker.file("runs")), ["0", "1", "2"]);
    invoker.stop();
}

#[test]
fn when_the_grace_is_over_what_runs_is_ended_and_answered() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--grace", "0"]);
    let (runs, gate) = (invoker.file("runs"), invoker.file("never"));
    broker.init(&seen, "work", &gated(&runs, &gate));
    broker.publish("device/action/work/run", r#"{"activation_id": "1"}"#);
    eventually("the run", || (!lines(&runs).is_empty()).then_some(()));
    invoker.stop();
    let answer = seen.answer("1");
    assert!(answer.json()["error"].is_string());
}

#[test]
fn it_ends_too_while_there_is_no_broker() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let invoker = Invoker::start(&broker, &[]);
    broker.kill();
    invoker.stop();
}
