//! Every command that a document, an example or a help text gives is known here, with what runs it.
//!
//! A new command fails this test until it is listed; a listed one that no text gives any more fails
//! it too, and so does one whose test or step is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What runs a command.
#[derive(Debug)]
enum RunBy {
    /// This file of the repository, which holds this text: a test's name, or the command itself.
    File(&'static str, &'static str),
    /// Nothing that can be had everywhere; why.
    Nothing(&'static str),
}

use RunBy::{File, Nothing};

const README: RunBy = File(
    "tests/tests/readme.rs",
    "fn the_commands_do_what_the_readme_shows",
);
const KNATIVE: RunBy = File(
    "tests/tests/readme.rs",
    "fn the_commands_for_knative_do_what_the_readme_shows",
);
const CAPI: RunBy = File(
    "tests/tests/capi/readme.rs",
    "fn the_commands_do_what_they_show",
);
const MQTT: RunBy = File(
    "tests/tests/mqtt/readme.rs",
    "fn the_commands_do_what_the_readme_shows",
);
const CI: RunBy = File(".ci/run", "cargo test --workspace");
const ARCHITECTURES: RunBy = File(".ci/architectures", "tests/images/run");
const BENCH: RunBy = Nothing("it measures for minutes, and asserts nothing");
const FUZZ: RunBy = Nothing("it needs a nightly compiler");

/// The beginning of a command, and what runs it. The first that fits counts.
const COMMANDS: &[(&str, RunBy)] = &[
    (
        "docker run --rm -it -v \"$PWD:/src\" -w /src --entrypoint bash actionproxy/runtime-python",
        File("tests/images/checks", "makes_virtualenv"),
    ),
    (
        "python3 -m venv virtualenv",
        File("tests/images/checks", "python3 -m venv"),
    ),
    (
        "virtualenv/bin/pip install",
        Nothing("it asks a package registry"),
    ),
    (
        "zip -qry action.zip __main__.py virtualenv -x",
        File(
            "tests/tests/example_runtimes/python.rs",
            "zip -qry a.zip __main__.py virtualenv -x",
        ),
    ),
    (
        "zip -r action.zip __main__.py",
        File(
            "tests/tests/example_runtimes/python.rs",
            "fn an_archive_has_its_modules_and_files",
        ),
    ),
    (
        "docker build -t",
        File("tests/images/run", "scripts/images --load"),
    ),
    (
        "docker run --rm -p 8080:8080 my-runtime",
        File("tests/images/checks", "passes its own test"),
    ),
    (
        "docker run --rm -p 8080:8080 runtime-swift",
        Nothing("its base image is in a registry"),
    ),
    (
        "./test localhost:8080",
        File(
            "tests/tests/example_runtimes/main.rs",
            "fn passes_its_own_test",
        ),
    ),
    (
        "docker run --rm IMAGE --help",
        File("tests/images/checks", "docker run skeleton --help"),
    ),
    (
        "docker run --rm -v",
        File("tests/images/checks", "docker run skeleton run FILE"),
    ),
    (
        "docker run --entrypoint",
        File("tests/images/checks", "--entrypoint bash"),
    ),
    ("docker logs", File("tests/images/launch", "docker logs")),
    ("docker stop", File("tests/images/launch", "docker stop")),
    (
        "scripts/images",
        File("tests/images/run", "scripts/images --load"),
    ),
    (
        "scripts/counted",
        File(".ci/run", "scripts/counted workspace"),
    ),
    ("scripts/debian", File("tests/debian/run", "scripts/debian")),
    (
        "tests/debian/run",
        File(".ci/architectures", "tests/debian/run"),
    ),
    ("bench/weigh", BENCH),
    ("CARGO_PROFILE_RELEASE_STRIP=none scripts/ground", BENCH),
    (
        "scripts/release",
        Nothing("it is for a release, and builds all architectures"),
    ),
    (
        "tests/clients/install",
        Nothing("it installs clients, from their registries"),
    ),
    (
        "tests/runtimes/run CHECKOUTS",
        Nothing("it needs checkouts of the runtimes' repositories"),
    ),
    (
        "actionproxy-mqtt --help",
        File(
            "tests/tests/mqtt/readme.rs",
            "fn the_table_of_flags_is_what_help_says",
        ),
    ),
    (
        "cargo run --release -p actionproxy-mqtt",
        File(
            "tests/tests/mqtt/readme.rs",
            "--broker mqtt://localhost --prefix device --action-dir",
        ),
    ),
    ("mosquitto", MQTT),
    ("cat > init.json", MQTT),
    ("tests/clients/run", File(".ci/run", "tests/clients/run")),
    (
        "tests/images/reproducible",
        File(".ci/architectures", "tests/images/reproducible"),
    ),
    (
        "tests/images/sizes",
        Nothing("it measures, and asserts nothing"),
    ),
    ("cargo test -p actionproxy-tests --test architectures", CI),
    (".ci/run", Nothing("it runs this")),
    (
        "cargo run --release -- --host 127.0.0.1 --allow-reinit",
        README,
    ),
    ("cargo run --release -- --platform knative", KNATIVE),
    (
        "docker run --rm -p 8080:8080 -v",
        File(
            "tests/tests/knative/dedicated.rs",
            "fn it_is_prepared_before_the_first_request_which_only_runs",
        ),
    ),
    (
        "cargo test -p actionproxy-tests --test example_runtimes",
        CI,
    ),
    ("cargo test -p actionproxy-tests --test deploy", CI),
    ("cargo test -p actionproxy-tests --test mqtt", CI),
    ("cargo run --release --quiet -- run target/try", README),
    ("echo '{\"n\": 2}' | cargo run", README),
    ("printf '#!/bin/sh", README),
    ("curl -s localhost:8080 ", KNATIVE),
    ("curl -s localhost:8080/", README),
    ("invokers/capi/install", CAPI),
    ("export PKG_CONFIG_SYSROOT_DIR", CAPI),
    ("gcc ", CAPI),
    ("$(pkg-config", CAPI),
    ("LD_LIBRARY_PATH=target/capi", CAPI),
    ("target/run_once_static", CAPI),
    (
        "cargo cinstall",
        Nothing("it needs cargo-c, which takes longer to build than all of this"),
    ),
    ("cargo run --release --quiet -- pack", README),
    ("cargo run --release --quiet -- --source-name", README),
    ("printf '#include <stdio.h>", README),
    ("mkdir -p target/zip", README),
    ("cargo test --workspace", CI),
    ("cargo test -p actionproxy-core", CI),
    ("cargo test -p actionproxy-tests --test NAME", CI),
    (
        "cargo test -p actionproxy-tests --test inits 40_mb",
        File("tests/tests/inits.rs", "40_mb"),
    ),
    ("bash .ci/run", Nothing("it runs this")),
    (
        "cargo run --release -p actionproxy-tests --bin soak -- --duration 20m",
        File("tests/tests/soak.rs", "CARGO_BIN_EXE_soak"),
    ),
    (
        "cargo run -p actionproxy-core --example stdin_invoker",
        File(
            "tests/tests/examples.rs",
            "fn the_stdin_invoker_answers_line_by_line",
        ),
    ),
    (
        "cargo run -p actionproxy-core --example socket_invoker",
        File(
            "tests/tests/examples.rs",
            "fn the_socket_invoker_runs_several_actions_at_once_and_cancels_one",
        ),
    ),
    (
        "cargo run -p actionproxy-core --example c_action",
        File(
            "tests/tests/examples.rs",
            "fn the_c_action_is_built_by_a_hook_of_core",
        ),
    ),
    (
        "cargo run --example c_runtime",
        File(
            "tests/tests/examples.rs",
            "fn the_c_runtime_compiles_and_runs_posted_source",
        ),
    ),
    (
        "cargo run --example shell_runtime",
        File(
            "tests/tests/examples.rs",
            "fn the_shell_runtime_appends_its_glue",
        ),
    ),
    (
        "cargo run --release -p actionproxy-core --example install",
        BENCH,
    ),
    ("python3 core/examples/make_archive.py", BENCH),
    ("cargo run --release -p actionproxy-bench", BENCH),
    ("cargo install cargo-bloat", BENCH),
    ("cargo install cargo-fuzz", FUZZ),
    ("cargo +nightly fuzz", FUZZ),
    ("scripts/dist", File(".ci/architectures", "scripts/dist")),
    (
        "scripts/emulated-tests",
        File(".ci/architectures", "scripts/emulated-tests"),
    ),
    (
        "scripts/ground",
        File(".ci/architectures", "scripts/ground"),
    ),
    ("tests/images/run", ARCHITECTURES),
    (
        "tests/images/checks",
        File("tests/images/run", "tests/images/checks"),
    ),
    (
        "tests/images/measure",
        File(".ci/architectures", "tests/images/measure"),
    ),
    (
        "tests/images/launch",
        File("tests/images/run", "tests/images/launch"),
    ),
    (".ci/architectures", File(".ci/run", ".ci/architectures")),
    (".ci/install", File(".ci/run", ".ci/install")),
    (
        "docker buildx bake",
        File("scripts/images", "docker buildx bake"),
    ),
    (
        "docker run --privileged",
        Nothing("it asks an image registry, and changes the machine"),
    ),
    (
        "docker run --rm --platform linux/s390x",
        File("tests/images/launch", "docker run"),
    ),
    (
        "actionproxy --help",
        File(
            "tests/tests/cli/main.rs",
            "fn help_lists_every_flag_with_its_variable_and_default",
        ),
    ),
    (
        "actionproxy help",
        File(
            "tests/tests/cli/main.rs",
            "fn help_and_version_are_words_too",
        ),
    ),
    (
        "actionproxy [FLAGS] run --init",
        File(
            "tests/tests/hooks/trial.rs",
            "fn a_source_goes_through_all_hooks_and_runs",
        ),
    ),
    (
        "actionproxy run --init",
        File(
            "tests/tests/hooks/trial.rs",
            "fn a_source_goes_through_all_hooks_and_runs",
        ),
    ),
    (
        "actionproxy [FLAGS] init",
        File(
            "tests/tests/hooks/trial.rs",
            "fn an_init_leaves_the_action_where_it_is_told_and_nothing_elsewhere",
        ),
    ),
    (
        "actionproxy init",
        File(
            "tests/tests/hooks/trial.rs",
            "fn an_init_leaves_the_action_where_it_is_told_and_nothing_elsewhere",
        ),
    ),
    (
        "actionproxy [FLAGS] pack",
        File(
            "tests/tests/hooks/pack.rs",
            "fn a_script_is_text_and_a_program_is_binary_with_the_checksum_of_each",
        ),
    ),
    (
        "actionproxy [FLAGS] run FILE",
        File(
            "tests/tests/cli/run.rs",
            "fn run_gives_the_result_as_the_last_line",
        ),
    ),
    (
        "actionproxy run",
        File(
            "tests/tests/cli/run.rs",
            "fn run_gives_the_result_as_the_last_line",
        ),
    ),
    (
        "actionproxy [FLAGS] health",
        File("tests/tests/cli/main.rs", "fn health_asks_the_proxy"),
    ),
    (
        "actionproxy health",
        File("tests/tests/cli/main.rs", "fn health_asks_the_proxy"),
    ),
    (
        "actionproxy [FLAGS]",
        File(
            "tests/tests/cli/start.rs",
            "fn where_there_is_an_action_directory_it_is_the_one",
        ),
    ),
    (
        "python -m venv --copies",
        Nothing("it is advice on making an archive"),
    ),
];

/// What commands begin with; in the middle of a sentence only such words make one.
const PROGRAMS: &[&str] = &[
    "cargo ",
    "bash ",
    "scripts/",
    "tests/images/",
    "tests/debian/",
    "bench/weigh",
    ".ci/",
    "docker ",
    "python ",
    "python3 ",
    "curl ",
    "actionproxy ",
    "actionproxy-mqtt ",
    "tests/clients/",
    "invokers/capi/install",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The commands of a document: each line of its shell blocks that begins one, and what stands
/// between backquotes and begins with a program.
fn of_document(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_shell = None;
    let mut until: Option<&str> = None;
    let mut prose = String::new();
    for line in text.lines() {
        match (line.strip_prefix("```"), is_shell) {
            (Some(language), None) => {
                is_shell = Some(matches!(language, "sh" | "bash" | "console"))
            }
            (Some(_), Some(_)) => is_shell = None,
            (None, Some(true)) => {
                if let Some(end) = until {
                    if line == end {
                        until = None;
                    }
                } else if !line.trim().is_empty() && !line.starts_with('#') {
                    found.insert(line.trim().to_owned());
                    until = line.contains("<<'END'").then_some("END");
                }
            }
            (None, Some(false)) => {}
            (None, None) => {
                prose.push_str(line);
                prose.push(' ');
            }
        }
    }
    found.extend(quoted(&prose));
    found
}

/// What stands between backquotes and begins with a program and has a word behind it, or is a
/// script.
fn quoted(prose: &str) -> Vec<String> {
    let spans = prose.split('`').skip(1).step_by(2);
    let commands = spans.filter(|span| PROGRAMS.iter().any(|program| span.starts_with(program)));
    // A path of a directory or of a file that is read is none.
    let commands = commands.filter(|span| !span.ends_with('/') && !span.ends_with(".sh"));
    commands.map(str::to_owned).collect()
}

/// The commands in the documentation of a program: between backquotes, or as lines of a text block.
fn of_source(text: &str) -> BTreeSet<String> {
    let doc: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    let lines = doc.iter().map(|line| line.trim());
    let lines = lines.filter(|line| PROGRAMS.iter().any(|p| line.starts_with(p)));
    lines
        .map(str::to_owned)
        .chain(quoted(&doc.join(" ")))
        .collect()
}

/// The commands in the first comment of a script: lines that are set in from its text.
fn of_script(text: &str) -> BTreeSet<String> {
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    of_lines(comment.filter_map(|line| line.strip_prefix("#   ")))
}

/// The commands in a help text, behind `usage:`.
fn of_help(text: &str) -> BTreeSet<String> {
    let usage = text.lines().skip_while(|line| !line.starts_with("usage: "));
    let usage = usage.take_while(|line| !line.is_empty());
    of_lines(usage.map(|line| line.trim_start_matches("usage: ")))
}

fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    lines
        .map(str::trim)
        .filter(|line| PROGRAMS.iter().any(|program| line.starts_with(program)))
        // A word that the text behind it explains.
        .filter(|line| {
            !line.contains("   ") || line.starts_with("scripts/") || line.starts_with("actionproxy")
        })
        .map(|line| line.split("  ").next().unwrap_or_default().to_owned())
        .collect()
}

fn files_in(dir: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
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
