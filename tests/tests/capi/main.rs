//! The C library as users meet it: installed, linked by gcc with what pkg-config says, loaded by Python.

mod examples;
mod library;
mod programs;
mod readme;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use actionproxy_tests::tools;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The library, as its script installs it.
struct Installed {
    destdir: PathBuf,
    /// What the script printed.
    list: String,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let destdir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
        let list = succeeded(
            Command::new("invokers/capi/install")
                .args(["--prefix", "/usr", "--destdir"])
                .arg(&destdir)
                .current_dir(root()),
        );
        Installed { destdir, list }
    })
}

impl Installed {
    fn libdir(&self) -> PathBuf {
        self.destdir.join("usr/lib")
    }

    fn include(&self) -> PathBuf {
        self.destdir.join("usr/include")
    }

    fn shared(&self) -> PathBuf {
        self.libdir().join("libactionproxy.so.1")
    }

    /// What pkg-config says of it.
    fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let said = succeeded(
            Command::new("pkg-config")
                .args(arguments)
                .arg("actionproxy")
                .env("PKG_CONFIG_SYSROOT_DIR", &self.destdir)
                .env("PKG_CONFIG_PATH", self.libdir().join("pkgconfig")),
        );
        said.split_whitespace().map(str::to_owned).collect()
    }
}

/// What a program is linked with, and watched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    /// With the shared library; valgrind watches it.
    ForValgrind,
    /// With the shared library, and AddressSanitizer.
    WithSanitizer,
    /// With the static library.
    Static,
}

/// Compiles a program, with every warning an error.
fn compiled(source: &str, built: Built) -> PathBuf {
    let installed = installed();
    let source = root().join(source);
    let stem = source.file_stem().and_then(OsStr::to_str).expect("a name");
    let program = installed.destdir.join(format!("{stem}-{built:?}"));
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-std=c11",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-pthread",
    ])
    .arg(&source)
    .arg("-o")
    .arg(&program);
    match built {
        Built::ForValgrind => gcc.args(installed.pkg_config(&["--cflags", "--libs"])),
        Built::WithSanitizer => gcc
            .args(["-fsanitize=address,undefined", "-fno-omit-frame-pointer"])
            .args(installed.pkg_config(&["--cflags", "--libs"])),
        Built::Static => {
            let libs = installed.pkg_config(&["--cflags", "--libs", "--static"]);
            gcc.args(libs.iter().map(|flag| match flag.as_str() {
                "-lactionproxy" => "-l:libactionproxy.a",
                flag => flag,
            }))
        }
    };
    succeeded(&mut gcc);
    program
}

/// What runs the program: under valgrind, an error or a leak is the status 99, and what can still be
/// reached at the end is told on stderr. (Of a fork it always can, and would change its status.)
fn command(program: &Path, built: Built) -> Command {
    let mut command = match built {
        Built::ForValgrind => {
            let mut valgrind = Command::new("valgrind");
            valgrind
                .args([
                    "--quiet",
                    "--error-exitcode=99",
                    "--leak-check=full",
                    "--show-leak-kinds=all",
                ])
                .args(["--errors-for-leak-kinds=definite,indirect,possible"])
                .arg("--child-silent-after-fork=yes")
                .arg(program);
            valgrind
        }
        Built::WithSanitizer | Built::Static => Command::new(program),
    };
    command
        .env("LD_LIBRARY_PATH", installed().libdir())
        .env("ASAN_OPTIONS", "detect_leaks=1:exitcode=99")
        .env("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99");
    command
}

/// Its stdout. It has to succeed, and to say nothing on stderr.
fn succeeded(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success() && stderr.is_empty(),
        "{command:?}: {status}\n{stdout}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

fn tools_are_here() -> bool {
    tools::are_here(&[
        "gcc",
        "g++",
        "nm",
        "pkg-config",
        "python3",
        "readelf",
        "valgrind",
    ])
}
