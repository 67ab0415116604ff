//! Core as whoever links it meets it: stops, logs, hooks called by hand, environments, stubs.

mod hooks;
mod logs;
mod stops;

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{
    Action, Code, Config, Environment, Greeting, HookError, InitError, InitRequest, InstanceKind,
    LogSink, Logs, NativeRunner, Outcome, Rehearsal, Reinit, ResidentConfig, RunError, RunRequest,
    Stop, Stream, Stub, VerifyError,
};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.env = [("PATH", std::env::var_os("PATH").expect("a PATH"))].into();
    config.reinit = Reinit::Allow;
    config
}

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
