//! Programs compiled for this machine as actions: static and dynamic, as text's and as binary code.

use std::path::Path;
use std::process::Command;

use actionproxy_tests::Proxy;
use actionproxy_tests::proxy::write_executable;
use serde_json::json;

const SOURCE: &str = r#"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    static char line[1 << 20];
    if (!fgets(line, sizeof line, stdin)) return 1;
    printf("from c\n");
    printf("{\"got\":%s,\"same\":%s}\n", line, argc == 2 && !strcmp(line, argv[1]) ? "true" : "false");
    return 0;
}
"#;

fn compile(dir: &Path, flags: &[&str]) -> Vec<u8> {
    let (source, program) = (dir.join("action.c"), dir.join("action"));
    std::fs::write(&source, SOURCE).expect("a writable directory");
    let status = Command::new("cc")
        .args(flags)
        .arg("-o")
        .args([&program, &source])
        .status()
        .expect("a C compiler: Debian's gcc and libc6-dev");
    assert!(status.success(), "cc {flags:?}: {status}");
    std::fs::read(program).expect("the compiled program")
}

#[test]
fn a_compiled_program_that_stands_there_runs() {
    for flags in [&["-O1"][..], &["-O1", "-static"]] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let program = compile(dir.path(), flags);
        let mut proxy = Proxy::builder().baked_in(&program).start();
        // Without an init, then after one that keeps it.
        for _ in 0..2 {
            assert_eq!(
                proxy.result(json!({"n": 1})),
                r#"{"got":{"n":1},"same":true}"#
            );
            assert_eq!(proxy.logs().stdout, "from c\n");
            proxy.post("/init", "{}");
        }
    }
}

#[test]
fn a_compiled_program_is_binary_code() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = compile(dir.path(), &["-O1"]);
    let proxy = Proxy::start();
    proxy.init_binary(&program);
    assert_eq!(proxy.result(json!([1])), r#"{"got":[1],"same":true}"#);
}

#[test]
fn a_checksum_beside_a_baked_in_executable_is_checked() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = compile(dir.path(), &["-O1"]);
    let right = actionproxy_core::Digest::of(&program);
    for (digest, status) in [(right.to_string(), 200), ("0".repeat(64), 502)] {
        let proxy = Proxy::builder().baked_in(&program).start();
        write_executable(
            &proxy.action_dir().join("exec.sha256"),
            format!("{digest}  exec\n").as_bytes(),
        );
        assert_eq!(
            proxy.post("/init", "{}").status,
            status,
            "{}",
            proxy.stderr()
        );
        if status == 502 {
            assert!(
                proxy.stderr().contains(&right.to_string()),
                "{}",
                proxy.stderr()
            );
        }
    }
}
