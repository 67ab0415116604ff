//! An invoker for devices: actions that come from an MQTT broker, are run here, and answer there.
//!
//! ```text
//! main thread     link (one thread)                          a thread for each action
//! signals,        socket, TLS, MQTT, reconnecting            decode -> core -> encode
//! orphans, end    messages ──> invoker: which action? ─────> queue of the action
//!                 broker  <── outbox <──────────────────────── answers, logs, status
//! ```
//! A run is acknowledged to the broker when the broker has acknowledged its answer, so what is lost
//! with a connection comes again, and is answered from memory where it has been run.

mod answer;
mod directory;
mod invoker;
mod link;
mod logs;
mod message;
mod options;
mod serve;
mod topics;

use std::io::Write;
use std::process::ExitCode;

use actionproxy_server::shared;

fn main() -> ExitCode {
    shared::report_panics_in_a_line();
    serve::main().unwrap_or_else(|e| {
        say(&e);
        ExitCode::from(2)
    })
}

/// A line on stderr.
fn say(line: &dyn std::fmt::Display) {
    let line = format!("{}: {line}\n", shared::name());
    let _ = std::io::stderr().write_all(line.as_bytes());
}
