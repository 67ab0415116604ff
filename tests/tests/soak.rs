//! The short form of the soak test. The long one: tests/README.md.

use std::fs;
use std::process::Command;

#[test]
fn a_short_soak_leaves_nothing_behind() {
    let soak = env!("CARGO_BIN_EXE_soak");
    let report = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(soak)
        .args(["--duration", "10s", "--report"])
        .arg(report.path())
        .output();
    let output = output.expect("the soak runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{why}");
    assert!(said.contains("soak passed"), "{said}");
    let read = |name| fs::read_to_string(report.path().join(name)).expect(name);
    let table = read("soak.md");
    for proxy in ["one at a time", "overlapping"] {
        // Behind its title and the line below: the first round and two of five seconds.
        let rows = table.lines().skip_while(|line| !line.contains(proxy));
        assert_eq!(
            rows.skip(2).take_while(|row| row.starts_with('|')).count(),
            3,
            "{table}"
        );
    }
    let curves = read("soak.svg").matches("<polyline").count();
    assert_eq!(curves, 12, "two proxies in each of six panels");
}
