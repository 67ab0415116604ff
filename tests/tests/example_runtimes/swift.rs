//! The Swift runtime's scripts, with a stand-in for its compiler: swiftc is in no Debian package, so
//! what it makes of the epilogue is not tested here.

use super::*;
use actionproxy_tests::proxy::write_executable;
use tempfile::TempDir;

/// Tells how it was called and with which source, and makes a program that gives back its argument; or
/// fails as on a source with `oops`.
const SWIFTC: &str = include_str!("../../images/swiftc");

/// A runtime that finds the stand-in, and the directory in which that tells what it saw.
fn start() -> (Proxy, TempDir) {
    assert!(!is_image(), "the stand-in is no part of an image");
    let dir = tempfile::tempdir().expect("a directory");
    write_executable(&dir.path().join("swiftc"), SWIFTC.as_bytes());
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", dir.path().display());
    (builder("swift").env("PATH", &path).start(), dir)
}

fn seen(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect("what the stand-in saw")
}

#[test]
fn the_source_gets_its_entry_point_and_is_compiled() {
    let code = "func hello(args: [String: Any]) -> [String: Any] { args }";
    let (mut proxy, dir) = start();
    begin(&proxy, json!({"code": code, "main": "hello"}));
    let source = seen(&dir, "source");
    let rest = source.strip_prefix(code).expect("the source comes first");
    let epilogue = dockerfile::directory("swift").join("epilogue.swift");
    let epilogue = fs::read_to_string(epilogue).expect("the epilogue");
    assert_eq!(rest, format!("\n{}", epilogue.replace("ACTION", "hello")));
    assert!(rest.contains("try hello(args: argument)"));
    let words = seen(&dir, "words");
    let words: Vec<_> = words.split_whitespace().collect();
    let [optimize, warnings, source, o, executable] = words[..] else {
        panic!("{words:?}");
    };
    assert_eq!([optimize, warnings, o], ["-O", "-suppress-warnings", "-o"]);
    assert!(source.ends_with("exec.swift") && executable.ends_with("exec"));
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"a": 1}));
    assert_eq!(logs(&mut proxy).0, "log");
}

#[test]
fn the_entry_point_is_main_unless_named_and_a_name_that_is_none_is_refused() {
    let (mut proxy, dir) = start();
    for main in ["a b", "$(id)", "1", "a/b"] {
        let words = format!("`{main}` cannot be the name of the function");
        let value = json!({"code": "", "main": main});
        assert_refused(&mut proxy, value, NOT_BUILT, &[&words]);
    }
    assert!(!dir.path().join("words").exists());
    begin(&proxy, json!({"code": "func main"}));
    assert!(seen(&dir, "source").contains("try main(args: argument)"));
}

#[test]
fn a_source_that_cannot_be_compiled_fails_the_init_with_the_compilers_words() {
    let (mut proxy, _dir) = start();
    let words = [
        "error: cannot find 'oops' in scope",
        "swiftc cannot compile the action: it has to have `func main(args: [String: Any]) -> [String: Any]`",
    ];
    assert_refused(&mut proxy, json!({"code": "oops"}), NOT_BUILT, &words);
    begin(&proxy, json!({"code": "func main"}));
}

#[test]
fn what_is_a_program_already_is_not_compiled() {
    let (proxy, dir) = start();
    let script = json!({"code": base64(b"#!/bin/sh\ncat\n"), "binary": true});
    begin(&proxy, script);
    assert_eq!(result(&proxy, json!({"a": 1})), json!({"a": 1}));
    assert!(!dir.path().join("words").exists());
}

#[test]
fn the_example_is_what_the_runtimes_own_test_sends() {
    let (proxy, dir) = start();
    let output = Command::new(dockerfile::directory("swift").join("test"))
        .arg(proxy.address().to_string())
        .output()
        .expect("the test starts");
    // The stand-in's program greets nobody.
    assert!(!output.status.success());
    let example = dockerfile::directory("swift").join("example.swift");
    let example = fs::read_to_string(example).expect("the example");
    assert!(seen(&dir, "source").starts_with(&example));
}
