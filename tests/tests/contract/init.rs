//! `/init`: what it takes, what it refuses, what it leaves.

use super::*;

#[test]
fn init_with_text_answers_ok_and_logs_nothing() {
    let mut proxy = Proxy::start();
    let answer =
        proxy.init_with(json!({"name": "a", "main": "main", "code": ECHO, "binary": false}));
    assert_answer(&answer, 200, "OK");
    assert_silent(&proxy);
    assert_answer(&proxy.run(json!({"a": 1})), 200, r#"{"a":1}"#);
    assert_logs(&mut proxy, "", "");
}

#[test]
fn init_without_code_keeps_the_stub_and_counts() {
    for body in [
        r#"{"value":{}}"#,
        r#"{"value":{"code":null}}"#,
        "{}",
        "",
        "null",
        r#"{"value":null}"#,
    ] {
        let mut proxy = Proxy::start();
        assert_answer(&proxy.post("/init", body), 200, "OK");
        assert_silent(&proxy);
        assert_answer(&proxy.run(json!({})), 200, STUB);
        assert!(proxy.logs().stdout.contains("This is a stub action"));
        assert_answer(&proxy.init_with(json!({"code": ECHO})), 403, NOT_TWICE);
    }
}

#[test]
fn init_with_empty_code_succeeds_and_running_it_fails() {
    let mut proxy = Proxy::start();
    assert_answer(&proxy.init_with(json!({"code": ""})), 200, "OK");
    assert_silent(&proxy);
    assert_answer(&proxy.run(json!({})), 502, NO_RESULT);
    assert!(proxy.logs().stdout.ends_with(": it is empty\n"));
    assert_silent(&proxy);
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let mut proxy = Proxy::start();
    proxy.init(ECHO);
    assert_answer(
        &proxy.init_with(json!({"code": "#!/bin/sh\necho '{}'"})),
        403,
        NOT_TWICE,
    );
    assert_answer(
        &proxy.run(json!({"still": "here"})),
        200,
        r#"{"still":"here"}"#,
    );
    assert_logs(
        &mut proxy,
        "",
        "Cannot initialize the action more than once.\n",
    );
}

#[test]
fn a_second_init_is_taken_where_it_is_allowed() {
    let proxy = Proxy::builder().env("PROXY_ALLOW_REINIT", "1").start();
    proxy.init(ECHO);
    proxy.init("#!/bin/sh\necho '{\"second\":true}'\n");
    assert_eq!(proxy.result(json!({})), r#"{"second":true}"#);
}

#[test]
fn a_failed_init_says_why_and_does_not_count() {
    let mut proxy = Proxy::start();
    let bad = [
        json!({"code": "not base64!", "binary": true}),
        json!({"code": "AAAA", "binary": true}),
        json!({"code": ECHO, "sha256": "0".repeat(64)}),
    ];
    for value in bad {
        assert_answer(&proxy.init_with(value), 502, NO_BINARY_AT_INIT);
        let logs = proxy.logs();
        assert_eq!(logs.stdout, "");
        assert_eq!(logs.stderr.lines().count(), 1, "{}", logs.stderr);
        assert!(logs.stderr.starts_with("actionproxy: "), "{}", logs.stderr);
        assert_silent(&proxy);
    }
    assert_answer(&proxy.run(json!({})), 200, STUB);
    proxy.logs();
    proxy.init(ECHO);
}

#[test]
fn the_checksum_of_text_code_is_that_of_its_bytes() {
    let proxy = Proxy::start();
    let code = "#!/bin/sh\n# ü\necho '{}'\n";
    let digest = actionproxy_core::Digest::of(code.as_bytes()).to_string();
    let answer = proxy.init_with(json!({"code": code, "sha256": digest.to_uppercase()}));
    assert_answer(&answer, 200, "OK");
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn a_byte_order_mark_before_the_json_is_ignored() {
    let mut proxy = Proxy::start();
    let body = format!("\u{feff}{}", json!({"value": {"code": ECHO}}));
    assert_answer(&proxy.post("/init", body), 200, "OK");
    assert_silent(&proxy);
    let body = "\u{feff}\r\n{\"value\": {\"a\": [1]}}\r\n";
    assert_answer(&proxy.post("/run", body), 200, r#"{"a": [1]}"#);
    assert_logs(&mut proxy, "", "");
    assert_answer(&proxy.post("/run", "\u{feff}"), 200, "{}");
    assert_logs(&mut proxy, "", "");
}

#[test]
fn a_body_in_utf_16_is_refused_by_that_name() {
    let proxy = Proxy::start();
    // As PowerShell 5 writes files: little-endian, with a byte order mark.
    let encode = |text: &str| -> Vec<u8> {
        let text = format!("\u{feff}{text}");
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let expected = r#"{"error":"The body is text in UTF-16: expected JSON in UTF-8."}"#;
    let init = json!({"value": {"code": ECHO}}).to_string();
    assert_answer(&proxy.post("/init", encode(&init)), 400, expected);
    assert_answer(
        &proxy.post("/run", encode("{\"value\": {}}")),
        400,
        expected,
    );
}

#[test]
fn an_archive_sent_as_text_is_refused_and_says_how_to_send_it() {
    let mut proxy = Proxy::start();
    // base64 of a zip, a gzip file and an ELF file, as far as it matters.
    for (code, name) in [
        ("UEsDBBQAAAAIAFqDeVvP", "a zip archive"),
        ("H4sIAAAAAAAAA+3OMQ6D", "a gzip file"),
        ("f0VMRgIBAQAAAAAAAAAA", "an ELF executable"),
    ] {
        for value in [
            json!({"code": code}),
            json!({"code": code, "binary": false}),
        ] {
            assert_answer(&proxy.init_with(value), 502, NO_BINARY_AT_INIT);
            assert_logs(
                &mut proxy,
                "",
                &format!(
                    "actionproxy: failed to decode `code`: it is text that holds base64 of {name}: \
                     send it with `binary` true\n"
                ),
            );
        }
    }
}

#[test]
fn an_init_that_is_not_what_the_contract_says_names_the_field() {
    let proxy = Proxy::start();
    let cases = [
        ("{", "not valid JSON"),
        ("{\"value\":{}} x", "not valid JSON"),
        ("\u{0}", "not valid JSON"),
        ("[]", "expected an object, found an array"),
        ("42", "expected an object, found a number"),
        (
            r#"{"value":[]}"#,
            "Field `value`: expected an object, found an array.",
        ),
        (
            r#"{"value":"x"}"#,
            "Field `value`: expected an object, found a string.",
        ),
        (
            r#"{"value":{"code":1}}"#,
            "Field `code`: expected a string, found a number.",
        ),
        (
            r#"{"value":{"code":{}}}"#,
            "Field `code`: expected a string, found an object.",
        ),
        (
            r#"{"value":{"binary":"yes"}}"#,
            "Field `binary`: expected true or false, found a string.",
        ),
        (
            r#"{"value":{"name":[]}}"#,
            "Field `name`: expected a string, found an array.",
        ),
        (
            r#"{"value":{"main":false}}"#,
            "Field `main`: expected a string, found a boolean.",
        ),
        (
            r#"{"value":{"env":[]}}"#,
            "Field `env`: expected an object, found an array.",
        ),
        (
            r#"{"value":{"sha256":7}}"#,
            "Field `sha256`: expected a string, found a number.",
        ),
        (
            r#"{"value":{"sha256":"abc"}}"#,
            "Field `sha256`: expected 64 hexadecimal digits",
        ),
        (
            &format!(r#"{{"value":{{"sha256":"{}"}}}}"#, "g".repeat(64)),
            "Field `sha256`: expected 64 hexadecimal digits, found 'g'.",
        ),
        (
            r#"{"value":{"\ud800":1}}"#,
            "Field `value`: unexpected end of hex escape",
        ),
        (
            r#"{"value":{"code":"\ud800"}}"#,
            "Field `code`: expected text, found half a surrogate",
        ),
    ];
    for (body, said) in cases {
        let answer = proxy.post("/init", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains(said), "{body}: {}", answer.error());
        assert_silent(&proxy);
    }
    proxy.init(ECHO);
}

#[test]
fn the_environment_is_the_containers_then_inits_then_the_runs() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let proxy = Proxy::builder()
        .env("FROM_CONTAINER", "a=b=c")
        .env("BOTH", "container")
        .start();
    let answer = proxy.init_with(json!({
        "code": "#!/usr/bin/env python3\nimport json, os\nprint(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('__OW_', 'FROM_', 'BOTH', 'TYPE_'))}, sort_keys=True))\n",
        "env": {
            "FROM_INIT": "ü x", "BOTH": "init", "__OW_ACTION_NAME": "from init",
            "TYPE_N": 1.50, "TYPE_B": true, "TYPE_O": {"a": [1]}, "TYPE_NULL": null, "": "bad", "A=B": "bad",
        },
    }));
    assert_eq!(answer.status, 200);
    let seen = |body: Value| -> Value {
        let answer = proxy.post("/run", body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let constant = json!({
        "FROM_CONTAINER": "a=b=c", "FROM_INIT": "ü x", "BOTH": "init", "__OW_ACTION_NAME": "from init",
        "TYPE_N": "1.5", "TYPE_B": "true", "TYPE_O": "{\"a\":[1]}",
    });
    let with = |more: Value| {
        let mut all = constant.clone();
        let more = more.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        all
    };
    let first = seen(json!({
        "value": {"__OW_VALUE": "no"}, "activation_id": "1", "deadline": "123", "api_key": "k",
        "number": 7, "null": null, "object": {"x": [true]}, "a=b": "skipped",
    }));
    assert_eq!(
        first,
        with(json!({
            "__OW_ACTIVATION_ID": "1", "__OW_DEADLINE": "123", "__OW_API_KEY": "k",
            "__OW_NUMBER": "7", "__OW_OBJECT": "{\"x\":[true]}",
        }))
    );
    // Nothing of the first is left in the second.
    assert_eq!(
        seen(json!({"value": {}, "action_name": "n"})),
        with(json!({"__OW_ACTION_NAME": "n"}))
    );
    // With an `activation` object, its keys count instead.
    let nested =
        seen(json!({"value": {}, "outer": 1, "activation": {"activation_id": "2", "value": "v"}}));
    assert_eq!(
        nested,
        with(json!({"__OW_ACTIVATION_ID": "2", "__OW_VALUE": "v"}))
    );
    assert_eq!(
        seen(json!({"value": {}, "outer": 1, "activation": null})),
        with(json!({"__OW_OUTER": "1"}))
    );
    let stderr = proxy.stderr();
    for name in [r#""""#, r#""A=B""#, r#""__OW_A=B""#] {
        let lines = stderr
            .lines()
            .filter(|line| line.contains(&format!("variable {name}:")));
        assert_eq!(lines.count(), 1, "{name}: {stderr}");
    }
}

#[test]
fn fields_that_nobody_reads_may_hold_any_json() {
    let proxy = Proxy::start();
    let odd = format!(
        r#""a":1e999999,"b":"\ud800","c":{}{}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let code = json!(ECHO);
    let answer = proxy.post("/init", format!(r#"{{"value":{{{odd},"code":{code}}}}}"#));
    assert_eq!((answer.status, answer.text()), (200, "OK"));
}

#[test]
fn more_fields_than_an_environment_holds_are_refused_or_reported_but_cost_no_more_than_that() {
    let proxy = Proxy::start();
    proxy.init(ECHO);
    let many = |count: usize| {
        let fields: String = (0..count).map(|n| format!(",\"k{n}\":1")).collect();
        format!("{{\"value\":{{}}{fields}}}")
    };
    let answer = proxy.post("/run", many(70_000));
    assert_eq!(answer.status, 400);
    assert!(
        answer.error().contains("more than 65536 fields"),
        "{}",
        answer.error()
    );
    assert_eq!(proxy.post("/run", many(20_000)).status, 200);
}

#[test]
fn a_failure_of_the_machine_is_told_as_one() {
    if std::env::var_os("ACTIONPROXY_TEST_LAUNCHER").is_some() {
        return; // It takes the machine's side to make it fail.
    }
    let mut proxy = Proxy::start();
    // Where the action directory was, there is a file now.
    std::fs::remove_dir_all(proxy.action_dir()).expect("ours");
    std::fs::write(proxy.action_dir(), "").expect("ours");
    let answer = proxy.init_with(json!({"code": ECHO}));
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("action"), "{}", answer.error());
    assert_eq!(proxy.logs().stderr.lines().count(), 1);
    assert_silent(&proxy);
}

#[test]
fn fifty_activations_of_one_init() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\necho \"log $1\"\necho \"err $1\" >&2\necho \"$1\"\n");
    for n in 0..50 {
        let expected = format!(r#"{{"n":{n}}}"#);
        assert_answer(&proxy.run(json!({ "n": n })), 200, &expected);
        assert_logs(
            &mut proxy,
            &format!("log {expected}\n"),
            &format!("err {expected}\n"),
        );
    }
}
