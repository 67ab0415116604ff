//! The runner that makes sources into an executable by a compile script, as the runtime images of
//! OpenWhisk's ActionLoop have one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::command::{self, CommandLine, Hook};
use crate::error::{HookError, RunError, VerifyError};
use crate::init::verify::Executable;
use crate::message::{InitRequest, Outcome, RunRequest};
use crate::run::env::Environment;
use crate::run::status::Ended;
use crate::run::{Activation, Logs};
use crate::runner::{ActionRunner, Staged};

/// How much of what a compiler prints is told, in bytes.
const MAX_PRINTED: usize = 64 << 10;

/// Builds with `COMPILER MAIN SRC BIN` and leaves the other hooks to another runner.
///
/// SRC and BIN are the absolute paths of the directories of the source and of the executable, MAIN
/// is the request's `main`, or `main`. The compiler may move or delete SRC. It has failed when it
/// prints anything, whatever its exit status, and when it leaves no executable. Its environment is the
/// configured one and init's.
///
/// A source that is an executable already, an ELF file or a `#!` script, is not compiled: SRC becomes
/// BIN. So it does without a compiler, unless the other runner's `build` makes an executable.
///
/// It is for [`InstanceKind::Resident`](crate::InstanceKind::Resident), and for every other layout
/// where source and executable lie in two directories.
#[derive(Debug, Clone)]
pub struct CompilerRunner<R> {
    /// The compiler, searched in PATH if it has no slash.
    pub compiler: Option<PathBuf>,
    /// Whose hooks are called, `build` where no compiler is set.
    pub inner: R,
}

impl<R: ActionRunner> ActionRunner for CompilerRunner<R> {
    fn command(&self, hook: Hook) -> Option<&CommandLine> {
        self.inner.command(hook)
    }

    fn build_commands(&self) -> Option<Vec<CommandLine>> {
        let mut commands = self.inner.build_commands()?;
        // Its arguments are the directories and the entry point.
        let compiler = self.compiler.iter();
        commands.extend(compiler.map(|compiler| CommandLine::new(compiler, [""; 0])));
        Some(commands)
    }

    fn preinit(&self, request: &InitRequest, logs: &mut Logs<'_>) -> Result<(), HookError> {
        self.inner.preinit(request, logs)
    }

    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        self.inner.epilogue(staged)
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let (source, executable) = (staged.source(), staged.executable());
        let (Some(src), Some(bin)) = (source.parent(), executable.parent()) else {
            return Err("source and executable need a directory each".into());
        };
        if is_executable(&source)? {
            return take(src, bin);
        }
        if let Some(compiler) = &self.compiler {
            make(bin)?;
            compile(compiler, src, bin, staged)?;
            return match executable.symlink_metadata() {
                Ok(_) => Ok(()),
                Err(_) => Err("cannot compile".into()),
            };
        }
        make(bin)?;
        self.inner.build(staged)?;
        match executable.symlink_metadata() {
            Ok(_) => Ok(()),
            Err(_) => take(src, bin),
        }
    }

    fn verify(&self, executable: &Executable<'_>) -> Result<(), VerifyError> {
        self.inner.verify(executable)
    }

    fn env(&self, base: Environment, request: &RunRequest) -> Environment {
        self.inner.env(base, request)
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        self.inner.run(activation, logs)
    }
}

fn compile(
    compiler: &Path,
    src: &Path,
    bin: &Path,
    staged: &mut Staged<'_, '_>,
) -> Result<(), HookError> {
    let arguments: [OsString; 3] = [
        command::main_of(staged.request()).into(),
        src.into(),
        bin.into(),
    ];
    let (ended, printed) = staged.tool_output(compiler, arguments, MAX_PRINTED)?;
    if !printed.is_empty() {
        return Err(String::from_utf8_lossy(&printed).into_owned().into());
    }
    match ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(status) => Err(format!("exit status {status}").into()),
        ended => Err(format!("{}: {ended}", compiler.display()).into()),
    }
}

/// Whether the file is what the kernel can execute by itself. One that is not there is not.
fn is_executable(file: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(false),
    }
    File::open(file)?.take(4).read_to_end(&mut start)?;
    Ok(start.starts_with(b"#!") || start == b"\x7fELF")
}

/// `src` becomes `bin`.
fn take(src: &Path, bin: &Path) -> Result<(), HookError> {
    // An empty directory may stand there.
    Ok(fs::rename(src, bin)?)
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
