//! The name `proxy`, the default directory, the flags with one dash.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use actionproxy_tests::{Proxy, binary};
use serde_json::json;

use crate::{ECHO, OK, assert_answer, builder, result};

#[test]
fn under_the_name_proxy_it_serves_this_contract_in_the_working_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = dir.path().join("proxy");
    symlink(binary::proxy(), &name).expect("our own directory");
    // Started without `--action-dir` and what follows it.
    let script = "cd \"$0\"; exec \"$1\" \"$2\" \"$3\" \"$4\" \"$5\"";
    let proxy = Proxy::builder()
        .program(&name)
        .under(["sh", "-c", script, dir.path().to_str().expect("UTF-8")])
        .start();
    let answer = proxy.init_with(json!({"code": ECHO}));
    assert_answer(&answer, 200, OK);
    assert_eq!(result(&proxy, json!(1)), json!({"value": 1}));
    assert!(dir.path().join("action/1/bin/exec").is_file());
    assert_eq!(
        fs::read_dir(proxy.action_dir())
            .expect("a directory")
            .count(),
        0
    );
    drop(proxy);
    // It can be told otherwise.
    let proxy = Proxy::builder()
        .program(&name)
        .env("ACTIONPROXY_ACTION_LOOP", "0")
        .start();
    let text = proxy.result(json!({}));
    assert!(text.contains("stub"), "{text}");
}

#[test]
fn variables_choose_the_contract_too() {
    let proxy = Proxy::builder().env("ACTIONPROXY_ACTION_LOOP", "1").start();
    assert_answer(&proxy.init_with(json!({"code": ECHO})), 200, OK);
}

#[test]
fn the_flags_of_the_go_proxy_are_taken() {
    let output = Command::new(binary::proxy())
        .arg("-version")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    let proxy = builder().arg("-debug").start();
    // To debug, an action is initialised again and again.
    for n in 1..3 {
        assert_answer(&proxy.init_with(json!({"code": ECHO})), 200, OK);
        assert_eq!(result(&proxy, json!(n)), json!({"value": n}));
    }
}
