//! `actionproxy run FILE [JSON]`: one activation through the same core, without HTTP.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use actionproxy_core::{Action, ActionRunner, Config, Ended, Logs, RunRequest, Stop, VerifyPolicy};

use crate::process;
use crate::shutdown::{self, Shutdown, Woken};

/// Logs go to the terminal, the result is the last line of stdout. Status 0, or 1 with the cause.
/// INT, TERM and HUP end the action and all that it started; the status is then 128 and the
/// signal's number.
///
/// # Errors
/// An argument that is no JSON object or array, or a file that is not there.
pub(crate) fn run(
    runner: impl ActionRunner + 'static,
    file: PathBuf,
    argument: Option<String>,
    mut config: Config,
) -> Result<ExitCode, String> {
    let argument = argument.unwrap_or_else(|| "{}".to_owned());
    let mut argument =
        actionproxy_core::run::result::check(argument.into_bytes()).map_err(|bad| {
            let found = String::from_utf8_lossy(&bad.line).into_owned();
            format!("run: expected a JSON object or array as the argument, found {found:?}")
        })?;
    // One line, as a platform gives it. Inside a JSON string a line break cannot stand.
    argument.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    let named = |e: io::Error| format!("run: {}: {e}", file.display());
    let path = fs::canonicalize(&file).map_err(named)?;
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(format!("run: expected a file, found {}", file.display()));
    };
    config.action_dir = dir.to_path_buf();
    config.executable = PathBuf::from(name);
    config.source = config.executable.clone();
    // Nothing was initialised: there is no digest to hold the file against.
    config.verify = VerifyPolicy::Permission;
    let shutdown =
        Shutdown::register().map_err(|e| format!("run: failed to handle signals: {e}"))?;
    let stop = Stop::new().map_err(|e| format!("run: {e}"))?;
    let action = Action::existing(config, runner, stop.clone());
    let (finished, finishing) = shutdown::finish_line().map_err(|e| format!("run: {e}"))?;
    // The action has a process group of its own, so a terminal's Ctrl-C does not reach it. This
    // thread waits for signals, since orphans are its children.
    let activation = thread::Builder::new()
        .spawn(move || {
            let status = activate(&action, argument);
            drop(finishing);
            status
        })
        .map_err(|e| format!("run: failed to start a thread: {e}"))?;
    let Woken::Signal(first) = shutdown.wait(&finished) else {
        return Ok(activation.join().unwrap_or(ExitCode::FAILURE));
    };
    stop.request();
    let second = shutdown.wait(&finished);
    // Those too that have left the action's process group.
    process::end_children();
    Ok(shutdown::exit_status(match second {
        Woken::Signal(second) => second,
        Woken::Finished => first,
    }))
}

/// Status 0, or 1 with the cause on stderr.
fn activate(action: &Action, argument: Vec<u8>) -> ExitCode {
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let outcome = action.run(
        RunRequest {
            argument,
            ..RunRequest::default()
        },
        &mut Logs {
            stdout: &mut stdout,
            stderr: &mut stderr,
        },
    );
    match outcome {
        Ok(outcome) => {
            if let Ended::Signaled(_) = outcome.ended {
                let _ = writeln!(stderr, "actionproxy: {}", outcome.ended);
            }
            let mut line = outcome.result;
            line.push(b'\n');
            match stdout.write_all(&line).and_then(|()| stdout.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    let _ = writeln!(stderr, "actionproxy: failed to write the result: {e}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(e) => {
            let _ = writeln!(stderr, "actionproxy: {e}");
            ExitCode::FAILURE
        }
    }
}
