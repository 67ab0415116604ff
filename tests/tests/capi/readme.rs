//! The commands and the program in `invokers/capi/README.md` do what stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use actionproxy_tests::readme::blocks;
use actionproxy_tests::tools;

use super::{installed, root, succeeded, tools_are_here};

fn readme() -> String {
    fs::read_to_string(root().join("invokers/capi/README.md")).expect("README.md")
}

#[test]
fn python_runs_an_action_by_ctypes() {
    if !tools_are_here() {
        return;
    }
    let program = blocks(&readme(), "python").pop().expect("a program");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let said = succeeded(
        Command::new("python3")
            .args(["-c", &program])
            .arg(installed().shared())
            .arg(dir.path().join("action")),
    );
    assert_eq!(said, "log: hello\n{\"got\": {\"n\": 1}}\n");
    assert!(readme().contains("prints `log: hello` and `{\"got\": {\"n\": 1}}`"));
}

#[test]
fn the_commands_do_what_they_show() {
    if !tools_are_here() {
        return;
    }
    // What they install is built already, and their directories are this test's own: `target` is theirs.
    installed();
    let blocks = blocks(&readme(), "sh");
    assert!(blocks.len() >= 3, "{blocks:?}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let is_output = |line: &&str| line.starts_with("# ");
    let script: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !is_output(line))
        .collect();
    let expected: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter(is_output)
        .map(|line| &line[2..])
        .collect();
    let invokers = root().canonicalize().expect("the root").join("invokers");
    std::os::unix::fs::symlink(invokers, dir.path().join("invokers")).expect("a link");
    fs::create_dir(dir.path().join("target")).expect("a directory");
    let said = succeeded(
        Command::new("bash")
            .args(["-euc", &format!("exec 2>&1\n{}", script.join("\n"))])
            .current_dir(dir.path()),
    );
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("/usr/local/"))
        .collect();
    assert_eq!(said, expected);
}

/// The sizes that it names, as those of the binaries are held: to 5 %.
#[test]
fn the_sizes_are_those_of_the_libraries() {
    if !tools_are_here() || std::env::consts::ARCH != "x86_64" {
        return tools::leave_out("the sizes are those of x86_64");
    }
    let readme = readme();
    for file in ["lib/libactionproxy.so.1", "lib/libactionproxy.a"] {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{file}`")));
        let row = row.unwrap_or_else(|| panic!("{file} has no row"));
        let told: f64 = row
            .split('|')
            .nth(2)
            .expect("a column")
            .trim()
            .replace(',', "")
            .parse()
            .expect("a number");
        let path = Path::new("usr").join(file);
        let found = installed().destdir.join(path).metadata().expect(file).len() as f64;
        assert!(
            (found / told - 1.0).abs() < 0.05,
            "{file}: {found}, and README.md says {told}"
        );
    }
}
