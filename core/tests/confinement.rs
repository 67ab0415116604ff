//! What is taken from an action's processes: each limit is hit, and what was hit is told.

mod emulator;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use actionproxy_core::confinement::{ConfinementError, CoreDumps, Privileges, User, View};
use actionproxy_core::{
    Action, Code, Config, Confinement, Greeting, InitError, InitRequest, InstanceKind, Logs,
    NativeRunner, ResidentConfig, RunRequest,
};

/// Nobody's, on this machine: its limit of processes counts no others.
const USER: User = User {
    uid: 54_321,
    gid: 54_322,
};

/// Only root can make another user's process. In CI everything runs as root.
fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    assert!(
        is_root || std::env::var_os("CI").is_none(),
        "this test needs root"
    );
    if !is_root {
        eprintln!("SKIPPED: this test needs root");
    }
    is_root
}

fn config(dir: &Path, confinement: Confinement) -> Config {
    Config {
        env: [("PATH", "/usr/bin:/bin")].into(),
        confinement,
        ..Config::new(dir.join("action"))
    }
}

fn open(config: Config) -> Result<Action, InitError> {
    Action::open(config, NativeRunner)
}

/// The result of `script`, or the error's text.
fn result_of(script: &str, confinement: Confinement) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("a directory");
    run_in(dir.path(), script, confinement)
}

fn run_in(dir: &Path, script: &str, confinement: Confinement) -> Result<String, String> {
    let mut action = open(config(dir, confinement)).expect("our own directory");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let request = InitRequest {
        code: Some(Code::Text(format!("#!/bin/bash\n{script}\n").into())),
        ..InitRequest::default()
    };
    action.init(request, &mut logs).expect("a good init");
    let ran = action.run(RunRequest::default(), &mut logs);
    // What went wrong in a script is seen where the test fails.
    eprint!("{}", String::from_utf8_lossy(&stderr));
    let outcome = ran.map_err(|e| e.to_string())?;
    Ok(String::from_utf8(outcome.result).expect("text"))
}

#[track_caller]
fn fails_with(script: &str, confinement: Confinement, words: &str) {
    let error = result_of(script, confinement).expect_err("the limit is hit");
    assert!(error.contains(words), "expected `{words}` in: {error}");
}

/// The same script, without the limit, has a result: it is the limit that it fails for.
#[track_caller]
fn succeeds_without(script: &str) {
    result_of(script, Confinement::default()).expect("nothing is taken from it");
}

#[test]
fn address_space() {
    if emulator::is_here(
        "it keeps a limit of address space from the program, and knows no Landlock",
    ) {
        return;
    }
    let script = "exec 2>&1; dd if=/dev/zero of=/dev/null bs=300M count=1 && echo '{}'";
    succeeds_without(script);
    let confinement = Confinement {
        address_space: Some(100 << 20),
        ..Confinement::default()
    };
    fails_with(
        script,
        confinement,
        "it runs under limits: address space 104857600 bytes",
    );
}

#[test]
fn too_little_address_space_to_start_is_told() {
    if emulator::is_here(
        "it keeps a limit of address space from the program, and knows no Landlock",
    ) {
        return;
    }
    let confinement = Confinement {
        address_space: Some(4096),
        ..Confinement::default()
    };
    let error = result_of("echo '{}'", confinement).expect_err("nothing can start");
    // The kernel says so before it has given up the old program, or kills what it has begun.
    assert!(error.contains("address space 4096 bytes"), "{error}");
}

#[test]
fn processor_time() {
    let confinement = Confinement {
        processor_time: Some(Duration::from_secs(1)),
        ..Confinement::default()
    };
    fails_with(
        "while :; do :; done",
        confinement,
        "it used up its processor time of 1 s",
    );
}

#[test]
fn file_size() {
    let script = "exec dd if=/dev/zero of=file bs=5000 count=1 2> /dev/null";
    let confinement = Confinement {
        file_size: Some(4096),
        ..Confinement::default()
    };
    // It writes up to the limit first, and is killed when it goes on.
    let script = format!("{script} oflag=sync");
    let again = script.replace("count=1", "count=2");
    fails_with(
        &again,
        confinement,
        "it wrote a file larger than 4096 bytes",
    );
}

#[test]
fn open_files() {
    let script = "set -e; exec 10>a 11>b 12>c; echo '{}'";
    succeeds_without(script);
    let confinement = Confinement {
        open_files: Some(12),
        ..Confinement::default()
    };
    fails_with(script, confinement, "it runs under limits: open files 12");
}

#[test]
fn processes() {
    if !is_root() {
        return;
    }
    let script = "(exit 0) || exit 1; echo '{}'";
    let user = Confinement {
        user: Some(USER),
        ..Confinement::default()
    };
    result_of(script, user.clone()).expect("no limit");
    let confinement = Confinement {
        processes: Some(1),
        ..user
    };
    fails_with(script, confinement, "it runs under limits: processes 1");
}

#[test]
fn core_dumps() {
    let script = r#"echo "{\"core\":\"$(ulimit -H -c)\"}""#;
    let confinement = Confinement {
        core_dumps: CoreDumps::Off,
        ..Confinement::default()
    };
    assert_eq!(
        result_of(script, confinement).as_deref(),
        Ok(r#"{"core":"0"}"#)
    );
}

#[test]
fn privileges() {
    let script =
        r#"read -r _ value < <(grep NoNewPrivs /proc/self/status); echo "{\"no\":$value}""#;
    assert_eq!(
        result_of(script, Confinement::default()).as_deref(),
        Ok(r#"{"no":0}"#)
    );
    let confinement = Confinement {
        privileges: Privileges::NoNew,
        ..Confinement::default()
    };
    assert_eq!(result_of(script, confinement).as_deref(), Ok(r#"{"no":1}"#));
}

#[test]
fn another_user() {
    if !is_root() {
        return;
    }
    let confinement = Confinement {
        user: Some(USER),
        ..Confinement::default()
    };
    // The action's own file can be read; its directory, and other's, not be written to.
    let script = r#"
cat exec > /dev/null && ! echo > new 2> /dev/null && ! echo > /etc/actionproxy-test 2> /dev/null &&
    echo "{\"ids\":\"$(id -u) $(id -ru) $(id -g) $(id -G)\",\"caps\":\"$(grep CapEff /proc/self/status | cut -f 2)\"}""#;
    assert_eq!(
        result_of(script, confinement).as_deref(),
        Ok(r#"{"ids":"54321 54321 54322 54322","caps":"0000000000000000"}"#)
    );
}

#[test]
fn what_an_init_brings_is_readable_to_the_user_and_not_writable() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let files = dir.path().join("files");
    fs::create_dir_all(files.join("inner")).expect("a directory");
    let modes = [
        ("exec", 0o700),
        ("inner/secret", 0o600),
        ("inner/open", 0o644),
        ("inner", 0o700),
    ];
    fs::write(
        files.join("exec"),
        "#!/bin/sh\ncat inner/secret inner/open > /dev/null && ! echo > inner/new 2> /dev/null && echo '{}'",
    )
    .expect("a file");
    for name in ["inner/secret", "inner/open"] {
        fs::write(files.join(name), "x").expect("a file");
    }
    for (name, mode) in modes {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(files.join(name), mode).expect("a mode");
    }
    let archive = dir.path().join("action.tar.gz");
    let packed = std::process::Command::new("tar")
        .args([
            "-czf".as_ref(),
            archive.as_os_str(),
            "-C".as_ref(),
            files.as_os_str(),
        ])
        .args(["exec", "inner"])
        .status();
    assert!(packed.expect("tar").success());

    let confinement = Confinement {
        user: Some(USER),
        ..Confinement::default()
    };
    let config = config(dir.path(), confinement);
    let mut action = open(config).expect("our own directory");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let request = InitRequest {
        code: Some(Code::Bytes(fs::read(archive).expect("the archive"))),
        ..InitRequest::default()
    };
    action.init(request, &mut logs).expect("a good init");
    let outcome = action.run(RunRequest::default(), &mut logs);
    let outcome = outcome.expect("all can be read");
    assert_eq!(outcome.result, b"{}");
    let found = modes.map(|(name, _)| {
        let metadata = fs::metadata(dir.path().join("action").join(name)).expect("installed");
        (
            name,
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid(),
        )
    });
    assert_eq!(
        found,
        [
            ("exec", 0o755, 0, 0),
            ("inner/secret", 0o640, 0, USER.gid),
            ("inner/open", 0o644, 0, 0),
            ("inner", 0o750, 0, USER.gid),
        ]
    );
}

#[test]
fn a_directory_that_the_user_cannot_reach_is_named() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("a mode");
    let confinement = Confinement {
        user: Some(USER),
        ..Confinement::default()
    };
    let error = run_in(&closed, "echo '{}'", confinement).expect_err("it cannot be entered");
    let words = "action` cannot be entered by user 54321, group 54322";
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_read_only_view() {
    if emulator::is_here(
        "it keeps a limit of address space from the program, and knows no Landlock",
    ) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let outside = dir.path().join("outside");
    fs::write(&outside, "as it was").expect("a file");
    let confinement = Confinement {
        view: View::ReadOnly,
        ..Confinement::default()
    };
    let script = format!(
        r#"
outside={}
{{ echo x > $outside; echo x >> $outside; rm $outside; truncate -s 0 $outside
  ln -s x $outside-new; mkdir $outside-new; mv $outside own; ln $outside linked; mv exec $outside; }} 2> /dev/null
read -r found < $outside
echo x > own && mkdir sub && mv own sub/own && echo x > /dev/null && echo x > "$TMPDIR/file" &&
    [ ! -e $outside-new ] && [ ! -e linked ] && echo "{{\"outside\":\"$found\",\"tmp\":\"${{TMPDIR##*/}}\"}}""#,
        outside.display()
    );
    assert_eq!(
        run_in(dir.path(), &script, confinement).as_deref(),
        Ok(r#"{"outside":"as it was","tmp":".actionproxy-tmp"}"#)
    );
    assert_eq!(fs::read_to_string(&outside).expect("kept"), "as it was");
    // Of another action, nothing is found there.
    let confinement = Confinement {
        view: View::ReadOnly,
        ..Confinement::default()
    };
    let found = run_in(
        dir.path(),
        r#"echo "{\"n\":$(ls "$TMPDIR" | wc -l)}""#,
        confinement,
    );
    assert_eq!(found.as_deref(), Ok(r#"{"n":0}"#));
}

#[test]
fn a_read_only_view_of_another_user_has_a_directory_of_its_own() {
    if !is_root() || emulator::is_here("it knows no Landlock") {
        return;
    }
    let confinement = Confinement {
        user: Some(USER),
        view: View::ReadOnly,
        ..Confinement::default()
    };
    let script = r#"echo x > "$TMPDIR/file" && ! echo > own 2> /dev/null && echo "{\"mode\":\"$(stat -c '%a %u' "$TMPDIR")\"}""#;
    assert_eq!(
        result_of(script, confinement).as_deref(),
        Ok(r#"{"mode":"700 54321"}"#)
    );
}

#[test]
fn a_resident_process_is_confined_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let resident = ResidentConfig {
        greeting: Greeting::LivesFor(Duration::ZERO),
        execution_env: None,
        keep_jar: None,
    };
    let config = Config {
        instance: InstanceKind::Resident(resident),
        ..config(
            dir.path(),
            Confinement {
                processor_time: Some(Duration::from_secs(1)),
                open_files: Some(20),
                ..Confinement::default()
            },
        )
    };
    let compiler = actionproxy_core::CompilerRunner {
        compiler: None,
        inner: NativeRunner,
    };
    let mut action = Action::open(config, compiler).expect("our own directory");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let code = "#!/bin/bash\nread -r _; echo \"{\\\"files\\\":$(ulimit -n)}\" >&3\nread -r _; while :; do :; done\n";
    let request = InitRequest {
        code: Some(Code::Text(code.into())),
        ..InitRequest::default()
    };
    action.init(request, &mut logs).expect("a good init");
    let question = || RunRequest {
        argument: b"{}".to_vec(),
        ..RunRequest::default()
    };
    let outcome = action.run(question(), &mut logs).expect("an answer");
    assert_eq!(outcome.result, br#"{"files":20}"#);
    let error = action.run(question(), &mut logs).expect_err("it is killed");
    let error = error.to_string();
    assert!(error.contains("processor time of 1 s"), "{error}");
}

#[test]
fn what_cannot_be_had_is_refused_before_anything_runs() {
    let processes = Confinement {
        processes: Some(10),
        ..Confinement::default()
    };
    let wanted = Confinement {
        user: Some(User { uid: 0, gid: 0 }),
        ..processes
    };
    if is_root() {
        assert!(matches!(
            wanted.check(),
            Err(ConfinementError::ProcessesOfRoot)
        ));
        let dir = tempfile::tempdir().expect("a directory");
        let Err(refused) = open(config(dir.path(), wanted)) else {
            panic!("root has no limit of processes");
        };
        let text = "a limit of processes does not hold root: expected another user beside it";
        assert_eq!(refused.to_string(), text);
    } else {
        assert!(matches!(
            wanted.check(),
            Err(ConfinementError::NotRoot { .. })
        ));
    }
}
