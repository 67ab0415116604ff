//! What is taken from actions by flags: each is hit through the proxy, and told in its logs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use actionproxy_tests::proxy::write_executable;
use actionproxy_tests::tools::{are_here, leave_out};
use actionproxy_tests::{Proxy, binary};
use rustix::process::geteuid;
use serde_json::json;

fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        leave_out("this test needs root");
    }
    is_root
}

/// A proxy whose directory other users can reach.
fn start(arguments: &[&str]) -> Proxy {
    let builder = arguments.iter().fold(Proxy::builder(), |b, a| b.arg(a));
    let proxy = builder.start();
    fs::set_permissions(proxy.scratch(), Permissions::from_mode(0o711)).expect("our own");
    proxy
}

/// The limit is hit: 502, and the words in the logs.
#[track_caller]
fn hits(arguments: &[&str], script: &str, words: &str) {
    let mut proxy = start(arguments);
    proxy.init(&format!("#!/bin/bash\n{script}\n"));
    assert_eq!(proxy.run(json!({})).status, 502, "{arguments:?}");
    let logs = proxy.logs();
    assert!(logs.stderr.contains(words), "{arguments:?}: {logs:?}");
}

#[test]
fn each_limit_is_named_when_it_is_hit() {
    hits(
        &["--limit-cpu-time", "1s"],
        "while :; do :; done",
        "killed by SIGKILL: it used up its processor time of 1 s",
    );
    hits(
        &["--limit-file-size=4K"],
        "exec head -c 10000 /dev/zero > file",
        "killed by SIGXFSZ: it wrote a file larger than 4096 bytes, its limit",
    );
    hits(
        &["--limit-address-space=100M"],
        "dd if=/dev/zero of=/dev/null bs=300M count=1 && echo '{}'",
        "it runs under limits: address space 104857600 bytes",
    );
    hits(
        &["--limit-open-files=12"],
        "set -e; exec 10>a 11>b 12>c; echo '{}'",
        "it runs under limits: open files 12",
    );
    if is_root() {
        hits(
            &["--user=54323", "--limit-processes=1"],
            "(exit 0) || exit 1; echo '{}'",
            "it runs under limits: processes 1",
        );
    }
}

/// What it is and may do, as JSON.
const ASK: &str = r#"#!/bin/bash
status() { grep "$1:" /proc/self/status | cut -f 2; }
echo x > "$TMPDIR/x" && echo x > /dev/null
write() { echo x 2> /dev/null > "$1" && echo yes || echo no; }
echo "{\"ids\":\"$(id -u):$(id -G)\",\"caps\":\"$(status CapEff)\",\"nnp\":$(status NoNewPrivs),\"core\":$(ulimit -c),\"own\":\"$(write own)\",\"tmp\":\"$(write "$TMPDIR/y")\",\"system\":\"$(write OPEN/x)\"}"
"#;

#[test]
fn an_action_is_another_user_with_a_read_only_view() {
    if !is_root() {
        return;
    }
    let all = [
        "--user",
        "54323:54324",
        "--read-only",
        "--no-core-dumps",
        "--no-new-privs",
        "--limit-processes=100",
    ];
    let expected = r#"{"ids":"54323:54324","caps":"0000000000000000","nnp":1,"core":0,"own":"no","tmp":"yes","system":"no"}"#;
    // Anybody may write there.
    let open = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).expect("our own");
    let ask = ASK.replace("OPEN", open.path().to_str().expect("UTF-8"));
    let proxy = start(&all);
    proxy.init(&ask);
    // The second finds what the first left, and nothing is in its way.
    for _ in 0..2 {
        assert_eq!(proxy.result(json!({})), expected);
    }
    // The same of a process that stays.
    let mut arguments = all.to_vec();
    arguments.push("--action-loop");
    let proxy = start(&arguments);
    let loops = format!(
        "while read -r _; do\n{}\ndone",
        ask.trim_end().to_owned() + " >&3"
    );
    let answer = proxy.init_with(json!({ "code": format!("#!/bin/bash\n{loops}\n") }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for _ in 0..2 {
        assert_eq!(proxy.result(json!({})).trim_end(), expected);
    }
    // Without the view it may write there, as anybody may.
    let proxy = start(&["--user=54323"]);
    proxy.init(&format!(
        "#!/bin/sh\necho x > {}/x && echo '{{}}'",
        open.path().display()
    ));
    assert_eq!(proxy.result(json!({})), "{}");
}

/// The proxy as another user, and what it says.
fn as_user(arguments: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups"]);
    command.arg(binary::proxy()).args(arguments).env_clear();
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", path).stdin(Stdio::null());
    command.output().expect("setpriv runs")
}

#[test]
fn what_cannot_be_had_is_refused_at_the_start() {
    if !are_here(&["setpriv"]) || !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("our own");
    let path = dir.path().to_str().expect("UTF-8");
    let place = ["--host=127.0.0.1", "--port=0", "--action-dir", path];
    let mut as_root = binary::command();
    as_root.args(place).arg("--limit-processes=9");
    let refusals = [
        (
            as_user(&[&place[..], &["--user", "7:8"]].concat()),
            "only root can run actions as another user, and this process is of user 65534",
        ),
        (
            as_root.output().expect("the proxy runs"),
            "a limit of processes does not hold root: expected another user beside it",
        ),
        (
            as_user(&[&place[..], &["--user=who-is-this"]].concat()),
            "--user: expected USER or USER:GROUP, numbers or names that /etc/passwd and /etc/group have, or `off`, found \"who-is-this\"",
        ),
    ];
    for (output, words) in refusals {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn a_file_is_run_under_limits_too_and_nothing_is_put_beside_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("action");
    let outside = tempfile::tempdir().expect("a temporary directory");
    let script = format!(
        "#!/bin/sh\necho x > own && ! echo x 2> /dev/null > {}/x && echo \"{{\\\"tmp\\\":\\\"$TMPDIR\\\"}}\"\n",
        outside.path().display()
    );
    write_executable(&file, script.as_bytes());
    let mut command = binary::command();
    let output = command.arg("run").arg(&file).arg("--read-only").output();
    let output = output.expect("the proxy runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"{\"tmp\":\"\"}\n");
    let left: Vec<_> = fs::read_dir(dir.path())
        .expect("our own")
        .map(|entry| entry.expect("our own").file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
