//! Core as whoever links it meets it: stops, logs, environments, hooks called by hand.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{
    Action, ActionRunner, Activation, Code, CompilerRunner, Config, Ended, Environment, Executable,
    Fault, Greeting, HookError, InitError, InitRequest, InstanceKind, Lines, LogSink, Logs,
    NativeRunner, Outcome, ProcessLimits, RawValue, Rehearsal, Reinit, ResidentConfig, RunError,
    RunRequest, Staged, Stop, Stream, Stub, TimeLimit, VerifyError,
};
use rustix::event::{PollFd, PollFlags, poll};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.env = [("PATH", std::env::var_os("PATH").expect("a PATH"))].into();
    config.reinit = Reinit::Allow;
    config
}

fn text(code: &str) -> InitRequest {
    InitRequest::new(Code::Text(code.into()))
}

fn init(action: &mut Action, request: InitRequest) -> Result<(), InitError> {
    action.init(request, &mut Logs::new(&mut io::sink(), &mut io::sink()))
}

fn run(action: &Action, request: RunRequest) -> Result<Outcome, RunError> {
    action.run(request, &mut Logs::new(&mut io::sink(), &mut io::sink()))
}

fn result(outcome: Result<Outcome, RunError>) -> String {
    String::from_utf8(outcome.expect("a result").result).expect("text")
}

fn stoppable(argument: &str) -> (RunRequest, Stop) {
    let stop = Stop::new().expect("a descriptor");
    let mut request = RunRequest::new(argument);
    request.stop = stop.clone();
    (request, stop)
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "waited {LIMIT:?} for {what}");
        thread::yield_now();
    }
}

fn is_stopped(outcome: &Result<Outcome, RunError>) -> bool {
    matches!(outcome, Err(RunError::Stopped))
}

/// Says in a file named by its argument that it runs, and goes on when there is another file.
const WAITS: &str = "#!/bin/sh\nname=$(echo \"$1\" | tr -dc a-z)\necho > begun-$name\n\
                     until [ -e go-$name ]; do sleep 0.01; done\necho \"$1\"\n";

#[test]
fn one_of_two_runs_is_stopped_and_the_other_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(WAITS)).expect("a good action");
    let at = |name: &str| dir.path().join(name);
    let (first, stop) = stoppable("[\"a\"]");
    let (second, other) = stoppable("[\"b\"]");
    thread::scope(|scope| {
        let first = scope.spawn(|| run(&action, first));
        let second = scope.spawn(|| run(&action, second));
        eventually("both to begin", || {
            at("begun-a").exists() && at("begun-b").exists()
        });
        stop.request();
        let outcome = first.join().expect("no panic");
        assert!(is_stopped(&outcome), "{outcome:?}");
        fs::write(at("go-b"), "").expect("our own");
        assert_eq!(result(second.join().expect("no panic")), "[\"b\"]");
    });
    // The stop was that run's alone, and holds for whatever else it is given to.
    fs::write(at("go-c"), "").expect("our own");
    assert_eq!(result(run(&action, RunRequest::new("[\"c\"]"))), "[\"c\"]");
    let mut late = RunRequest::new("[\"late\"]");
    late.stop = stop.clone();
    assert!(is_stopped(&run(&action, late)));
    assert!(!at("begun-late").exists(), "it is not even begun");
    assert!(stop.is_requested() && !other.is_requested());
}

#[test]
fn what_ends_everything_ends_each_run_that_has_a_stop_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(WAITS)).expect("a good action");
    let all = Stop::new().expect("a descriptor");
    thread::scope(|scope| {
        let running = ["a", "b"].map(|name| {
            let mut request = RunRequest::new(format!("[\"{name}\"]"));
            request.stop = all.child().expect("a descriptor");
            scope.spawn(|| run(&action, request))
        });
        eventually("both to begin", || {
            ["begun-a", "begun-b"].map(|name| dir.path().join(name).exists()) == [true, true]
        });
        all.request();
        for running in running {
            let outcome = running.join().expect("no panic");
            assert!(is_stopped(&outcome), "{outcome:?}");
        }
    });
}

#[test]
fn who_stopped_a_run_knows_why_and_core_does_not_guess() {
    assert_eq!(RunError::Stopped.to_string(), "the action was stopped");
    assert_eq!(RunError::Stopped.fault(), Fault::Caller);
    assert_eq!(InitError::Stopped.to_string(), "init was stopped");
    assert_eq!(InitError::Stopped.fault(), Fault::Caller);
}

/// Builds with a tool that does not end.
struct Endless;

impl ActionRunner for Endless {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let begun = staged.action_dir().join("begun");
        let script = format!("echo > {}; exec sleep 1000", begun.display());
        staged.tool("sh", ["-c", &script])?;
        Ok(())
    }
}

#[test]
fn a_stopped_init_is_no_failed_hook_and_leaves_the_action_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let found = dir.path().join("exec");
    fs::write(&found, "#!/bin/sh\necho '{\"old\":true}'\n").expect("our own");
    fs::set_permissions(&found, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let mut action = Action::open(config(dir.path()), Endless).expect("a directory");
    let stop = Stop::new().expect("a descriptor");
    let stopped = || InitRequest {
        stop: stop.clone(),
        ..text("#!/bin/sh\necho '{}'\n")
    };
    let first = thread::scope(|scope| {
        let request = stopped();
        let running = scope.spawn(|| init(&mut action, request));
        eventually("the build", || dir.path().join("begun").exists());
        stop.request();
        running.join().expect("no panic")
    });
    // The second was given a stop that is requested already.
    for error in [Some(first), Some(init(&mut action, stopped()))]
        .into_iter()
        .flatten()
    {
        assert!(matches!(error, Err(InitError::Stopped)), "{error:?}");
    }
    assert!(!action.is_initialized());
    assert_eq!(
        result(run(&action, RunRequest::new("{}"))),
        "{\"old\":true}"
    );
}

/// A script is what runs.
const TAKES_SOURCE: CompilerRunner<NativeRunner> = CompilerRunner {
    compiler: None,
    inner: NativeRunner,
};

fn resident(dir: &Path) -> Config {
    let mut config = config(dir);
    config.process.kill_grace = Duration::ZERO;
    config.instance = InstanceKind::Resident(ResidentConfig {
        greeting: Greeting::Ack,
        execution_env: None,
        keep_jar: None,
    });
    config
}

#[test]
fn a_resident_process_that_was_stopped_answers_the_next_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(resident(dir.path()), TAKES_SOURCE).expect("a directory");
    let begun = dir.path().join("begun");
    let code = format!(
        "#!/bin/sh\necho '{{\"ok\":true}}' >&3\nwhile read -r line; do case $line in *hang*) echo > {}; \
         exec sleep 1000;; esac; echo \"$line\" >&3; done\n",
        begun.display()
    );
    init(&mut action, text(&code)).expect("a good action");
    let (request, stop) = stoppable("[\"hang\"]");
    thread::scope(|scope| {
        let running = scope.spawn(|| run(&action, request));
        eventually("the start", || begun.exists());
        stop.request();
        let outcome = running.join().expect("no panic");
        assert!(is_stopped(&outcome), "{outcome:?}");
    });
    assert_eq!(result(run(&action, RunRequest::new("[1]"))), "[1]");
    let (mut late, _) = stoppable("[2]");
    late.stop = stop;
    assert!(is_stopped(&run(&action, late)));
    // That one has not disturbed the process.
    assert_eq!(result(run(&action, RunRequest::new("[3]"))), "[3]");
    action.end(&mut Logs::new(&mut io::sink(), &mut io::sink()));
}

#[test]
fn a_resident_process_is_stopped_while_it_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(resident(dir.path()), TAKES_SOURCE).expect("a directory");
    let begun = dir.path().join("begun");
    let stop = Stop::new().expect("a descriptor");
    let request = InitRequest {
        stop: stop.clone(),
        ..text(&format!(
            "#!/bin/sh\necho > {}\nexec sleep 1000\n",
            begun.display()
        ))
    };
    let done = thread::scope(|scope| {
        let running = scope.spawn(|| init(&mut action, request));
        eventually("the start", || begun.exists() || running.is_finished());
        stop.request();
        running.join().expect("no panic")
    });
    assert!(matches!(done, Err(InitError::Stopped)), "{done:?}");
}

#[test]
fn without_a_stub_nothing_is_put_there_and_a_run_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    assert_eq!(fs::read_dir(dir.path()).expect("our own").count(), 0);
    let outcome = run(&action, RunRequest::new("{}"));
    assert!(
        matches!(outcome, Err(RunError::NotInitialized)),
        "{outcome:?}"
    );
    // Nor is there anything that code without an executable could be for.
    let kept = init(&mut action, InitRequest::default());
    let is_missing = matches!(kept, Err(InitError::Verify(VerifyError::Missing { .. })));
    assert!(is_missing, "{kept:?}");
    init(&mut action, text("#!/bin/sh\necho '{}'\n")).expect("a good action");
    assert_eq!(result(run(&action, RunRequest::new("{}"))), "{}");
}

#[test]
fn a_stub_that_an_earlier_process_put_there_is_no_action_to_one_without() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut with = config(dir.path());
    with.stub = Some(Stub(format!(
        "#!/bin/sh\n{}\necho '{{\"stub\":true}}'\n",
        Stub::MARKER
    )));
    drop(Action::open(with, NativeRunner).expect("a directory"));
    let mut without = config(dir.path());
    without.source = "data".into();
    let mut action = Action::open(without, NativeRunner).expect("a directory");
    assert_eq!(
        result(run(&action, RunRequest::new("{}"))),
        "{\"stub\":true}"
    );
    let data = init(&mut action, text("[1]"));
    assert!(data.is_err(), "a stub runs no code: {data:?}");
}

/// Keeps what it is given, piece by piece.
#[derive(Default)]
struct Pieces {
    streams: Vec<(Stream, String)>,
    notes: Vec<String>,
}

impl LogSink for Pieces {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        self.streams.push((stream, text));
    }

    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }
}

const TALKS: &str = "#!/bin/sh\necho one\nprintf tw >&2\necho o >&2\nprintf half >&2\necho '{}'\n";

/// A variable that cannot be, which core has something to say of.
fn noted() -> RunRequest {
    RunRequest {
        env: [("A=B", "x")].into(),
        ..RunRequest::new("{}")
    }
}

const SAID: &str = "skipped the environment variable \"A=B\": a name needs at least one character \
                    and neither name nor value may hold NUL, nor the name `=`";

#[test]
fn a_sink_of_ones_own_gets_streams_and_notes_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(TALKS)).expect("a good action");
    let mut pieces = Pieces::default();
    let outcome = action.run(noted(), &mut Logs::to(&mut pieces));
    assert_eq!(result(outcome), "{}");
    assert_eq!(pieces.notes, [SAID]);
    let of = |wanted| {
        let pieces = pieces.streams.iter();
        let pieces = pieces.filter(|(stream, _)| *stream == wanted);
        pieces.map(|(_, text)| text.as_str()).collect::<String>()
    };
    assert_eq!(of(Stream::Stdout), "one\n");
    assert_eq!(of(Stream::Stderr), "two\nhalf\n");
}

#[test]
fn logs_go_to_writers_to_a_callback_or_line_by_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(TALKS)).expect("a good action");
    let stderr = format!("{SAID}\ntwo\nhalf\n");

    let (mut out, mut err) = (Vec::new(), Vec::new());
    let written = action.run(noted(), &mut Logs::new(&mut out, &mut err));
    assert_eq!(result(written), "{}");
    let both = [out, err].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(both, ["one\n", &stderr]);

    let mut both = [String::new(), String::new()];
    let mut call = |stream: Stream, bytes: &[u8]| {
        both[stream as usize].push_str(std::str::from_utf8(bytes).expect("text"));
    };
    let called = action.run(noted(), &mut Logs::to(&mut call));
    assert_eq!(result(called), "{}");
    assert_eq!(both, ["one\n", &stderr]);

    let mut told = Vec::new();
    let mut lines = Lines::new(|stream, line: &[u8]| {
        told.push(format!("{stream}: {}", String::from_utf8_lossy(line)));
    });
    let split = action.run(noted(), &mut Logs::to(&mut lines));
    assert_eq!(result(split), "{}");
    drop(lines);
    told.sort();
    let said = format!("stderr: {SAID}");
    assert_eq!(told, ["stderr: half", &said, "stderr: two", "stdout: one"]);
}

#[test]
fn environments_are_of_one_shape_and_the_nearer_wins() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    for name in ["A", "B", "C"] {
        config.env.set(name, "configured");
    }
    config.env.remove("PATH");
    let mut action = Action::open(config, NativeRunner).expect("a directory");
    let request = InitRequest {
        env: [("B", "init"), ("C", "init")].into(),
        ..text("#!/bin/sh\n[ -z \"$(/usr/bin/env | grep ^PATH=)\" ]\necho \"[\\\"$A $B $C\\\"]\"\n")
    };
    init(&mut action, request).expect("a good action");
    let own: Environment = [("C".to_owned(), "run".to_owned())].into_iter().collect();
    let request = RunRequest {
        env: own,
        ..RunRequest::new("{}")
    };
    assert_eq!(result(run(&action, request)), "[\"configured init run\"]");
    // Nothing of one run is left for the next.
    let again = result(run(&action, RunRequest::new("{}")));
    assert_eq!(again, "[\"configured init init\"]");
}

/// Answers without a process, from what an activation tells.
struct Within;

impl ActionRunner for Within {
    fn verify(&self, _: &Executable<'_>) -> Result<(), VerifyError> {
        Ok(())
    }

    fn run(&self, activation: Activation<'_>, _: &mut Logs<'_>) -> Result<Outcome, RunError> {
        if activation.argument() == b"[\"wait\"]" {
            fs::write(activation.working_dir().join("begun"), "").expect("our own");
            let stop = activation
                .stop()
                .descriptor()
                .expect("somebody may stop it");
            poll(&mut [PollFd::new(&stop, PollFlags::IN)], None).expect("a poll");
            return Err(RunError::Stopped);
        }
        let ProcessLimits { max_result, .. } = activation.limits();
        let limit = activation.time_limit().map(TimeLimit::duration);
        let dir = activation.working_dir().display();
        Ok(Outcome {
            result: format!("[\"{dir}\",{max_result},\"{limit:?}\"]").into_bytes(),
            ended: Ended::Exited(0),
        })
    }
}

#[test]
fn an_override_of_run_knows_limits_stop_and_working_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    config.process.max_result = 77;
    config.process.timeout = Some(Duration::from_secs(9));
    config.executable = "bin/exec".into();
    fs::create_dir(dir.path().join("bin")).expect("our own");
    let action = Action::open(config, Within).expect("a directory");
    let request = RunRequest {
        time_limit: Some(TimeLimit::Deadline(Duration::from_secs(5))),
        ..RunRequest::new("{}")
    };
    let dir = dir.path().join("bin");
    let expected = format!("[\"{}\",77,\"Some(5s)\"]", dir.display());
    assert_eq!(result(run(&action, request)), expected);
    let (request, stop) = stoppable("[\"wait\"]");
    thread::scope(|scope| {
        let running = scope.spawn(|| run(&action, request));
        eventually("the start", || dir.join("begun").exists());
        stop.request();
        assert!(is_stopped(&running.join().expect("no panic")));
    });
}

/// Appends what the request names to the source, and builds a copy of it.
struct Copies;

impl ActionRunner for Copies {
    fn preinit(&self, request: &InitRequest, logs: &mut Logs<'_>) -> Result<(), HookError> {
        match request.fields.get("kind").map(|raw| raw.get()) {
            Some("\"copy\"") => Ok(()),
            other => {
                logs.note(format_args!("no kind: {other:?}"));
                Err("expected the kind \"copy\"".into())
            }
        }
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let main = staged.request().main.clone().unwrap_or_default();
        staged.append(&main)
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let (source, executable) = (staged.source(), staged.executable());
        staged.tool("cp", [&source, &executable])?;
        staged.tool("chmod", ["755".as_ref(), executable.as_os_str()])
    }
}

#[test]
fn hooks_are_tested_one_by_one_with_arguments_made_by_hand() {
    for is_resident in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = match is_resident {
            false => config(dir.path()),
            true => resident(dir.path()),
        };
        config.source = "exec.sh".into();
        let kind = RawValue::from_string("\"copy\"".to_owned()).expect("JSON");
        let request = InitRequest {
            main: Some("echo \"[\\\"$A\\\",$1]\"".to_owned()),
            env: [("A", "init")].into(),
            fields: [("kind".to_owned(), kind)].into(),
            ..text("#!/bin/sh\n")
        };
        let rehearsal = Rehearsal::new(config, request).expect("good code");
        let mut pieces = Pieces::default();
        let mut logs = Logs::to(&mut pieces);
        Copies
            .preinit(rehearsal.request(), &mut logs)
            .expect("its kind");
        let mut staged = rehearsal.staged(&mut logs);
        let source = staged.source();
        assert_eq!(source.ends_with("exec.sh"), !is_resident, "{source:?}");
        Copies.epilogue(&mut staged).expect("a source");
        let early = Copies.verify(&rehearsal.executable());
        if !is_resident {
            assert!(
                matches!(early, Err(VerifyError::Missing { .. })),
                "{early:?}"
            );
            Copies.build(&mut staged).expect("a build");
            Copies.verify(&rehearsal.executable()).expect("executable");
        } else {
            assert!(early.is_err(), "{early:?}");
            Copies.build(&mut staged).expect("a build");
        }
        let request = RunRequest {
            env: [("B", "run")].into(),
            ..RunRequest::new("1")
        };
        let environment = Copies.env(rehearsal.environment(), &request);
        assert_eq!(environment.value("A"), Some("init".as_ref()));
        assert_eq!(environment.value("B"), Some("run".as_ref()));
        let outcome = Copies.run(rehearsal.activation(&request), &mut logs);
        assert_eq!(result(outcome), "[\"init\",1]");
        assert!(pieces.notes.is_empty(), "{:?}", pieces.notes);
    }
}

#[test]
fn everything_may_be_shared_by_threads_and_sent_to_them() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Action>();
    shared::<Config>();
    shared::<InitRequest>();
    shared::<RunRequest>();
    shared::<Outcome>();
    shared::<InitError>();
    shared::<RunError>();
    shared::<HookError>();
    shared::<VerifyError>();
    shared::<Environment>();
    shared::<Stop>();
    shared::<Rehearsal>();
}
