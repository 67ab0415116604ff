//! The build cache: init of a C source that is compiled, of one that is in the cache, and of what needs
//! no compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Bench;
use super::run::expect_200;
use crate::alternate::{self, Shown, Turn};
use crate::client;
use crate::programs::told;
use crate::report::Report;
use crate::subject::{Running, Subject, archive_init, text_init};

/// An action as its author sends it.
const SOURCE: &str = "#include <stdio.h>
int main(int argc, char **argv) { printf(\"{\\\"got\\\":%s}\\n\", argv[1]); return argc != 2; }
";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
    let plain = Subject::binary("proxy", &bench.proxy);
    let building = plain
        .clone()
        .with_flag("--source-name=exec.c")
        .with_flag("--build=cc -O1 exec.c -o exec");
    let cached = |name: &str| {
        let cache = dir.path().join(name);
        building
            .clone()
            .with_flag(format!("--build-cache={}", cache.display()))
    };
    let (program, source) = (text_init(SOURCE.as_bytes()), start(&plain)?);
    let compiled = archive_init(&compile(dir.path())?);
    let (sent, cold, warm) = (
        start(&plain)?,
        start(&cached("cold"))?,
        start(&cached("warm"))?,
    );
    report.group("/init: C source, compiled by `cc` in a hook");
    let mut number = 0;
    let turns = vec![
        Turn::new("compiled, and kept in the cache", Some(SENT), || {
            number += 1;
            let other = format!("{SOURCE}/* {number} */\n");
            init(&cold, &text_init(other.as_bytes()))
        }),
        Turn::new("from the cache", Some(SENT), || init(&warm, &program)),
        Turn::new(SENT, None, || init(&sent, &compiled)),
        Turn::new("the source without hooks", Some(SENT), || {
            init(&source, &program)
        }),
    ];
    alternate::measure(report, bench.runs(60), Shown::Millis, turns);
    Ok(())
}

/// What needs no compiler.
const SENT: &str = "the compiled program, sent";

fn start(subject: &Subject) -> Result<Running, String> {
    let running = subject.spawn().map_err(|e| e.to_string())?;
    running.connect().map_err(|e| e.to_string())?;
    Ok(running)
}

fn init(proxy: &Running, request: &[u8]) -> Result<(), String> {
    expect_200(client::exchange(proxy.address, request))
}

fn compile(dir: &Path) -> Result<Vec<u8>, String> {
    let (source, program) = (dir.join("exec.c"), dir.join("exec"));
    fs::write(&source, SOURCE).map_err(|e| e.to_string())?;
    told(
        Command::new("cc")
            .arg("-O1")
            .arg(&source)
            .arg("-o")
            .arg(&program),
    )?;
    fs::read(&program).map_err(|e| e.to_string())
}
