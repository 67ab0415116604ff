//! What the flags come to.

use super::table::OWN;
use std::path::Path;

use super::*;

fn serve(words: &[&str], variables: &[(&str, &str)]) -> Result<Options, String> {
    let config = Config {
        env: variables.iter().copied().collect(),
        ..Config::default()
    };
    let program = ["actionproxy-mqtt"].iter().chain(words);
    match read(config, program.map(OsString::from))? {
        Command::Serve(options) => Ok(*options),
        Command::Show(text) => Err(text),
    }
}

const NEEDED: [&str; 6] = [
    "--broker",
    "mqtt://b",
    "--prefix",
    "p",
    "--action-dir",
    "/d",
];

fn with(words: &[&str]) -> Result<Options, String> {
    serve(&[&NEEDED[..], words].concat(), &[])
}

#[test]
fn what_is_needed_is_asked_for() {
    for (left_out, said) in [
        (0, "expected --broker mqtt://HOST:PORT"),
        (2, "expected --prefix PREFIX"),
        (4, "expected --action-dir DIR"),
    ] {
        let words = [&NEEDED[..left_out], &NEEDED[left_out + 2..]].concat();
        let e = serve(&words, &[]).expect_err("something is missing");
        assert!(e.starts_with(said), "{e}");
    }
    let variables = [
        ("ACTIONPROXY_BROKER", "mqtts://b:1"),
        ("ACTIONPROXY_PREFIX", "site/7"),
        ("ACTION_DIR", "/d"),
    ];
    let options = serve(&[], &variables).expect("all that is needed");
    assert_eq!(options.client_id, "actionproxy-site-7");
    assert_eq!(options.broker.to_string(), "mqtts://b:1");
}

#[test]
fn the_proxys_words_are_known_and_its_defaults_kept() {
    let options = with(&["--timeout", "5m", "--max-body=1M"]).expect("flags");
    let common = options.common;
    assert_eq!(
        common.config.process.timeout,
        Some(Duration::from_secs(300))
    );
    assert_eq!((common.max_body, common.grace.as_secs()), (1 << 20, 10));
    assert_eq!(common.most_at_once, 1);
    assert_eq!(common.config.reinit, Reinit::Allow);
    assert_eq!(common.config.durability, Durability::PowerLoss);
    let words = ["--action-loop", "--build-cache", "c"];
    let variables = [
        ("__OW_ALLOW_CONCURRENT", "true"),
        ("OW_COMPILER", "b/compile"),
        ("HOME", "/root"),
        ("ACTIONPROXY_VERIFY", "true"),
    ];
    let options = serve(&[&NEEDED[..], &words].concat(), &variables).expect("flags");
    let common = options.common;
    assert!(matches!(
        common.config.instance,
        actionproxy_core::InstanceKind::Resident(_)
    ));
    // One process has one run at a time, and sees what is an action's to see.
    assert_eq!(common.most_at_once, 1);
    assert_eq!(common.config.env.value("HOME"), None);
    let runner = common.runner();
    assert!(runner.command(actionproxy_core::Hook::Verify).is_some());
    let compilers = runner.build_commands().expect("known");
    assert!(Path::new(compilers[0].program()).is_absolute());
    assert!(
        common
            .config
            .build_cache
            .is_some_and(|c| c.dir.is_absolute())
    );
    let options = with(&["--no-durable"]).expect("a flag");
    assert_eq!(options.common.config.durability, Durability::Process);
}

#[test]
fn a_default_is_what_its_word_stands_for() {
    let defaults = format!("{:?}", Given::default());
    for own in OWN.iter().filter(|own| own.default != "none") {
        let mut given = Given::default();
        // Those two are words about a value, and no value.
        if ["client-id", "ca"].contains(&own.flag) {
            continue;
        }
        (own.apply)(&mut given, own.default).expect(own.flag);
        assert_eq!(format!("{given:?}"), defaults, "--{}", own.flag);
    }
}

#[test]
fn a_bad_value_is_named_with_what_was_expected() {
    for (words, said) in [
        (
            &["--logs", "x"][..],
            "--logs: expected `off`, `on` or `batched`, found \"x\"",
        ),
        (
            &["--max-queue", "0"],
            "--max-queue: expected a number from 1, found \"0\"",
        ),
        (
            &["--mqtt", "4"],
            "--mqtt: expected `5`, `3.1.1` or `auto`, found \"4\"",
        ),
        (
            &["--keep-alive", "0"],
            "--keep-alive: expected a time from 1s to 18h, found \"0\"",
        ),
        (
            &["--port", "1"],
            "unknown flag `--port`; `--help` lists them",
        ),
        (
            &["--brokre", "x"],
            "unknown flag `--brokre`; did you mean `--broker`?",
        ),
        (
            &["--client-id", ""],
            "--client-id: expected a name, found \"\"",
        ),
        (
            &["--key", "k"],
            "--certificate and --key go together: expected both or none",
        ),
        (
            &["--broker-password-file", "k"],
            "--broker-password-file needs a --broker-user NAME",
        ),
        (
            &["--build", "cc 'x"],
            "--build: expected a command whose ' is closed, found \"cc 'x\"",
        ),
        (
            &["--source-name", "a/b"],
            "--source-name: expected the name of a file, found \"a/b\"",
        ),
        (
            &["--build-cache-size", "x"],
            "--build-cache-size: expected a size such as 4096, 64K, 100M or 1G, found \"x\"",
        ),
        (
            &["--start-wait", "x"],
            "--start-wait: expected a time such as 200ms, 10s or 5m, found \"x\"",
        ),
        (
            &["--ca", "f"],
            "--ca and --certificate are for TLS: expected a broker mqtts://…, found mqtt://b:1883",
        ),
    ] {
        assert_eq!(with(words).expect_err("refused"), said);
    }
    let misspelt = [("ACTIONPROXY_BROKKER", "x")];
    let options = serve(&NEEDED, &misspelt).expect("served");
    assert_eq!(
        options.common.warnings,
        ["ACTIONPROXY_BROKKER: no such variable; did you mean `ACTIONPROXY_BROKER`?"]
    );
}
