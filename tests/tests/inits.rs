//! Inits that are cut off or large: what a killed proxy leaves, and what memory an archive takes.

use std::fs;

use actionproxy_tests::files::{base64, shell, tree};
use actionproxy_tests::proxy::write_executable;
use actionproxy_tests::{Proxy, eventually, request, tools};
use rustix::process::Signal;
use serde_json::json;

const SCRIPT: &str = "#!/bin/sh\necho '{}'\n";

#[test]
fn leftovers_of_a_killed_proxy_are_gone_after_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    for (name, file) in [
        (".actionproxy-stage-1-0", "exec"),
        (".actionproxy-commit-1-1", "exec"),
        ("lib", "old"),
    ] {
        fs::create_dir_all(action_dir.join(name)).expect("a directory");
        let content = format!("#!/bin/sh\necho '{{\"from\":\"{name}\"}}'\n");
        write_executable(&action_dir.join(name).join(file), content.as_bytes());
    }
    let proxy = Proxy::start_on(&action_dir);
    let mut left: Vec<_> = fs::read_dir(&action_dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["exec", "lib"]);
    // The commit was completed, the other thing was not.
    assert_eq!(
        proxy.result(json!({})),
        r#"{"from":".actionproxy-commit-1-1"}"#
    );
}

#[test]
fn killed_while_unpacking_leaves_the_previous_action() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    shell(
        directory.path(),
        "python3 - <<'PYTHON'
import zipfile
with zipfile.ZipFile('big.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('exec', 'never')
    archive.writestr('zeros', bytes(300 << 20))
PYTHON",
        &[],
    );
    let archive = fs::read(directory.path().join("big.zip")).expect("an archive");
    let body = json!({"value": {"binary": true, "code": base64(&archive)}}).to_string();
    let action_dir = directory.path().join("action");
    fs::create_dir(&action_dir).expect("a directory");
    write_executable(&action_dir.join("exec"), SCRIPT.as_bytes());
    let before = tree(&action_dir);

    let mut proxy = Proxy::start_on(&action_dir);
    let mut connection = proxy.connect();
    let request = request("POST", "/init", body.as_bytes());
    connection.send(&request).expect("the proxy takes it");
    let zeros = eventually("the unpacking to begin", || {
        tree(&action_dir)
            .into_iter()
            .map(|(path, _, _)| path)
            .find(|path| path.ends_with("zeros"))
    });
    proxy.signal(Signal::KILL);
    proxy.wait();
    assert!(zeros.exists(), "it was killed too late");

    let proxy = Proxy::start_on(&action_dir);
    assert_eq!(tree(&action_dir), before);
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn a_40_mb_archive_costs_little_more_memory_than_its_request() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    shell(
        directory.path(),
        r##"python3 - <<'PYTHON'
import base64, json, os, zipfile
with zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    info = zipfile.ZipInfo('exec')
    info.external_attr = 0o100755 << 16
    archive.writestr(info, "#!/bin/sh\necho '{}'\n")
    for n in range(40):
        archive.writestr(f'lib/{n}', os.urandom(1 << 20))
code = base64.b64encode(open('a.zip', 'rb').read()).decode()
open('init.json', 'w').write(json.dumps({'value': {'binary': True, 'code': code}}))
PYTHON"##,
        &[],
    );
    let body = fs::read(directory.path().join("init.json")).expect("a body");
    assert!(body.len() > 53 << 20, "{}", body.len());
    let proxy = Proxy::start();
    let memory = |field: &str| -> usize {
        let pid = proxy.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(field));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes
            .expect("a field")
            .parse::<usize>()
            .expect("a number")
            << 10
    };
    let idle = memory("VmRSS");
    let answer = proxy.post("/init", &body);
    assert_eq!((answer.status, answer.text()), (200, "OK"));
    let above = memory("VmHWM") - idle;
    assert!(
        above <= body.len() / 2 * 3,
        "{above} bytes above idle for a body of {}",
        body.len()
    );
    println!(
        "{above} bytes above idle, {:.3} x the body",
        above as f64 / body.len() as f64
    );
    assert_eq!(proxy.result(json!({})), "{}");
}
