//! What fails inside a script ends it: no status is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use actionproxy_tests::files::{repository, shell};

/// Every shell script that builds, packs, tests or prepares, and its text.
fn scripts() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<_> = [".ci", "scripts", "tests", "invokers/capi"]
        .map(|name| repository().join(name))
        .into();
    let mut scripts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let first = text.lines().next().unwrap_or_default();
            if first.starts_with("#!/bin/sh")
                || first.starts_with("#!") && first.ends_with("bash")
                || first.starts_with("# shellcheck shell=")
            {
                scripts.push((path, text));
            }
        }
    }
    scripts
}

/// Else it would pass in CI.
#[test]
fn a_test_that_cannot_run_is_left_out_in_one_way() {
    let mut folders = vec![repository().join("tests")];
    let mut told = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && fs::read_to_string(&path)
                    .expect("text")
                    .contains(concat!("(\"SKIP", "PED"))
            {
                told.push(path);
            }
        }
    }
    assert_eq!(told, [repository().join("tests/src/tools.rs")]);
}

/// Why the status of a command in this line of a script goes unnoticed.
fn lost(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let declares = ["local ", "export ", "readonly ", "declare "];
    let mut words = line
        .split(';')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    if line.contains("< <(") {
        Some("of a process substitution")
    } else if line.contains("<<<\"$(") || line.contains("<<<$(") {
        Some("of what is read as a string")
    } else if declares.iter().any(|word| line.starts_with(word))
        && words.any(|word| {
            let value = word.split_once('=').map_or("", |(_, value)| value);
            let value = value.trim_start_matches('"');
            value.starts_with("$(") && !value.starts_with("$((")
        })
    {
        Some("of a value in a declaration")
    } else {
        None
    }
}

/// The word that ends the text which begins behind this line, where the shell expands that text.
fn expanded_until(line: &str) -> Option<&str> {
    let (before, word) = line.split_once("<<")?;
    let word = word.split([' ', ')', '|', ';', '>']).next()?;
    let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase());
    (is_name && !before.trim_start().starts_with('#')).then_some(word)
}

#[test]
fn no_script_passes_over_what_fails_in_a_substitution() {
    let scripts = scripts();
    assert!(scripts.len() > 25, "{}", scripts.len());
    let mut faults = Vec::new();
    for (path, text) in &scripts {
        let mut until = None;
        for (number, line) in text.lines().enumerate() {
            let why = match until {
                Some(word) if line == word => {
                    until = None;
                    continue;
                }
                Some(_) => (line.replace("\\$(", "").contains("$("))
                    .then_some("of a substitution in a text"),
                None => lost(line),
            };
            if let Some(why) = why {
                faults.push(format!(
                    "{}:{}: the status {why}",
                    path.display(),
                    number + 1
                ));
            }
            until = until.or_else(|| expanded_until(line));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A copy of the scripts in which `function` of the list of architectures fails with status 3, with
/// programs before those of this machine that note their call in `called`, and run.
fn with_failing(function: &str, programs: &[&str], command: &[&str]) -> (Output, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(repository().join("scripts"))
        .arg(dir.path())
        .status();
    assert!(copied.expect("cp").success());
    let list = dir.path().join("scripts/architectures.sh");
    let text = fs::read_to_string(&list).expect("the list");
    fs::write(&list, format!("{text}\n{function}() {{ return 3; }}\n")).expect("written");
    let called = dir.path().join("called");
    fs::write(&called, "").expect("written");
    fs::create_dir(dir.path().join("bin")).expect("a directory");
    for program in programs {
        let path = dir.path().join("bin").join(program);
        let noting = format!("#!/bin/sh\necho {program} >>{}\n", called.display());
        fs::write(&path, noting).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(dir.path())
        .env("PATH", format!("{}/bin:{path}", dir.path().display()))
        .output()
        .expect("it runs");
    let called = fs::read_to_string(&called).expect("the notes");
    (output, called)
}

#[test]
fn nothing_is_built_without_its_environment() {
    let host = ". scripts/architectures.sh; host_architecture";
    let host = shell(&repository(), host, &[]);
    let dist = ["bash", "scripts/dist", "--with", "cargo", host.trim()];
    for function in ["build_environment", "release_rustflags"] {
        let (output, called) = with_failing(function, &["cargo", "rustc"], &dist);
        assert_eq!(output.status.code(), Some(3), "{function}: {output:?}");
        assert!(!called.contains("cargo"), "{function}: {called}");
    }
}

#[test]
fn nothing_runs_in_the_toolchain_without_its_environment() {
    let enter = "set -euo pipefail; SCRIPTS=scripts REPOSITORY=. CACHE=cache TOOLCHAIN=toolchain; \
                 . scripts/architectures.sh; . scripts/ground.d/roots.sh; in_toolchain true";
    for function in ["build_environment", "release_rustflags"] {
        let (output, called) = with_failing(function, &["unshare"], &["bash", "-c", enter]);
        assert_eq!(output.status.code(), Some(3), "{function}: {output:?}");
        assert_eq!(called, "", "{function}");
    }
}
