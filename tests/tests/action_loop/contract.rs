//! What is asked and what is answered.

use std::fs;
use std::process::Command;
use std::thread;

use actionproxy_tests::Proxy;
use actionproxy_tests::files::base64;
use serde_json::json;

use crate::{
    Compiler, ECHO, NO_RESULT, OK, WHO, actions, assert_answer, assert_error, assert_logs,
    assert_silent, begin, builder, init, result, told,
};

#[test]
fn before_there_is_an_action_a_run_is_refused_and_an_init_needs_code() {
    let mut proxy = builder().start();
    assert_error(&proxy.run(json!({})), 500, "no action defined yet");
    assert_logs(&mut proxy, "", "");
    for body in [
        "",
        "{}",
        "{\"value\":null}",
        "{\"value\":{}}",
        "{\"value\":{\"code\":\"\"}}",
        "{\"value\":{\"code\":\"\",\"binary\":true}}",
    ] {
        assert_error(
            &proxy.post("/init", body),
            403,
            "Missing main/no code to execute.",
        );
    }
    for body in ["XXX", "{\"value\":{\"code\":1}}", "[]"] {
        let answer = proxy.post("/init", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.error().starts_with("Error unmarshaling request: "),
            "{body}"
        );
        assert!(answer.text().ends_with("}\n"));
    }
    let answer = proxy.init_with(json!({"code": "$$$", "binary": true}));
    assert_eq!(answer.status, 400);
    assert!(
        answer.error().starts_with("cannot decode the request: "),
        "{}",
        answer.error()
    );
    assert_silent(&proxy);
    assert_eq!(actions(&proxy), [""; 0]);
}

#[test]
fn an_init_succeeds_once() {
    let mut proxy = builder().start();
    assert_answer(&init(&proxy, ECHO), 200, OK);
    assert_silent(&proxy);
    assert_eq!(actions(&proxy), ["1"]);
    let text = "Cannot initialize the action more than once.";
    assert_error(&init(&proxy, ECHO), 403, text);
    assert_eq!(proxy.unread().stderr, format!("{text}\n"));
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"value": {"a": 1}}));
    assert_eq!(actions(&proxy), ["1"]);
    assert_logs(&mut proxy, "", &format!("{text}\n"));
}

#[test]
fn the_whole_message_comes_as_one_line_and_the_answer_goes_back_byte_for_byte() {
    let mut proxy = builder().start();
    begin(&proxy, ECHO);
    let message =
        "{\"activation_id\": \"x\",\r\n \"value\":\n{\"b\": 1.0e2, \"a\":\"\\u00fc ü 🚀\"}}";
    let answer = proxy.post("/run", message);
    assert_answer(&answer, 200, &(message.replace(['\r', '\n'], "") + "\n"));
    assert_logs(&mut proxy, "", "");
    // Nothing counts as an empty object, as everywhere.
    for nothing in ["", "null", "{}"] {
        assert_answer(&proxy.post("/run", nothing), 200, "{}\n");
        assert_logs(&mut proxy, "", "");
    }
    // What is no message would end many a loop.
    for wrong in ["XXX", "[1]", "{\"value\":"] {
        let answer = proxy.post("/run", wrong);
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
        assert!(answer.text().ends_with("}\n"));
        assert_logs(&mut proxy, "", "");
    }
    assert_answer(&proxy.post("/run", "{\"n\":1}"), 200, "{\"n\":1}\n");
}

#[test]
fn an_array_is_an_answer_and_other_json_is_none() {
    let mut proxy = builder().start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do line=${line#*:}; echo \"${line%\\}}\" >&3; done\n",
    );
    for good in ["[]", "[1,{\"a\":2}]", "{}"] {
        assert_answer(
            &proxy.post("/run", format!("{{\"value\":{good}}}")),
            200,
            &format!("{good}\n"),
        );
        assert_logs(&mut proxy, "", "");
    }
    for bad in ["1", "\"x\"", "null", "true"] {
        assert_answer(
            &proxy.post("/run", format!("{{\"value\":{bad}}}")),
            502,
            NO_RESULT,
        );
        let logs = proxy.logs();
        assert_eq!(logs.stdout, "");
        assert!(
            logs.stderr.starts_with(&format!("{bad}\n")),
            "{}",
            logs.stderr
        );
        assert!(
            logs.stderr.contains("the line on descriptor 3"),
            "{}",
            logs.stderr
        );
        assert_silent(&proxy);
    }
}

#[test]
fn large_messages_pass_both_ways() {
    let mut proxy = builder().start();
    begin(&proxy, WHO);
    for size in [900_000, 5_000_000] {
        let text = "ü".repeat(size / 2);
        let got = result(&proxy, json!({ "text": text }));
        assert!(got["value"]["text"] == text);
        assert_logs(&mut proxy, "", "");
    }
}

#[test]
fn the_environment_is_what_the_contract_says_and_no_more() {
    let proxy = builder()
        .env("HOME", "/nowhere")
        .env("__OW_API_HOST", "https://host/?a=b=c")
        .env("__OW_SHARED", "the proxy's")
        .env("OW_EXECUTION_ENV", "")
        .env("OW_WAIT_FOR_ACK", "yes")
        .start();
    let scratch = crate::scratch(&proxy);
    let code = "#!/bin/bash\ntr '\\0' '\\n' < /proc/$$/environ | sort > $SCRATCH/seen\n\
                echo '{\"ok\":true}' >&3\nread -r line\n";
    let answer = proxy.init_with(json!({"code": code, "env": {
        "SCRATCH": scratch,
        "TEXT": "a=b=c ü", "NUMBER": 1.50, "FLAG": true, "LIST": [1, 2], "OBJECT": {"a": 1},
        "NULL": null, "__OW_SHARED": "init's",
    }}));
    assert_answer(&answer, 200, OK);
    let found = told(&proxy, "seen");
    let mut found: Vec<_> = found
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    found.sort_unstable();
    let path = std::env::var("PATH").expect("a PATH");
    let expected = [
        ("FLAG", "true"),
        ("LIST", "[1,2]"),
        ("NULL", "null"),
        ("NUMBER", "1.5"),
        ("OBJECT", "{\"a\":1}"),
        ("PATH", &path),
        ("SCRATCH", scratch),
        ("TEXT", "a=b=c ü"),
        ("__OW_API_HOST", "https://host/?a=b=c"),
        ("__OW_PROXY_VERSION", env!("CARGO_PKG_VERSION")),
        ("__OW_SHARED", "init's"),
        ("__OW_WAIT_FOR_ACK", "yes"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_loop_in_c_has_stdin_stdout_stderr_and_descriptor_3_and_no_other() {
    // What is a program already is not for the compiler.
    let compiler = Compiler::new("echo asked");
    let mut proxy = builder().env("OW_COMPILER", compiler.path()).start();
    let source = proxy.scratch().join("loop.c");
    let program = proxy.scratch().join("loop");
    fs::write(
        &source,
        "#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n\
         int main(void) {\n  static char line[1 << 16];\n  while (fgets(line, sizeof line, stdin)) {\n\
         int open = 0;\n    for (int fd = 0; fd < 256; fd++) open += fcntl(fd, F_GETFD) >= 0;\n\
         fprintf(stderr, \"asked\\n\");\n    dprintf(3, \"{\\\"open\\\": %d}\\n\", open);\n  }\n}\n",
    )
    .expect("our own directory");
    let built = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .status();
    assert!(built.expect("a C compiler").success());
    let code = base64(&fs::read(&program).expect("a program"));
    assert_answer(
        &proxy.init_with(json!({"code": code, "binary": true})),
        200,
        OK,
    );
    for _ in 0..3 {
        assert_eq!(result(&proxy, json!({})), json!({"open": 4}));
        assert_logs(&mut proxy, "", "asked\n");
    }
}

#[test]
fn runs_at_once_are_answered_one_after_the_other_each_with_its_own() {
    for concurrent in ["false", "true"] {
        let mut proxy = builder().env("__OW_ALLOW_CONCURRENT", concurrent).start();
        begin(
            &proxy,
            &WHO.replace(
                "    print(",
                "    sys.stdout.write('x\\n' * 50); sys.stdout.flush()\n    print(",
            ),
        );
        let ask = |proxy: &Proxy, n: usize| {
            for m in 0..20 {
                let value = json!({"n": n, "m": m});
                assert_eq!(result(proxy, value.clone())["value"], value);
            }
        };
        thread::scope(|scope| {
            for n in 0..4 {
                let proxy = &proxy;
                scope.spawn(move || ask(proxy, n));
            }
        });
        for _ in 0..80 {
            let logs = proxy.logs();
            assert_eq!((logs.stdout, logs.stderr.as_str()), ("x\n".repeat(50), ""));
        }
        assert_silent(&proxy);
    }
}

#[test]
fn another_init_takes_the_place_of_the_process_and_its_directory() {
    let proxy = builder().arg("--allow-reinit").start();
    fs::create_dir(proxy.action_dir().join("6")).expect("the proxy's directory");
    begin(&proxy, WHO);
    assert_eq!(actions(&proxy), ["6", "7"]);
    let first = result(&proxy, json!({}))["pid"].as_i64().expect("a pid");
    begin(&proxy, WHO);
    assert_eq!(actions(&proxy), ["6", "8"]);
    assert_ne!(result(&proxy, json!({}))["pid"], first);
    assert!(!actionproxy_tests::census::is_alive(
        i32::try_from(first).expect("a pid")
    ));
    // A failed one leaves it as it is.
    let second = result(&proxy, json!({}))["pid"].clone();
    let answer = init(&proxy, "#!/nowhere/interpreter\n");
    assert_error(&answer, 502, "cannot start action: command exited");
    assert_eq!(actions(&proxy), ["6", "8"]);
    assert_eq!(result(&proxy, json!({}))["pid"], second);
}
