//! A derived runtime: actions are the text of a C program, compiled when they are initialised.
//!
//! `cargo run --example c_runtime`, then post `{"value":{"code":"int main(void){…}"}}` to `/init`.
//! Needs `cc`.

use std::process::ExitCode;

use actionproxy_core::{ActionRunner, HookError, Staged};

/// Compiles C.
struct C;

impl ActionRunner for C {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let (source, executable) = (staged.source(), staged.executable());
        // Its messages go to the logs of the init.
        staged.tool(
            "cc",
            [
                "-O2".as_ref(),
                "-o".as_ref(),
                executable.as_os_str(),
                source.as_os_str(),
            ],
        )
    }
}

fn main() -> ExitCode {
    actionproxy_server::Runtime::new(C).source("exec.c").main()
}
