//! A derived runtime: actions define a shell function `main`; glue that calls it is appended to
//! the received source, and the result checked, before it becomes the executable.
//!
//! `cargo run --example shell_runtime`, then post
//! `{"value":{"code":"main() { echo \"{\\\"got\\\":$1}\"; }"}}` to `/init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use actionproxy_core::{ActionRunner, HookError, Staged};

/// Runs shell functions.
struct Shell;

impl ActionRunner for Shell {
    fn epilogue(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        // The entry point may have another name: `main` of the init message.
        let name = staged.request().main.clone();
        staged.append(&format!("{} \"$(cat)\"", name.as_deref().unwrap_or("main")))
    }

    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        staged.tool("sh", ["-n".as_ref(), staged.source().as_os_str()])?;
        let program = format!("#!/bin/sh\n{}", fs::read_to_string(staged.source())?);
        fs::write(staged.executable(), program)?;
        fs::set_permissions(staged.executable(), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

fn main() -> ExitCode {
    actionproxy_server::Runtime::new(Shell)
        .source("exec.sh")
        .main()
}
