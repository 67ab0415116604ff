//! What the invoker's README says is so: its commands run and print what it shows, its table is the
//! help's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use actionproxy_tests::mosquitto::{Broker, Invoker};
use actionproxy_tests::readme::{blocks, settings, settings_of_help, steps};
use actionproxy_tests::{binary, tools};

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../invokers/mqtt/README.md");
    fs::read_to_string(path).expect("the README")
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
    assert!(text.contains("--prefix loops --action-dir /tmp/loops --action-loop"));
    let invoker = Invoker::start(&broker, &[]);
    let looping = Invoker::start(&broker, &["--prefix", "loops", "--action-loop"]);
    let dir: PathBuf = tempfile::tempdir().expect("a directory").keep();
    let blocks = blocks(&text, "sh");
    let steps: Vec<_> = blocks.iter().flat_map(|block| steps(block)).collect();
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
    looping.stop();
}

#[test]
fn the_table_of_flags_is_what_help_says() {
    let help = Command::new(binary::mqtt())
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let rows = settings_of_help(&help);
    assert!(rows.len() > 30, "{rows:?}");
    assert_eq!(settings(&readme()), rows);
}
