//! A result that comes after the exit of the action, and descendants that keep its output open.

use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Builder, Proxy, census, eventually};
use serde_json::json;

use crate::{fail, run_aside, told, told_pid};

/// Descendants are given next to nothing once a result stands, and a lot before.
fn impatient() -> Builder {
    Proxy::builder()
        .arg("--linger=10ms")
        .env("ACTIONPROXY_LATE_RESULT", "60s")
}

/// Waits for a result as long as it takes, and not for anything else.
fn waiting_for_ever() -> Builder {
    Proxy::builder()
        .arg("--linger=10ms")
        .env("ACTIONPROXY_LATE_RESULT", "0")
}

#[test]
fn a_result_through_tee_comes_though_bash_does_not_wait_for_tee() {
    if !are_here(&["bash"]) {
        return;
    }
    let mut proxy = impatient().start();
    proxy.init("#!/bin/bash\nexec > >(sleep 0.5; exec tee ../copy)\necho log\necho '{\"a\":1}'\n");
    assert_eq!(proxy.result(json!({})), "{\"a\":1}");
    let logs = proxy.logs();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("log\n", ""));
    assert_eq!(told(&proxy, "copy"), "log\n{\"a\":1}");
}

#[test]
fn a_result_through_sed_comes_though_bash_does_not_wait_for_sed() {
    if !are_here(&["bash"]) {
        return;
    }
    let proxy = impatient().start();
    proxy.init("#!/bin/bash\nexec > >(sleep 0.5; exec sed s/one/two/)\necho '{\"a\":\"one\"}'\n");
    assert_eq!(proxy.result(json!({})), "{\"a\":\"two\"}");
}

#[test]
fn a_result_of_a_program_whose_launcher_exits_first_comes() {
    let proxy = impatient().start();
    proxy.init("#!/bin/sh\n(sleep 0.5; echo '{\"late\":1}') | tee ../copy &\n");
    assert_eq!(proxy.result(json!({})), "{\"late\":1}");
}

#[test]
fn a_late_result_may_come_in_pieces_and_after_logs() {
    let mut proxy = impatient().start();
    proxy.init(
        "#!/bin/sh\n(sleep 0.3; echo log; sleep 0.3; printf '{\"a\":'; sleep 0.3; printf 1; \
         sleep 0.3; echo '}') &\n",
    );
    assert_eq!(proxy.result(json!({})), "{\"a\":1}");
    assert_eq!(proxy.logs().stdout, "log\n");
}

#[test]
fn once_a_result_stands_a_descendant_is_not_waited_for() {
    for code in [
        "sleep 1000 &\necho $! > ../child\necho '{\"ok\":1}'",
        // Late itself, and then it stays.
        "(sleep 0.3; echo '{\"ok\":1}'; exec sleep 1000) &\necho $! > ../child",
        // Late, and then it goes on to write elsewhere.
        "(sleep 0.3; echo '{\"ok\":1}'; while :; do echo chat; sleep 0.001; done >&2) &\n\
         echo $! > ../child",
    ] {
        let proxy = waiting_for_ever().start();
        proxy.init(&format!("#!/bin/sh\n{code}\n"));
        assert_eq!(proxy.result(json!({})), "{\"ok\":1}", "{code}");
        let child = told_pid(&proxy, "child");
        eventually("its end", || (!census::is_alive(child)).then_some(()));
    }
}

#[test]
fn a_descendant_that_holds_only_stderr_is_not_waited_for_though_there_is_no_result() {
    let mut proxy = waiting_for_ever().start();
    proxy.init("#!/bin/sh\nsleep 1000 >/dev/null &\necho $! > ../child\n");
    let logs = fail(&mut proxy, json!({}));
    let child = told_pid(&proxy, "child");
    let said = format!("`sleep` (process {child}) still holds stderr, ");
    assert!(logs.stderr.contains(&said), "{logs:?}");
}

#[test]
fn who_holds_stdout_is_named_where_no_result_comes() {
    let mut proxy = Proxy::builder()
        .env("ACTIONPROXY_LATE_RESULT", "300ms")
        .start();
    proxy.init("#!/bin/sh\nprintf half >&2\nsleep 1000 2>/dev/null &\necho $! > ../child\n");
    let logs = fail(&mut proxy, json!({}));
    let child = told_pid(&proxy, "child");
    let said = format!("half\nactionproxy: `sleep` (process {child}) still holds stdout, ");
    assert!(logs.stderr.starts_with(&said), "{logs:?}");
    assert!(
        logs.stderr.contains("\nactionproxy: stdout is empty"),
        "{logs:?}"
    );
    assert_eq!(logs.stderr.lines().count(), 3, "{logs:?}");
    eventually("its end", || (!census::is_alive(child)).then_some(()));
}

#[test]
fn who_holds_stdout_is_named_though_it_left_the_group_and_there_is_a_result() {
    if !are_here(&["setsid"]) {
        return;
    }
    let mut proxy = impatient().arg("--kill-grace=10ms").start();
    proxy.init(
        "#!/bin/sh\nsetsid sh -c 'echo $$ > ../child; exec sleep 1000' &\n\
         until [ -s ../child ]; do sleep 0.01; done\necho '{}'\n",
    );
    assert_eq!(proxy.result(json!({})), "{}");
    let child = told_pid(&proxy, "child");
    let said = format!("(process {child}) still holds stdout and stderr, ");
    assert!(proxy.logs().stderr.contains(&said), "{}", proxy.stderr());
    let pid = rustix::process::Pid::from_raw(child).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

#[test]
fn a_time_limit_ends_the_wait_for_a_late_result() {
    let mut proxy = waiting_for_ever().arg("--timeout=1s").start();
    proxy.init("#!/bin/sh\nsleep 1000 &\n");
    let logs = fail(&mut proxy, json!({}));
    assert!(logs.stderr.contains("still holds stdout"), "{logs:?}");
}

#[test]
fn the_proxy_ends_while_it_waits_for_a_late_result() {
    let mut proxy = waiting_for_ever().arg("--grace=100ms").start();
    proxy.init("#!/bin/sh\nsleep 1000 &\necho $! > ../child\n");
    thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        told_pid(&proxy, "child");
        proxy.signal(rustix::process::Signal::TERM);
        assert_eq!(answer.join().expect("an answer").status, 502);
    });
    assert_eq!(proxy.wait(), 0);
}
