//! Hooks that are commands, and the cache of what they build: as the proxy has them.

use std::path::Path;

use actionproxy_tests::mosquitto::{Broker, Invoker};
use serde_json::json;

use crate::{ECHO, lines};

/// A shell's command that notes `word` in `trace` and does what follows.
fn noting(trace: &Path, word: &str, then: &str) -> String {
    format!("sh -c 'echo {word} >> {}; {then}'", trace.display())
}

/// Makes `exec` of the body of a shell script, with this line before it.
fn building(trace: &Path, line: &str) -> String {
    let make =
        format!("(echo \"#!/bin/sh\"; echo \"{line}\"; cat exec.body) > exec; chmod 755 exec");
    noting(trace, "build", &make)
}

#[test]
fn each_hook_is_called_once_and_what_it_brings_outlives_the_invoker() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let build = building(&trace, "by=first");
    let env = noting(
        &trace,
        "env",
        "cat > /dev/null; echo COLOUR=$ACTION_NAME-$A",
    );
    let variables = [
        ("ACTIONPROXY_SOURCE_NAME", "exec.body".to_owned()),
        ("ACTIONPROXY_PREINIT", noting(&trace, "preinit", "")),
        (
            "ACTIONPROXY_EPILOGUE",
            noting(&trace, "epilogue", "echo : glue >> $ACTION_SOURCE"),
        ),
        ("ACTIONPROXY_BUILD", "false".to_owned()),
        (
            "ACTIONPROXY_VERIFY",
            noting(&trace, "verify", "grep -q glue exec"),
        ),
        ("ACTIONPROXY_ENV", env),
    ];
    let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    // A flag beats its variable.
    let begin = |dir, build: &str| Invoker::begin_with(&url, dir, &["--build", build], &variables);
    let invoker = begin(tempfile::tempdir().expect("a directory"), &build);
    let init = json!({ "value": {
        "name": "blue",
        "env": { "A": "1" },
        "code": "echo \"{\\\"by\\\":\\\"$by\\\",\\\"colour\\\":\\\"$COLOUR\\\",\\\"a\\\":\\\"$A\\\"}\"\n",
    } });
    broker.publish_with("device/action/made/init", init.to_string(), &["-r"]);
    let status = seen.nth("device/action/made/status", 0);
    assert_eq!(status.json()["ok"], true, "{status:?}");
    let hooks = ["preinit", "epilogue", "build", "verify", "env"];
    assert_eq!(lines(&trace), hooks);
    let run = |id: &str| {
        let message = json!({ "activation_id": id }).to_string();
        broker.publish("device/action/made/run", message);
        seen.answer(id).text().to_owned()
    };
    let first = r#"{"by":"first","colour":"blue-1","a":"1"}"#;
    assert_eq!(run("1"), first);

    // The next process has what the hooks brought, and calls none of them.
    let invoker = begin(invoker.stop(), &build);
    assert_eq!(run("2"), first);
    assert_eq!(lines(&trace), hooks);

    // By another command the same message makes another executable.
    let second = building(&trace, "by=second");
    let invoker = begin(invoker.stop(), &second);
    invoker.wait_said("action made: initialised");
    assert_eq!(run("3"), r#"{"by":"second","colour":"blue-1","a":"1"}"#);
    assert_eq!(lines(&trace), [hooks, hooks].concat());
    invoker.stop();
}

#[test]
fn a_hook_that_fails_fails_the_init_and_is_heard() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let invoker = Invoker::start(&broker, &["--build", "sh -c 'echo line 3 >&2; exit 4'"]);
    let message = json!({ "value": { "code": ECHO } }).to_string();
    broker.publish_with("device/action/made/init", message, &["-r"]);
    let status = seen.nth("device/action/made/status", 0);
    assert!(status.json()["error"].is_string(), "{status:?}");
    assert_eq!(status.properties, ["kind:action"]);
    let said = seen.nth("device/action/made/log", 0);
    assert_eq!(
        (said.text(), &said.properties[0][..]),
        ("line 3", "stream:stderr")
    );
    assert!(
        seen.nth("device/action/made/log", 1)
            .text()
            .contains("exited with status 4"),
        "{:?}",
        seen.messages()
    );
    assert!(!invoker.actions().join("made").exists());
    invoker.stop();
}

#[test]
fn what_was_built_once_is_kept_for_every_action_of_the_same_code() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let seen = broker.subscribe("device/#");
    let dir = tempfile::tempdir().expect("a directory");
    let (trace, cache) = (dir.path().join("trace"), dir.path().join("cache"));
    let build = building(&trace, "by=cache");
    let flags = [
        "--source-name",
        "exec.body",
        "--build",
        &build,
        "--build-cache",
        cache.to_str().expect("text"),
        "--build-cache-size",
        "1M",
    ];
    let invoker = Invoker::start(&broker, &flags);
    for name in ["a", "b"] {
        broker.init(&seen, name, "echo \"{\\\"by\\\":\\\"$by\\\"}\"\n");
        let message = json!({ "activation_id": name }).to_string();
        broker.publish(&format!("device/action/{name}/run"), message);
        assert_eq!(seen.answer(name).text(), r#"{"by":"cache"}"#);
    }
    assert_eq!(lines(&trace), ["build"]);
    assert!(std::fs::read_dir(cache).expect("a directory").count() > 0);
    invoker.stop();
}
