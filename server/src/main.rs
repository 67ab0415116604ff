//! `actionproxy`: the proxy whose actions are native executables.

use std::process::ExitCode;

fn main() -> ExitCode {
    actionproxy_server::main(actionproxy_core::NativeRunner)
}
