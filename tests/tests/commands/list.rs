//! The list: the beginning of each command, and what runs it.

/// What runs a command.
#[derive(Debug)]
pub(crate) enum RunBy {
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
pub(crate) const COMMANDS: &[(&str, RunBy)] = &[
    (
        "docker run --rm -it -v \"$PWD:/src\" -w /src --entrypoint bash actionproxy/runtime-python",
        File("tests/images/checks.d/runtimes.sh", "virtualenv()"),
    ),
    (
        "python3 -m venv virtualenv",
        File(
            "tests/images/checks.d/runtimes.sh",
            "^(python3|virtualenv/bin/pip) ",
        ),
    ),
    (
        "virtualenv/bin/pip install",
        File(
            "tests/images/checks.d/runtimes.sh",
            "^(python3|virtualenv/bin/pip) ",
        ),
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
        File("tests/images/checks.d/runtimes.sh", "passes its own test"),
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
        File(
            "tests/images/checks.d/images.sh",
            "docker run skeleton --help",
        ),
    ),
    (
        "docker run --rm -v",
        File(
            "tests/images/checks.d/images.sh",
            "docker run skeleton run FILE",
        ),
    ),
    (
        "docker run --entrypoint",
        File("tests/images/checks.d/images.sh", "--entrypoint bash"),
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
        "tests/runtimes/fetch BASE CHECKOUTS",
        Nothing("it needs the address of the runtimes' repositories"),
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
        "tests/images/pushed",
        File(".ci/architectures", "tests/images/pushed"),
    ),
    (
        "tests/images/reproducible",
        File(".ci/architectures", "tests/images/reproducible"),
    ),
    (
        "tests/images/sizes",
        File("tests/images/run", "tests/images/sizes --compare"),
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
        "cargo run --release -p actionproxy-tests --bin soak",
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
        "tests/images/attested",
        File("tests/images/run", "tests/images/attested"),
    ),
    (
        "tests/images/oci",
        File("tests/images/attested", "tests/images/oci"),
    ),
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
