//! The result, and what is none.

use super::*;

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
