//! What is measured, built as users get it: the static proxy, the actions.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The programs of the project.
#[derive(Debug)]
pub(crate) struct Proxies {
    pub proxy: PathBuf,
    pub instant: PathBuf,
    pub how: &'static str,
}

/// Builds the proxy and the runtime that answers at once: static, where the C library allows it.
///
/// # Errors
/// Where neither builds.
pub(crate) fn proxies() -> Result<Proxies, String> {
    let host = host()?;
    let flags = format!("target.{host}.rustflags=['-Ctarget-feature=+crt-static']");
    // With --target the flags are not for build scripts and macros, which cannot be static.
    match build(&["--target", &host, "--config", &flags]) {
        Ok(()) => Ok(found(&target().join(&host), "static")),
        Err(e) => {
            eprintln!("no static build ({e}; it needs libc.a: Debian's libc6-dev); a dynamic one");
            build(&[])?;
            Ok(found(&target(), "dynamic"))
        }
    }
}

fn found(dir: &Path, how: &'static str) -> Proxies {
    let dir = dir.join("release");
    Proxies {
        proxy: dir.join("actionproxy"),
        instant: dir.join("instant"),
        how,
    }
}

fn build(arguments: &[&str]) -> Result<(), String> {
    let packages = ["-p", "actionproxy-server", "-p", "actionproxy-bench"];
    let programs = ["--bin", "actionproxy", "--bin", "instant"];
    told(
        Command::new(cargo())
            .args(["build", "--release", "--quiet"])
            .args(packages)
            .args(programs)
            .args(arguments)
            .current_dir(root()),
    )
    .map(drop)
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let said = told(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The actions, in a directory that goes with them.
#[derive(Debug)]
pub(crate) struct Actions {
    dir: TempDir,
}

/// One action that answers with the length of its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    StaticC,
    DynamicC,
    Bash,
}

impl Answering {
    pub(crate) const ALL: [Answering; 3] =
        [Answering::StaticC, Answering::DynamicC, Answering::Bash];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Answering::StaticC => "static C",
            Answering::DynamicC => "dynamic C",
            Answering::Bash => "bash",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Answering::StaticC => "answer-static",
            Answering::DynamicC => "answer-dynamic",
            Answering::Bash => "answer.sh",
        }
    }
}

/// One loop that answers each question with a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looping {
    C,
    Python,
}

impl Looping {
    pub(crate) const ALL: [Looping; 2] = [Looping::C, Looping::Python];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Looping::C => "C",
            Looping::Python => "Python",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Looping::C => "loop",
            Looping::Python => "loop.py",
        }
    }
}

impl Actions {
    /// Compiles them.
    ///
    /// # Errors
    /// Without a C compiler.
    pub(crate) fn build() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
        let actions = Actions { dir };
        let compile = |source: &str, name: &str, how: &[&str]| {
            told(
                Command::new("cc")
                    .args(["-O2", "-s"])
                    .args(how)
                    .arg("-o")
                    .arg(actions.path(name))
                    .arg(source_of(source)),
            )
            .map_err(|e| format!("{e}; Debian's packages are gcc and libc6-dev"))
        };
        compile("answer.c", Answering::StaticC.file(), &["-static"])?;
        compile("answer.c", Answering::DynamicC.file(), &[])?;
        compile("logs.c", "logs", &["-static"])?;
        compile("loop.c", Looping::C.file(), &["-static"])?;
        let script = fs::read(source_of("loop.py")).map_err(|e| format!("loop.py: {e}"))?;
        actionproxy_tests::proxy::write_executable(&actions.path("loop.py"), &script);
        let script = fs::read(source_of("answer.sh")).map_err(|e| format!("answer.sh: {e}"))?;
        actionproxy_tests::proxy::write_executable(&actions.path("answer.sh"), &script);
        Ok(actions)
    }

    pub(crate) fn answering(&self, which: Answering) -> PathBuf {
        self.path(which.file())
    }

    pub(crate) fn looping(&self, which: Looping) -> PathBuf {
        self.path(which.file())
    }

    /// Writes as many megabytes of log as its argument says.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn source_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("actions")
        .join(name)
}

/// A zip of these files, each executable.
///
/// # Errors
/// None that memory does not make.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer
            .start_file(*name, options)
            .map_err(|e| e.to_string())?;
        writer.write_all(bytes).map_err(|e| e.to_string())?;
    }
    let cursor = writer.finish().map_err(|e| e.to_string())?;
    Ok(cursor.into_inner())
}

/// What a command says on stdout.
///
/// # Errors
/// Where it cannot be run or fails.
pub(crate) fn told(command: &mut Command) -> Result<String, String> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", command.get_program().display());
    let named_error = named(&"");
    let output = command.output().map_err(|e| format!("{named_error}{e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{named_error}{}: {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
