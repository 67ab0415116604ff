//! Hooks that misbehave: a derived runtime whose build hangs, panics or leaves half a line.

use actionproxy_tests::{Proxy, census, eventually};
use serde_json::json;

/// The runtime in tests/src/bin/moody.rs: the code tells it what to do.
fn moody() -> actionproxy_tests::Builder {
    Proxy::builder().program(env!("CARGO_BIN_EXE_moody"))
}

const GOOD: &str = "#!/bin/sh\necho '{}'\n";

/// Initialises `code`, which must fail with this status; the error's text.
fn fail(proxy: &Proxy, code: &str, status: u16) -> String {
    let answer = proxy.init_with(json!({ "code": code }));
    assert_eq!(answer.status, status, "{}", proxy.stderr());
    answer.error()
}

#[test]
fn a_build_that_hangs_is_stopped_and_leaves_nobody() {
    let mut proxy = moody()
        .arg("--timeout=300ms")
        .arg("--kill-grace=50ms")
        .start();
    let mark = proxy.scratch().join("tool").display().to_string();
    let code = format!(
        "# tool\ntrap '' TERM\necho building\n(exec sleep 1000) >/dev/null 2>&1 &\n\
         echo $! > {mark}\nsleep 1000\n"
    );
    let said = fail(&proxy, &code, 502);
    let limit = "The initialization was stopped: it passed its time limit of 300 ms.";
    assert_eq!(said, limit);
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "building\n");
    assert!(
        logs.stderr
            .contains("init was stopped in build, after its time limit"),
        "{logs:?}"
    );
    let tool = crate::told_pid(&proxy, "tool");
    eventually("the tool's child to be gone", || {
        (!census::is_alive(tool)).then_some(())
    });
    // It did not count.
    proxy.init(GOOD);
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn a_hook_that_sleeps_itself_is_found_out_when_it_returns() {
    let proxy = moody().arg("--timeout=50ms").start();
    assert!(fail(&proxy, "# sleep", 502).contains("time limit of 50 ms"));
}

#[test]
fn a_tool_that_fails_is_named_and_its_half_lines_are_completed() {
    let mut proxy = moody().start();
    fail(&proxy, "# tool\nprintf out\nprintf err >&2\nexit 3\n", 502);
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "out\n");
    assert_eq!(
        logs.stderr,
        "err\nactionproxy: build failed: `sh` exited with status 3\n"
    );
    fail(&proxy, "# tool\nkill -SEGV $$\n", 502);
    assert!(proxy.logs().stderr.contains("killed by SIGSEGV"));
}

#[test]
fn a_tool_that_leaves_a_descendant_does_not_hang_init() {
    let proxy = moody().arg("--linger=0").start();
    let mark = proxy.scratch().join("tool").display().to_string();
    fail(
        &proxy,
        &format!("# tool\nsleep 1000 &\necho $! > {mark}\nexit 1\n"),
        502,
    );
    let tool = crate::told_pid(&proxy, "tool");
    eventually("the descendant to be gone", || {
        (!census::is_alive(tool)).then_some(())
    });
}

#[test]
fn a_hook_that_panics_costs_its_request_and_no_more() {
    let mut proxy = moody().start();
    fail(&proxy, "# panic", 500);
    let logs = proxy.logs();
    // What it wrote before is a line of its own.
    assert_eq!(logs.stdout, "half\n");
    assert!(logs.stderr.contains("panicked at"), "{logs:?}");
    proxy.init(&format!("{GOOD}# panic at run\n"));
    for _ in 0..2 {
        assert_eq!(proxy.run(json!({ "panic": true })).status, 500);
        assert_eq!(proxy.logs().stdout, "half\n");
        assert_eq!(proxy.result(json!({})), "{}");
        assert_eq!(proxy.logs().stdout, "");
    }
}
