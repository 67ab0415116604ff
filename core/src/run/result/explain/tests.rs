use super::*;

fn explained(before: &str, line: &[u8]) -> String {
    let mut earlier = Earlier::default();
    earlier.push(before.as_bytes());
    explain(line, &earlier)
}

#[test]
fn what_is_odd_about_a_line_is_named_with_its_place() {
    for (line, words) in [
        (&b""[..], "stdout is empty"),
        (b"\n", "is empty"),
        (b"hello", "it is `hello`"),
        (
            b"\xef\xbb\xbf{}",
            "a byte order mark stands at its beginning",
        ),
        (b"\xff\xfe{\0}\0", "it is UTF-16"),
        (b"{\0}\0", "it is UTF-16"),
        (b"\0{\0}", "it is UTF-16"),
        (
            b"\x1b[1;32m{}\x1b[0m",
            "a terminal's colour code, `\\x1b[1;32m`",
        ),
        (b"{}\x1b[0m\n", "colour code, `\\x1b[0m`"),
        (
            b"{\"a\":\"\x1b[31mred\"}",
            "`\\x1b[31m`: turn colours off where stdout is no terminal stands in a string, at byte 7 ",
        ),
        (
            b"{\"a\":\"x\0\"}",
            "a NUL byte stands in a string, at byte 8 ",
        ),
        (b"{}\0", "a NUL byte"),
        (b"\0{}", "it begins with a NUL byte"),
        (b" {\"a\":\"b\tc\"}", "a tab stands in a string, at byte 9 "),
        (
            b"{\"a\":\"\x07\"}",
            "the control character 0x07 stands in a string, at byte 7 ",
        ),
        (
            b"{\"a\":\"\xfc\"}",
            "byte 7 of the line is 0xfc, which is no UTF-8",
        ),
        (
            b"{\"a\":NaN}",
            "`NaN` is no JSON: JSON has no such number, at byte 6 ",
        ),
        (
            b"{\"a\":nan}",
            "`nan` is no JSON: JSON has no such number, at byte 6 ",
        ),
        (
            b"[-Infinity]",
            "`-Infinity` is no JSON: JSON has no such number, at byte 2 ",
        ),
        (b"[1,Infinity]", "`Infinity` is no JSON"),
        (b"{'a':1}", "single quotes at byte 2 "),
        (b"{\"a\":'b'}", "single quotes at byte 6 "),
        (b"{\"a\":True}", "`True` is Python's"),
        (b"{\"a\":False}", "`False` is Python's"),
        (
            b"{\"a\":[None]}",
            "`None` is Python's, not JSON: print `json.dumps(value)`, at byte 7 ",
        ),
        (b"{\"a\":undefined}", "`undefined` is JavaScript's"),
        (
            b"{ a: 1 }",
            "the key `a` at byte 3 of the line has no double quotes",
        ),
        (b"{\"a\":1, b: 1 }", "the key `b` at byte 9 "),
        (b"[object Object]", "it is how JavaScript shows an object"),
        (b"{\"a\"=>1}", "`=>` at byte 5 of the line is Ruby's"),
        (
            b"{\"a\":1,}",
            "a comma stands before the closing bracket at byte 8 ",
        ),
        (
            b"{}}",
            "a bracket too many stands behind the value, from byte 3 ",
        ),
        (
            b"{} done",
            "text stands behind the value, from byte 4 of the line: `done`",
        ),
        (
            b"{}{\"b\":1}",
            "a second value stands behind the value, from byte 3 ",
        ),
        (
            b"{} {}",
            "a second value stands behind the value, from byte 4 ",
        ),
        (b"[INFO] done", "`INFO` at byte 2 of the line is no JSON"),
        (b"[1 2]", "expected `,` or `]` at byte 4 "),
        (b"{\"a\":01}", "invalid number"),
        (
            b"{\"a\":\"b",
            "it ends in the middle of the value, after 7 bytes",
        ),
        (
            b"{\"a\":\"\xc3",
            "it ends in the middle of the value, after 7 bytes",
        ),
        (b"42\n", "it is a JSON number, `42`"),
        (b"null", "it is JSON's null"),
        (b"true", "it is a JSON boolean"),
        (b"\"text\"", "it is a JSON string, `\"text\"`"),
        (b"\"{\\\"a\\\":1}\"", "it was encoded twice"),
        (b"'{\"a\":1}'", "single quotes stand around the JSON"),
        (b"b'{\"a\":1}'", "it is how Python shows bytes"),
        (b"None", "`None` is Python's"),
        (b"undefined", "`undefined` is JavaScript's"),
        (
            b"Result: {\"a\":1}",
            "text stands before the JSON, `Result: `",
        ),
        (
            b"Loading...[1]",
            "text stands before the JSON, `Loading...`",
        ),
    ] {
        let said = explained("", line);
        assert!(said.contains(words), "{}: {said}", line.escape_ascii());
        assert_eq!(said.lines().count(), 1);
    }
}

#[test]
fn a_value_on_several_lines_is_told_to_stand_on_one() {
    for (before, line, words) in [
        (
            "x\n{\n  \"a\": 1\n",
            "}\n",
            "began 2 lines earlier; the result must stand on one line",
        ),
        ("{ a: 1,\n", "  b: 'x' }", "began a line earlier"),
        (
            &format!("[\n{}", " 1,\n".repeat(9000)),
            "]",
            "began more than ",
        ),
    ] {
        let said = explained(before, line.as_bytes());
        assert!(said.contains(words), "{before:?}: {said}");
    }
}

#[test]
fn a_result_that_something_was_written_after_is_named() {
    for (before, line, words) in [
        ("{\"a\":1}\n", "Done.\n", "one stands on the line before it"),
        ("{\"a\":1}\nx\n", "42\n", "one stands 2 lines before it"),
        ("{\"a\":1}\n", "\n", "one stands on the line before it"),
        (
            "{\"a\":1}\n",
            "[INFO] bye\n",
            "one stands on the line before it",
        ),
    ] {
        let said = explained(before, line.as_bytes());
        assert!(said.contains(words), "{before:?}: {said}");
    }
}

#[test]
fn output_that_was_cut_off_where_a_pipe_or_a_buffer_is_full_is_told() {
    let line = format!("[\"{}", "x".repeat(65_534));
    let said = explained("", line.as_bytes());
    assert!(
        said.contains("after 65,536 bytes: a pipe holds 65,536 bytes"),
        "{said}"
    );
    let said = explained(&"x".repeat(8000), &line.as_bytes()[..192]);
    assert!(
        said.contains("after 192 bytes: what stands in a buffer"),
        "{said}"
    );
    // Whoever wrote its newline wrote all of it.
    let said = explained("", format!("{}\n", &line[..65_535]).as_bytes());
    assert!(said.ends_with("after 65,535 bytes"), "{said}");
}

#[test]
fn the_end_of_utf_16_is_known_though_its_newline_cuts_it() {
    let text: String = "{\"a\":1}\n".chars().flat_map(|c| [c, '\0']).collect();
    let (before, line) = text.split_once('\n').expect("a newline");
    let said = explained(&format!("{before}\n"), line.as_bytes());
    assert!(said.contains("it is UTF-16"), "{said}");
}

#[test]
fn of_a_long_line_its_beginning_is_told() {
    for (head, words) in [
        (&b"\xef\xbb\xbf{\"a\":"[..], "a byte order mark"),
        (b"hello", "it begins with `hello`"),
        (b"   ", "it begins with white space"),
    ] {
        let said = explain_long(head, 1_234_567);
        assert!(
            said.contains(words) && said.contains("1,234,567 bytes"),
            "{said}"
        );
    }
}

#[test]
fn whatever_a_line_is_its_explanation_is_one_short_line() {
    let lines: [&[u8]; 8] = [
        b"{\"a\":1}{\"b\":2}",
        b"{'a': None, \"b\": [nan, \"\x1b[0m\", \"\xff\"]}",
        b"\"{}\"",
        b"[object Object]",
        b"\xef\xbb\xbf\x1b[0m{}",
        b"text {\"a\":1}",
        b"{\"a\"=>1,}\0",
        b"\xff\xfe{\0}\0\n",
    ];
    for line in lines {
        for index in 0..line.len() {
            explained("{\n", &line[..index]);
            for byte in 0..=255 {
                let mut changed = line.to_vec();
                changed[index] = byte;
                let said = explained("{\n", &changed);
                assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
                assert!(said.len() < 500, "{said}");
            }
        }
    }
}
