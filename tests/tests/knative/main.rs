//! The single entrypoint on Knative, row by row, from outside.

mod dedicated;
mod messages;
mod web;

use actionproxy_tests::{Answer, Proxy};
use serde_json::{Value, json};

/// Answers with its argument as the body, as JSON.
const ECHO: &str = "#!/bin/bash\nread -r line\necho logged\necho \"{\\\"body\\\":$line}\"\n";

fn start(variables: &[(&str, &str)]) -> Proxy {
    let builder = Proxy::builder().env("__OW_RUNTIME_PLATFORM", "knative");
    let builder = variables.iter().fold(builder, |b, (n, v)| b.env(n, v));
    builder.start()
}

fn post(proxy: &Proxy, message: &Value) -> Answer {
    proxy.post("/", message.to_string())
}

/// Initialises `code` by an `init` alone.
fn init(proxy: &Proxy, code: &str) {
    let answer = post(
        proxy,
        &json!({ "init": { "name": "a", "main": "main", "code": code } }),
    );
    assert_eq!(
        (answer.status, answer.text()),
        (200, "{\"OK\":true}"),
        "{}",
        proxy.stderr()
    );
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}
