//! Why an activation failed is in its logs, and the next one works.

use std::fs::{self, File};
use std::process::Command;
use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Proxy, census, eventually, request};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::{fail, reinitialised, run_aside, wait_for_load};

/// A run of `proxy` succeeds.
fn assert_works(proxy: &mut Proxy) {
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(proxy.logs().stderr, "");
}

/// Fails with the contract's text, and says `cause` in one line.
fn assert_fails(proxy: &mut Proxy, body: &str, cause: &str) {
    let answer = proxy.post("/run", body);
    assert_eq!(answer.status, 502);
    let said = "The action did not return a dictionary or array.";
    assert_eq!(answer.error(), said);
    let logs = proxy.logs();
    assert!(logs.stderr.contains(cause), "{logs:?}");
    assert_eq!(logs.stderr.lines().count(), 1, "{logs:?}");
}

#[test]
fn a_signal_after_the_result_is_named_and_the_result_counts() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{\"a\":1}'\nkill -SEGV $$\n");
    assert_eq!(proxy.result(json!({})), "{\"a\":1}");
    let said = "actionproxy: the action was killed by SIGSEGV\n";
    assert_eq!(proxy.logs().stderr, said);
}

#[test]
fn an_exit_status_is_told_where_there_is_no_result() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nexit 3\n");
    assert_fails(&mut proxy, "{}", "the action exited with status 3");
}

#[test]
fn an_environment_that_does_not_fit_is_e2big() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    let body = json!({ "value": {}, "big": "x".repeat(200_000) }).to_string();
    assert_fails(
        &mut proxy,
        &body,
        "Argument list too long (os error 7): the environment",
    );
    assert_works(&mut proxy);
}

#[test]
fn an_argument_that_does_not_fit_beside_the_environment_is_left_out() {
    if !are_here(&["prlimit"]) {
        return;
    }
    // Half a page of stack is room for the environment and not for the argument too.
    let proxy = Proxy::builder()
        .under(["prlimit", "--stack=524288", "--"])
        .start();
    proxy.init("#!/bin/sh\nread x\necho \"[$#,${#x}]\"\n");
    let argument = json!({ "x": "y".repeat(100_000) });
    let length = argument.to_string().len();
    assert_eq!(proxy.result(argument), format!("[1,{length}]"));
    let argument = json!({ "x": "y".repeat(131_000) });
    let length = argument.to_string().len();
    assert_eq!(proxy.result(argument), format!("[0,{length}]"));
}

#[test]
fn an_argument_too_long_for_the_command_line_is_named_where_the_action_fails() {
    let mut proxy = reinitialised();
    let argument = || json!({ "x": "y".repeat(140_000) });
    let told =
        "its argument of 140008 bytes was too long for the command line and came on stdin only";
    for code in [
        // Each looks for its parameters on the command line, and fails in a way of its own.
        "set -u\necho \"[$1\"",
        "[ $# -eq 1 ] || { echo usage; exit 2; }",
    ] {
        proxy.init(&format!("#!/bin/sh\n{code}\n"));
        let logs = fail(&mut proxy, argument());
        assert!(logs.stderr.contains(told), "{code}: {logs:?}");
        let logs = fail(&mut proxy, json!({ "x": 1 }));
        assert!(!logs.stderr.contains(told), "{code}: {logs:?}");
    }
    for (code, fails) in [
        ("echo '{\"error\":\"no parameters\"}'", true),
        ("echo '{\"a\":1}'; exit 1", true),
        ("echo '{\"a\":\"error\"}'", false),
    ] {
        proxy.init(&format!("#!/bin/sh\n{code}\n"));
        assert_eq!(proxy.run(argument()).status, 200);
        let said = proxy.logs().stderr;
        assert_eq!(said.contains(told), fails, "{code}: {said}");
    }
}

#[test]
fn an_argument_left_out_for_the_environments_sake_is_named_too() {
    if !are_here(&["prlimit"]) {
        return;
    }
    let mut proxy = Proxy::builder()
        .under(["prlimit", "--stack=524288", "--"])
        .start();
    proxy.init("#!/bin/sh\n[ $# -eq 1 ] && echo '{}'\n");
    let logs = fail(&mut proxy, json!({ "x": "y".repeat(131_000) }));
    assert!(logs.stderr.contains("came on stdin only"), "{logs:?}");
}

#[test]
fn an_executable_that_is_open_for_writing_is_etxtbsy() {
    let mut proxy = Proxy::builder().env("ACTION_VERIFY", "permission").start();
    // Only a binary counts: a script is opened by its interpreter.
    let binary = fs::read("/bin/true").expect("/bin/true");
    proxy.init("#!/bin/sh\necho '{}'\n");
    let exec = proxy.action_dir().join("exec");
    let script = fs::read(&exec).expect("the action");
    actionproxy_tests::proxy::write_executable(&exec, &binary);
    let writer = File::options().append(true).open(&exec).expect("our own");
    assert_fails(&mut proxy, "{}", "Text file busy");
    drop(writer);
    actionproxy_tests::proxy::write_executable(&exec, &script);
    assert_works(&mut proxy);
}

#[test]
fn without_descriptors_it_is_emfile() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    // The connection is there already; a run needs more than the two that are left.
    let mut connection = proxy.connect();
    connection
        .send(&request("POST", "/run", b"{}"))
        .and_then(|()| connection.answer())
        .expect("an answer");
    proxy.logs();
    let limit = eventually("only our connection", || {
        (census::connections(proxy.address().port()) == 1).then(|| limit_with_free(&proxy, 2))
    });
    let new = Rlimit {
        current: Some(limit),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    let old = prlimit(Some(proxy.pid()), Resource::Nofile, new).expect("our own child");
    connection
        .send(&request("POST", "/run", b"{}"))
        .expect("the proxy takes the request");
    assert_eq!(connection.answer().expect("an answer").status, 502);
    let said = proxy.logs().stderr;
    let cause = "Too many open files (os error 24): no file descriptor is left";
    assert!(said.contains(cause), "{said}");
    prlimit(Some(proxy.pid()), Resource::Nofile, old).expect("our own child");
    assert_works(&mut proxy);
}

#[test]
fn an_executable_that_was_open_for_a_moment_is_started() {
    let proxy = Proxy::builder().env("ACTION_VERIFY", "permission").start();
    let exec = proxy.action_dir().join("exec");
    let binary = fs::read("/bin/echo").expect("/bin/echo");
    actionproxy_tests::proxy::write_executable(&exec, &binary);
    let writer = File::options().append(true).open(&exec).expect("our own");
    let answer = thread::scope(|scope| {
        // It prints its argument.
        let run = run_aside(scope, &proxy);
        wait_for_load(&proxy, 1, 0);
        drop(writer);
        run.join().expect("an answer")
    });
    assert_eq!((answer.status, answer.text()), (200, "{}"));
}

/// Has each `clone` that waits for the child fail as on a machine without memory; `prctl` and `clone`
/// by number, then a program to become. The filter: load the number; `clone`: load its flags;
/// CLONE_VFORK: ENOMEM; else: allow.
const WITHOUT_MEMORY: &str = "
    my ($prctl, $clone) = splice @ARGV, 0, 2;
    my $filter = pack 'SCCL' x 6, 0x20, 0, 0, 0, 0x15, 0, 2, $clone, 0x20, 0, 0, 16,
        0x45, 1, 0, 0x4000, 6, 0, 0, 0x7fff0000, 6, 0, 0, 0x0005000c;
    syscall($prctl, 38, 1, 0, 0, 0) == 0 or die $!;
    syscall($prctl, 22, 2, pack('Sx6P', 6, $filter), 0, 0) == 0 or die $!;
    exec @ARGV";

#[test]
fn without_memory_it_is_enomem() {
    let Some([prctl, clone]) = crate::filtered_calls() else {
        return;
    };
    if !are_here(&["perl"]) {
        return;
    }
    let mut proxy = Proxy::builder()
        .under(["perl", "-e", WITHOUT_MEMORY, prctl, clone])
        .start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    assert_fails(&mut proxy, "{}", "Cannot allocate memory (os error 12)");
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn starting_a_process_takes_no_address_space() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    assert_works(&mut proxy);
    // Not a page more than it has.
    let size = census::status(proxy.pid(), "VmSize").expect("it is there");
    let new = Rlimit {
        current: Some(size.parse::<u64>().expect("a number") << 10),
        maximum: rustix::process::getrlimit(Resource::As).maximum,
    };
    prlimit(Some(proxy.pid()), Resource::As, new).expect("our own child");
    assert_works(&mut proxy);
}

/// The limit below which so many numbers are free.
fn limit_with_free(proxy: &Proxy, free: usize) -> u64 {
    let fd = format!("/proc/{}/fd", proxy.pid());
    let is_free = |number: &u64| !fs::exists(format!("{fd}/{number}")).expect("it is there");
    (0..).filter(is_free).nth(free).expect("an end")
}

#[test]
fn without_processes_it_is_eagain() {
    if !are_here(&["setpriv"]) {
        return;
    }
    // The limit does not bind root, and counts all processes of a user: a user of its own.
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: this test needs root, to start a process as another user");
        return;
    }
    let user = (2_000_000 + std::process::id()).to_string();
    let shell = "chown -R \"$0\" \"$(dirname \"$7\")\" && \
                 exec setpriv --reuid \"$0\" --clear-groups -- prlimit --nproc=40 -- \"$@\"";
    let mut proxy = Proxy::builder().under(["sh", "-c", shell, &user]).start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    assert_works(&mut proxy);
    let mut others: Vec<_> = (0..40)
        .map(|_| {
            let mut sleeper = Command::new("setpriv");
            sleeper.args(["--reuid", &user, "--clear-groups", "--", "sleep", "1000"]);
            sleeper.spawn().expect("setpriv")
        })
        .collect();
    eventually("the user to have too many", || {
        let of_user = |pid: u32| {
            let pid = Pid::from_raw(pid as i32).expect("a process id");
            census::status(pid, "Uid").is_some_and(|uid| uid.starts_with(&user))
        };
        others.iter().all(|other| of_user(other.id())).then_some(())
    });
    let cause = "Resource temporarily unavailable (os error 11): no process can be added";
    assert_fails(&mut proxy, "{}", cause);
    for other in &mut others {
        other
            .kill()
            .and_then(|()| other.wait())
            .expect("our own child");
    }
    assert_works(&mut proxy);
}
