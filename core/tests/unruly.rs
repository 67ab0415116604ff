//! Runs that are ended from outside, as an embedder sees them.

use std::fs;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{
    Action, ActionRunner, Code, Config, Fault, HookError, InitRequest, Logs, NativeRunner, Outcome,
    RunError, RunRequest, Staged, TimeLimit,
};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

fn action(config: Config, code: &str) -> Action {
    let mut action = Action::open(config, NativeRunner).expect("a directory");
    let request = InitRequest {
        code: Some(Code::Text(code.into())),
        ..InitRequest::default()
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    action.init(request, &mut logs).expect("it is executable");
    action
}

/// Runs it; what it gave and what it wrote.
fn run(action: &Action, time_limit: Option<TimeLimit>) -> (Result<Outcome, RunError>, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let request = RunRequest {
        time_limit,
        ..RunRequest::new("{}")
    };
    let outcome = action.run(request, &mut logs);
    stdout.extend_from_slice(&stderr);
    (outcome, String::from_utf8(stdout).expect("text"))
}

#[test]
fn the_shorter_of_two_limits_ends_a_run_and_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Config::new(dir.path());
    config.process.timeout = Some(Duration::from_millis(200));
    let action = action(config, "#!/bin/sh\nexec sleep 1000\n");
    for (asked, expected) in [
        (None, TimeLimit::Timeout(Duration::from_millis(200))),
        (
            Some(TimeLimit::Deadline(LIMIT)),
            TimeLimit::Timeout(Duration::from_millis(200)),
        ),
        (
            Some(TimeLimit::Deadline(Duration::from_millis(100))),
            TimeLimit::Deadline(Duration::from_millis(100)),
        ),
    ] {
        match run(&action, asked).0 {
            Err(error @ RunError::TimedOut { limit }) => {
                assert_eq!((limit, error.fault()), (expected, Fault::Action));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_child_of_the_embedder_keeps_its_exit_status() {
    let dir = tempfile::tempdir().expect("a directory");
    let action = action(Config::new(dir.path()), "#!/bin/sh\necho '{}'\n");
    let mut children: Vec<_> = (0..20)
        .map(|status| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exit {status}")]);
            command.spawn().expect("a shell")
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(run(&action, None).0.expect("a result").result, b"{}");
    }
    for (status, child) in children.iter_mut().enumerate() {
        let ended = child.wait().expect("nobody else has waited");
        assert_eq!(ended.code(), Some(status as i32));
    }
}

#[test]
fn an_action_does_not_inherit_what_the_embedders_thread_has_blocked() {
    let dir = tempfile::tempdir().expect("a directory");
    // Without a shell, which may unblock them itself.
    let code = "#!/bin/cat /proc/self/status\n";
    let action = action(Config::new(dir.path()), code);
    let written = thread::scope(|scope| {
        let blocking = scope.spawn(|| {
            let mut set = MaybeUninit::uninit();
            // SAFETY: sigfillset initialises the set before it is read; no old set is asked for.
            unsafe {
                libc::sigfillset(set.as_mut_ptr());
                libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
            }
            run(&action, None).1
        });
        blocking.join().expect("no panic")
    });
    let line = "SigBlk:\t0000000000000000\n";
    assert!(written.contains(line), "{written}");
}

#[test]
fn a_run_that_could_not_be_started_says_so_on_stdout_whoever_asked_for_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let action = action(Config::new(dir.path()), "#!/no/such/shell\n");
    let (outcome, written) = run(&action, None);
    let error = outcome.expect_err("no such interpreter");
    assert!(matches!(error, RunError::Spawn { .. }), "{error:?}");
    // The error itself is the embedder's to log.
    assert_eq!(written, format!("error: {error}\n"));
    assert!(written.contains("`/no/such/shell` does not exist here"));
}

/// Builds with a shell that says half a line on both streams.
struct HalfSaid;

impl ActionRunner for HalfSaid {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        staged.tool("sh", ["-c", "printf out; printf err >&2"])
    }
}

#[test]
fn half_a_line_of_a_build_tool_is_completed() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config::new(dir.path());
    let mut action = Action::open(config, HalfSaid).expect("a directory");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let request = InitRequest {
        code: Some(Code::Text(b"#!/bin/sh\n".to_vec())),
        ..InitRequest::default()
    };
    action.init(request, &mut logs).expect("a good build");
    assert_eq!((&stdout[..], &stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
}

/// Builds with a shell that runs this.
struct Builds(&'static str);

impl ActionRunner for Builds {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        staged.tool("sh", ["-c", self.0])
    }
}

#[test]
fn what_killed_a_build_tool_is_named() {
    for (script, said) in [
        ("kill -SEGV $$", "`sh` was killed by SIGSEGV"),
        (
            "ulimit -f 1; exec head -c 100000 /dev/zero > big",
            "`sh` was killed by SIGXFSZ: it wrote a file larger than ",
        ),
        (
            "ulimit -f 1; (exec head -c 100000 /dev/zero > big); exit $?",
            ": it wrote a file larger than ",
        ),
        ("exit 3", "`sh` exited with status 3"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config::new(dir.path());
        let mut action = Action::open(config, Builds(script)).expect("a directory");
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut logs = Logs::new(&mut stdout, &mut stderr);
        let request = InitRequest {
            code: Some(Code::Text(b"#!/bin/sh\n".to_vec())),
            ..InitRequest::default()
        };
        let error = action.init(request, &mut logs).expect_err(script);
        assert!(error.to_string().contains(said), "{script}: {error}");
    }
}

#[test]
fn nothing_of_one_run_is_left_for_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let code = "#!/bin/sh\n(while :; do echo late; done) >&2 &\necho $! > child\necho '{}'\n";
    let mut config = Config::new(dir.path());
    config.process.linger = Some(Duration::from_millis(100));
    let action = action(config, code);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (outcome, written) = run(&action, None);
        assert_eq!(outcome.expect("a result").result, b"{}");
        let is_expected = |line: &str| line == "late" || line.starts_with('`');
        assert!(
            written.ends_with('\n') && written.lines().all(is_expected),
            "{written}"
        );
        let child = fs::read_to_string(dir.path().join("child")).expect("its number");
        assert!(!seen.contains(&child), "a fresh one each time");
        eventually("the descendant to end", || !is_alive(&child));
        seen.push(child);
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // A zombie is one that its new parent has not reaped yet.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "waited {LIMIT:?} for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
