//! The Go runtime: typed functions, modules, and actions that fail.

use std::sync::Once;

use super::*;
use actionproxy_tests::tools::are_here;

const ECHO: &str = "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc Main(args any) any {\n\t\
                    fmt.Println(\"to stdout ü\")\n\tfmt.Fprintln(os.Stderr, \"to stderr ü\")\n\treturn args\n}\n";

/// Here, where the compiled packages of Go are kept beside what else the tests keep; an image has them.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache");

fn start() -> Proxy {
    let builder = builder("go");
    if is_image() {
        return builder.start();
    }
    static COMPILED: Once = Once::new();
    COMPILED.call_once(|| {
        assert!(are_here(&["go"]));
        // For the first time that takes longer than a test waits for an answer.
        let script = dockerfile::directory("go").join("compile-example");
        let status = Command::new(script).env("GOCACHE", CACHE).status();
        assert!(status.expect("the script starts").success());
    });
    builder.env("GOCACHE", CACHE).start()
}

fn begun(code: &str) -> Proxy {
    let proxy = start();
    begin(&proxy, json!({ "code": code }));
    proxy
}

#[test]
fn it_passes_its_own_test() {
    passes_its_own_test_on(&start(), "go");
}

#[test]
fn json_of_any_text_and_size_comes_and_goes_with_logs_on_both_streams() {
    let mut proxy = begun(ECHO);
    echoes(&mut proxy);
    assert_eq!(result(&proxy, json!([1])), json!([1]));
}

#[test]
fn another_entry_point_is_called_with_a_type_of_its_own() {
    let code = "package main\n\ntype Point struct{ X, Y float64 }\n\n\
                func hello(p Point) []float64 { return nil }\n\
                func Hello(p Point) []float64 { return []float64{p.Y, p.X} }\n";
    let mut proxy = start();
    for main in ["a b", "$(id)", "1", "a/b"] {
        let words = format!("`{main}` cannot be the name of the function");
        let value = json!({"code": code, "main": main});
        assert_refused(&mut proxy, value, NOT_BUILT, &[&words]);
    }
    begin(&proxy, json!({"code": code, "main": "hello"}));
    assert_eq!(result(&proxy, json!({"X": 1, "Y": 2.5})), json!([2.5, 1]));
    logs(&mut proxy);
    assert_error(&proxy.run(json!({"X": "one"})), 502, NO_RESULT);
    let said = logs(&mut proxy).1;
    assert!(
        said.contains("the argument is not what `Hello` takes: json: cannot unmarshal"),
        "{said}"
    );
}

#[test]
fn a_source_that_cannot_be_compiled_fails_the_init_with_the_compilers_words() {
    let mut proxy = start();
    let whole = "go cannot compile the action: package main has to have \
                 `func Main(args map[string]any) map[string]any` and no `main`";
    for (code, words) in [
        (
            "package main\n\nfunc Main(args any) any { return oops }\n",
            "exec.go:3:34: undefined: oops",
        ),
        ("package main\n", "undefined: Main"),
        ("package main\n\nfunc main() {}\n", "main redeclared"),
        (
            "package main\n\nimport \"example.org/nowhere\"\n\nfunc Main(args any) any { return nowhere.X }\n",
            "example.org/nowhere",
        ),
    ] {
        assert_refused(
            &mut proxy,
            json!({ "code": code }),
            NOT_BUILT,
            &[words, whole],
        );
    }
    begin(&proxy, json!({ "code": ECHO }));
    echoes(&mut proxy);
}

#[test]
fn an_archive_has_its_files_its_module_and_the_packages_in_vendor() {
    let proxy = start();
    let files = "printf 'package main\\n\\nfunc Main(args any) any { return more() }\\n' > exec.go\n\
                 printf 'package main\\n\\nfunc more() any { return []int{1} }\\n' > more.go\n\
                 zip -qr a.zip .";
    begin(&proxy, archive(files));
    assert_eq!(result(&proxy, json!({})), json!([1]));

    let proxy = start();
    let module = "mkdir -p lib vendor/example.org/far\n\
                  printf 'module mine\\n\\ngo 1.18\\n\\nrequire example.org/far v1.0.0\\n' > go.mod\n\
                  printf '# example.org/far v1.0.0\\n## explicit\\nexample.org/far\\n' > vendor/modules.txt\n\
                  printf 'package far\\n\\nvar Name = \"far\"\\n' > vendor/example.org/far/far.go\n\
                  printf 'package lib\\n\\nvar Name = \"lib\"\\n' > lib/lib.go\n\
                  printf 'package main\\n\\nimport (\\n\"example.org/far\"\\n\"mine/lib\"\\n)\\n\\n\
                  func Main(args any) any { return []string{far.Name, lib.Name} }\\n' > action.go\n\
                  zip -qr a.zip .";
    begin(&proxy, archive(module));
    assert_eq!(result(&proxy, json!({})), json!(["far", "lib"]));
}

#[test]
fn what_is_a_program_already_is_not_compiled() {
    let proxy = start();
    let script = json!({"code": base64(b"#!/bin/sh\ncat\n"), "binary": true});
    begin(&proxy, script);
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn an_action_that_panics_or_is_killed_is_told_with_its_logs() {
    let code = "package main\n\nimport (\n\t\"fmt\"\n\t\"math\"\n\t\"os\"\n\t\"syscall\"\n)\n\n\
                func Main(args map[string]any) any {\n\tfmt.Println(\"before\")\n\tswitch args[\"do\"] {\n\t\
                case \"panic\":\n\t\tpanic(\"mine\")\n\t\
                case \"kill\":\n\t\tsyscall.Kill(os.Getpid(), syscall.SIGKILL)\n\t\tselect {}\n\t}\n\t\
                return math.Inf(1)\n}\n";
    let mut proxy = begun(code);
    for (what, words) in [
        ("panic", "panic: mine"),
        ("kill", "SIGKILL"),
        (
            "return",
            "what `Main` returned cannot be JSON: json: unsupported value: +Inf",
        ),
    ] {
        assert_error(&proxy.run(json!({ "do": what })), 502, NO_RESULT);
        let (stdout, stderr) = logs(&mut proxy);
        assert!(stdout.contains("before"), "{stdout}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
