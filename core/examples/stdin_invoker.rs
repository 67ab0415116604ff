//! An invoker without HTTP: one JSON message a line on stdin, one answer a line on stdout, the
//! action's logs on stderr. What an MQTT client or a job queue would do with its messages.
//!
//! ```text
//! {"init":{"code":"#!/bin/sh\necho \"$1\""}}    ->  {"ok":true}
//! {"run":{"n":1}}                               ->  {"n":1}
//! ```
//! `cargo run -p actionproxy-core --example stdin_invoker [DIRECTORY]`; the action lives in DIRECTORY,
//! by default in `action` where it is started.

use std::error::Error;
use std::io::{self, BufRead, Write};

use actionproxy_core::{Action, Code, Config, InitRequest, Logs, NativeRunner, RunRequest, Stream};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "action".to_owned());
    let mut config = Config::new(dir);
    config.env = std::env::vars_os().collect();
    let mut action = Action::open(config, NativeRunner)?;
    for line in io::stdin().lock().lines() {
        let answer = answer(&mut action, &line?);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&answer)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    Ok(())
}

fn answer(action: &mut Action, line: &str) -> Vec<u8> {
    // Logs must not stand among the answers.
    let mut to_stderr = |_: Stream, bytes: &[u8]| {
        let _ = io::stderr().write_all(bytes);
    };
    let mut logs = Logs::to(&mut to_stderr);
    let done = match serde_json::from_str(line) {
        Ok(Value::Object(message)) => match (message.get("init"), message.get("run")) {
            (Some(init), None) => {
                let request = InitRequest {
                    code: init["code"].as_str().map(|text| match init["binary"] {
                        Value::Bool(true) => Code::Base64(text.into()),
                        _ => Code::Text(text.into()),
                    }),
                    ..InitRequest::default()
                };
                let done = action.init(request, &mut logs);
                done.map(|()| json!({"ok": true}).to_string().into_bytes())
                    .map_err(|e| e.to_string())
            }
            (None, Some(argument)) => {
                let done = action.run(RunRequest::new(argument.to_string()), &mut logs);
                done.map(|outcome| outcome.result)
                    .map_err(|e| e.to_string())
            }
            _ => Err("expected one of `init` and `run`".to_owned()),
        },
        Ok(other) => Err(format!("expected an object, found {other}")),
        Err(e) => Err(format!("expected JSON: {e}")),
    };
    done.unwrap_or_else(|e| json!({ "error": e }).to_string().into_bytes())
}
