//! `actionproxy run FILE [JSON]`: one activation through the same core, without HTTP.

use std::fs;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use actionproxy_core::{Action, ActionRunner, Config, Ended, Logs, RunRequest, Stop, VerifyPolicy};

use crate::process;

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
    let stop = Stop::new().map_err(|e| format!("run: {e}"))?;
    let told_to_end =
        stop_at_signals(stop.clone()).map_err(|e| format!("run: failed to handle signals: {e}"))?;
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
    let status = match outcome {
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
    };
    match told_to_end.load(Ordering::SeqCst) {
        0 => Ok(status),
        signal => {
            // Those too that have left the action's process group.
            process::end_children();
            Ok(ExitCode::from(exit_status(signal)))
        }
    }
}

/// From now on INT, TERM and HUP request `stop`, and a second one ends everything at once. What is
/// given back holds the number of the last, or 0.
///
/// The action has a process group of its own, so a terminal's Ctrl-C does not reach it.
fn stop_at_signals(stop: Stop) -> io::Result<Arc<AtomicUsize>> {
    process::let_signals_in()?;
    process::adopt_orphans();
    let told = Arc::new(AtomicUsize::new(0));
    let (mut signals, handler) = UnixStream::pair()?;
    for (signal, number) in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP]
        .map(|signal| (signal, usize::try_from(signal).unwrap_or_default()))
    {
        if signal == libc::SIGHUP && is_ignored(signal) {
            continue;
        }
        // In this order: whoever reads the byte finds the number.
        signal_hook::flag::register_usize(signal, Arc::clone(&told), number)?;
        signal_hook::low_level::pipe::register(signal, handler.try_clone()?)?;
    }
    let number = Arc::clone(&told);
    thread::Builder::new().spawn(move || {
        let mut byte = [0];
        if signals.read_exact(&mut byte).is_ok() {
            stop.request();
        }
        if signals.read_exact(&mut byte).is_ok() {
            process::end_children();
            std::process::exit(exit_status(number.load(Ordering::SeqCst)).into());
        }
    })?;
    Ok(told)
}

/// Whether whoever started this program asked it to ignore `signal`, as `nohup` does.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // JUSTIFICATION: neither rustix nor signal-hook tells what is set.
    // SAFETY: a null pointer sets nothing; where the call succeeds, it has written the old action
    // before that is read.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// As a shell tells the end by a signal.
fn exit_status(signal: usize) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
