//! `-compile MAIN`: a source or an archive on stdin becomes an archive on stdout that needs no
//! compiler. Sent as the binary code of an init, it runs as it is.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use actionproxy_core::{Action, ActionRunner, Code, Environment, InitRequest, Logs};
use serde_json::Value;

use crate::action_loop;
use crate::archive;
use crate::logs::AllToStderr;
use crate::options::Options;
use crate::process::{self, OwnDir};
use crate::supervised::{Finished, Supervisor};

/// Status 0, or 1 with the cause on stderr, where everything goes that is no archive. INT, TERM and
/// HUP end the compiler; the status is then 128 and the signal's number.
///
/// # Errors
/// What was given cannot be taken: too long, or variables that are no JSON object.
pub(crate) fn run(
    runner: impl ActionRunner + 'static,
    main: String,
    env: Option<&str>,
    mut options: Options,
) -> Result<ExitCode, String> {
    let mut request = InitRequest {
        main: Some(main),
        env: variables(env)?,
        code: Some(Code::Bytes(read_source(options.max_body)?)),
        ..InitRequest::default()
    };
    let failed = |e: io::Error| format!("compile: {e}");
    let runner = action_loop::runner(runner, &options.action_loop)?;
    action_loop::configure(&mut options);
    let dir = OwnDir::create().map_err(failed)?;
    options.config.action_dir = dir.path().to_path_buf();
    let supervisor = Supervisor::new("compile")?;
    request.stop = supervisor.stop();
    let action = Action::open(options.config, runner).map_err(|e| format!("compile: {e}"))?;
    let made = match supervisor.run(move || compile(&action, request))? {
        Finished::Done(made) => made.unwrap_or_else(|| Err("the compilation panicked".to_owned())),
        Finished::Ended(status) => return Ok(status),
    };
    let written = made.and_then(|archive| {
        let mut stdout = io::stdout();
        let written = stdout.write_all(&archive).and_then(|()| stdout.flush());
        written.map_err(|e| format!("failed to write the archive: {e}"))
    });
    Ok(match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "{}: {}", process::name(), e.trim_end());
            ExitCode::FAILURE
        }
    })
}

fn compile(action: &Action, request: InitRequest) -> Result<Vec<u8>, String> {
    let built = action
        .build(request, &mut Logs::to(&mut AllToStderr))
        .map_err(|e| e.to_string())?;
    archive::of_dir(&built.dir()).map_err(|e| format!("failed to make the archive: {e}"))
}

fn read_source(max_bytes: u64) -> Result<Vec<u8>, String> {
    let mut source = Vec::new();
    let mut stdin = io::stdin().lock().take(max_bytes.saturating_add(1));
    stdin
        .read_to_end(&mut source)
        .map_err(|e| format!("compile: failed to read the source from stdin: {e}"))?;
    match source.len() as u64 {
        0 => Err("compile: expected a source or an archive on stdin, found nothing".to_owned()),
        length if length > max_bytes => Err(format!(
            "compile: the source on stdin is over the limit of {max_bytes} bytes (--max-body)"
        )),
        _ => Ok(source),
    }
}

/// Strings as they are, other values as JSON, as for the variables of an init.
fn variables(json: Option<&str>) -> Result<Environment, String> {
    let Some(json) = json.filter(|json| !json.trim().is_empty()) else {
        return Ok(Environment::default());
    };
    match serde_json::from_str(json) {
        Ok(Value::Object(fields)) => Ok(fields
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect()),
        _ => Err(format!("-env: expected a JSON object, found {json:?}")),
    }
}
