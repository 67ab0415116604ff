//! Resource limits that the proxy is started under: it lives with them, and says which one was in
//! the way.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use actionproxy_tests::proxy::free_address;
use actionproxy_tests::tools::{are_here, leave_out};
use actionproxy_tests::{Builder, Connection, Proxy, binary, request};
use rustix::process::{Signal, geteuid, kill_process};
use serde_json::json;

const OK: &str = "#!/bin/sh\necho '{\"ok\":1}'\n";

/// A proxy that a shell starts under `ulimit` with these options.
fn under(limit: &str) -> Builder {
    let shell = format!("ulimit {limit} || exit 3; exec \"$@\"");
    Proxy::builder().under(["sh", "-c", &shell, "sh"])
}

/// What a proxy says that cannot start under this limit. Another user where one is needed: limits
/// of processes do not hold for root, and count what else the user runs.
fn refused(limit: &str, user: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = free_address().port().to_string();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("our own");
    // bash: dash has no `ulimit -u`.
    Command::new("bash")
        .args([
            "-c",
            &format!("ulimit {limit} || exit 3; exec {user} \"$@\""),
            "bash",
        ])
        .arg(binary::proxy())
        .args(["--host", "127.0.0.1", "--port", &port, "--action-dir"])
        .arg(dir.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs")
}

/// Status 2, and one line that names the limit.
fn assert_refused(output: &Output, named: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(named), "{stderr}");
}

#[test]
fn an_init_over_the_limit_of_file_sizes_fails_with_its_name_and_the_proxy_goes_on() {
    // 512 bytes each, or 1024, as the shell has it.
    let mut proxy = under("-f 200").env("PROXY_ALLOW_REINIT", "1").start();
    proxy.init(OK);
    let large = format!("{OK}#{}", "x".repeat(300_000));
    let answer = proxy.init_with(json!({ "code": large }));
    assert_eq!(answer.status, 500, "{}", answer.text());
    let logs = proxy.logs();
    assert!(logs.stderr.contains("File too large"), "{logs:?}");
    assert!(
        logs.stderr.contains("the limit of file sizes is "),
        "{logs:?}"
    );
    assert!(logs.stderr.contains("(ulimit -f)"), "{logs:?}");
    // What was there stays.
    assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
}

#[test]
fn an_action_over_the_limit_of_file_sizes_gets_the_signal_that_the_proxy_ignores() {
    if !are_here(&["perl"]) {
        return;
    }
    let mut proxy = under("-f 200").start();
    proxy.init("#!/bin/sh\nhead -c 300000 /dev/zero > ../large\necho \"{\\\"status\\\":$?}\"\n");
    let killed = 128 + libc_sigxfsz();
    assert_eq!(proxy.result(json!({})), format!("{{\"status\":{killed}}}"));
    assert_eq!(proxy.logs().stdout, "");
    assert_eq!(proxy.stop(), 0);
}

/// The number on this architecture.
fn libc_sigxfsz() -> i32 {
    Signal::XFSZ.as_raw()
}

#[test]
fn a_log_file_that_may_not_grow_does_not_end_the_proxy() {
    let mut proxy = under("-f 8").start();
    proxy.init("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x\necho\necho '{\"ok\":1}'\n");
    for _ in 0..3 {
        assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
    }
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn a_start_that_a_limit_forbids_names_the_limit() {
    assert_refused(
        &refused("-n 16", ""),
        "the limit of open files is 16 (ulimit -n)",
    );
    assert_refused(
        &refused("-n 9", ""),
        "the limit of open files is 9 (ulimit -n)",
    );
    assert_refused(
        &refused("-v 14000", ""),
        "the limit of memory is 14336000 bytes (ulimit -v)",
    );
    assert_refused(
        &refused("-s 64", ""),
        "the limit of a stack is 65536 bytes (ulimit -s)",
    );
    assert_refused(
        &refused("-f 0", ""),
        "the limit of file sizes is 0 bytes (ulimit -f)",
    );
    if !are_here(&["setpriv"]) {
        return;
    }
    if !geteuid().is_root() {
        return leave_out("limits of processes need root, to be another user");
    }
    // A user that has no other process.
    for most in 2..6 {
        let user = "setpriv --reuid 428571 --clear-groups";
        let output = refused(&format!("-u {most}"), user);
        if output.status.code() == Some(126) {
            return leave_out("another user may not execute the proxy here");
        }
        let named = format!("the limit of this user's processes and threads is {most} (ulimit -u)");
        assert_refused(&output, &named);
    }
}

#[test]
fn where_memory_is_limited_large_bodies_and_results_are_refused_and_nothing_dies() {
    if !are_here(&["perl"]) {
        return;
    }
    for limit in ["-v 40000", "-d 40000"] {
        let proxy = under(limit).start();
        let said = proxy.stderr();
        assert!(
            said.contains("--max-body and --max-result are lowered to "),
            "{said}"
        );
        let option = limit.split(' ').next().expect("an option");
        let named = format!("the limit of memory is 40960000 bytes (ulimit {option})");
        assert!(said.contains(&named), "{said}");
        let body = format!("{{\"value\":\"{}\"}}", "x".repeat(40_000_000));
        let mut connection = proxy.connect();
        // It may be refused before all of it is sent.
        let _ = connection.send(&actionproxy_tests::request(
            "POST",
            "/init",
            body.as_bytes(),
        ));
        assert_eq!(connection.answer().expect("an answer").status, 413);
        proxy.init("#!/usr/bin/perl\n<STDIN> =~ /(\\d+)/; print '[\"', 'x' x $1, '\"]';\n");
        assert_eq!(proxy.run(json!({"n": 100_000})).status, 200);
        assert_eq!(proxy.run(json!({"n": 10_000_000})).status, 502);
        let answer = proxy.run(json!({"n": 100_000}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn a_small_stack_and_a_small_share_of_time_are_lived_with() {
    let mut proxy = under("-s 128").start();
    proxy.init(OK);
    assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
    assert_eq!(proxy.stop(), 0);

    let mut proxy = under("-S -t 1").start();
    proxy.init(OK);
    // The kernel sends this every second from the limit on; here it comes at once.
    kill_process(proxy.pid(), Signal::XCPU).expect("it is there");
    assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
    assert_eq!(proxy.stop(), 0);

    let proxy = under("-t 1000").start();
    let said = proxy.stderr();
    assert!(
        said.contains("1000 s of processor time") && said.contains("ulimit -t"),
        "{said}"
    );
}

#[test]
fn run_lives_with_limits_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("action");
    actionproxy_tests::proxy::write_executable(&file, OK.as_bytes());
    let out = dir.path().join("out");
    let shell = format!(
        "ulimit -f 0; \"$0\" run {} > {}; echo $?",
        file.display(),
        out.display()
    );
    let output = Command::new("sh")
        .args(["-c", &shell])
        .arg(binary::proxy())
        .env_remove("ACTIONPROXY_BIN")
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{stderr}");
    assert!(stderr.contains("failed to write the result"), "{stderr}");
    assert!(stderr.contains("(ulimit -f)"), "{stderr}");
}

#[test]
fn with_too_few_descriptors_nothing_is_said_to_listen() {
    let mut refusals = 0;
    for descriptors in 6.. {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let limit = format!("ulimit -n {descriptors} || exit 3; exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &limit, "sh"])
            .arg(binary::proxy())
            .args(["--host", "127.0.0.1", "--port", "0", "--action-dir"])
            .arg(dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("text");
        if let Some((_, place)) = line.split_once("listening on ") {
            let (address, _) = place.split_once(',').expect("an address");
            let address = address.parse().expect("an address");
            let served = serves(address);
            let _ = child.kill();
            let _ = child.wait();
            served.unwrap_or_else(|e| panic!("{descriptors} descriptors: {e}"));
            break;
        }
        refusals += 1;
        let names = format!("the limit of open files is {descriptors} (ulimit -n)");
        assert!(line.contains(&names), "{line}");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "");
        assert_eq!(child.wait().expect("our child").code(), Some(2));
    }
    assert!(refusals > 5, "{refusals}");
}

/// An init and a run beside a few idle connections.
fn serves(address: SocketAddr) -> io::Result<()> {
    let _idle: Vec<_> = (0..3).map(|_| Connection::open(address)).collect();
    let init = json!({"value": {"code": OK}}).to_string();
    for (path, body, answered) in [("/init", &*init, "OK"), ("/run", "{}", "{\"ok\":1}")] {
        let mut connection = Connection::open(address)?;
        connection.send(&request("POST", path, body.as_bytes()))?;
        assert_eq!(connection.answer()?.text(), answered);
    }
    Ok(())
}
