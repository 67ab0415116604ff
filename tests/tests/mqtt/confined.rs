//! What an action is kept from, by default and by flags, as by the proxy.

use actionproxy_tests::mosquitto::{Broker, Invoker};
use actionproxy_tests::tools;
use serde_json::json;

#[test]
fn an_action_has_no_descriptors_but_its_own() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &[]);
    // By a program that opens nothing before it looks: what it looks with is one more.
    let code = "#!/usr/bin/env python3\nimport json, os\nprint(json.dumps({'open': os.listdir('/proc/self/fd')}))";
    broker.init(&seen, "open", code);
    broker.publish("device/action/open/run", r#"{"activation_id": "1"}"#);
    let mut open = seen.answer("1").json()["open"].clone();
    let open = open.as_array_mut().expect("a list");
    open.sort_by_key(ToString::to_string);
    assert_eq!(*open, ["0", "1", "2", "3"]);
    invoker.stop();
}

#[test]
fn a_limit_that_is_hit_is_named_in_the_log() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let flags = ["--limit-cpu-time", "1s", "--no-core-dumps"];
    let invoker = Invoker::start(&broker, &flags);
    broker.init(&seen, "busy", "#!/bin/sh\nulimit -c\nwhile :; do :; done");
    let message = json!({ "activation_id": "1" }).to_string();
    broker.publish("device/action/busy/run", message);
    assert_eq!(seen.answer("1").properties[0], "kind:action");
    let said = |line| seen.nth("device/activation/1/log", line).text().to_owned();
    assert_eq!(said(0), "0");
    assert!(
        said(1).contains("it used up its processor time of 1 s"),
        "{}",
        said(1)
    );
    invoker.stop();
}
