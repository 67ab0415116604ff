//! `actionproxy run FILE [JSON]`: one activation through the same core, without HTTP.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use actionproxy_core::{Action, ActionRunner, Config, Ended, Logs, RunRequest, Stop, VerifyPolicy};

/// Logs go to the terminal, the result is the last line of stdout. Status 0, or 1 with the cause.
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
    let argument = actionproxy_core::run::result::check(argument.into_bytes()).map_err(|bad| {
        let found = String::from_utf8_lossy(&bad.line).into_owned();
        format!("run: expected a JSON object or array as the argument, found {found:?}")
    })?;
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
    let stop = Stop::new().map_err(|e| format!("run: {e}"))?;
    let action = Action::existing(config, runner, stop);

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
    Ok(match outcome {
        Ok(outcome) => {
            if let Ended::Signaled(_) = outcome.ended {
                let _ = writeln!(stderr, "actionproxy: {}", outcome.ended);
            }
            let _ = stdout.write_all(&outcome.result);
            let _ = stdout.write_all(b"\n");
            let _ = stdout.flush();
            ExitCode::SUCCESS
        }
        Err(e) => {
            let _ = writeln!(stderr, "actionproxy: {e}");
            ExitCode::FAILURE
        }
    })
}
