//! Runs whose executable could not be started: the cause is in the logs, on stdout too.

use std::fs;
use std::path::Path;
use std::process::Command;

use actionproxy_tests::Proxy;
use actionproxy_tests::proxy::{Logs, write_executable};
use actionproxy_tests::tools::{are_here, leave_out};
use serde_json::json;

use crate::{fail, reinitialised};

/// Both logs are one line that says `cause`: on stdout behind the word that platforms look for.
fn assert_both_told(logs: &Logs, cause: &str) {
    assert!(logs.stdout.starts_with("error: "), "{logs:?}");
    assert!(logs.stderr.starts_with("actionproxy: "), "{logs:?}");
    for stream in [&logs.stdout, &logs.stderr] {
        assert_eq!(stream.lines().count(), 1, "{logs:?}");
        assert!(stream.contains(cause), "{logs:?}");
    }
}

#[test]
fn a_first_line_that_the_kernel_cannot_use() {
    let mut proxy = reinitialised();
    for (code, cause) in [
        (
            "#!/no/such/shell\n",
            "its interpreter `/no/such/shell` does not exist here",
        ),
        (
            "#!/usr/bin\n",
            "its interpreter `/usr/bin`: it is a directory",
        ),
        (
            "#!/etc/passwd\n",
            "its interpreter `/etc/passwd` is not executable",
        ),
        (
            "#!/etc/passwd/sh\n",
            "its interpreter `/etc/passwd/sh` does not exist here",
        ),
        ("#!\n", "its `#!` line names no interpreter"),
        ("\n#!/bin/sh\necho '{}'\n", "its `#!` stands on line 2"),
        (
            " #!/bin/sh\necho '{}'\n",
            "white space stands before its `#!`",
        ),
        (
            "\u{feff}#!/bin/sh\necho '{}'\n",
            "a byte order mark stands before its `#!` line",
        ),
        (
            "#!/bin/sh\r\necho '{}'\r\n",
            "its `#!` line ends in a carriage return",
        ),
        (
            "#!/bin/sh\recho '{}'\r",
            "its lines end in carriage returns alone",
        ),
        (
            "echo '{}'\n",
            "it is neither an ELF executable nor a script with a `#!` line",
        ),
        ("", "it is empty"),
    ] {
        proxy.init(code);
        assert_both_told(&fail(&mut proxy, json!({})), cause);
    }
    let long = format!("#!/{}/sh\n", "x".repeat(300));
    proxy.init(&long);
    assert_both_told(&fail(&mut proxy, json!({})), "longer than the 255 bytes");
    proxy.init("#!/bin/sh\necho '{}'\n");
    assert_eq!(proxy.result(json!({})), "{}");
    assert_eq!(proxy.logs().stdout, "");
}

#[test]
fn a_script_whose_interpreter_is_a_script() {
    let mut proxy = reinitialised();
    let path = |name: &str| proxy.scratch().join(name);
    let script = |name: &str, interpreter: &Path| {
        write_executable(
            &path(name),
            format!("#!{}\n", interpreter.display()).as_bytes(),
        );
    };
    // As deep as it may be, and it runs.
    write_executable(&path("1"), b"#!/bin/sh\necho '{\"deep\":1}'\n");
    (2..=4).for_each(|n| script(&n.to_string(), &path(&(n - 1).to_string())));
    (5..=7).for_each(|n| script(&n.to_string(), &path(&(n - 1).to_string())));
    script("bad", Path::new("/no/such/shell"));
    let (good, deep, bad) = (path("2"), path("7"), path("bad"));
    proxy.init(&format!("#!{}\n", good.display()));
    assert_eq!(proxy.result(json!({})), "{\"deep\":1}");
    proxy.logs();
    proxy.init(&format!("#!{}\n", deep.display()));
    assert_both_told(&fail(&mut proxy, json!({})), "more than the kernel follows");
    proxy.init(&format!("#!{}\n", bad.display()));
    let cause = format!(
        "its interpreter `{}`: its interpreter `/no/such/shell` does not exist here",
        bad.display()
    );
    assert_both_told(&fail(&mut proxy, json!({})), &cause);
}

#[test]
fn words_behind_an_interpreter_that_stay_one_word() {
    let mut proxy = reinitialised();
    for (code, cause) in [
        (
            "#!/usr/bin/env sh -e\necho '{}'\n",
            "has env look for one program called `sh -e`: write `env -S sh -e`",
        ),
        (
            "#!/usr/bin/env no-such-program\n",
            "has env look for `no-such-program`, which is in no directory of PATH",
        ),
    ] {
        proxy.init(code);
        let logs = fail(&mut proxy, json!({}));
        assert!(
            logs.stdout.starts_with("error: ") && logs.stdout.contains(cause),
            "{logs:?}"
        );
        // Env says something as well.
        assert!(logs.stderr.contains(cause), "{logs:?}");
    }
    // This one was started, and its interpreter said why it went no further.
    proxy.init("#!/bin/sh -e -u\necho '{}'\n");
    let logs = fail(&mut proxy, json!({}));
    assert!(
        logs.stderr
            .contains("gives its interpreter `-e -u` as one word"),
        "{logs:?}"
    );
    // Whatever failed later had other reasons.
    proxy.init("#!/bin/sh\necho log\nexit 2\n");
    assert!(!fail(&mut proxy, json!({})).stderr.contains("#!"));
}

/// A run with nothing fit to run.
fn assert_unfit(proxy: &mut Proxy, cause: &str) {
    let answer = proxy.run(json!({}));
    let said = "The action failed to locate a binary. See logs for details.";
    assert_eq!((answer.status, answer.error()), (502, said.to_owned()));
    assert_both_told(&proxy.logs(), cause);
}

#[test]
fn an_executable_that_is_a_directory() {
    let mut proxy = Proxy::start();
    let exec = proxy.action_dir().join("exec");
    fs::remove_file(&exec).expect("the stub");
    fs::create_dir(&exec).expect("our own directory");
    assert_unfit(&mut proxy, "is a directory, not a regular file");
}

#[test]
fn an_executable_that_is_gone_or_has_no_permission() {
    let mut proxy = Proxy::start();
    let exec = proxy.action_dir().join("exec");
    fs::remove_file(&exec).expect("the stub");
    assert_unfit(&mut proxy, "there is no executable at");
    fs::write(&exec, "#!/bin/sh\n").expect("our own directory");
    assert_unfit(&mut proxy, "is not executable: its mode is 0");
}

#[test]
fn an_action_directory_that_is_mounted_noexec() {
    if !are_here(&["unshare", "mount"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return leave_out("this test needs root, to mount a file system of its own");
    }
    // The seventh word of the proxy's command line is its action directory.
    let shell = "mount -t tmpfs -o noexec none \"$7\" && exec \"$@\"";
    let mut proxy = Proxy::builder()
        .under(["unshare", "-m", "sh", "-c", shell, "sh"])
        .start();
    assert_unfit(
        &mut proxy,
        "it lies on a file system that is mounted noexec",
    );
}

#[test]
fn an_interpreter_that_is_mounted_noexec() {
    if !are_here(&["unshare", "mount"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return leave_out("this test needs root, to mount a file system of its own");
    }
    let tools = tempfile::tempdir().expect("a temporary directory");
    let tools = tools.path().to_str().expect("a plain name");
    let shell =
        format!("mount -t tmpfs -o noexec none {tools} && cp /bin/sh {tools}/sh && exec \"$@\"");
    let mut proxy = Proxy::builder()
        .under(["unshare", "-m", "sh", "-c", &shell, "sh"])
        .start();
    proxy.init(&format!("#!{tools}/sh\necho '{{}}'\n"));
    let cause =
        format!("its interpreter `{tools}/sh`: it lies on a file system that is mounted noexec");
    assert_both_told(&fail(&mut proxy, json!({})), &cause);
}

#[test]
fn a_self_extracting_archive_runs_and_without_its_first_line_is_told_what_it_lacks() {
    if !are_here(&["tar", "gzip"]) {
        return;
    }
    let mut proxy = reinitialised();
    let scratch = proxy.scratch().to_path_buf();
    fs::write(scratch.join("data"), "{\"unpacked\":1}\n").expect("our own directory");
    let first = b"#!/bin/sh\n";
    let rest = b"sed '1,/^exit/d' \"$0\" | tar -xzOf - data\nexit\n";
    let payload = tar_gz(&scratch, "data");
    let archive = [&first[..], rest, &payload].concat();
    proxy.init_binary(&archive);
    assert_eq!(proxy.result(json!({})), "{\"unpacked\":1}");
    proxy.logs();
    // In an archive, where nothing looks at the first bytes of a file.
    write_executable(&scratch.join("exec"), &archive[first.len()..]);
    proxy.init_binary(&tar_gz(&scratch, "exec"));
    let cause = "it is neither an ELF executable nor a script with a `#!` line";
    assert_both_told(&fail(&mut proxy, json!({})), cause);
}

fn tar_gz(directory: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["-czf", "-", name])
        .current_dir(directory)
        .output()
        .expect("tar runs");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}
