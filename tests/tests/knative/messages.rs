//! Inits, runs, both in one, and what is refused.

use super::*;

#[test]
fn an_init_then_a_run_then_a_second_init() {
    let mut proxy = start(&[]);
    let early = post(&proxy, &json!({"activation": {}, "value": {}}));
    assert_eq!(early.status, 500);
    assert!(
        early.error().contains("not initialized"),
        "{}",
        early.error()
    );
    init(&proxy, ECHO);
    let message = json!({"activation": {"action_name": "x"}, "value": {"name": "world"}});
    let answer = post(&proxy, &message);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(body(&answer)["name"], "world");
    assert_eq!(proxy.logs().stdout, "logged\n");
    let second = post(&proxy, &json!({"init": {"code": ECHO}}));
    assert_eq!(second.status, 403);
    assert_eq!(
        second.error(),
        "Cannot initialize the action more than once."
    );
}

#[test]
fn an_init_and_a_run_in_one_message() {
    let mut proxy = start(&[]);
    let message = json!({
        "init": {"name": "both", "code": "#!/bin/bash\nread -r line\necho \"{\\\"v\\\":$line,\\\"n\\\":\\\"$__OW_ACTION_NAME\\\"}\"\n"},
        "activation": {"activation_id": "7"},
        "value": {"a": 1.0},
    });
    let answer = post(&proxy, &message);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(body(&answer)["v"]["a"], json!(1.0));
    assert_eq!(body(&answer)["n"], "both");
    proxy.logs();
    // It is initialised now.
    let again = post(&proxy, &json!({"value": {"b": 2}}));
    assert_eq!(body(&again)["v"]["b"], 2);
}

#[test]
fn a_failed_init_takes_the_run_with_it() {
    let mut proxy = start(&[]);
    let message = json!({
        "init": {"code": "bm90IGFuIGFyY2hpdmU=", "binary": true},
        "activation": {},
        "value": {},
    });
    let answer = post(&proxy, &message);
    assert_eq!(answer.status, 502);
    assert!(
        answer.error().contains("failed to generate or locate"),
        "{}",
        answer.error()
    );
    assert!(!proxy.logs().stderr.is_empty());
    // It does not count.
    init(&proxy, ECHO);
}

#[test]
fn fields_of_the_wrong_type_are_named() {
    let proxy = start(&[]);
    for (message, field) in [
        (json!({"init": []}), "init"),
        (json!({"init": {"code": 1}}), "code"),
        (json!({"init": {"code": "x", "binary": "yes"}}), "binary"),
        (json!({"init": {"code": "x", "raw": "yes"}}), "raw"),
        (json!({"init": {"code": "x", "main": 1}}), "main"),
        (
            json!({"init": {"code": ECHO}, "activation": 1, "value": {}}),
            "activation",
        ),
        (
            json!({"init": {"code": ECHO}, "activation": {}, "value": "x"}),
            "value",
        ),
        (
            json!({"init": {"code": ECHO}, "activation": {}, "value": [1]}),
            "value",
        ),
        (json!([]), "body"),
    ] {
        let answer = post(&proxy, &message);
        assert_eq!(answer.status, 400, "{message}");
        assert!(
            answer.error().contains(field),
            "{message}: {}",
            answer.error()
        );
    }
    assert_eq!(proxy.post("/", "{").status, 400);
    for empty in [
        json!({"init": {}}),
        json!({"init": {"code": ""}}),
        json!({"init": {"main": "x"}}),
    ] {
        let answer = post(&proxy, &empty);
        assert_eq!(answer.status, 403, "{empty}");
        assert_eq!(answer.error(), "Missing main/no code to execute.");
    }
    // None of it counted.
    init(&proxy, ECHO);
}

#[test]
fn the_value_has_what_http_says() {
    let proxy = start(&[
        ("__OW_NAMESPACE", "guest"),
        ("__OW_HTTP_METHODS", "[get, post,PUT]"),
    ]);
    init(&proxy, ECHO);
    let message = json!({"activation": {}, "value": {"a": 1, "__ow_user": "forged"}}).to_string();
    let mut connection = proxy.connect();
    connection
        .send(
            format!(
                "PUT /?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\n\
                 Content-Length: {}\r\n\r\n{message}",
                message.len()
            )
            .as_bytes(),
        )
        .expect("sent");
    let value = body(&connection.answer().expect("an answer"));
    assert_eq!(value["a"], 1);
    assert_eq!(value["__ow_method"], "put");
    assert_eq!(value["__ow_headers"]["x-one"], "1, 2");
    assert_eq!(value["__ow_headers"]["host"], "h");
    assert_eq!(value["__ow_path"], "");
    assert_eq!(value["__ow_user"], "guest");
    assert_eq!(value["__ow_query"], "x=1&y=%20");
    assert_eq!(value["__ow_body"], Value::Null);
    let named = json!({"activation": {"namespace": "other"}, "value": {}});
    assert_eq!(body(&post(&proxy, &named))["__ow_user"], "other");
}

#[test]
fn variables_of_one_activation_are_not_seen_by_the_next() {
    let proxy = start(&[]);
    init(
        &proxy,
        "#!/bin/sh\necho \"{\\\"body\\\":{\\\"id\\\":\\\"$__OW_ACTIVATION_ID\\\",\\\"n\\\":\\\"$__OW_N\\\"}}\"\n",
    );
    let first = post(
        &proxy,
        &json!({"activation": {"activation_id": "1", "n": 5}, "value": {}}),
    );
    assert_eq!(body(&first)["id"], "1");
    let second = post(&proxy, &json!({"value": {}}));
    assert_eq!(body(&second), json!({"id": "", "n": ""}));
}

#[test]
fn a_raw_action_reads_bodies_as_they_came() {
    let proxy = start(&[]);
    let init = json!({"init": {"code": ECHO, "raw": true}});
    assert_eq!(post(&proxy, &init).status, 200);
    let decoded = |answer: &Answer| {
        use base64::Engine as _;
        let value = body(answer);
        let text = value["__ow_body"].as_str().expect("a string").to_owned();
        assert_eq!(value["a"], Value::Null, "{value}");
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .expect("base64")
    };
    let answer = proxy.post("/", "{\"activation\": {}, \"value\": {\"a\":  1.50}}");
    assert_eq!(decoded(&answer), b"{\"a\":  1.50}");
    let answer = proxy.post("/", "{\"activation\": {}, \"value\": \"te\\u0078t\"}");
    assert_eq!(decoded(&answer), b"text");
    let answer = proxy.post("/", b"\x89PNG no json\xff");
    assert_eq!(decoded(&answer), b"\x89PNG no json\xff");
}

#[test]
fn methods_that_are_not_taken_are_405_and_unknown_names_are_warned_of() {
    let proxy = start(&[]);
    let answer = proxy.get("/");
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(proxy.get("/run").status, 404);
    let proxy = start(&[("__OW_HTTP_METHODS", "[get,brew]")]);
    assert!(proxy.stderr().contains("brew"), "{}", proxy.stderr());
    assert_eq!(proxy.post("/", "{}").status, 405);
    assert_eq!(proxy.get("/").status, 500);
}

#[test]
fn an_unknown_platform_is_named_once_and_openwhisk_served() {
    let proxy = Proxy::builder()
        .env("__OW_RUNTIME_PLATFORM", "lambda")
        .start();
    let said = proxy.stderr();
    assert_eq!(said.matches("lambda").count(), 1, "{said}");
    assert!(
        said.contains("openwhisk") && said.contains("knative"),
        "{said}"
    );
    proxy.init("#!/bin/sh\necho '{}'\n");
}

#[test]
fn the_platform_is_a_flag_too_and_sentinels_can_be_left_out() {
    let proxy = Proxy::builder()
        .arg("--platform")
        .arg("knative")
        .arg("--no-sentinels")
        .start();
    init(&proxy, ECHO);
    assert_eq!(post(&proxy, &json!({"value": {}})).status, 200);
    assert_eq!(proxy.unread().stdout, "logged\n");
    assert_eq!(proxy.stderr(), "");
}

#[test]
fn one_process_for_all_activations_is_given_whole_messages() {
    let proxy = Proxy::builder()
        .env("__OW_RUNTIME_PLATFORM", "knative")
        .arg("--action-loop")
        .start();
    let early = post(&proxy, &json!({"value": {}}));
    assert_eq!(early.status, 500);
    init(
        &proxy,
        "#!/bin/bash\nn=0\nwhile read -r line; do n=$((n + 1)); \
         echo \"{\\\"body\\\":{\\\"n\\\":$n,\\\"message\\\":$line}}\" >&3; done\n",
    );
    for n in 1..3 {
        let message = json!({"activation": {"activation_id": "7"}, "value": {"a": n}});
        let answer = post(&proxy, &message);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = body(&answer);
        assert_eq!(found["n"], n);
        assert_eq!(found["message"]["value"]["a"], n);
        assert_eq!(found["message"]["value"]["__ow_method"], "post");
        assert_eq!(found["message"]["activation_id"], "7");
    }
}
