//! `actionproxy init FILE` and `actionproxy run --init FILE [JSON]`: the whole pipeline, hooks included,
//! without HTTP.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use actionproxy_core::limits::explained;
use actionproxy_core::{Action, ActionRunner, InitRequest, InstanceKind, Logs, RunRequest};

use crate::action_loop;
use crate::logs::{LogStreams, Sharing};
use crate::once;
use crate::options::{Argument, Options};
use crate::process::OwnDir;
use crate::source::{self, Naming};
use crate::supervised::{Finished, Supervisor};

/// What is to be tried.
#[derive(Debug)]
pub(crate) struct Trial {
    /// `-` is stdin.
    pub file: PathBuf,
    pub naming: Naming,
    pub then: Then,
}

/// What follows the init.
#[derive(Debug)]
pub(crate) enum Then {
    Nothing,
    /// One activation.
    Run(Argument),
}

impl Then {
    fn command(&self) -> &'static str {
        match self {
            Then::Nothing => "init",
            Then::Run(_) => "run",
        }
    }
}

/// Initialises an action in the directory that is given, or in one of its own that goes with it. Logs
/// go to the terminal; the last line of stdout is `OK`, or the result. Status 0, or 1 with the cause.
/// INT, TERM and HUP end everything that was started; the status is then 128 and the signal's number.
///
/// # Errors
/// What was given cannot be taken: a file that is not there, an argument that is no JSON object or
/// array, a directory that cannot be used.
pub(crate) fn run(
    runner: impl ActionRunner + 'static,
    trial: Trial,
    mut options: Options,
) -> Result<ExitCode, String> {
    let command = trial.then.command();
    let failed = |e: &dyn std::fmt::Display| format!("{command}: {e}");
    let argument = match (trial.then, trial.file.as_os_str() == "-") {
        (Then::Nothing, _) => None,
        (Then::Run(Argument::Stdin), true) => {
            return Err("run: the code and the argument cannot both be on stdin".to_owned());
        }
        (Then::Run(Argument::NotGiven), true) => Some(b"{}".to_vec()),
        (Then::Run(argument), _) => Some(once::read_argument(argument, options.max_body)?),
    };
    let code = source::code(&[trial.file], options.max_body).map_err(|e| failed(&e))?;
    let mut request = trial.naming.request(code);
    if options.action_loop.is_served {
        action_loop::configure(&mut options);
    }
    let own_dir = match options.action_dir.take() {
        Some(dir) => {
            options.config.action_dir = std::path::absolute(&dir)
                .map_err(|e| format!("{command}: {}: {e}", dir.display()))?;
            None
        }
        None => {
            let own = OwnDir::create().map_err(|e| failed(&explained(&e)))?;
            options.config.action_dir = own.path().to_path_buf();
            Some(own)
        }
    };
    let supervisor = Supervisor::new(command)?;
    let limit = options.config.process.timeout;
    request.stop = supervisor.stop();
    let run = argument.map(|argument| RunRequest {
        argument,
        stop: supervisor.stop(),
        ..RunRequest::default()
    });
    let action = Action::open(options.config, runner).map_err(|e| failed(&e))?;
    let finished = supervisor.run(move || attempt(action, request, run, limit))?;
    drop(own_dir);
    Ok(match finished {
        Finished::Done(status) => status.unwrap_or(ExitCode::FAILURE),
        Finished::Ended(status) => status,
    })
}

/// The init, and the activation if there is to be one.
fn attempt(
    mut action: Action,
    request: InitRequest,
    run: Option<RunRequest>,
    limit: Option<Duration>,
) -> ExitCode {
    let logged = |act: &mut dyn FnMut(&mut Logs<'_>)| {
        let logs = LogStreams::new(Sharing::Alone, "", limit, None);
        let mut sinks = logs.sinks(logs.limit_from_now(None));
        act(&mut Logs::to(&mut sinks));
    };
    let (mut request, mut initialised) = (Some(request), None);
    logged(&mut |logs| initialised = request.take().map(|request| action.init(request, logs)));
    if let Some(Err(e)) = initialised {
        let _ = writeln!(io::stderr(), "actionproxy: {e}");
        return ExitCode::FAILURE;
    }
    let outcome = run.map(|mut run| {
        if let InstanceKind::Resident(_) = action.config().instance {
            // It reads messages.
            run.argument = [b"{\"value\":", &*run.argument, b"}"].concat();
        }
        once::activate(&action, run, limit)
    });
    // Before the result, which is the last line.
    logged(&mut |logs| action.end(logs));
    match outcome {
        Some(outcome) => once::report(outcome),
        None => once::print_last(b"OK".to_vec()),
    }
}
