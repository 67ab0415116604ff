//! Is there something fit to run, and does it start.

use super::*;

#[test]
fn a_run_with_nothing_to_run_says_so() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nrm -f \"$0\"\necho '{}'\n");
    assert_answer(&proxy.run(json!({})), 200, "{}");
    proxy.logs();
    assert_answer(&proxy.run(json!({})), 502, NO_BINARY);
    let logs = proxy.logs();
    assert!(
        logs.stderr.contains("there is no executable at"),
        "{}",
        logs.stderr
    );
    assert_silent(&proxy);
}

#[test]
fn an_executable_that_changed_since_init_does_not_run() {
    let tampers = "#!/bin/sh\necho '# more' >> \"$0\"\necho '{}'\n";
    let mut proxy = Proxy::start();
    proxy.init(tampers);
    assert_answer(&proxy.run(json!({})), 200, "{}");
    proxy.logs();
    assert_answer(&proxy.run(json!({})), 502, NO_BINARY);
    let stderr = proxy.logs().stderr;
    assert!(
        stderr.contains("expected sha256") && stderr.contains("actual"),
        "{stderr}"
    );

    let proxy = Proxy::builder().env("ACTION_VERIFY", "permission").start();
    proxy.init(tampers);
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn an_executable_that_was_touched_but_not_changed_runs() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/sh\ntouch \"$0\"\necho '{}'\n");
    for _ in 0..3 {
        assert_eq!(proxy.result(json!({})), "{}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_no_result_and_says_why() {
    let mut proxy = Proxy::start();
    proxy.init("#!/no/such/interpreter\n");
    assert_answer(&proxy.run(json!({})), 502, NO_RESULT);
    let logs = proxy.logs();
    // The platform's own tests look for the word on stdout.
    assert!(logs.stdout.starts_with("error: "), "{logs:?}");
    for stream in [&logs.stdout, &logs.stderr] {
        assert!(stream.contains("/no/such/interpreter"), "{logs:?}");
    }
    assert_silent(&proxy);
}
