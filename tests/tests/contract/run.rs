//! `/run`: the argument, the environment, one activation after the other.

use super::*;

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
fn the_working_directory_is_the_executables() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/bash\nhere=$(cd \"$(dirname \"$0\")\" && pwd -P)\n[ \"$(pwd -P)\" = \"$here\" ] && [ -x ./exec ] && echo '{\"here\":true}'\n");
    assert_eq!(proxy.result(json!({})), r#"{"here":true}"#);
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
