//! The C runtime: one function over JSON text, compiled by tcc and by gcc.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use actionproxy_tests::tools::are_here;
use tempfile::TempDir;

const ECHO: &str = "#include <stdio.h>\nconst char *action(const char *json)\n{\n    \
                    puts(\"to stdout ü\");\n    fputs(\"to stderr ü\\n\", stderr);\n    return json;\n}\n";

/// The compilers that can be chosen here: of an image, the one that it has.
fn compilers() -> Vec<&'static str> {
    match is_image() {
        true => vec!["the image's"],
        false => vec!["tcc", "gcc"],
    }
}

/// A runtime that finds no other compiler than this one. The directory goes with the proxy.
fn start_with(compiler: &str) -> (Proxy, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let builder = builder("c");
    if is_image() {
        return (builder.start(), dir);
    }
    assert!(are_here(&[compiler]));
    for program in ["as", "cat", "dirname", "ld", "sed", "sh", compiler] {
        let found = shell(Path::new("/"), &format!("command -v {program}"), &[]);
        symlink(found.trim(), dir.path().join(program)).expect("a link");
    }
    let path = dir.path().to_str().expect("UTF-8").to_owned();
    (builder.env("PATH", &path).start(), dir)
}

fn begun_with(compiler: &str, code: &str) -> (Proxy, TempDir) {
    let (proxy, dir) = start_with(compiler);
    begin(&proxy, json!({ "code": code }));
    (proxy, dir)
}

#[test]
fn it_passes_its_own_test() {
    passes_its_own_test("c");
}

#[test]
fn json_of_any_text_and_size_comes_and_goes_with_logs_on_both_streams() {
    for compiler in compilers() {
        let (mut proxy, _dir) = begun_with(compiler, ECHO);
        echoes(&mut proxy);
        assert_eq!(result(&proxy, json!([1])), json!([1]));
    }
}

#[test]
fn another_entry_point_is_called_and_an_unfit_name_is_refused() {
    let code = "char *hello(char *json) { return \"{\\\"hello\\\":true}\"; }";
    for compiler in compilers() {
        let (mut proxy, _dir) = start_with(compiler);
        for main in ["a b", "$(id)", "1", "a/b"] {
            let words = format!("`{main}` cannot be the name of the function");
            let value = json!({"code": code, "main": main});
            assert_refused(&mut proxy, value, NOT_BUILT, &[&words]);
        }
        begin(&proxy, json!({"code": code, "main": "hello"}));
        assert_eq!(result(&proxy, json!({})), json!({"hello": true}));
    }
}

#[test]
fn a_source_that_cannot_be_compiled_fails_the_init_with_the_compilers_words() {
    for compiler in compilers() {
        let (mut proxy, _dir) = start_with(compiler);
        let whole = "cannot compile the action: its source has to have \
                     `const char *action(const char *json)` and no `main`";
        for (code, words) in [
            (
                "const char *action(const char *j)\n{ return oops; }",
                "exec.c:2:",
            ),
            (
                "const char *action(const char *j)\n{ return nothing(j); }",
                "nothing",
            ),
            ("int x;", "implicit declaration of function"),
            ("int main(void) { return 0; }", "redefinition of"),
        ] {
            let value = json!({ "code": code });
            assert_refused(&mut proxy, value, NOT_BUILT, &[words, whole]);
        }
        begin(&proxy, json!({ "code": ECHO }));
        echoes(&mut proxy);
    }
}

#[test]
fn an_archive_has_its_sources_and_headers() {
    let source = r#"printf '#include "more.h"\nconst char *hello(const char *json) { return more(); }\n' > exec.c
        printf 'const char *more(void);\n' > more.h
        printf '#include "more.h"\nconst char *more(void) { return "{\\"more\\": true}"; }\n' > more.c
        zip -qr a.zip ."#;
    for compiler in compilers() {
        let (proxy, _dir) = start_with(compiler);
        let mut value = archive(source);
        value["main"] = json!("hello");
        begin(&proxy, value);
        assert_eq!(result(&proxy, json!({})), json!({"more": true}));
    }
}

#[test]
fn what_is_a_program_already_is_not_compiled() {
    let program = "#!/bin/sh\ncat\n";
    let proxy = start("c");
    let script = json!({"code": base64(program.as_bytes()), "binary": true});
    begin(&proxy, script);
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"a": 1}));
    let proxy = start("c");
    let pack = "printf '#!/bin/sh\\ncat lib/data\\n' > exec; chmod +x exec\n\
                mkdir lib; echo '{\"data\":1}' > lib/data; zip -qr a.zip .";
    begin(&proxy, archive(pack));
    assert_eq!(result(&proxy, json!({})), json!({"data": 1}));
}

#[test]
fn a_result_in_many_lines_is_one_and_none_is_told() {
    for compiler in compilers() {
        let code = "const char *action(const char *j) { return j[1] == '}' ? 0 : \"{\\n  \\\"a\\\":\\r\\n1\\n}\\n\"; }";
        let (mut proxy, _dir) = begun_with(compiler, code);
        assert_eq!(result(&proxy, json!({"n": 1})), json!({"a": 1}));
        logs(&mut proxy);
        assert_error(&proxy.run(json!({})), 502, NO_RESULT);
        let words = "`action` returned NULL: expected JSON text";
        assert!(logs(&mut proxy).1.contains(words));
    }
}

#[test]
fn an_action_that_is_killed_is_told_with_its_logs() {
    let code = "#include <signal.h>\n#include <stdio.h>\nconst char *action(const char *json)\n\
                {\n    puts(\"before\");\n    raise(json[1] == '}' ? SIGKILL : SIGSEGV);\n    return 0;\n}\n";
    for compiler in compilers() {
        let (mut proxy, _dir) = begun_with(compiler, code);
        for (value, name) in [(json!({}), "SIGKILL"), (json!({"n": 1}), "SIGSEGV")] {
            assert_error(&proxy.run(value), 502, NO_RESULT);
            let (stdout, stderr) = logs(&mut proxy);
            assert!(stdout.contains("before"), "{stdout}");
            assert!(stderr.contains(name), "{stderr}");
        }
    }
}
