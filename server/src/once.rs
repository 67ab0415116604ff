//! `actionproxy run FILE [JSON]`: one activation through the same core, without HTTP.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use actionproxy_core::limits::explained;
use actionproxy_core::{
    Action, ActionRunner, Ended, Logs, Outcome, RunError, RunRequest, VerifyPolicy,
};
use actionproxy_platforms::run_text;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::logs::{LogStreams, Sharing};
use crate::options::{Argument, Options};
use crate::supervised::{Finished, Supervisor};

/// The most of a wrong argument that a message shows.
const SHOWN: usize = 200;

/// Logs go to the terminal, the result is the last line of stdout. Status 0, or 1 with the cause.
/// INT, TERM and HUP end the action and all that it started; the status is then 128 and the
/// signal's number.
///
/// # Errors
/// An argument that is no JSON object or array, or a file that is not there.
pub(crate) fn run(
    runner: impl ActionRunner + 'static,
    file: PathBuf,
    argument: Argument,
    options: Options,
) -> Result<ExitCode, String> {
    let argument = read_argument(argument, options.max_body)?;
    let limit = options.config.process.timeout;
    let mut config = options.config;
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
    let supervisor = Supervisor::new("run")?;
    let action = Action::existing(config, runner).map_err(|e| format!("run: {e}"))?;
    let request = RunRequest {
        argument,
        stop: supervisor.stop(),
        ..RunRequest::default()
    };
    let finished = supervisor.run(move || report(activate(&action, request, limit)))?;
    Ok(match finished {
        Finished::Done(status) => status.unwrap_or(ExitCode::FAILURE),
        Finished::Ended(status) => status,
    })
}

/// One activation. Logs that nobody reads within `limit` do not keep it.
///
/// # Errors
/// There is no result.
pub(crate) fn activate(
    action: &Action,
    request: RunRequest,
    limit: Option<Duration>,
) -> Result<Outcome, RunError> {
    let logs = LogStreams::new(Sharing::Alone, "", limit, None);
    let mut sinks = logs.sinks(logs.limit_from_now(None));
    action.run(request, &mut Logs::to(&mut sinks))
}

/// Writes the result as the last line. Status 0, or 1 with the cause on stderr.
pub(crate) fn report(outcome: Result<Outcome, RunError>) -> ExitCode {
    match outcome {
        Ok(outcome) => {
            if let Ended::Signaled(_) = outcome.ended {
                let _ = writeln!(io::stderr(), "actionproxy: {}", outcome.ended);
            }
            print_last(outcome.result)
        }
        Err(e) => {
            let _ = writeln!(io::stderr(), "actionproxy: {}", run_text(&e));
            ExitCode::FAILURE
        }
    }
}

/// Writes the last line. Status 0, or 1 with the cause on stderr.
pub(crate) fn print_last(mut line: Vec<u8>) -> ExitCode {
    let mut stdout = io::stdout();
    line.push(b'\n');
    match stdout.write_all(&line).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let e = explained(&e);
            let _ = writeln!(io::stderr(), "actionproxy: failed to write the result: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The argument as a platform gives it: JSON, in one line.
///
/// What is read from stdin is waited for to its end; a terminal only where it was asked for, and
/// neither a device such as `/dev/null`. No more than `max_bytes` are taken from there.
pub(crate) fn read_argument(argument: Argument, max_bytes: u64) -> Result<Vec<u8>, String> {
    let given = match argument {
        Argument::Given(json) => json.into_bytes(),
        Argument::NotGiven if !is_fed()? => b"{}".to_vec(),
        Argument::Stdin | Argument::NotGiven => {
            let mut read = Vec::new();
            let mut stdin = io::stdin().lock().take(max_bytes.saturating_add(1));
            stdin.read_to_end(&mut read).map_err(|e| {
                format!(
                    "run: failed to read the argument from stdin: {}",
                    explained(&e)
                )
            })?;
            if read.len() as u64 > max_bytes {
                return Err(format!(
                    "run: the argument on stdin is over the limit of {max_bytes} bytes (--max-body)"
                ));
            }
            match read.iter().all(u8::is_ascii_whitespace) {
                // As a platform takes an empty body.
                true => b"{}".to_vec(),
                false => read,
            }
        }
    };
    let given = match given.strip_prefix(b"\xef\xbb\xbf") {
        // Editors and shells of other systems put a byte order mark there.
        Some(bare) => bare.to_vec(),
        None => given,
    };
    let mut json = actionproxy_core::run::result::check(given).map_err(|bad| {
        let found = String::from_utf8_lossy(&bad.line);
        let shown: String = found.chars().take(SHOWN).collect();
        let more = if shown.len() < found.len() { "…" } else { "" };
        format!("run: expected a JSON object or array as the argument, found {shown:?}{more}")
    })?;
    // Inside a JSON string a line break cannot stand.
    json.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    Ok(json)
}

/// Whether somebody put something on stdin: it is a pipe, a socket or a file.
fn is_fed() -> Result<bool, String> {
    match rustix::fs::fstat(rustix::stdio::stdin()) {
        Ok(stat) => Ok(matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::Fifo | FileType::Socket | FileType::RegularFile
        )),
        Err(Errno::BADF) => Ok(false),
        Err(e) => Err(format!("run: failed to look at stdin: {e}")),
    }
}
