//! The short form of the soak test. The long one: tests/README.md.

use std::process::Command;

#[test]
fn a_short_soak_leaves_nothing_behind() {
    let soak = env!("CARGO_BIN_EXE_soak");
    let output = Command::new(soak).args(["--duration", "10s"]).output();
    let output = output.expect("the soak runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{why}");
    assert!(said.contains("soak passed"), "{said}");
}
