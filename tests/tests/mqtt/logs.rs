//! Where the output of activations goes.

use actionproxy_tests::SENTINEL;
use actionproxy_tests::mosquitto::{Broker, Invoker, Message, Subscriber};

const NOISY: &str = "#!/bin/sh\necho one\necho two >&2\nprintf 'three\\nfour'\nprintf five >&2\necho\necho '{\"r\":1}'";

/// What was logged when the answer was there.
fn logged(seen: &Subscriber) -> Vec<Message> {
    seen.answer("1");
    let messages = seen.messages().into_iter();
    messages
        .filter(|m| m.topic == "device/activation/1/log")
        .collect()
}

fn run(how: &str) -> Option<Vec<Message>> {
    let broker = Broker::start()?;
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--logs", how]);
    broker.init(&seen, "noisy", NOISY);
    broker.publish("device/action/noisy/run", r#"{"activation_id": "1"}"#);
    let logged = logged(&seen);
    assert!(seen.messages().iter().all(|m| !m.text().contains(SENTINEL)));
    invoker.stop();
    Some(logged)
}

fn of<'m>(messages: &'m [Message], stream: &str) -> Vec<&'m str> {
    let stream = format!("stream:{stream}");
    let of = messages.iter().filter(|m| m.properties.contains(&stream));
    of.map(Message::text).collect()
}

#[test]
fn on_each_line_is_a_message_that_names_its_stream() {
    let Some(logged) = run("on") else { return };
    assert_eq!(of(&logged, "stdout"), ["one", "three", "four"]);
    assert_eq!(of(&logged, "stderr"), ["two", "five"]);
}

#[test]
fn batched_lines_come_together() {
    let Some(logged) = run("batched") else { return };
    assert_eq!(of(&logged, "stdout"), ["one\nthree\nfour\n"]);
    assert_eq!(of(&logged, "stderr"), ["two\nfive\n"]);
}

#[test]
fn off_there_are_none() {
    let Some(logged) = run("off") else { return };
    assert_eq!(logged, []);
}

#[test]
fn a_line_without_end_comes_in_pieces_and_much_in_its_order() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--logs", "batched"]);
    let code = "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x\necho\nseq 20000\necho '{}'";
    broker.init(&seen, "loud", code);
    broker.publish("device/action/loud/run", r#"{"activation_id": "1"}"#);
    let logged = logged(&seen);
    assert!(logged.len() > 5 && logged.iter().all(|m| m.payload.len() < 200_000));
    let text: String = logged.iter().map(Message::text).collect();
    let numbers: String = (1..=20000).map(|n| format!("{n}\n")).collect();
    assert!(text == format!("{}\n{numbers}", "x".repeat(200_000)));
    invoker.stop();
}
