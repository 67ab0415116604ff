//! What is wrong with a last line that is no result is told in words.

use actionproxy_tests::tools::are_here;
use serde_json::json;

use crate::{fail, reinitialised};

/// Runs each script and looks for the words on the only line that the proxy writes.
fn assert_told(interpreter: &str, cases: &[(&str, &str)]) {
    let mut proxy = reinitialised();
    for (script, words) in cases {
        proxy.init(&format!("#!/usr/bin/env {interpreter}\n{script}\n"));
        let logs = fail(&mut proxy, json!({}));
        assert!(logs.stderr.contains(words), "{script}: {}", logs.stderr);
        assert_eq!(logs.stderr.lines().count(), 1, "{script}: {}", logs.stderr);
    }
}

#[test]
fn what_python_prints_when_it_does_not_print_json_on_a_line() {
    if !are_here(&["python3"]) {
        return;
    }
    assert_told(
        "python3",
        &[
            (
                "import json; print(json.dumps({'a': [1, {'}': 2}]}, indent=2))",
                "it is the end of a value that began 7 lines earlier; the result must stand on one line",
            ),
            ("print({'a': 1})", "single quotes at byte 2 of the line"),
            (
                "import pprint; pprint.pprint({'a' * 50: 1, 'b' * 50: 2})",
                "it is the end of a value that began a line earlier",
            ),
            (
                "import json; print(json.dumps({'a': float('nan')}))",
                "`NaN` is no JSON: JSON has no such number, at byte 7 of the line",
            ),
            (
                "import json; print(json.dumps([-float('inf')]))",
                "`-Infinity` is no JSON",
            ),
            ("print('{\"ok\": True}')", "`True` is Python's, not JSON"),
            ("print(None)", "`None` is Python's, not JSON"),
            (
                "import json; print(json.dumps(json.dumps({'a': 1})))",
                "it was encoded twice",
            ),
            ("print(b'{\"a\": 1}')", "it is how Python shows bytes"),
            (
                "print('Loading... ', end=''); print('{\"a\": 1}')",
                "text stands before the JSON, `Loading... `: the result needs a line of its own",
            ),
            (
                "print('{\"a\": 1}'); print('Done')",
                "it is `Done`; one stands on the line before it: nothing may be written to stdout after the result",
            ),
            (
                "import sys; sys.stdout.buffer.write('{\"a\":1}\\n'.encode('utf-8-sig'))",
                "a byte order mark stands at its beginning",
            ),
            (
                "import sys; sys.stdout.buffer.write('{\"a\":1}\\n'.encode('utf-16'))",
                "it is UTF-16: write UTF-8",
            ),
            (
                "import sys; sys.stdout.buffer.write('{\"a\":\"ü\"}\\n'.encode('latin-1'))",
                "byte 7 of the line is 0xfc, which is no UTF-8",
            ),
        ],
    );
}

#[test]
fn what_jq_prints_without_c() {
    if !are_here(&["jq"]) {
        return;
    }
    assert_told(
        "sh",
        &[
            ("echo '{\"a\":[1]}' | jq .", "began 4 lines earlier"),
            ("echo '{\"a\":1}' | jq .a", "it is a JSON number, `1`"),
            (
                "echo '{\"a\":1}' | jq -cC .",
                "it begins with a terminal's colour code, `\\x1b[1;39m`",
            ),
        ],
    );
}

#[test]
fn what_node_prints_when_it_shows_an_object() {
    if !are_here(&["node"]) {
        return;
    }
    assert_told(
        "node",
        &[
            (
                "console.log({ a: 1 })",
                "the key `a` at byte 3 of the line has no double quotes",
            ),
            (
                "console.log({ a: 'x'.repeat(50), b: 'y'.repeat(50) })",
                "it is the end of a value that began 3 lines earlier",
            ),
            (
                "console.log(`${{}}`)",
                "it is how JavaScript shows an object",
            ),
            ("console.log(undefined)", "`undefined` is JavaScript's"),
            (
                "console.log(`{\"a\":${undefined}}`)",
                "`undefined` is JavaScript's",
            ),
            (
                "console.log(JSON.stringify({ a: 1 }, null, 2))",
                "it is the end of a value that began 2 lines earlier",
            ),
        ],
    );
}

#[test]
fn what_shells_print_beside_the_value() {
    assert_told(
        "sh",
        &[
            (
                "printf '{\"a\":\"\\033[31mred\"}\\n'",
                "colour code, `\\x1b[31m`",
            ),
            ("printf '{\"a\":1}\\033[0m\\n'", "colour code, `\\x1b[0m`"),
            (
                "printf '{\"a\":\"x\\000y\"}\\n'",
                "a NUL byte stands in a string, at byte 8",
            ),
            ("printf '{\"a\":1}\\000'", "a NUL byte"),
            (
                "printf '{\"a\":\"x\\ty\"}\\n'",
                "a tab stands in a string, at byte 8",
            ),
            (
                "printf '{\"a\":\"\\007\"}\\n'",
                "the control character 0x07",
            ),
            (
                "echo '{\"a\":1} done'",
                "text stands behind the value, from byte 9 of the line: `done`",
            ),
            (
                "echo '{\"a\":1}{\"b\":2}'",
                "a second value stands behind the value, from byte 8",
            ),
            (
                "echo '{\"a\":1}}'",
                "a bracket too many stands behind the value",
            ),
            ("echo \"'{}'\"", "single quotes stand around the JSON"),
            (
                "echo '{\"a\":1,}'",
                "a comma stands before the closing bracket at byte 8",
            ),
            (
                "echo '{\"a\":1}'; echo",
                "is empty; expected a JSON object or array; one stands on the line before it",
            ),
            (
                "echo '[INFO] started'",
                "`INFO` at byte 2 of the line is no JSON",
            ),
            (
                "printf '{\"a\":\"b'",
                "it ends in the middle of the value, after 7 bytes",
            ),
            ("exit 0", "stdout is empty"),
        ],
    );
}

#[test]
fn a_result_that_was_cut_off_where_the_pipe_was_full() {
    if !are_here(&["perl"]) {
        return;
    }
    // What a runtime does that writes without waiting and exits: the pipe takes what it holds.
    assert_told(
        "perl",
        &[(
            "use Fcntl; fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK); \
             syswrite(STDOUT, '{\"x\":\"' . 'y' x 200000);",
            "it ends in the middle of the value, after 65,536 bytes: a pipe holds 65,536 bytes",
        )],
    );
}

#[test]
fn the_end_of_a_value_of_a_hundred_thousand_lines_is_known_as_such() {
    if !are_here(&["perl"]) {
        return;
    }
    assert_told(
        "perl",
        &[
            (
                "print \"[\\n\", \"  1,\\n\" x 100000, \"  2\\n]\\n\";",
                "began more than ",
            ),
            // Nor is a line of text so long that it is not kept taken for the end of something.
            (
                "print \"{\\n\", 'x' x 100000, \"}\\n\";",
                "it begins with `xxxx",
            ),
        ],
    );
}
