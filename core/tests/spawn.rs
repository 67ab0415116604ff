//! Starting processes: what is told when one cannot be started, and what it must not inherit.

mod emulator;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use actionproxy_core::{
    Action, ActionRunner, Code, Config, Environment, Executable, HookError, InitError, InitRequest,
    Logs, NativeRunner, RunError, RunRequest, SpawnStep, Staged, VerifyError, VerifyPolicy,
};

/// Has everything tried, fit or not.
struct Unverified;

impl ActionRunner for Unverified {
    fn verify(&self, _: &Executable<'_>) -> Result<(), VerifyError> {
        Ok(())
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("our own");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

/// Calls `act` with logs; what it gave and what was written to either.
fn logged<T>(act: impl FnOnce(&mut Logs<'_>) -> T) -> (T, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let done = act(&mut Logs::new(&mut stdout, &mut stderr));
    stdout.extend_from_slice(&stderr);
    (done, String::from_utf8(stdout).expect("text"))
}

/// The step and errno that a start of `executable` fails with, the first time and the second.
fn failure(executable: &Path, env: &Environment) -> (SpawnStep, Option<i32>) {
    let mut config = Config::new(executable.parent().expect("a directory"));
    config.executable = executable.file_name().expect("a name").into();
    let action = Action::existing(config, Unverified).expect("it can be found");
    let failures = [(); 2].map(|()| {
        let request = RunRequest {
            argument: b"{}".to_vec(),
            env: env.clone(),
            ..RunRequest::default()
        };
        match logged(|logs| action.run(request, logs)).0 {
            Err(RunError::Spawn { step, source, .. }) => (step, source.raw_os_error()),
            other => panic!("{}: {other:?}", executable.display()),
        }
    });
    // The first child of a parent may be started in another way than the others.
    assert_eq!(failures[0], failures[1], "{}", executable.display());
    failures[0]
}

#[test]
fn the_step_and_the_errno_of_a_failed_start_are_exact() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    write(&at("plain"), "#!/bin/sh\n", 0o644);
    write(&at("garbage"), "neither\n", 0o755);
    write(&at("orphan"), "#!/no/such/interpreter\n", 0o755);
    write(&at("good"), "#!/bin/sh\necho '{}'\n", 0o755);
    let none = Environment::default();
    let large = [("LARGE", "x".repeat(200_000))].into();
    for (name, env, step, errno) in [
        ("missing", &none, SpawnStep::Execute, libc::ENOENT),
        ("plain", &none, SpawnStep::Execute, libc::EACCES),
        ("garbage", &none, SpawnStep::Execute, libc::ENOEXEC),
        ("orphan", &none, SpawnStep::Execute, libc::ENOENT),
        ("good", &large, SpawnStep::Execute, libc::E2BIG),
        ("no/dir", &none, SpawnStep::EnterDirectory, libc::ENOENT),
        ("plain/dir", &none, SpawnStep::EnterDirectory, libc::ENOTDIR),
        ("a\0b", &none, SpawnStep::Prepare, 0),
    ] {
        // What is found out before there is a process has no errno.
        let errno = Some(errno).filter(|errno| *errno != 0);
        assert_eq!(failure(&at(name), env), (step, errno), "{name:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_entered_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    let action = Action::existing(Config::new(&missing), Unverified).expect("it can be found");
    let (outcome, _) = logged(|logs| action.run(RunRequest::default(), logs));
    let said = outcome.expect_err("there is none").to_string();
    let missing = missing.display();
    assert_eq!(
        said,
        format!(
            "failed to start {missing}/exec: No such file or directory (os error 2): \
             its working directory `{missing}` cannot be entered"
        )
    );
}

#[test]
fn threads_that_start_processes_at_once_leak_no_descriptor_into_each_others() {
    // Seen with 11.1, whose eleven threads waited for its own locks, and for no system call of ours.
    if emulator::is_here("qemu may lock itself up where several threads fork at once") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    // The kernel has `ls` list the directory and this file.
    write(&dir.path().join("exec"), "#!/bin/ls /proc/self/fd\n", 0o755);
    let mut config = Config::new(dir.path());
    config.verify = VerifyPolicy::Permission;
    let action = Action::existing(config, NativeRunner).expect("it can be found");
    let inherited = inherited();
    // Too long for the command line, and for a pipe at once: the parent writes it meanwhile.
    let argument = vec![b' '; 140_000];
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let request = RunRequest {
                        argument: argument.clone(),
                        ..RunRequest::default()
                    };
                    let (_, written) = logged(|logs| action.run(request, logs));
                    let mut listed: Vec<u32> =
                        written.lines().filter_map(|l| l.parse().ok()).collect();
                    listed.retain(|number| !inherited.contains(number));
                    // The last is the directory that it reads.
                    assert_eq!(listed.len(), 4, "{written}");
                    assert!([0, 1, 2].iter().all(|n| listed.contains(n)), "{written}");
                }
            });
        }
    });
}

/// What this process was started with and passes on: a test harness may be careless.
fn inherited() -> Vec<u32> {
    let fds = fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    fds.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
            let close_on_exec = info.map_or(true, |info| {
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
                flags.is_none_or(|flags| flags & 0o2_000_000 != 0)
            });
            *number > 2 && !close_on_exec
        })
        .collect()
}

/// Builds with the tool that init's code names.
struct Builds;

impl ActionRunner for Builds {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let tool = fs::read_to_string(staged.source())?;
        staged.tool(tool.trim(), ["an argument"])?;
        fs::write(staged.source(), "#!/bin/sh\n")?;
        Ok(())
    }
}

/// Has `tool` run by an init that sets PATH to `path`; what it wrote, or why it could not.
fn tool(tool: &str, path: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(Config::new(dir.path()), Builds).expect("ours");
    let request = InitRequest {
        code: Some(Code::Text(tool.into())),
        env: [("PATH", path)].into(),
        ..InitRequest::default()
    };
    match logged(|logs| action.init(request, logs)) {
        (Ok(()), written) => Ok(written),
        // The executable is no executable any more; the tool has run.
        (Err(InitError::Verify(_)), written) => Ok(written),
        (Err(e), _) => Err(e.to_string()),
    }
}

#[test]
fn a_tool_is_searched_in_the_path_that_it_is_given() {
    let dir = tempfile::tempdir().expect("a directory");
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    let script = "#!/bin/sh\necho \"$0 $1\"\n";
    for (directory, name, text, mode) in [
        (&first, "denied", script, 0o644),
        (&first, "denied_here", script, 0o644),
        (&second, "denied_here", script, 0o755),
        (&second, "the_tool", script, 0o755),
        (&second, "unmarked", "echo run by a shell\n", 0o755),
    ] {
        fs::create_dir_all(directory).expect("our own");
        write(&directory.join(name), text, mode);
    }
    let (one, two) = (first.display(), second.display());
    let path = format!("/no/such/directory:{one}:{two}");
    for name in ["the_tool", "denied_here"] {
        let said = Ok(format!("{two}/{name} an argument\n"));
        assert_eq!(tool(name, &path), said, "{name}");
    }
    for (name, path, cause) in [
        ("denied", &path, "Permission denied (os error 13)"),
        ("unmarked", &path, "Exec format error (os error 8)"),
        (
            "the_tool",
            &one.to_string(),
            "No such file or directory (os error 2): it is in no directory of PATH",
        ),
        // Ours has it.
        (
            "sh",
            &one.to_string(),
            "No such file or directory (os error 2): it is in no directory of PATH",
        ),
    ] {
        let said = format!("build failed: failed to start {name}: {cause}");
        assert_eq!(tool(name, path), Err(said));
    }
    // A path is not searched for, and an empty PATH is the directory that the tool runs in.
    let path = second.join("the_tool");
    let path = path.to_str().expect("text");
    assert_eq!(tool(path, ""), Ok(format!("{path} an argument\n")));
}
