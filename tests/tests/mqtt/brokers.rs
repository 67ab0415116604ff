//! Brokers of every kind: older, slow to come, and none at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use actionproxy_tests::binary;
use actionproxy_tests::mosquitto::{Broker, Invoker};
use actionproxy_tests::wait::LIMIT;

use crate::ECHO;

#[test]
fn with_3_1_1_everything_works_but_the_properties() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--mqtt", "3.1.1"]);
    assert!(
        invoker.said().contains("by MQTT 3.1.1"),
        "{}",
        invoker.said()
    );
    broker.init(&seen, "echo", ECHO);
    broker.publish(
        "device/action/echo/run",
        r#"{"activation_id": "1", "value": {"n": 1}}"#,
    );
    let answer = seen.answer("1");
    assert_eq!(
        (answer.text(), answer.properties.len()),
        (r#"{"got":  {"n": 1},"id":"1"}"#, 0)
    );
    broker.publish(
        "device/action/echo/run",
        r#"{"activation_id": "2", "value": 2}"#,
    );
    assert!(seen.answer("2").json()["error"].is_string());
    let dir = invoker.stop();
    broker.publish("device/action/echo/run", r#"{"activation_id": "3"}"#);
    let invoker = Invoker::again(&broker, dir, &["--mqtt", "3.1.1"]);
    assert_eq!(seen.answer("3").json()["id"], "3");
    invoker.stop();
}

/// One packet, and the version that a CONNECT asks for.
fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a packet");
    let mut length = usize::from(head[1] & 0x7f);
    if head[1] & 0x80 != 0 {
        let mut more = [0];
        stream.read_exact(&mut more).expect("a length");
        length |= usize::from(more[0]) << 7;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a packet");
    (head[0], body)
}

/// Takes the subscriptions of a connection that has been accepted.
fn subscribed(stream: &mut TcpStream) {
    let (first, body) = packet(stream);
    assert_eq!(first, 0x82);
    let topics = String::from_utf8_lossy(&body).into_owned();
    assert!(
        topics.contains("device/action/+/init") && topics.contains("device/action/+/run"),
        "{topics}"
    );
    stream
        .write_all(&[0x90, 4, body[0], body[1], 1, 1])
        .expect("sent");
}

#[test]
fn what_a_broker_did_not_acknowledge_is_sent_again_before_everything_else() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let dir = tempfile::tempdir().expect("a directory");
    let invoker = Invoker::begin(&url, dir, &["--mqtt", "3.1.1"]);
    let connect = || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        packet(&mut stream);
        stream.write_all(b"\x20\x02\x01\x00").expect("sent");
        subscribed(&mut stream);
        stream
    };
    let mut stream = connect();
    let (_, status) = packet(&mut stream);
    drop(stream);
    let mut stream = connect();
    let (first, again) = packet(&mut stream);
    assert_eq!((first, &again[..15]), (0x33, &status[..15]));
    let (_, status) = packet(&mut stream);
    assert!(String::from_utf8_lossy(&status).contains("\"ok\""));
    drop(invoker);
}

#[test]
fn a_broker_that_speaks_3_1_1_alone_is_spoken_to_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let invoker = Invoker::begin(&url, tempfile::tempdir().expect("a directory"), &[]);
    let (mut stream, _) = listener.accept().expect("a connection");
    let (first, body) = packet(&mut stream);
    // "MQTT", level 5. It is refused as 3.1.1 has it, section 3.2.2.3.
    assert_eq!((first, body[6]), (0x10, 5));
    stream.write_all(b"\x20\x02\x00\x01").expect("sent");
    let (mut stream, _) = listener.accept().expect("another connection");
    let (_, body) = packet(&mut stream);
    assert_eq!(body[6], 4);
    stream.write_all(b"\x20\x02\x00\x00").expect("sent");
    subscribed(&mut stream);
    let (first, body) = packet(&mut stream);
    // Retained, with QoS 1.
    assert_eq!(first, 0x33);
    assert!(
        String::from_utf8_lossy(&body).starts_with("\0\rdevice/status"),
        "{body:?}"
    );
    invoker.wait_said("by MQTT 3.1.1");
}

#[test]
fn what_is_no_broker_is_named_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let arguments = ["--reconnect-pause", "10ms"];
    let invoker = Invoker::begin(&url, tempfile::tempdir().expect("a directory"), &arguments);
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\x30\xff\xff\xff\xff\xff",
        b"\x40\x02\x00\x01",
        b"\x20\x03\x00\x87\x00",
        b"",
    ] {
        let (mut stream, _) = listener.accept().expect("a connection");
        packet(&mut stream);
        stream.write_all(answer).expect("sent");
    }
    listener.accept().expect("one more try");
    for said in [
        "the broker sends what is no MQTT",
        "the broker sends what it was not asked for",
        "the broker refuses: NotAuthorized",
        "the broker closed the connection before it answered",
    ] {
        invoker.wait_said(said);
    }
    invoker.stop();
}

#[test]
fn it_waits_for_a_broker_that_comes_later() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    broker.kill();
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let arguments = ["--reconnect-pause", "100ms"];
    let invoker = Invoker::begin(&url, tempfile::tempdir().expect("a directory"), &arguments);
    invoker.wait_said("failed to connect");
    broker.restart();
    invoker.wait_said(": connected to");
    invoker.stop();
}

#[test]
fn what_cannot_be_done_is_one_line_and_status_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = Invoker::begin(
        "mqtt://127.0.0.1:1",
        tempfile::tempdir().expect("a directory"),
        &[],
    );
    taken.wait_said("failed to connect");
    let actions = taken.actions();
    let actions = actions.to_str().expect("text");
    std::fs::write(dir.path().join("file"), "").expect("written");
    let file = dir.path().join("file/actions");
    for (arguments, said) in [
        (&[][..], "expected --broker mqtt://HOST:PORT"),
        (
            &[
                "--broker",
                "mqtt://127.0.0.1:1",
                "--prefix",
                "p",
                "--action-dir",
                actions,
            ],
            "another invoker uses it",
        ),
        (
            &[
                "--broker",
                "mqtt://b",
                "--prefix",
                "p",
                "--action-dir",
                file.to_str().expect("text"),
            ],
            "Not a directory",
        ),
        (&["--broker", "b"], "--broker: expected mqtt://HOST"),
    ] {
        let output = Command::new(binary::mqtt())
            .args(arguments)
            .env_clear()
            .output()
            .expect("it runs");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(
            (output.status.code(), text.lines().count()),
            (Some(2), 1),
            "{text}"
        );
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn an_answer_that_is_too_large_for_the_broker_is_replaced_by_one_that_says_so() {
    let lines = "allow_anonymous true\nmax_packet_size 50000\n";
    let Some(broker) = Broker::with(lines, &[]) else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let large = "#!/bin/sh\nprintf '{\"x\":\"%0100000d\"}\\n' 1";
    // MQTT 5 says what it takes; 3.1.1 closes the connection, again and again.
    let invoker = Invoker::start(&broker, &[]);
    broker.init(&seen, "large", large);
    broker.publish("device/action/large/run", r#"{"activation_id": "5"}"#);
    let answer = seen.answer("5");
    assert_eq!(
        answer.json()["error"],
        "The answer cannot be sent: it has 100008 bytes, and the broker takes packets of at most 50000."
    );
    assert_eq!(answer.properties, ["activation_id:5", "kind:host"]);
    let arguments = ["--mqtt", "3.1.1", "--reconnect-pause", "10ms"];
    let invoker = Invoker::again(&broker, invoker.stop(), &arguments);
    broker.publish("device/action/large/run", r#"{"activation_id": "3"}"#);
    let error = seen.answer("3").json()["error"]
        .as_str()
        .expect("an error")
        .to_owned();
    assert!(
        error.contains("100008 bytes, and the connection was lost with it 5 times"),
        "{error}"
    );
    invoker.stop();
}
