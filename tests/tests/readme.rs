//! What the README says is so: its commands run and print what it shows, its table is the help's.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use actionproxy_tests::files::repository;
use actionproxy_tests::proxy::free_address;
use actionproxy_tests::readme::{blocks, settings, settings_of_help, steps};
use actionproxy_tests::{Connection, binary, eventually, tools};

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).expect("README.md")
}

#[test]
fn the_commands_do_what_the_readme_shows() {
    let ran = run_blocks("sh");
    assert!(ran >= 5, "only {ran} commands were found");
}

#[test]
fn the_commands_for_knative_do_what_the_readme_shows() {
    let ran = run_blocks("bash");
    assert!(ran >= 5, "only {ran} commands were found");
}

/// Runs the commands of the blocks of one language; the first of them starts the proxy. How many
/// there were.
fn run_blocks(language: &str) -> usize {
    if !tools::are_here(&["curl", "python3"]) {
        return usize::MAX;
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let blocks = blocks(&readme(), language);
    let (start, rest) = blocks
        .split_first()
        .expect("the first command starts the proxy");
    assert!(start.starts_with("cargo run "), "{start}");
    let address = free_address();
    // `exec`: the process we start is then cargo, and cargo becomes the proxy.
    let mut proxy = Command::new("bash")
        .args(["-c", &format!("exec {start}")])
        .current_dir(repository())
        .env("PORT", address.port().to_string())
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .stdout(File::create(scratch.path().join("stdout")).expect("a log"))
        .stderr(File::create(scratch.path().join("stderr")).expect("a log"))
        .spawn()
        .expect("bash runs");
    for _ in 0..10 {
        // A build may take longer than anything else that tests wait for.
        let open = std::panic::catch_unwind(|| {
            eventually("the proxy to listen", || Connection::open(address).ok())
        });
        if open.is_ok() {
            break;
        }
    }
    let mut ran = 0;
    for block in rest {
        if block.starts_with("cargo test") {
            // That is what runs this; CI runs it by the same words.
            let ci = fs::read_to_string(repository().join(".ci/run")).expect(".ci/run");
            assert!(ci.contains(block.as_str()), "{block}");
            continue;
        }
        for (commands, expected) in steps(block) {
            let here = commands.replace("localhost:8080", &address.to_string());
            let output = Command::new("bash")
                .args(["-e", "-o", "pipefail", "-c", &here])
                .current_dir(repository())
                .output()
                .expect("bash runs");
            assert!(output.status.success(), "{commands}: {output:?}");
            let shown = String::from_utf8(output.stdout).expect("text");
            assert_eq!(shown.trim_end(), expected.trim_end(), "{commands}");
            ran += 1;
        }
    }
    let pid = rustix::process::Pid::from_child(&proxy);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(proxy.wait().expect("our child").code(), Some(0));
    ran
}

#[test]
fn the_configuration_table_is_what_help_says() {
    let help = binary::command()
        .arg("--help")
        .output()
        .expect("the proxy runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let rows = settings_of_help(&help);
    assert!(rows.len() >= 20, "{rows:?}");
    assert_eq!(settings(&readme()), rows);
}

#[test]
fn the_example_of_a_runtime_is_one_that_compiles() {
    // The documentation of the server is compiled by `cargo test`.
    let compiled = fs::read_to_string(repository().join("server/src/lib.rs")).expect("lib.rs");
    let compiled: Vec<_> = compiled
        .lines()
        .map(|l| l.trim_start_matches("//!").trim())
        .collect();
    for line in blocks(&readme(), "rust")
        .concat()
        .lines()
        .filter(|l| !l.trim().is_empty())
    {
        assert!(compiled.contains(&line.trim()), "{line}");
    }
}
