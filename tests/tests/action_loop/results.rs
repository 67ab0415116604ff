//! What counts as a line of result, to the byte, and what is said of one that does not.

use serde_json::json;

use crate::{NO_RESULT, assert_answer, begin, builder, result};

/// Writes to descriptor 3 what the Python expression in `put` is, and a newline; else the value.
const PUTS: &str = r#"#!/usr/bin/env python3
import json, os, sys
for line in sys.stdin:
    value = json.loads(line)["value"]
    rest = (eval(value["put"]) if "put" in value else json.dumps(value).encode()) + b"\n"
    while rest:
        rest = rest[os.write(3, rest):]
"#;

#[test]
fn what_is_odd_about_a_line_is_said_and_the_next_answer_is_the_next_ones() {
    let mut proxy = builder().start();
    begin(&proxy, PUTS);
    for (put, odd) in [
        (
            r#"b'1'"#,
            "is no JSON object or array: it is a JSON number, `1`",
        ),
        (r#"b'{"a": "\xff"}'"#, "0xff"),
        (r#"b'{"a": "\xc3"}'"#, "0xc3"),
        (r#"b'{"a": "\0"}'"#, "NUL"),
        (r#"b'\0{}'"#, "NUL"),
        (r#"'{"a": 1}'.encode('utf-16')"#, "UTF-16"),
        (r#"b'{} {}'"#, "is not valid JSON"),
    ] {
        assert_answer(&proxy.run(json!({ "put": put })), 502, NO_RESULT);
        let said = proxy.logs().stderr;
        assert!(
            said.contains("the line on descriptor 3, of "),
            "{put}: {said}"
        );
        assert!(said.contains(odd), "{put}: {said}");
        assert!(!said.contains("stdout"), "{put}: {said}");
        assert_eq!(
            result(&proxy, json!({ "after": put })),
            json!({ "after": put })
        );
        proxy.logs();
    }
}

#[test]
fn a_result_of_just_the_limit_passes_and_one_byte_more_does_not() {
    const MAX: usize = 1 << 20;
    let proxy = builder().arg("--max-result=1M").start();
    begin(&proxy, PUTS);
    let line = |length: usize| json!({ "put": format!("b'[' + b' ' * {} + b']'", length - 2) });
    for _ in 0..3 {
        let answer = proxy.run(line(MAX));
        assert_eq!((answer.status, answer.text().len()), (200, MAX + 1));
        let answer = proxy.run(line(MAX + 1));
        assert_eq!(answer.status, 502);
        assert_eq!(
            answer.error(),
            "The result line is over the limit of 1048576 bytes."
        );
    }
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn half_a_line_is_no_answer_to_this_question_nor_to_the_next() {
    let proxy = builder().arg("--timeout=3s").start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do case $line in *half*) printf '{\"half\":' >&3; sleep 1000;; esac\n\
         printf '%s\\n' \"$line\" >&3; done\n",
    );
    let answer = proxy.run(json!("half"));
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("time limit"), "{}", answer.error());
    assert_eq!(result(&proxy, json!("whole")), json!({"value": "whole"}));
}
