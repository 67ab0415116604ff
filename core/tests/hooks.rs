//! Every hook can be overridden alone, is called in order, and its failure changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use actionproxy_core::{
    Action, ActionRunner, Activation, Code, Config, Digest, Ended, Environment, Executable,
    HookError, InitError, InitRequest, Logs, NativeRunner, Outcome, RunError, RunRequest, Staged,
    Stub, VerifyError,
};
use base64::Engine as _;

const GOOD: &str = "#!/bin/sh\necho '{\"good\":true}'\n";

fn open(dir: &Path, runner: impl ActionRunner + 'static) -> Action {
    let mut config = Config::new(dir);
    config.stub = Some(Stub("#!/bin/sh\necho '{\"stub\":true}'\n".to_owned()));
    config.env = [("PATH", std::env::var_os("PATH").unwrap_or_default())].into();
    config.reinit = actionproxy_core::Reinit::Allow;
    Action::open(config, runner).expect("a directory")
}

fn text(code: &str) -> InitRequest {
    InitRequest {
        code: Some(Code::Text(code.into())),
        ..InitRequest::default()
    }
}

/// Calls `act` with fresh sinks; gives what it returned and what stood on stderr.
fn logged<T>(act: impl FnOnce(&mut Logs<'_>) -> T) -> (T, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let result = act(&mut Logs::new(&mut stdout, &mut stderr));
    (result, String::from_utf8(stderr).expect("text"))
}

fn init(action: &mut Action, request: InitRequest) -> Result<(), InitError> {
    logged(|logs| action.init(request, logs)).0
}

fn run(action: &Action) -> Result<String, RunError> {
    let request = RunRequest {
        argument: b"{}".to_vec(),
        ..RunRequest::default()
    };
    let outcome = logged(|logs| action.run(request, logs)).0?;
    Ok(String::from_utf8(outcome.result).expect("text"))
}

fn write_executable(path: &Path, code: &str) {
    fs::write(path, code).expect("our directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our file");
}

/// Names of files in the action directory, staging leftovers among them.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("the action directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<&'static str>>>);

impl Recording {
    fn note(&self, hook: &'static str) {
        self.0.lock().expect("no test panicked").push(hook);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().expect("no test panicked"))
    }
}

impl ActionRunner for Recording {
    fn preinit(&self, _: &InitRequest, _: &mut Logs<'_>) -> Result<(), HookError> {
        self.note("preinit");
        Ok(())
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        assert!(staged.source().exists(), "the source is there");
        self.note("epilogue");
        Ok(())
    }

    fn build(&self, _: &mut Staged<'_, '_>) -> Result<(), HookError> {
        self.note("build");
        Ok(())
    }

    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        self.note("verify");
        executable.check()
    }

    fn env(&self, base: Environment, _: &RunRequest) -> Environment {
        self.note("env");
        base
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        self.note("run");
        activation.execute(logs)
    }
}

#[test]
fn hooks_are_called_in_upstreams_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let recording = Recording::default();
    let mut action = open(dir.path(), recording.clone());
    init(&mut action, text(GOOD)).expect("it is good");
    assert_eq!(recording.take(), ["preinit", "epilogue", "build", "verify"]);
    assert_eq!(run(&action).expect("a result"), r#"{"good":true}"#);
    assert_eq!(recording.take(), ["verify", "env", "run"]);
    init(&mut action, InitRequest::default()).expect("what is there is good");
    assert_eq!(recording.take(), ["preinit", "verify"]);
}

/// Fails in one hook, once told to.
struct Failing {
    hook: &'static str,
    fail: Arc<Mutex<bool>>,
}

impl Failing {
    fn at(&self, hook: &str) -> Result<(), HookError> {
        if hook == self.hook && *self.fail.lock().expect("no test panicked") {
            return Err(format!("{hook} was told to").into());
        }
        Ok(())
    }
}

impl ActionRunner for Failing {
    fn preinit(&self, _: &InitRequest, _: &mut Logs<'_>) -> Result<(), HookError> {
        self.at("preinit")
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        staged.append("# appended")?;
        self.at("epilogue")
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        fs::write(staged.dir().join("built"), "x")?;
        self.at("build")
    }

    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        self.at("verify")
            .map_err(|e| VerifyError::Refused(e.to_string()))?;
        executable.check()
    }
}

#[test]
fn a_hook_that_fails_leaves_the_previous_action() {
    for hook in ["preinit", "epilogue", "build", "verify"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let fail = Arc::new(Mutex::new(false));
        let mut action = open(
            dir.path(),
            Failing {
                hook,
                fail: Arc::clone(&fail),
            },
        );
        init(&mut action, text(GOOD)).expect("it is good");
        let before = names(dir.path());
        *fail.lock().expect("no test panicked") = true;
        let error = init(&mut action, text("#!/bin/sh\necho '{\"bad\":1}'\n")).expect_err(hook);
        assert!(
            error.to_string().contains(&format!("{hook} was told to")),
            "{error}"
        );
        *fail.lock().expect("no test panicked") = false;
        assert_eq!(names(dir.path()), before, "{hook}");
        assert_eq!(
            run(&action).expect("a result"),
            r#"{"good":true}"#,
            "{hook}"
        );
        let installed = fs::read_to_string(dir.path().join("exec")).expect("the executable");
        assert_eq!(installed, format!("{GOOD}# appended"), "{hook}");
    }
}

#[test]
fn a_run_can_be_refused() {
    struct Refusing;
    impl ActionRunner for Refusing {
        fn run(&self, a: Activation<'_>, _: &mut Logs<'_>) -> Result<Outcome, RunError> {
            Err(RunError::Refused(format!(
                "not {}",
                a.executable().display()
            )))
        }
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error = run(&open(dir.path(), Refusing)).expect_err("it refuses");
    assert!(error.to_string().starts_with("not /"), "{error}");
}

#[test]
fn a_runner_may_do_without_an_executable() {
    struct Constant;
    impl ActionRunner for Constant {
        fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
            Ok(fs::rename(staged.source(), staged.dir().join("data"))?)
        }
        fn verify(&self, _: &Executable<'_>) -> Result<(), VerifyError> {
            Ok(())
        }
        fn run(&self, a: Activation<'_>, _: &mut Logs<'_>) -> Result<Outcome, RunError> {
            Ok(Outcome {
                result: a.argument().to_vec(),
                ended: Ended::Exited(0),
            })
        }
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(dir.path(), Constant);
    fs::remove_file(dir.path().join("exec")).expect("the stub");
    init(&mut action, text("anything")).expect("good");
    assert_eq!(run(&action).expect("a result"), "{}");
}

#[test]
fn the_environment_and_the_argument_can_be_changed() {
    struct Changing;
    impl ActionRunner for Changing {
        fn env(&self, mut base: Environment, request: &RunRequest) -> Environment {
            base.set("BYTES", request.argument.len().to_string());
            base
        }
        fn run(&self, mut a: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
            a.environment().set("LATE", "yes");
            a.set_argument(b"[1]".to_vec());
            a.execute(logs)
        }
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(dir.path(), Changing);
    init(
        &mut action,
        text("#!/bin/sh\necho \"[$1,$BYTES,\\\"$LATE\\\"]\"\n"),
    )
    .expect("good");
    assert_eq!(run(&action).expect("a result"), r#"[[1],2,"yes"]"#);
}

#[test]
fn a_failing_tool_is_named_with_its_status_and_its_words_are_logged() {
    struct Tool;
    impl ActionRunner for Tool {
        fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
            staged.tool("sh", ["-c", "echo line; echo err >&2; exit 9"])
        }
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(dir.path(), Tool);
    let (error, stderr) = logged(|logs| action.init(text(GOOD), logs).expect_err("it fails"));
    assert_eq!(error.to_string(), "build failed: `sh` exited with status 9");
    assert_eq!(stderr, "err\n");
    assert_eq!(run(&action).expect("a result"), r#"{"stub":true}"#);
}

#[test]
fn the_outcome_tells_how_the_process_ended() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(dir.path(), NativeRunner);
    init(&mut action, text("#!/bin/sh\necho '{}'\nkill -9 $$\n")).expect("good");
    let (outcome, _) = logged(|logs| action.run(RunRequest::default(), logs).expect("a result"));
    assert!(matches!(outcome.ended, Ended::Signaled(killed) if killed.signal == 9));
    assert_eq!(outcome.result, b"{}");
}

#[test]
fn code_without_an_executable_is_run_by_the_images_and_not_by_an_earlier_inits() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open_again = || {
        let mut config = Config::new(dir.path());
        config.source = "data".into();
        config.reinit = actionproxy_core::Reinit::Allow;
        config.stub = Some(Stub(String::new()));
        Action::open(config, NativeRunner).expect("a directory")
    };
    let program = |code: &str| InitRequest {
        code: Some(Code::Base64(
            base64::engine::general_purpose::STANDARD
                .encode(code)
                .into_bytes(),
        )),
        ..InitRequest::default()
    };
    // The image's: for as many inits as there are.
    let reads = "#!/bin/sh\nread -r line < data\necho \"$line\"\n";
    write_executable(&dir.path().join("exec"), reads);
    let mut action = open_again();
    for data in ["[1]", "[2]"] {
        init(&mut action, text(data)).expect("data for the image's executable");
        init(&mut action, InitRequest::default()).expect("what is there stays");
        assert_eq!(run(&action).expect("a result"), data);
    }
    // An init's: it is its own, and stays where a later one is refused or brings nothing.
    init(&mut action, program(GOOD)).expect("it is good");
    let error = init(&mut action, text("[3]")).expect_err("nothing to run it with");
    assert!(matches!(error, InitError::Verify(_)), "{error}");
    init(&mut action, InitRequest::default()).expect("what is there stays");
    init(&mut action, text("[3]")).expect_err("still an init's");
    assert_eq!(run(&action).expect("a result"), r#"{"good":true}"#);
    // The stub, kept or not.
    fs::remove_file(dir.path().join("exec")).expect("it is there");
    let mut action = open_again();
    init(&mut action, InitRequest::default()).expect("the stub stays");
    init(&mut action, text("[3]")).expect_err("only the stub is there");
}

#[test]
fn a_checksum_beside_the_executable_goes_with_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = "#!/bin/sh\necho '{}'\n";
    write_executable(&dir.path().join("exec"), first);
    let line = format!("{}  exec\n", Digest::of(first.as_bytes()));
    fs::write(dir.path().join("exec.sha256"), line).expect("our directory");
    let mut action = open(dir.path(), NativeRunner);
    assert_eq!(run(&action).expect("a result"), "{}");
    init(&mut action, text(GOOD)).expect("it is good");
    init(&mut action, InitRequest::default()).expect("what is there stays");
    assert_eq!(run(&action).expect("a result"), r#"{"good":true}"#);
    let action = open(dir.path(), NativeRunner);
    assert_eq!(run(&action).expect("a result"), r#"{"good":true}"#);
}
