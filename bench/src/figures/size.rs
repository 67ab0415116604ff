//! The binary by its parts, for the record.

use std::process::Command;

use super::Bench;
use crate::memory::mib;
use crate::programs::{root, told};
use crate::report::Report;

/// Sections smaller than this are not worth a line.
const SMALL: f64 = 16_384.0;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    report.group("binary size");
    let whole = std::fs::metadata(&bench.proxy).map_err(|e| format!("the binary: {e}"))?;
    report.value("the file", "MiB", mib(whole.len() as f64));
    // binutils come with the C compiler.
    match told(Command::new("size").args(["-A", "-d"]).arg(&bench.proxy)) {
        Ok(said) => {
            for line in said.lines() {
                let mut words = line.split_whitespace();
                let (name, size) = (words.next().unwrap_or_default(), words.next());
                let bytes = size.and_then(|size| size.parse::<f64>().ok());
                if let Some(bytes) = bytes.filter(|b| *b >= SMALL && name.starts_with('.')) {
                    report.value(name, "KiB", bytes / 1024.0);
                }
            }
        }
        Err(e) => report.note(&e),
    }
    let by_crate = told(
        Command::new("cargo")
            .args(["bloat", "--release", "--crates", "-n", "15"])
            .args(["-p", "actionproxy-server", "--bin", "actionproxy"])
            .args(["--message-format", "json"])
            .current_dir(root()),
    );
    match by_crate.map(|said| serde_json::from_str::<serde_json::Value>(&said)) {
        Ok(Ok(said)) => {
            for part in said["crates"].as_array().into_iter().flatten() {
                if let (Some(name), Some(bytes)) = (part["name"].as_str(), part["size"].as_f64()) {
                    let name = format!("code of {name} (dynamic build)");
                    report.value(&name, "KiB", bytes / 1024.0);
                }
            }
        }
        Ok(Err(e)) => report.note(&format!("cargo bloat: {e}")),
        Err(_) => report.note("by crate: install cargo-bloat"),
    }
    Ok(())
}
