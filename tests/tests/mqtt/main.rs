//! The invoker for MQTT brokers, from outside: a real broker, its own clients, real processes.

mod brokers;
mod confined;
mod contract;
mod delivery;
mod end;
mod hooks;
mod hostile;
mod login;
mod logs;
mod readme;
mod resident;

/// An action that answers with its argument and its activation's id.
const ECHO: &str = "#!/bin/sh\necho \"{\\\"got\\\":  $1,\\\"id\\\":\\\"$__OW_ACTIVATION_ID\\\"}\"";

/// One that notes its id in `runs`, then waits until the file `gate` is there.
fn gated(runs: &std::path::Path, gate: &std::path::Path) -> String {
    format!(
        "#!/bin/sh\necho \"$__OW_ACTIVATION_ID\" >> {}\n\
         while [ ! -e {} ]; do sleep 0.01; done\necho '{{\"done\":true}}'",
        runs.display(),
        gate.display()
    )
}

/// The lines of a file, if it is there.
fn lines(file: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
