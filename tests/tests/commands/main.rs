//! Every command that a document, an example or a help text gives is known here, with what runs it.
//!
//! A new command fails this test until it is listed; a listed one that no text gives any more fails
//! it too, and so does one whose test or step is gone.

mod list;
mod text;

use std::collections::BTreeSet;
use std::fs;

use actionproxy_tests::files::repository;
use list::COMMANDS;
use list::RunBy::{File, Nothing};
use text::{of_document, of_help, of_script, of_source};

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn files_in(dir: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(repository().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
    entries
        .flatten()
        .map(|entry| format!("{dir}/{}", entry.file_name().to_string_lossy()))
        .filter(|path| path.ends_with(extension))
        .collect()
}

/// Every command, with where it stands.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |file: &str, commands: BTreeSet<String>| {
        found.extend(
            commands
                .into_iter()
                .map(|command| (file.to_owned(), command)),
        );
    };
    for file in [
        "README.md",
        "CONTRIBUTING.md",
        "tests/README.md",
        "bench/README.md",
        "fuzz/README.md",
        "tests/images/README.md",
        "deploy/README.md",
        "runtimes/README.md",
        "runtimes/c/README.md",
        "runtimes/go/README.md",
        "runtimes/python/README.md",
        "runtimes/swift/README.md",
        "invokers/mqtt/README.md",
        "invokers/capi/README.md",
    ] {
        add(file, of_document(&read(file)));
    }
    let mut sources = files_in("core/examples", ".rs");
    sources.extend(files_in("server/examples", ".rs"));
    sources.extend(["bench/src/main.rs", "tests/src/bin/soak/main.rs"].map(String::from));
    for file in sources {
        add(&file, of_source(&read(&file)));
    }
    for file in [
        "scripts/dist",
        "scripts/emulated-tests",
        "tests/images/run",
        "tests/images/measure",
    ] {
        add(file, of_script(&read(file)));
    }
    let help = std::process::Command::new(actionproxy_tests::binary::proxy())
        .arg("--help")
        .output()
        .expect("the proxy runs");
    add("--help", of_help(&String::from_utf8_lossy(&help.stdout)));
    found
}

#[test]
fn every_command_that_a_text_gives_is_run_by_something() {
    let commands = commands();
    assert!(commands.len() > 40, "only {} were found", commands.len());
    let known = |command: &str| {
        COMMANDS
            .iter()
            .position(|(begin, _)| command.starts_with(begin))
    };
    let unknown: Vec<_> = commands
        .iter()
        .filter(|(_, c)| known(c).is_none())
        .collect();
    assert!(
        unknown.is_empty(),
        "nothing is listed here that runs {unknown:#?}"
    );
    let used: BTreeSet<_> = commands.iter().filter_map(|(_, c)| known(c)).collect();
    let unused = (0..COMMANDS.len()).filter(|n| !used.contains(n));
    let unused: Vec<_> = unused.map(|n| COMMANDS[n].0).collect();
    assert!(unused.is_empty(), "no text gives {unused:#?} any more");
}

#[test]
fn what_is_said_to_run_a_command_is_there() {
    for (command, run_by) in COMMANDS {
        match run_by {
            File(file, text) => {
                assert!(
                    read(file).contains(text),
                    "{command}: {file} does not hold {text:?}"
                );
            }
            Nothing(why) => assert!(!why.is_empty(), "{command}"),
        }
    }
}
