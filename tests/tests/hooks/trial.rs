//! `run --init` and `init`: the whole pipeline without HTTP.

use std::fs::{self, File};
use std::process::Stdio;

use actionproxy_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};

use crate::{EPILOGUE, SQUARE, actionproxy, assert_refused, command, path, text};

const HOOKS: [&str; 5] = [
    "--source-name=exec.c",
    "--epilogue",
    EPILOGUE,
    "--build",
    "cc exec.c -o exec",
];

#[test]
fn a_source_goes_through_all_hooks_and_runs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("square.c");
    fs::write(&file, SQUARE).expect("our directory");
    let words = [
        "--main",
        "answer",
        "run",
        "--init",
        path(&file),
        r#"{"n": 7}"#,
    ];
    let output = actionproxy(&[&HOOKS, &words[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "appending answer\n{\"n\":49}\n");

    // The source, or the argument, on stdin.
    let stdin = || Stdio::from(File::open(&file).expect("our own"));
    let words = ["run", "--init", "-", "--main=answer", r#"{"n": 3}"#];
    let output = command(&[&HOOKS, &words[..]].concat())
        .stdin(stdin())
        .output();
    let output = output.expect("the proxy runs");
    assert_eq!(
        text(&output.stdout),
        "appending answer\n{\"n\":9}\n",
        "{output:?}"
    );
    let (read, write) = std::io::pipe().expect("a pipe");
    use std::io::Write;
    (&write)
        .write_all(b"{\"n\": 2}")
        .expect("less than a pipe holds");
    drop(write);
    let words = ["run", "--init", path(&file), "--main=answer"];
    let output = command(&[&HOOKS, &words[..]].concat()).stdin(read).output();
    let output = output.expect("the proxy runs");
    assert_eq!(
        text(&output.stdout),
        "appending answer\n{\"n\":4}\n",
        "{output:?}"
    );

    let output = command(&[&HOOKS, &["init", "-"][..]].concat())
        .stdin(stdin())
        .output();
    let output = output.expect("the proxy runs");
    assert_eq!(
        output.status.code(),
        Some(1),
        "there is no `main` in it: {output:?}"
    );
    assert_eq!(text(&output.stdout), "appending main\n");
    let last = text(&output.stderr).lines().last().unwrap_or_default();
    assert_eq!(last, "actionproxy: build failed: `cc` exited with status 1");
}

#[test]
fn an_init_leaves_the_action_where_it_is_told_and_nothing_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, temporary) = (dir.path().join("a.sh"), dir.path().join("tmp"));
    fs::create_dir(&temporary).expect("our directory");
    fs::write(&file, "#!/bin/sh\necho '{\"a\":1}'\n").expect("our directory");
    let try_it = |arguments: &[&str]| {
        let output = command(arguments).env("TMPDIR", &temporary).output();
        output.expect("the proxy runs")
    };
    let output = try_it(&["init", path(&file)]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "OK\n"),
        "{output:?}"
    );
    let output = try_it(&["run", "--init", path(&file)]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "{\"a\":1}\n")
    );
    assert_eq!(fs::read_dir(&temporary).expect("it is there").count(), 0);

    let action = dir.path().join("action");
    let output = try_it(&["init", path(&file), "--action-dir", path(&action)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = try_it(&["run", path(&action.join("exec"))]);
    assert_eq!(text(&output.stdout), "{\"a\":1}\n", "{output:?}");
}

#[test]
fn each_kind_of_code_is_taken() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("lib")).expect("our directory");
    fs::write(tree.join("lib/data"), "7").expect("our directory");
    let script = "#!/bin/sh\necho \"{\\\"data\\\":$(cat lib/data)}\"\n";
    actionproxy_tests::proxy::write_executable(&tree.join("exec"), script.as_bytes());
    let archive = dir.path().join("action.tar.gz");
    let made = std::process::Command::new("tar")
        .args(["-czf", path(&archive), "-C", path(&tree), "."])
        .status();
    assert!(made.expect("tar runs").success());
    for file in [&tree, &archive] {
        let output = actionproxy(&["run", "--init", path(file), "{}"]);
        assert_eq!(text(&output.stdout), "{\"data\":7}\n", "{output:?}");
    }
    // A resident process is started, asked and ended.
    let file = dir.path().join("loop");
    let code = "#!/bin/bash\necho started >&2\nwhile read -r line; do echo \"$line\" >&3; done\necho ended\n";
    fs::write(&file, code).expect("our directory");
    let output = actionproxy(&["--action-loop", "run", "--init", path(&file), "{\"n\": 1}"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = text(&output.stdout);
    assert!(stdout.ends_with("{\"value\":{\"n\": 1}}\n"), "{stdout}");
    assert!(text(&output.stderr).starts_with("started\n"), "{output:?}");
    let output = actionproxy(&["--action-loop", "init", path(&file)]);
    assert!(text(&output.stdout).ends_with("OK\n"), "{output:?}");
}

#[test]
fn what_cannot_be_taken_is_status_2_and_what_fails_1() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("a.sh");
    fs::write(&file, "#!/bin/sh\necho no result\n").expect("our directory");
    let file = path(&file);
    for (arguments, said) in [
        (&["init"][..], "init needs a FILE"),
        (
            &["init", "/no/such/file"],
            "init: /no/such/file: No such file",
        ),
        (
            &["run", "--init", "/no/such/file"],
            "run: /no/such/file: No such file",
        ),
        (&["run", "--init"], "--init needs a value"),
        (
            &["run", "--init", file, "7"],
            "expected a JSON object or array",
        ),
        (&["run", "--init", "-", "-"], "cannot both be on stdin"),
        (
            &["run", "--init", file, "{}", "x"],
            "unexpected argument \"x\"",
        ),
        (&["run", "--main", "x", file], "--main goes with `init`"),
        (&["--init", file], "--init goes with `run`"),
        (
            &["init", "--init", file],
            "--init goes with `run`, not with `init`",
        ),
        (&["health", "--name=x"], "--name goes with"),
        (
            &["init", file, "--env", "A"],
            "--env: expected NAME=VALUE, found \"A\"",
        ),
        (&["init", file, "--max-body=3"], "over the limit of 3 bytes"),
        (
            &["init", file, "--build-cache", ""],
            "--build-cache: expected a directory, or `off`, found \"\"",
        ),
        (&["inti", file], "did you mean `init`?"),
        (&["init", file, "--inti=x"], "did you mean `--init`?"),
    ] {
        assert_refused(&actionproxy(arguments), said);
    }
    let output = actionproxy(&["run", "--init", file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), "no result\n");
    let output = actionproxy(&["init", file, "--verify-command", "false"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert_eq!(
        text(&output.stderr),
        "actionproxy: verify failed: `false` exited with status 1\n"
    );
}

#[test]
fn a_signal_ends_a_hook_and_the_trial_with_its_status() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, begun) = (dir.path().join("a"), dir.path().join("begun"));
    fs::write(&file, "x").expect("our directory");
    let build = format!(
        "sh -c 'echo $$ >{0}.new; mv {0}.new {0}; sleep 1000'",
        begun.display()
    );
    let mut child = command(&["init", path(&file), "--build", &build])
        .env("TMPDIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the proxy runs");
    let pid = eventually("the build to begin", || fs::read_to_string(&begun).ok());
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let ended = eventually("the end", || child.try_wait().expect("our child"));
    assert_eq!(ended.code(), Some(130));
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(
        stat.as_ref().map_or(true, |s| s.contains(") Z ")),
        "{stat:?}"
    );
    let left = fs::read_dir(dir.path()).expect("it is there").count();
    assert_eq!(left, 2, "its directory went with it");
}
