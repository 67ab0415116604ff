//! A resident process, from inside: any runner with either instance, what a failure leaves, who reads
//! between two activations.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actionproxy_core::{
    Action, ActionRunner, Code, CompilerRunner, Config, Greeting, HookError, InitError,
    InitRequest, InstanceKind, Logs, NativeRunner, Reinit, ResidentConfig, Rest, RunError,
    RunRequest, Staged, StartError, Stop, TimeLimit,
};

/// Answers each question with itself.
const ECHO: &str = "#!/bin/sh\nwhile read -r line; do echo \"$line\" >&3; done\n";

fn config(dir: &Path) -> Config {
    let path = std::env::var_os("PATH").expect("a PATH");
    Config {
        instance: InstanceKind::Resident(ResidentConfig {
            greeting: Greeting::LivesFor(Duration::ZERO),
            execution_env: None,
            keep_jar: None,
        }),
        reinit: Reinit::Allow,
        env: [("PATH", path)].into(),
        ..Config::new(dir)
    }
}

fn open(config: Config, runner: impl ActionRunner + 'static) -> Action {
    Action::open(config, runner).expect("our own directory")
}

fn init(action: &mut Action, code: &str) -> Result<(), InitError> {
    let request = InitRequest {
        code: Some(Code::Text(code.into())),
        ..InitRequest::default()
    };
    action.init(request, &mut logs(&mut io::sink(), &mut io::sink()))
}

fn run(action: &Action, question: &str) -> Result<String, RunError> {
    let request = RunRequest {
        argument: question.into(),
        ..RunRequest::default()
    };
    let outcome = action.run(request, &mut logs(&mut io::sink(), &mut io::sink()))?;
    Ok(String::from_utf8(outcome.result).expect("text"))
}

fn logs<'a>(stdout: &'a mut dyn Write, stderr: &'a mut dyn Write) -> Logs<'a> {
    Logs::new(stdout, stderr)
}

fn end(mut action: Action) {
    action.end(&mut logs(&mut io::sink(), &mut io::sink()));
}

/// The source is what runs.
fn taking_source() -> CompilerRunner<NativeRunner> {
    CompilerRunner {
        compiler: None,
        inner: NativeRunner,
    }
}

/// Makes a program of a source by writing a line before it.
struct Shebang;

impl ActionRunner for Shebang {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let source = fs::read_to_string(staged.source())?;
        if source.contains("refused") {
            return Err("it is refused".into());
        }
        fs::create_dir_all(staged.executable().parent().ok_or("no directory")?)?;
        Ok(fs::write(
            staged.executable(),
            format!("#!/bin/sh\n{source}"),
        )?)
    }
}

#[test]
fn a_runner_of_its_own_builds_for_a_resident_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = open(config(dir.path()), Shebang);
    assert!(matches!(run(&action, "{}"), Err(RunError::NotInitialized)));
    let error = init(&mut action, "refused").expect_err("it is");
    assert!(
        matches!(error, InitError::Hook { hook: "build", .. }),
        "{error}"
    );
    let source = ECHO.strip_prefix("#!/bin/sh\n").expect("it begins so");
    init(&mut action, source).expect("a loop");
    for question in ["{\"n\":1}", "[2]"] {
        assert_eq!(run(&action, question).expect("an answer"), question);
    }
    // The failed one left nothing, so the number is the same.
    assert!(dir.path().join("1/bin/exec").exists());
    end(action);
}

#[test]
fn a_compiler_builds_for_a_process_per_activation() {
    let dir = tempfile::tempdir().expect("a directory");
    let compiler = dir.path().join("compile");
    fs::write(
        &compiler,
        "#!/bin/sh\n(echo '#!/bin/sh'; cat $2/exec) > $3/exec\nchmod 755 $3/exec\n",
    )
    .and_then(|()| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))
    })
    .expect("our own directory");
    let runner = CompilerRunner {
        compiler: Some(compiler),
        inner: NativeRunner,
    };
    let config = Config {
        instance: InstanceKind::Process,
        source: "src/exec".into(),
        executable: "bin/exec".into(),
        ..config(&dir.path().join("action"))
    };
    let mut action = open(config, runner);
    init(&mut action, "echo \"{\\\"got\\\":$1}\"\n").expect("it compiles");
    assert_eq!(
        run(&action, "{\"n\":1}").expect("a result"),
        "{\"got\":{\"n\":1}}"
    );
}

#[test]
fn what_ran_before_outlives_a_start_that_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = open(config(dir.path()), taking_source());
    init(&mut action, ECHO).expect("a loop");
    let error = init(&mut action, "#!/nowhere/interpreter\n").expect_err("it cannot start");
    assert!(
        matches!(error, InitError::Start(StartError::Run(_))),
        "{error}"
    );
    assert_eq!(run(&action, "{}").expect("an answer"), "{}");
    let names: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["1"]);
    end(action);
    // Its directory goes with it.
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[test]
fn without_code_there_is_nothing_to_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = open(config(dir.path()), taking_source());
    let error = action.init(
        InitRequest::default(),
        &mut logs(&mut io::sink(), &mut io::sink()),
    );
    assert!(matches!(error, Err(InitError::NoCode)));
    // No stub either.
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[test]
fn what_is_written_between_activations_is_handed_on_by_tend_and_the_end_is_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = open(config(dir.path()), taking_source());
    init(
        &mut action,
        "#!/bin/sh\nread -r line; echo '{}' >&3; echo after; echo late >&2; exit 7\n",
    )
    .expect("it starts");
    run(&action, "{}").expect("an answer");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (wake, waker) = io::pipe().expect("descriptors");
    // Until it is seen that the process has exited. What it wrote may already have come with the
    // activation, if it was quicker than we.
    while !String::from_utf8_lossy(&stderr).contains("status 7") {
        let rest = action.rest(&[wake.as_fd()], Some(Duration::from_secs(60)));
        assert_eq!(rest.expect("it waits"), Rest::Untended);
        let mut logs = logs(&mut stdout, &mut stderr);
        action.tend(&mut logs).expect("it can be read");
    }
    assert!(matches!(run(&action, "{}"), Err(RunError::Ended { .. })));
    action.revive();
    assert_eq!(run(&action, "{}").expect("started anew"), "{}");
    // One that has not ended stays what it is, whether it is seen already or not.
    action.revive();
    end(action);
    let mut action = open(config(dir.path()), taking_source());
    init(&mut action, ECHO).expect("a loop");
    drop(waker);
    // Readable now, it comes back at once.
    let rest = action.rest(&[wake.as_fd()], None).expect("it waits");
    assert_eq!(rest, Rest::Woken);
}

/// However many threads ask at once: what a process writes besides its answer reaches none of them.
#[test]
fn runs_of_many_threads_are_answered_each_with_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(config(dir.path()), taking_source());
    let code =
        "#!/bin/sh\nwhile read -r line; do printf '%s\\n{\"stray\":1}\\n' \"$line\" >&3; done\n";
    init(&mut action, code).expect("it starts");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let action = &action;
            scope.spawn(move || {
                for n in 0..20 {
                    let question = format!("{{\"n\":{n},\"thread\":{thread}}}");
                    assert_eq!(run(action, &question).expect("an answer"), question);
                }
            });
        }
    });
    end(action);
}

/// An action that begins to answer `slow` and then waits until `gate` is there.
fn init_gated(dir: &Path) -> Action {
    let mut action = open(config(dir), taking_source());
    let code = format!(
        "#!/bin/sh\nwhile read -r line; do case $line in *slow*) echo > {0}/begun\n\
         until [ -e {0}/gate ]; do sleep 0.01; done;; esac; echo \"[$$]\" >&3; done\n",
        dir.display()
    );
    init(&mut action, &code).expect("a loop");
    action
}

/// Waits until a file is there, or panics.
fn eventually_there(path: &Path) {
    for _ in 0..3000 {
        if path.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{} does not come", path.display());
}

#[test]
fn one_that_waits_for_its_turn_is_stopped_or_timed_out_and_costs_the_process_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let action = init_gated(dir.path());
    let limited = RunRequest {
        argument: b"{}".to_vec(),
        time_limit: Some(TimeLimit::Timeout(Duration::from_millis(100))),
        ..RunRequest::default()
    };
    let stop = Stop::new().expect("a descriptor");
    let stopped = RunRequest {
        argument: b"{}".to_vec(),
        stop: stop.clone(),
        ..RunRequest::default()
    };
    thread::scope(|scope| {
        let slow = scope.spawn(|| run(&action, "slow"));
        eventually_there(&dir.path().join("begun"));
        let (tell, told) = mpsc::channel();
        for request in [limited, stopped] {
            let (tell, action) = (tell.clone(), &action);
            scope.spawn(move || {
                let out = &mut io::sink();
                let error = action.run(request, &mut logs(out, &mut io::sink()));
                tell.send(error.expect_err("it was not asked").to_string())
            });
        }
        let next = || told.recv_timeout(Duration::from_secs(30));
        let first = next();
        stop.request();
        let second = next();
        let third = scope.spawn(|| run(&action, "{}"));
        fs::write(dir.path().join("gate"), "").expect("written");
        // Before it is looked at what they said: else one that is still waited for would hide it.
        let pid = slow.join().expect("no panic").expect("an answer");
        assert_eq!(third.join().expect("no panic").expect("an answer"), pid);
        assert!(
            first.as_ref().is_ok_and(|e| e.contains("100 ms")),
            "{first:?}"
        );
        let is_stopped = |e: &String| e.contains("shutting down") || e.contains("stopped");
        assert!(second.as_ref().is_ok_and(is_stopped), "{second:?}");
    });
    end(action);
}

#[test]
fn a_limit_that_no_clock_reaches_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = config(dir.path());
    settings.process.timeout = Some(Duration::MAX);
    settings.process.kill_grace = Duration::MAX;
    let mut action = open(settings, taking_source());
    init(&mut action, ECHO).expect("a loop");
    assert_eq!(run(&action, "[1]").expect("an answer"), "[1]");
    // The process is told to end, and has all the time that it wants.
    end(action);
}
