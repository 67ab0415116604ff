//! The OpenWhisk contract, row by row: status, exact body, log streams, sentinels.
//!
//! Runs against the local release binary, or against whatever `ACTIONPROXY_TEST_LAUNCHER` starts.

use actionproxy_tests::{Answer, Proxy, SENTINEL, request, tools};
use serde_json::{Value, json};

const NO_BINARY_AT_INIT: &str =
    r#"{"error":"The action failed to generate or locate a binary. See logs for details."}"#;
const NO_BINARY: &str =
    r#"{"error":"The action failed to locate a binary. See logs for details."}"#;
const NO_ARGUMENT: &str =
    r#"{"error":"The action did not receive a dictionary or array as an argument."}"#;
const NO_RESULT: &str = r#"{"error":"The action did not return a dictionary or array."}"#;
const NOT_TWICE: &str = r#"{"error":"Cannot initialize the action more than once."}"#;
/// The end of a directory of no entries.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const STUB: &str = r#"{"error":"This is a stub action. Replace it with custom logic."}"#;

/// Prints the argument that came on stdin.
const ECHO: &str = "#!/bin/bash\nread -r line\necho \"$line\"\n";

fn assert_answer(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// Both streams end in exactly one sentinel for the activation and hold this before it.
fn assert_logs(proxy: &mut Proxy, stdout: &str, stderr: &str) {
    let logs = proxy.logs();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        (stdout, stderr)
    );
    assert_silent(proxy);
}

/// Nothing was logged since, no sentinel either.
fn assert_silent(proxy: &Proxy) {
    let unread = proxy.unread();
    assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
}

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
    assert_eq!(proxy.logs().stdout, "");
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
fn a_run_takes_objects_and_arrays_and_takes_nothing_for_an_empty_object() {
    let mut proxy = Proxy::start();
    proxy.init(ECHO);
    for (body, argument) in [
        (
            r#"{"value":{"b":1,"a":[2.50,1e3]}}"#,
            r#"{"b":1,"a":[2.50,1e3]}"#,
        ),
        (r#"{"value":[1,"two",{}]}"#, r#"[1,"two",{}]"#),
        (r#"{"value":[]}"#, "[]"),
        (r#"{"value":null}"#, "{}"),
        ("{}", "{}"),
        ("", "{}"),
        ("null", "{}"),
    ] {
        assert_answer(&proxy.post("/run", body), 200, argument);
        assert_logs(&mut proxy, "", "");
    }
}

#[test]
fn the_argument_is_one_line_of_the_bytes_that_came() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/bash\nread -r line\nread -r more\n[ -z \"$more\" ] && [ \"$line\" = \"$1\" ] && echo \"$line\"\n");
    let answer = proxy.post(
        "/run",
        "{\"value\": {\"z\" : 1.10,\r\n \"a\": \"x\\ny\\u00fc\"\n}}",
    );
    assert_answer(&answer, 200, r#"{"z" : 1.10, "a": "x\ny\u00fc"}"#);
}

#[test]
fn a_run_with_another_argument_is_refused_and_logs_only_sentinels() {
    let mut proxy = Proxy::start();
    proxy.init(ECHO);
    for body in [
        r#"{"value":1}"#,
        r#"{"value":"x"}"#,
        r#"{"value":true}"#,
        r#"{"value":false}"#,
        "[]",
        "[1]",
        "1",
        "\"x\"",
        "true",
    ] {
        assert_answer(&proxy.post("/run", body), 404, NO_ARGUMENT);
        assert_logs(&mut proxy, "", "");
    }
}

#[test]
fn a_run_with_malformed_json_is_refused() {
    let mut proxy = Proxy::start();
    proxy.init(ECHO);
    for body in [
        &b"{"[..],
        b"{\"value\":{}",
        b"{\"value\":{}}}",
        b"nul",
        b"{\"value\":{\"a\":\"\xff\"}}",
    ] {
        let answer = proxy.post("/run", body);
        assert_eq!(answer.status, 400, "{body:?}");
        assert!(
            answer.error().contains("not valid JSON"),
            "{}",
            answer.error()
        );
        assert_logs(&mut proxy, "", "");
    }
    let answer = proxy.post("/run", r#"{"value":{},"activation":7}"#);
    assert_eq!(
        answer.error(),
        "Field `activation`: expected an object, found a number."
    );
    assert_eq!(answer.status, 400);
}

#[test]
fn a_result_is_passed_on_byte_for_byte() {
    let mut proxy = Proxy::start();
    let result = r#"{"z":1,"a":1.0E+2, "ü":"\u00fc€","a":[ ]}"#;
    proxy.init(&format!(
        "#!/bin/sh\necho log\nprintf ' %s \\r\\n' '{result}'\n"
    ));
    assert_answer(&proxy.run(json!({})), 200, result);
    assert_logs(&mut proxy, "log\n", "");
}

#[test]
fn an_array_is_a_result_and_the_last_newline_may_be_missing() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nprintf '{\"not\":\"this\"}\\n[1,2]'\n");
    assert_answer(&proxy.run(json!({})), 200, "[1,2]");
    assert_logs(&mut proxy, "{\"not\":\"this\"}\n", "");
}

#[test]
fn an_exit_code_does_not_matter() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{\"error\":\"mine\"}'\nexit 3\n");
    assert_answer(&proxy.run(json!({})), 200, r#"{"error":"mine"}"#);
    assert_logs(&mut proxy, "", "");
}

#[test]
fn a_last_line_that_is_no_result_is_logged_with_the_cause() {
    for (print, logged, cause) in [
        ("echo hello", "hello\n", "no JSON object or array"),
        ("printf hello", "hello\n", "no JSON object or array"),
        ("echo '\"text\"'", "\"text\"\n", "no JSON object or array"),
        ("echo 42", "42\n", "no JSON object or array"),
        ("echo '{}'; echo", "{}\n\n", "empty"),
        ("true", "", "empty"),
        ("echo '{\"a\":}'", "{\"a\":}\n", "not valid JSON"),
        ("echo '{\"a\":NaN}'", "{\"a\":NaN}\n", "not valid JSON"),
        ("echo '{} {}'", "{} {}\n", "not valid JSON"),
        ("echo oops; exit 7", "oops\n", "exited with status 7"),
    ] {
        let mut proxy = Proxy::start();
        proxy.init(&format!("#!/bin/sh\n{print}\n"));
        assert_answer(&proxy.run(json!({})), 502, NO_RESULT);
        let logs = proxy.logs();
        assert_eq!(logs.stdout, logged, "{print}");
        assert_eq!(logs.stderr.lines().count(), 1, "{print}: {}", logs.stderr);
        assert!(logs.stderr.contains(cause), "{print}: {}", logs.stderr);
        assert_silent(&proxy);
    }
}

#[test]
fn a_run_with_nothing_to_run_says_so() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nrm -f \"$0\"\necho '{}'\n");
    assert_answer(&proxy.run(json!({})), 200, "{}");
    proxy.logs();
    assert_answer(&proxy.run(json!({})), 502, NO_BINARY);
    let logs = proxy.logs();
    assert!(
        logs.stderr.contains("there is no executable at"),
        "{}",
        logs.stderr
    );
    assert_silent(&proxy);
}

#[test]
fn an_executable_that_changed_since_init_does_not_run() {
    let tampers = "#!/bin/sh\necho '# more' >> \"$0\"\necho '{}'\n";
    let mut proxy = Proxy::start();
    proxy.init(tampers);
    assert_answer(&proxy.run(json!({})), 200, "{}");
    proxy.logs();
    assert_answer(&proxy.run(json!({})), 502, NO_BINARY);
    let stderr = proxy.logs().stderr;
    assert!(
        stderr.contains("expected sha256") && stderr.contains("actual"),
        "{stderr}"
    );

    let proxy = Proxy::builder().env("ACTION_VERIFY", "permission").start();
    proxy.init(tampers);
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn an_executable_that_was_touched_but_not_changed_runs() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/sh\ntouch \"$0\"\necho '{}'\n");
    for _ in 0..3 {
        assert_eq!(proxy.result(json!({})), "{}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_no_result_and_says_why() {
    let mut proxy = Proxy::start();
    proxy.init("#!/no/such/interpreter\n");
    assert_answer(&proxy.run(json!({})), 502, NO_RESULT);
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "");
    assert!(
        logs.stderr.contains("/no/such/interpreter"),
        "{}",
        logs.stderr
    );
    assert_silent(&proxy);
}

#[test]
fn other_paths_and_methods_are_refused_with_json() {
    let proxy = Proxy::start();
    assert_eq!(proxy.post("/", "").status, 404);
    assert_eq!(proxy.post("/init/", "{}").status, 404);
    assert!(proxy.get("/nothing").error().contains("/nothing"));
    let answer = proxy.get("/run");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert!(answer.error().contains("GET"));
    let mut connection = proxy.connect();
    connection
        .send(&request("DELETE", "/init", b""))
        .expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 405);
    assert_eq!(proxy.post("/healthz", "").status, 405);
    assert_silent(&proxy);
}

#[test]
fn healthz_tells_the_state() {
    let proxy = Proxy::start();
    let health = |proxy: &Proxy| -> Value {
        let answer = proxy.get("/healthz");
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    assert_eq!(health(&proxy)["initialized"], false);
    proxy.init(ECHO);
    let state = health(&proxy);
    assert_eq!(
        (&state["status"], &state["initialized"]),
        (&json!("ok"), &json!(true))
    );
    assert_silent(&proxy);
}

#[test]
fn logs_pass_unchanged_and_apart() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\nprintf 'out 1\\n'; printf 'err 1\\n\\n' >&2; printf '\\tütf €\\r\\n'; printf 'partial' >&2; echo '{}'\n");
    assert_answer(&proxy.run(json!({})), 200, "{}");
    assert_logs(&mut proxy, "out 1\n\tütf €\r\n", "err 1\n\npartial\n");
}

#[test]
fn bash_perl_and_python_programs_are_actions() {
    let bash = "#!/bin/bash\nread -r in\necho \"from bash\"\necho \"{\\\"got\\\":$in}\"\n";
    let perl = "#!/usr/bin/perl\nmy $in = <STDIN>; chomp $in;\nprint \"from perl\\n\";\nprint \"{\\\"got\\\":$ARGV[0]}\\n\" if $in eq $ARGV[0];\n";
    let python = "#!/usr/bin/env python3\nimport json, sys\nvalue = json.load(sys.stdin)\nprint('from python')\nprint(json.dumps({'got': value}, separators=(',', ':'), ensure_ascii=False))\n";
    for (name, tool, code) in [
        ("bash", "bash", bash),
        ("perl", "perl", perl),
        ("python", "python3", python),
    ] {
        if !tools::are_here(&[tool]) {
            continue;
        }
        let mut proxy = Proxy::start();
        proxy.init(code);
        assert_answer(
            &proxy.run(json!({"ä": "ß€😀"})),
            200,
            r#"{"got":{"ä":"ß€😀"}}"#,
        );
        assert_logs(&mut proxy, &format!("from {name}\n"), "");
    }
}

#[test]
fn unicode_passes_through_source_argument_logs_and_result() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\n# 源代码 ñ\necho \"日誌 $1\"\necho \"ошибка\" >&2\nread -r in\necho \"{\\\"结果\\\":$in}\"\n");
    assert_answer(
        &proxy.run(json!({"k": "𝒳é"})),
        200,
        r#"{"结果":{"k":"𝒳é"}}"#,
    );
    assert_logs(&mut proxy, "日誌 {\"k\":\"𝒳é\"}\n", "ошибка\n");
}

#[test]
fn the_argument_is_on_the_command_line_up_to_131071_bytes() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/bash\nin=$(cat)\necho \"{\\\"arg\\\":${#1},\\\"count\\\":$#,\\\"stdin\\\":${#in}}\"\n");
    let value = |length: usize| json!({"a": "x".repeat(length - r#"{"a":""}"#.len())});
    assert_eq!(
        proxy.result(value(131_071)),
        r#"{"arg":131071,"count":1,"stdin":131071}"#
    );
    assert_eq!(
        proxy.result(value(131_072)),
        r#"{"arg":0,"count":0,"stdin":131072}"#
    );
}

#[test]
fn a_megabyte_goes_in_and_comes_out() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\nexec cat\n");
    let value = json!({"a": "ü".repeat(1 << 19), "b": [1, 2, 3]});
    assert_answer(&proxy.run(value.clone()), 200, &value.to_string());
    assert_logs(&mut proxy, "", "");
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
        constant
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
fn the_working_directory_is_the_executables() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/bash\nhere=$(cd \"$(dirname \"$0\")\" && pwd -P)\n[ \"$(pwd -P)\" = \"$here\" ] && [ -x ./exec ] && echo '{\"here\":true}'\n");
    assert_eq!(proxy.result(json!({})), r#"{"here":true}"#);
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

#[test]
fn parallel_requests_do_not_mix() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\necho \"begin $1\"\nread -r in\necho \"err $1\" >&2\necho \"end $in\"\necho \"$in\"\n");
    let shared = &proxy;
    std::thread::scope(|scope| {
        for n in 0..16 {
            scope.spawn(move || {
                let expected = format!(r#"{{"n":{n}}}"#);
                assert_answer(&shared.run(json!({ "n": n })), 200, &expected);
            });
        }
    });
    let mut seen = Vec::new();
    for _ in 0..16 {
        // One activation at a time: its lines stand together, between two sentinels.
        let logs = proxy.logs();
        let argument = logs.stderr.trim_start_matches("err ").trim_end().to_owned();
        assert_eq!(logs.stdout, format!("begin {argument}\nend {argument}\n"));
        seen.push(argument);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 16);
    assert_silent(&proxy);
}

#[test]
fn an_action_may_print_the_sentinel_itself() {
    // The platform would take it for the end, but the proxy neither hides nor doubles it.
    let mut proxy = Proxy::start();
    proxy.init(&format!(
        "#!/bin/sh\necho before\necho {SENTINEL}\necho after\necho '{{}}'\n"
    ));
    assert_answer(&proxy.run(json!({})), 200, "{}");
    assert_eq!(proxy.logs().stdout, "before\n");
    assert_eq!(proxy.unread().stdout, format!("after\n{SENTINEL}\n"));
}

#[test]
fn the_stub_is_known_and_works_wherever_the_proxy_stands() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let action_dir = dir.path().join("action");
    let exec = action_dir.join("exec");
    let mut stubs = std::collections::BTreeSet::new();
    for place in ["bin", "it's here", &"long/".repeat(60)] {
        let place = dir.path().join(place);
        std::fs::create_dir_all(&place).expect("a directory");
        let program = place.join("actionproxy");
        std::fs::copy(actionproxy_tests::binary::proxy(), &program).expect("a copy");
        // On what the proxy at the last place left, which is gone.
        let proxy = Proxy::builder()
            .program(&program)
            .arg("--action-dir")
            .arg(action_dir.to_str().expect("UTF-8"))
            .start();
        let answer = proxy.run(json!({"n": 1}));
        assert_answer(&answer, 200, STUB);
        // It is not an executable that an archive may come without.
        let empty = actionproxy_tests::files::base64(EMPTY_ZIP);
        let answer = proxy.init_with(json!({"binary": true, "code": empty}));
        assert_eq!(answer.status, 502, "{}", answer.text());
        stubs.insert(std::fs::read_to_string(&exec).expect("the stub"));
        drop(proxy);
        std::fs::remove_file(program).expect("our copy");
    }
    assert_eq!(stubs.len(), 3);
}
