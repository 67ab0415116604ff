//! A language runtime as a build hook: compiles a C program with `cc`, runs it once, and prints its
//! result.
//!
//! `cargo run -p actionproxy-core --example c_action -- FILE.c DIRECTORY [JSON]`; the action lives in
//! DIRECTORY. What the compiler and the program print goes to stderr. Status 1 when there is no result.

use std::error::Error;
use std::io;

use actionproxy_core::{
    Action, ActionRunner, Code, Config, HookError, InitRequest, Logs, Reinit, RunRequest, Staged,
};

/// Compiles C.
struct C;

impl ActionRunner for C {
    fn build(&self, staged: &mut Staged<'_, '_>) -> Result<(), HookError> {
        let (source, executable) = (staged.source(), staged.executable());
        staged.tool(
            "cc",
            [source.as_os_str(), "-o".as_ref(), executable.as_os_str()],
        )
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, dir, argument) = match arguments.as_slice() {
        [file, dir] => (file, dir, "{}"),
        [file, dir, argument] => (file, dir, argument.as_str()),
        _ => return Err("usage: c_action FILE.c DIRECTORY [JSON]".into()),
    };
    let mut config = Config::new(dir);
    config.source = "exec.c".into();
    config.reinit = Reinit::Allow;
    // `cc` is searched in its PATH.
    config.env = std::env::vars_os().collect();
    let mut action = Action::open(config, C)?;

    let (mut stdout, mut stderr) = (io::stderr(), io::stderr());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    action.init(
        InitRequest::new(Code::Text(std::fs::read(file)?)),
        &mut logs,
    )?;
    let outcome = action.run(RunRequest::new(argument), &mut logs)?;
    println!("{}", String::from_utf8_lossy(&outcome.result));
    Ok(())
}
