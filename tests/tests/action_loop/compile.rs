//! The compile script: what it is given, what counts as its failure, and `-compile`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use actionproxy_tests::binary;
use actionproxy_tests::census::is_alive;
use actionproxy_tests::files::{base64, shell, tree};
use actionproxy_tests::tools::are_here;
use serde_json::json;

use crate::{
    Compiler, ECHO, OK, actions, assert_answer, assert_error, begin, builder, init, result, told,
    told_pid,
};

/// Makes a loop of a source: it answers with the value of the expression that the source is.
const PYTHON: &str = r#"mv $2/exec $2/body 2>/dev/null || mv $2/main.py $2/body
rm -r $3; mv $2 $3
cat > $3/exec <<END
#!/usr/bin/env python3
import json, os, sys
sys.path.insert(0, os.path.dirname(__file__))
$1 = lambda value: $(cat $3/body)
for line in sys.stdin:
    os.write(3, (json.dumps($1(json.loads(line)["value"])) + "\n").encode())
END"#;

#[test]
fn a_source_is_compiled_with_the_entry_point_and_two_absolute_directories() {
    let compiler = Compiler::new(&format!("echo $1 $2 $3 > $SCRATCH/told\n{PYTHON}"));
    let proxy = builder().env("OW_COMPILER", compiler.path()).start();
    begin(&proxy, "{'got': value}");
    let dir = proxy.action_dir().join("1");
    let [src, bin] = ["src", "bin"].map(|name| dir.join(name));
    let expected = format!("main {} {}", src.display(), bin.display());
    assert_eq!(told(&proxy, "told"), expected);
    assert_eq!(
        result(&proxy, json!({"a": "ü"})),
        json!({"got": {"a": "ü"}})
    );
    // The script moved the source and left the executable without the bit.
    assert!(!src.exists());
    let mode = fs::metadata(bin.join("exec"))
        .expect("the executable")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn the_entry_point_is_the_requests() {
    let compiler = Compiler::new(&format!("echo $1 > $SCRATCH/told\n{PYTHON}"));
    let proxy = builder().env("OW_COMPILER", compiler.path()).start();
    let scratch = crate::scratch(&proxy);
    let value = json!({"code": "{'n': 1}", "main": "niam", "env": {"SCRATCH": scratch}});
    assert_answer(&proxy.init_with(value), 200, OK);
    assert_eq!(told(&proxy, "told"), "niam");
    assert_eq!(result(&proxy, json!({})), json!({"n": 1}));
}

#[test]
fn a_source_may_come_as_binary_and_an_archive_has_its_files() {
    let compiler = Compiler::new(PYTHON);
    let proxy = builder()
        .env("OW_COMPILER", compiler.path())
        .arg("--allow-reinit")
        .start();
    let send = |bytes: &[u8]| proxy.init_with(json!({"code": base64(bytes), "binary": true}));
    assert_answer(&send(b"{'n': 1}"), 200, OK);
    assert_eq!(result(&proxy, json!({})), json!({"n": 1}));
    assert!(are_here(&["zip", "tar"]));
    shell(
        proxy.scratch(),
        "mkdir lib; echo \"__import__('more').answer\" > main.py; echo 'answer = {\"n\": 2}' > more.py\n\
         zip -qr a.zip main.py more.py lib; tar -czf a.tar.gz main.py more.py",
        &[],
    );
    for archive in ["a.zip", "a.tar.gz"] {
        let bytes = fs::read(proxy.scratch().join(archive)).expect("an archive");
        assert_answer(&send(&bytes), 200, OK);
        assert_eq!(result(&proxy, json!({})), json!({"n": 2}));
    }
    // One that leaves the tree is refused whole, as everywhere.
    shell(
        proxy.scratch(),
        "cp -r lib l2; cd lib; zip -q ../b.zip ../more.py",
        &[],
    );
    let bytes = fs::read(proxy.scratch().join("b.zip")).expect("an archive");
    let answer = send(&bytes);
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("../more.py"), "{}", answer.error());
    assert_eq!(result(&proxy, json!({})), json!({"n": 2}));
    assert_eq!(actions(&proxy), ["3"]);
    let answer = send(b"PK\x03\x04 but no zip");
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[test]
fn what_is_executable_already_is_not_compiled() {
    let compiler = Compiler::new("echo asked; exit 1");
    let proxy = builder()
        .env("OW_COMPILER", compiler.path())
        .arg("--allow-reinit")
        .start();
    begin(&proxy, ECHO);
    assert_eq!(result(&proxy, json!(1)), json!({"value": 1}));
    let code = base64(ECHO.as_bytes());
    assert_answer(
        &proxy.init_with(json!({"code": code, "binary": true})),
        200,
        OK,
    );
    let dir = proxy.action_dir().join("2");
    assert!(dir.join("bin/exec").exists() && !dir.join("src").exists());
}

#[test]
fn what_a_compiler_prints_is_its_failure_and_so_is_an_exit_status_or_nothing_to_run() {
    for (lines, error) in [
        ("echo wrong; echo again", "wrong\nagain\n"),
        (
            "printf %s\\\\n to-stderr >&2; touch $3/exec; exit 0",
            "to-stderr\n",
        ),
        ("exit 7", "exit status 7"),
        ("true", "cannot compile"),
        ("rm -r $2 $3", "cannot compile"),
    ] {
        let compiler = Compiler::new(lines);
        let proxy = builder().env("OW_COMPILER", compiler.path()).start();
        assert_error(&init(&proxy, "a source"), 502, error);
        assert_eq!(actions(&proxy), [""; 0], "{lines}");
        assert_eq!(proxy.unread().stderr, "");
    }
    let proxy = builder().env("OW_COMPILER", "/nowhere/compile").start();
    let answer = init(&proxy, "a source");
    assert_eq!(answer.status, 502);
    assert!(
        answer.error().contains("/nowhere/compile"),
        "{}",
        answer.error()
    );
    // A name is looked for in PATH.
    let proxy = builder().env("OW_COMPILER", "false").start();
    assert_error(&init(&proxy, "a source"), 502, "exit status 1");
    // Without any, the source is what is started.
    let proxy = builder().start();
    assert_error(
        &init(&proxy, "a source"),
        502,
        "cannot start action: command exited",
    );
}

#[test]
fn what_a_compiler_prints_without_end_is_told_in_part() {
    let compiler = Compiler::new("head -c 10000000 /dev/zero | tr '\\0' x");
    let proxy = builder().env("OW_COMPILER", compiler.path()).start();
    let answer = init(&proxy, "a source");
    assert_eq!((answer.status, answer.error().len()), (502, 64 << 10));
}

#[test]
fn a_compiler_that_hangs_is_stopped_with_all_that_it_started() {
    let compiler = Compiler::new("sleep 1000 & echo $! > $SCRATCH/child; wait");
    let proxy = builder()
        .env("OW_COMPILER", compiler.path())
        .arg("--timeout=500ms")
        .start();
    assert_error(
        &init(&proxy, "a source"),
        502,
        "The initialization was stopped: it passed its time limit of 500 ms.",
    );
    assert!(!is_alive(told_pid(&proxy, "child")));
    assert_eq!(actions(&proxy), [""; 0]);
}

#[test]
fn a_compiler_sees_path_the_variables_of_the_platform_and_those_of_init() {
    let compiler =
        Compiler::new("tr '\\0' '\\n' < /proc/$$/environ | sort > $SCRATCH/seen; exit 1");
    let proxy = builder()
        .env("OW_COMPILER", compiler.path())
        .env("OW_EXECUTION_ENV", "my/env")
        .env("__OW_API_HOST", "a=b=c")
        .env("HOME", "/nowhere")
        .start();
    init(&proxy, "a source");
    let seen = told(&proxy, "seen");
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let expected = [
        "PATH",
        "SCRATCH",
        "__OW_API_HOST",
        "__OW_EXECUTION_ENV",
        "__OW_PROXY_VERSION",
    ];
    assert_eq!(names, expected);
    assert!(seen.contains("__OW_API_HOST=a=b=c\n") && seen.contains("__OW_EXECUTION_ENV=my/env\n"));
}

#[test]
fn a_jar_is_kept_whole_where_it_is_asked_for() {
    assert!(are_here(&["zip"]));
    let compiler = Compiler::new(
        "ls $2 > $SCRATCH/found; (echo '#!/bin/bash'; echo \"while read -r l; do echo '{}' >&3; done\") > $3/exec",
    );
    let proxy = builder()
        .env("OW_COMPILER", compiler.path())
        .env("OW_SAVE_JAR", "exec.jar")
        .arg("--allow-reinit")
        .start();
    shell(
        proxy.scratch(),
        "mkdir META-INF; echo x > META-INF/MANIFEST.MF; echo y > A.class\n\
         zip -qr a.jar META-INF A.class; zip -q a.zip A.class",
        &[],
    );
    for (archive, found) in [("a.jar", "exec.jar"), ("a.zip", "A.class")] {
        let bytes = fs::read(proxy.scratch().join(archive)).expect("an archive");
        let env = json!({"SCRATCH": crate::scratch(&proxy)});
        let value = json!({"code": base64(&bytes), "binary": true, "env": env});
        assert_answer(&proxy.init_with(value), 200, OK);
        assert_eq!(told(&proxy, "found"), found);
    }
}

/// `-compile` with this input.
fn compile(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Output {
    let mut child = Command::new(binary::proxy())
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the proxy starts");
    // A proxy that ends early reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn what_was_compiled_before_needs_no_compiler() {
    assert!(are_here(&["unzip"]));
    let compiler = Compiler::new(&format!(
        "{PYTHON}\nmkdir $3/lib; ln -s ../body $3/lib/link; echo \"$__OW_X$X\" > $3/lib/x; chmod 755 $3/exec"
    ));
    let variables = [("OW_COMPILER", compiler.path()), ("__OW_X", "x=y=z ")];
    for arguments in [
        &["-compile", "niam", "-env", "{\"X\":\"a=b\"}"][..],
        &["-compile=niam", "-env={\"X\":\"a=b\"}", "-debug"],
        &["-env", "{\"X\":\"a=b\"}", "compile", "niam"],
    ] {
        let output = compile(arguments, &variables, b"{'got': value}");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stderr, b"");
        let proxy = builder().start();
        let value = json!({"code": base64(&output.stdout), "binary": true});
        assert_answer(&proxy.init_with(value), 200, OK);
        assert_eq!(result(&proxy, json!(5)), json!({"got": 5}));
        let bin = proxy.action_dir().join("1/bin");
        let x = fs::read_to_string(bin.join("lib/x")).expect("a file");
        assert_eq!(x, "x=y=z a=b\n");
        assert_eq!(
            fs::read_link(bin.join("lib/link")).expect("a link"),
            std::path::Path::new("../body")
        );
        // Compiled once more it stays what it is.
        let again = compile(arguments, &variables, &output.stdout);
        let files = |bytes: &[u8]| {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("a.zip"), bytes).expect("our own directory");
            shell(dir.path(), "mkdir x; cd x; unzip -q ../a.zip", &[]);
            let root = dir.path().join("x");
            let strip = |(path, content, mode): (std::path::PathBuf, _, _)| {
                (
                    path.strip_prefix(&root).expect("inside").to_path_buf(),
                    content,
                    mode,
                )
            };
            tree(&root).into_iter().map(strip).collect::<Vec<_>>()
        };
        assert_eq!(files(&again.stdout), files(&output.stdout));
    }
}

#[test]
fn a_compilation_that_fails_says_why_and_gives_nothing() {
    let compiler = Compiler::new("echo line 3 is wrong");
    let variables = [("OW_COMPILER", compiler.path())];
    let output = compile(&["-compile", "main"], &variables, b"a source");
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(1), &b""[..])
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("line 3 is wrong"), "{said}");
    for (arguments, input, word) in [
        (&["-compile", "main"][..], "", "found nothing"),
        (
            &["-compile", "main", "-env", "[1]"],
            "x",
            "-env: expected a JSON object",
        ),
        (&["-compile"], "x", "-compile needs a value"),
        (&["compile"], "x", "compile needs a MAIN"),
        (
            &["-compile", "main", "--max-body=10"],
            "a long source",
            "over the limit of 10 bytes",
        ),
    ] {
        let output = compile(arguments, &variables, input.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}
