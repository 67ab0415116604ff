//! The programs under test, built once: those that are released as users get them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The proxy.
pub fn proxy() -> PathBuf {
    if let Some(path) = std::env::var_os("ACTIONPROXY_BIN") {
        return PathBuf::from(path);
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            build(
                RELEASE,
                &["-p", "actionproxy-server", "--bin", "actionproxy"],
            )
            .join("actionproxy")
        })
        .clone()
}

/// The invoker for MQTT brokers. `ACTIONPROXY_MQTT_BIN` names another.
pub fn mqtt() -> PathBuf {
    if let Some(path) = std::env::var_os("ACTIONPROXY_MQTT_BIN") {
        return PathBuf::from(path);
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| build(RELEASE, &["-p", "actionproxy-mqtt"]).join("actionproxy-mqtt"))
        .clone()
}

/// An example program of `package`, as `cargo run --example` makes it: linking one as a release takes a
/// minute.
pub fn example(package: &str, name: &str) -> PathBuf {
    if let Some(dir) = std::env::var_os("ACTIONPROXY_EXAMPLES") {
        return Path::new(&dir).join(name);
    }
    build(DEBUG, &["-p", package, "--example", name])
        .join("examples")
        .join(name)
}

/// The proxy, without the variables of whoever runs the tests, and with nothing on stdin.
pub fn command() -> Command {
    let mut command = Command::new(proxy());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

/// A profile of cargo's, and the directory of what is built with it.
type Profile = (&'static str, &'static str);

const RELEASE: Profile = ("release", "release");
const DEBUG: Profile = ("dev", "debug");

/// Builds and returns the directory of what was built.
fn build((profile, dir): Profile, what: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile])
        .args(what)
        .current_dir(&root)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo build {what:?}: {status}");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join(dir)
}
