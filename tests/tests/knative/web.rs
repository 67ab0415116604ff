//! Results of web actions as replies.

use super::*;

/// Gives what its argument says as its result.
const SAYS: &str = "#!/bin/bash\nread -r line\nexport line\npython3 -c 'import json, os; \
                    print(json.dumps(json.loads(os.environ[\"line\"])[\"says\"]))'\n";

fn said(proxy: &Proxy, result: &Value) -> Answer {
    post(proxy, &json!({"value": {"says": result}}))
}

#[test]
fn status_headers_and_body() {
    let mut proxy = start(&[]);
    init(&proxy, SAYS);
    let answer = said(
        &proxy,
        &json!({"statusCode": 201, "headers": {"X-A": "b", "Set-Cookie": ["a=1", "b=2"]}, "body": "<b>hi</b>"}),
    );
    assert_eq!((answer.status, answer.text()), (201, "<b>hi</b>"));
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("x-a"), Some("b"));
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie");
    assert_eq!(cookies.count(), 2);
    let answer = said(&proxy, &json!({"body": {"a": 1}}));
    assert_eq!((answer.status, answer.text()), (200, "{\"a\": 1}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = said(&proxy, &json!({"plain": 1}));
    assert_eq!(answer.text(), "{\"plain\": 1}");
    let answer = said(&proxy, &json!({"statusCode": 99}));
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("99"), "{}", answer.error());
    for _ in 0..4 {
        proxy.logs();
    }
}

#[test]
fn a_binary_body_arrives_as_its_bytes() {
    let proxy = start(&[]);
    init(&proxy, SAYS);
    let answer = said(
        &proxy,
        &json!({"headers": {"content-type": "image/png"}, "body": "iVBORw0KGgo="}),
    );
    assert_eq!(answer.body, b"\x89PNG\r\n\x1a\n");
    assert_eq!(answer.header("content-type"), Some("image/png"));
    let answer = said(
        &proxy,
        &json!({"headers": {"content-type": "image/png"}, "body": "no base64"}),
    );
    assert_eq!(answer.text(), "no base64");
    assert!(proxy.stderr().contains("base64"), "{}", proxy.stderr());
}

#[test]
fn an_empty_body_is_204_and_the_connection_goes_on() {
    let proxy = start(&[]);
    init(&proxy, SAYS);
    let mut connection = proxy.connect();
    let message = json!({"value": {"says": {"body": ""}}}).to_string();
    let request = actionproxy_tests::request("POST", "/", message.as_bytes());
    connection
        .send(
            &[
                &request[..],
                &actionproxy_tests::request("GET", "/healthz", b""),
            ]
            .concat(),
        )
        .expect("sent");
    // There is no Content-Length in a 204 (RFC 9110, section 8.6), so it is read by hand.
    let mut bytes = Vec::new();
    let mut stream = connection.stream();
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stream, &mut byte).expect("a head");
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).expect("text");
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    let lines = head.to_lowercase();
    assert!(
        !lines.lines().any(|line| line.starts_with("content-")),
        "{head}"
    );
    assert_eq!(connection.answer().expect("the next answer").status, 200);
}

#[test]
fn browsers_are_allowed_and_a_preflight_gets_what_it_asks_for() {
    let proxy = start(&[("__OW_HTTP_METHODS", "[post,options]")]);
    init(&proxy, "#!/bin/sh\necho '{}'\n");
    let answer = post(&proxy, &json!({"value": {}}));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(
        answer
            .header("access-control-allow-methods")
            .is_some_and(|m| m.contains("PATCH"))
    );
    let mut connection = proxy.connect();
    connection.send(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\nAccess-Control-Request-Headers: x-token\r\n\r\n").expect("sent");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("x-token")
    );
}

#[test]
fn an_action_cannot_split_an_answer() {
    let proxy = start(&[]);
    init(&proxy, SAYS);
    for headers in [
        json!({"X": "a\r\nInjected: yes"}),
        json!({"X\r\nInjected": "yes"}),
        json!({"X": "a\nInjected: yes"}),
        json!({"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "Injected"}),
        json!({"Content-Type": "text/plain\r\nInjected: yes"}),
    ] {
        let mut connection = proxy.connect();
        let message = json!({"value": {"says": {"headers": headers, "body": "whole"}}}).to_string();
        connection
            .send(&actionproxy_tests::request("POST", "/", message.as_bytes()))
            .expect("sent");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), "whole", "{headers}");
        let told = format!("{:?}", answer.headers).to_lowercase();
        assert!(
            !told.contains("injected") && !told.contains("chunked"),
            "{told}"
        );
        // And what comes behind it is the next answer.
        connection
            .send(&actionproxy_tests::request("GET", "/healthz", b""))
            .expect("sent");
        assert_eq!(
            connection.answer().expect("the next").status,
            200,
            "{headers}"
        );
    }
}

#[test]
fn a_failed_run_is_502() {
    let mut proxy = start(&[]);
    init(&proxy, "#!/bin/sh\necho no json\n");
    let answer = post(&proxy, &json!({"value": {}}));
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.error(),
        "The action did not return a dictionary or array."
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(proxy.logs().stdout.contains("no json"));
}
