//! What the invoker's README says is so: its commands run and print what it shows, its table is the
//! help's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use actionproxy_tests::mosquitto::{Broker, Invoker};
use actionproxy_tests::{binary, tools};

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../invokers/mqtt/README.md");
    fs::read_to_string(path).expect("the README")
}

/// Its commands, each with the output that stands behind it in comments.
fn steps(text: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("\n```").next().expect("an end");
        let mut told = true;
        for line in block.lines() {
            match line.strip_prefix("# ") {
                Some(output) => {
                    let (_, outputs) = steps.last_mut().expect("a command comes first");
                    outputs.push_str(output);
                    outputs.push('\n');
                    told = true;
                }
                None if told => {
                    steps.push((line.to_owned(), String::new()));
                    told = false;
                }
                None => {
                    let (commands, _) = steps.last_mut().expect("a command");
                    commands.push('\n');
                    commands.push_str(line);
                }
            }
        }
    }
    steps
}

#[test]
fn the_commands_do_what_the_readme_shows() {
    if !tools::are_here(&["mosquitto_rr"]) {
        return;
    }
    let Some(broker) = Broker::start() else {
        return;
    };
    let text = readme();
    // The block that starts broker and invoker is done here, with a port and a directory of our own.
    assert!(text.contains("--broker mqtt://localhost --prefix device --action-dir"));
    let invoker = Invoker::start(&broker, &[]);
    let dir: PathBuf = tempfile::tempdir().expect("a directory").keep();
    let steps = steps(&text);
    for (commands, expected) in &steps {
        let commands = commands.replace(
            "-h localhost",
            &format!("-h localhost -p {}", broker.port()),
        );
        let output = Command::new("bash")
            .args(["-ec", &commands])
            .current_dir(&dir)
            .output()
            .expect("bash");
        assert!(output.status.success(), "{commands}: {output:?}");
        let shown = String::from_utf8(output.stdout).expect("text");
        assert_eq!(shown.trim_end(), expected.trim_end(), "{commands}");
    }
    assert!(steps.len() >= 6, "only {} ran", steps.len());
    fs::remove_dir_all(dir).expect("removed");
    invoker.stop();
}

#[test]
fn the_table_of_flags_is_what_help_says() {
    let help = Command::new(binary::mqtt())
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let text = readme();
    let mut lines = help.lines().skip_while(|line| !line.starts_with("  --"));
    let mut rows = 0;
    while let (Some(setting), Some(what)) = (lines.next(), lines.next()) {
        let Some((names, default)) = setting.split_once("] (default: ") else {
            break;
        };
        let (flag, variables) = names.split_once('[').expect("variables in brackets");
        let flag = match flag.trim() {
            "" => String::new(),
            flag => format!("`{flag}`"),
        };
        let row = format!(
            "| {flag} | `{variables}` | {} | {} |",
            default.trim_end_matches(')'),
            what.trim()
        );
        assert!(text.contains(&row), "{row}");
        rows += 1;
    }
    assert!(rows > 30, "only {rows} rows");
    let table = text
        .lines()
        .filter(|line| line.starts_with("| `--") || line.starts_with("|  | `"));
    assert_eq!(table.count(), rows);
}
