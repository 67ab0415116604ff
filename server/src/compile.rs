//! `-compile MAIN`: a source or an archive on stdin becomes an archive on stdout that needs no
//! compiler. Sent as the binary code of an init, it runs as it is.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use actionproxy_core::{Action, ActionRunner, Code, Environment, InitRequest, Logs, Stop};
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::action_loop;
use crate::logs::AllToStderr;
use crate::options::Options;
use crate::process::{self, OwnDir};
use crate::shutdown::{self, Shutdown, Woken};

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
    let runner = action_loop::runner(runner, &options.action_loop).map_err(failed)?;
    action_loop::configure(&mut options);
    let dir = OwnDir::create().map_err(failed)?;
    options.config.action_dir = dir.path().to_path_buf();
    process::keep_descriptors_from_actions();
    let shutdown = Shutdown::register().map_err(failed)?;
    let stop = Stop::new().map_err(failed)?;
    request.stop = stop.clone();
    let action = Action::open(options.config, runner).map_err(|e| format!("compile: {e}"))?;
    let (finished, finishing) = shutdown::finish_line().map_err(failed)?;
    let compiling = thread::Builder::new()
        .spawn(move || {
            let made = compile(&action, request);
            drop(finishing);
            made
        })
        .map_err(failed)?;
    let woken = shutdown.wait(&finished);
    if let Woken::Signal(signal) = woken {
        stop.request();
        shutdown.wait(&finished);
        process::end_children();
        return Ok(shutdown::exit_status(signal));
    }
    let made = compiling
        .join()
        .unwrap_or_else(|_| Err("the compilation panicked".to_owned()));
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
    archive(&built.dir()).map_err(|e| format!("failed to make the archive: {e}"))
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

/// A zip of what is in `dir`, with modes and symlinks, the names in order.
fn archive(dir: &Path) -> io::Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    add(&mut writer, dir, "")?;
    Ok(writer.finish()?.into_inner())
}

fn add(writer: &mut ZipWriter<Cursor<Vec<u8>>>, dir: &Path, prefix: &str) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|name| {
            let problem = format!("{}: the name is not UTF-8", Path::new(&name).display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })?;
        let name = format!("{prefix}{name}");
        let metadata = fs::symlink_metadata(&path)?;
        let options =
            SimpleFileOptions::default().unix_permissions(metadata.permissions().mode() & 0o777);
        if metadata.is_symlink() {
            let target = fs::read_link(&path)?;
            writer.add_symlink(name, target.to_string_lossy(), options)?;
        } else if metadata.is_dir() {
            writer.add_directory(format!("{name}/"), options)?;
            add(writer, &path, &format!("{name}/"))?;
        } else if metadata.is_file() {
            writer.start_file(
                name,
                options.large_file(metadata.len() >= u64::from(u32::MAX)),
            )?;
            io::copy(&mut fs::File::open(&path)?, writer)?;
        }
    }
    Ok(())
}
