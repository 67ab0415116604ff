//! Files around a proxy: made by a shell, and looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of this repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a shell script in a directory; it must succeed. What it printed.
pub fn shell(directory: &Path, script: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(directory)
        .envs(variables.iter().copied())
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a directory holds at any depth: path, content and mode.
pub fn tree(directory: &Path) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let content = fs::read(&path).unwrap_or_default();
            found.push((path, content, metadata.permissions().mode()));
        }
    }
    found.sort();
    found
}

/// Base64 in one line.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
