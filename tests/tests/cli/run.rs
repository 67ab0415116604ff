//! `actionproxy run`: one activation without HTTP.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use actionproxy_tests::eventually;
use actionproxy_tests::proxy::write_executable;
use actionproxy_tests::tools::are_here;
use rustix::process::{Pid, Signal, kill_process};

use crate::{actionproxy, assert_refused, command, text};

pub(crate) fn action_file(dir: &Path, code: &str) -> String {
    let path = dir.join("my action");
    write_executable(&path, code.as_bytes());
    path.display().to_string()
}

#[test]
fn run_gives_the_result_as_the_last_line_and_the_logs_before_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action_file(
        dir.path(),
        "#!/bin/sh\necho log\necho err >&2\nread -r in\necho \"{\\\"got\\\":$in}\"\n",
    );
    let output = actionproxy(&["run", &file, r#"{"n": 1}"#]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "log\n{\"got\":{\"n\": 1}}\n");
    assert_eq!(text(&output.stderr), "err\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(text(&output.stdout), "log\n{\"got\":{}}\n");
    assert!(
        !dir.path().join("exec").exists(),
        "no stub beside somebody's file"
    );
}

#[test]
fn run_fails_with_the_cause() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action_file(dir.path(), "#!/bin/sh\necho hello\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(1), "hello\n")
    );
    assert!(
        text(&output.stderr).contains("no JSON object or array"),
        "{output:?}"
    );

    let file = action_file(dir.path(), "#!/bin/sh\nkill -SEGV $$\n");
    let output = actionproxy(&["run", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("SIGSEGV"), "{output:?}");

    let output = actionproxy(&[
        "--timeout",
        "100ms",
        "run",
        &action_file(dir.path(), "#!/bin/sh\nsleep 1000\n"),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("time limit of 100 ms"),
        "{output:?}"
    );

    assert_refused(
        &actionproxy(&["run", &file, "7"]),
        "expected a JSON object or array",
    );
    assert_refused(&actionproxy(&["run", "/no/such/file"]), "/no/such/file");
}

#[test]
fn run_gives_the_argument_as_one_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action_file(
        dir.path(),
        "#!/bin/sh\nread -r line\necho \"[$line,$1,$(wc -l)]\"\n",
    );
    let output = actionproxy(&["run", &file, "{\r\n \"n\":\n 1}\n"]);
    assert_eq!(
        text(&output.stdout),
        "[{ \"n\": 1},{ \"n\": 1},0]\n",
        "{output:?}"
    );
}

#[test]
fn run_fails_where_the_result_cannot_be_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let output = command(&["run", &action_file(dir.path(), "#!/bin/sh\necho '{}'\n")])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the proxy runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("failed to write the result: "), "{stderr}");
}

#[test]
fn run_ends_with_all_that_the_action_started_when_it_is_told_to() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pids = dir.path().join("pids");
        // One process in the action's group that is deaf to TERM, one that has left the group.
        let code = format!(
            "#!/bin/sh\ntrap '' TERM\nsetsid sleep 1000 &\necho $! $$ > {0}.new\nmv {0}.new {0}\n\
             sleep 1000\nsleep 1000\n",
            pids.display()
        );
        let mut child = command(&["run", &action_file(dir.path(), &code)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy runs");
        let pids = eventually("the action to start", || {
            std::fs::read_to_string(&pids).ok()
        });
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        let ended = eventually("the end", || child.try_wait().expect("our child"));
        assert_eq!(ended.code(), Some(status));
        for pid in pids.split_whitespace() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            assert!(
                stat.as_ref().map_or(true, |stat| stat.contains(") Z ")),
                "{stat:?} runs on"
            );
        }
    }
}

#[test]
fn run_leaves_nothing_running() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let code = "#!/bin/sh\nsetsid sleep 1000 </dev/null >/dev/null 2>&1 &\necho \"[$!]\"\n";
    let file = action_file(dir.path(), code);
    for arguments in [&["run", &file][..], &["run", "--init", &file]] {
        let output = actionproxy(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let pid = text(&output.stdout).trim().trim_matches(['[', ']']);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(
            stat.as_ref().map_or(true, |stat| stat.contains(") Z ")),
            "{stat:?} runs on"
        );
    }
}

/// Runs an action that gives its argument back, with `argument` on its command line and `stdin`.
fn run_fed(argument: &[&str], stdin: Stdio) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action_file(dir.path(), "#!/bin/sh\ncat\n");
    let words = [&["run", &file], argument].concat();
    let output = command(&words).stdin(stdin).output();
    output.expect("the proxy runs")
}

/// A pipe with these bytes in it and nobody who writes more.
fn piped(bytes: &[u8]) -> Stdio {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    write.write_all(bytes).expect("less than a pipe holds");
    read.into()
}

#[test]
fn run_takes_the_argument_from_stdin_where_somebody_put_one_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("argument.json");
    fs::write(&file, "{\n  \"from\": \"a file\"\n}\n").expect("our own");
    let file = || Stdio::from(File::open(&file).expect("our own"));
    for (words, stdin, expected) in [
        (&[][..], piped(b"{\"n\": 1}\n"), "{\"n\": 1}\n"),
        (&["-"], piped(b"[2]"), "[2]\n"),
        (&[], file(), "{  \"from\": \"a file\"}\n"),
        // A byte order mark, as some shells write it.
        (
            &["-"],
            piped(b"\xef\xbb\xbf{\"bom\":1}\r\n"),
            "{\"bom\":1}\n",
        ),
        // Nothing there, which is an empty object here too.
        (&[], piped(b""), "{}\n"),
        (&["-"], Stdio::null(), "{}\n"),
        (&[], Stdio::null(), "{}\n"),
        // The command line's comes first.
        (&["{\"n\":3}"], piped(b"{\"n\":4}"), "{\"n\":3}\n"),
    ] {
        let output = run_fed(words, stdin);
        assert_eq!(text(&output.stdout), expected, "{words:?}: {output:?}");
    }
    assert_refused(
        &run_fed(&[], piped(b"seven")),
        "expected a JSON object or array as the argument, found \"seven\"",
    );
    assert_refused(&run_fed(&[""], Stdio::null()), "found \"\"");
    let endless = File::open("/dev/zero").expect("Linux has it");
    let output = run_fed(&["-", "--max-body=1K"], endless.into());
    assert_refused(&output, "over the limit of 1024 bytes");
    // A wrong argument is not shown whole.
    let output = run_fed(&[], piped(&[b'x'; 60_000]));
    assert!(output.stderr.len() < 1000, "{}", output.stderr.len());
}

#[test]
fn run_keeps_the_descriptors_of_the_calling_shell_from_the_action() {
    if !are_here(&["bash", "perl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = action_file(
        dir.path(),
        "#!/usr/bin/perl\nopendir D, '/proc/self/fd';
         print qq([\"@{[sort { $a <=> $b } grep { /^\\d/ && $_ != fileno(D) } readdir D]}\"]);\n",
    );
    let proxy = command(&[]).get_program().to_owned();
    let output = std::process::Command::new("bash")
        .args([
            "-c",
            "exec 3>/dev/null 10</etc/passwd 63<>/dev/null 251>/dev/null; \"$@\"",
            "bash",
        ])
        .arg(proxy)
        .args(["run", &file])
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert_eq!(text(&output.stdout), "[\"0 1 2\"]\n", "{output:?}");
}
