//! Runs, inits and resident processes that are stopped from another thread.

use actionproxy_core::{ActionRunner, CompilerRunner, Fault, HookError, Staged};

use super::*;

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
