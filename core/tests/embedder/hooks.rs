//! Hooks: what an override of `run` is told, and hooks called by hand.

use actionproxy_core::{
    ActionRunner, Activation, Ended, Executable, HookError, ProcessLimits, RawValue, Staged,
    TimeLimit,
};
use rustix::event::{PollFd, PollFlags, poll};

use super::*;

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
