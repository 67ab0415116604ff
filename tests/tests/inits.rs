//! Inits that are cut off or large: what a killed proxy leaves, and what memory an archive takes.

use std::fs;
use std::path::Path;

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
    // Nothing is read here: the unpacking would be done before all of it was.
    let zeros = eventually("the unpacking to begin", || {
        let entries = fs::read_dir(&action_dir).expect("a directory");
        let mut paths = entries.map(|entry| entry.expect("an entry").path().join("zeros"));
        paths.find(|path| path.exists())
    });
    proxy.signal(Signal::KILL);
    proxy.wait();
    assert!(zeros.exists(), "it was killed too late");

    let proxy = Proxy::start_on(&action_dir);
    assert_eq!(tree(&action_dir), before);
    assert_eq!(proxy.result(json!({})), "{}");
}

/// A proxy on `action_dir` that has been given `code` and has ended.
fn installed_by_an_earlier_proxy(action_dir: &Path, code: &str) {
    let mut proxy = Proxy::start_on(action_dir);
    proxy.init(code);
    assert_eq!(proxy.stop(), 0, "{}", proxy.stderr());
}

/// An archive of one file that is not the executable.
fn data_alone() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    shell(
        directory.path(),
        "echo '[1]' > data; tar czf data.tar.gz data",
        &[],
    );
    fs::read(directory.path().join("data.tar.gz")).expect("an archive")
}

#[test]
fn what_an_earlier_proxy_installed_runs_and_is_not_taken_for_the_images_own() {
    if !tools::are_here(&["tar"]) {
        return;
    }
    let data = json!({"binary": true, "code": base64(&data_alone())});
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    installed_by_an_earlier_proxy(&action_dir, SCRIPT);
    let proxy = Proxy::start_on(&action_dir);
    assert!(
        proxy
            .get("/healthz")
            .text()
            .contains("\"initialized\":false")
    );
    assert_eq!(proxy.result(json!({})), "{}");
    // Files for an image's executable are not for an action's.
    let refused = proxy.init_with(data.clone());
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert_eq!(proxy.result(json!({})), "{}");
    // What stands stays where no code comes, and counts.
    assert_eq!(proxy.init_with(json!({})).status, 200);
    assert_eq!(proxy.init_with(json!({})).status, 403);

    // The image's own has no record.
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    fs::create_dir(&action_dir).expect("a directory");
    write_executable(&action_dir.join("exec"), b"#!/bin/sh\ncat data\n");
    drop(Proxy::start_on(&action_dir));
    let proxy = Proxy::start_on(&action_dir);
    assert_eq!(proxy.init_with(data).status, 200, "{}", proxy.stderr());
    assert_eq!(proxy.result(json!({})), "[1]");
}

#[test]
fn an_executable_that_changed_while_no_proxy_ran_is_named_and_does_not_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    installed_by_an_earlier_proxy(&action_dir, SCRIPT);
    write_executable(
        &action_dir.join("exec"),
        b"#!/bin/sh\necho '{\"changed\":1}'\n",
    );

    let proxy = Proxy::start_on(&action_dir);
    let told = "exec has changed: expected sha256 ";
    for answer in [proxy.run(json!({})), proxy.init_with(json!({}))] {
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert_eq!(
        proxy.stderr().matches(told).count(),
        2,
        "{}",
        proxy.stderr()
    );
    // Whoever does not ask for the digest gets what stands there.
    let path = action_dir.to_str().expect("UTF-8");
    let lenient = Proxy::builder().arg("--action-dir").arg(path);
    let lenient = lenient.env("ACTION_VERIFY", "permission").start();
    assert_eq!(lenient.result(json!({})), r#"{"changed":1}"#);
    // An init puts it right.
    proxy.init(SCRIPT);
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn an_executable_that_changed_since_init_is_not_kept_by_an_init_without_code() {
    let proxy = Proxy::builder().arg("--allow-reinit").start();
    proxy.init(SCRIPT);
    write_executable(&proxy.action_dir().join("exec"), b"#!/bin/sh\necho '[]'\n");
    let answer = proxy.init_with(json!({}));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(
        proxy.stderr().contains("has changed: expected sha256 "),
        "{}",
        proxy.stderr()
    );
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_nothing_runs_until_an_init() {
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    installed_by_an_earlier_proxy(&action_dir, SCRIPT);
    let record = action_dir.join(".actionproxy-installed");
    let line = fs::read_to_string(&record).expect("a record");
    assert_eq!(shell(&action_dir, "sha256sum exec", &[]), line);
    for (damaged, told) in [
        ("", "no line names `exec`"),
        ("sha256\n", "line 1: expected a digest"),
        (&line.replace("exec", "other"), "no line names `exec`"),
    ] {
        fs::write(&record, damaged).expect("our file");
        let proxy = Proxy::start_on(&action_dir);
        assert_eq!(proxy.run(json!({})).status, 502, "{damaged:?}");
        let told = format!(".actionproxy-installed is not usable: {told}");
        assert!(proxy.stderr().contains(&told), "{}", proxy.stderr());
    }
    let proxy = Proxy::start_on(&action_dir);
    proxy.init(SCRIPT);
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(fs::read_to_string(&record).expect("a record"), line);
}

#[test]
fn the_record_goes_with_the_executable() {
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    installed_by_an_earlier_proxy(&action_dir, SCRIPT);
    fs::remove_file(action_dir.join("exec")).expect("it is there");
    // The stub is put, and what somebody copies there later is no init's.
    drop(Proxy::start_on(&action_dir));
    assert!(!action_dir.join(".actionproxy-installed").exists());
    write_executable(&action_dir.join("exec"), b"#!/bin/sh\necho '[2]'\n");
    assert_eq!(Proxy::start_on(&action_dir).result(json!({})), "[2]");
}

#[test]
fn half_a_stub_is_not_taken_for_an_executable_and_does_not_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let action_dir = directory.path().join("action");
    fs::create_dir(&action_dir).expect("a directory");
    write_executable(&action_dir.join(".actionproxy-stub"), b"#!");
    let proxy = Proxy::start_on(&action_dir);
    assert!(proxy.result(json!({})).contains("stub action"));
    let names = || {
        let entries = fs::read_dir(&action_dir).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(), ["exec"]);
    // Where an executable stands, too.
    write_executable(&action_dir.join(".actionproxy-stub"), b"#!");
    write_executable(&action_dir.join("exec"), SCRIPT.as_bytes());
    drop(Proxy::start_on(&action_dir));
    assert_eq!(names(), ["exec"]);
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
