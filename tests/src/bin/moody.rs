//! A derived runtime for the tests: what its hooks do is in the code's first line.

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use actionproxy_core::{
    ActionRunner, Activation, HookError, Logs, Outcome, RunError, Staged, Stream,
};

struct Moody;

impl ActionRunner for Moody {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let source = staged.source();
        match fs::read_to_string(&source)?.lines().next() {
            Some("# tool") => staged.tool("sh", [source.as_os_str()]),
            Some("# sleep") => {
                thread::sleep(Duration::from_millis(60));
                Ok(())
            }
            Some("# panic") => half_a_line(staged.logs()),
            _ => Ok(()),
        }
    }

    fn run(&self, activation: Activation<'_>, logs: &mut Logs<'_>) -> Result<Outcome, RunError> {
        if activation.argument().starts_with(b"{\"panic\"") {
            half_a_line(logs);
        }
        activation.execute(logs)
    }
}

fn half_a_line(logs: &mut Logs<'_>) -> ! {
    logs.write(Stream::Stdout, b"half");
    panic!("as asked");
}

fn main() -> ExitCode {
    actionproxy_server::main(Moody)
}
