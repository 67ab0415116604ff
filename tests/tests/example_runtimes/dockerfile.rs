//! What the Dockerfile of a runtime says, for a proxy of this machine.

use std::fs;
use std::path::{Path, PathBuf};

/// Of each runtime.
const ALL: [&str; 4] = ["c", "go", "python", "swift"];

/// The directory that a person copies.
pub(crate) fn directory(runtime: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtimes");
    fs::canonicalize(all.join(runtime)).expect("the runtime")
}

fn text(runtime: &str) -> String {
    fs::read_to_string(directory(runtime).join("Dockerfile")).expect("a Dockerfile")
}

/// The instructions, each as one line.
fn instructions(runtime: &str) -> Vec<String> {
    let text = text(runtime).replace("\\\n", "");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The variables of `ENV`. `/runtime` in them is the runtime's directory here; where actions are put
/// is for the test to say.
pub(crate) fn variables(runtime: &str) -> Vec<(String, String)> {
    let here = directory(runtime);
    let here = here.to_str().expect("a path in UTF-8");
    let lines = instructions(runtime);
    let pairs = lines.iter().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = pairs.flat_map(str::split_whitespace);
    let pairs = pairs.map(|pair| pair.split_once('=').expect("NAME=VALUE"));
    pairs
        .filter(|(name, _)| *name != "ACTION_DIR")
        .map(|(name, value)| (name.to_owned(), value.replace("/runtime", here)))
        .collect()
}

#[test]
fn each_directory_of_the_runtimes_is_tested() {
    let all = directory("c");
    let entries = fs::read_dir(all.parent().expect("a directory")).expect("the runtimes");
    let entries = entries.map(|entry| entry.expect("an entry"));
    let entries = entries.filter(|entry| entry.path().is_dir());
    let mut found: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    found.sort();
    assert_eq!(found, ALL);
}

#[test]
fn what_a_dockerfile_copies_is_there_and_what_it_names_is_copied() {
    for runtime in ALL {
        let mut copied = Vec::new();
        for line in instructions(runtime) {
            let files = line.strip_prefix("COPY ");
            let files = files.and_then(|files| files.strip_suffix(" /runtime/"));
            // Another stage's files are those that it copied.
            let files = files.filter(|files| !files.starts_with("--from="));
            copied.extend(
                files
                    .into_iter()
                    .flat_map(|files| files.split(' ').map(str::to_owned)),
            );
        }
        for file in &copied {
            assert!(directory(runtime).join(file).is_file(), "{runtime}: {file}");
        }
        let variables = variables(runtime);
        let here = directory(runtime);
        let named = variables
            .iter()
            .filter_map(|(_, value)| Path::new(value).strip_prefix(&here).ok());
        let named: Vec<_> = named.collect();
        assert!(!named.is_empty(), "{runtime}");
        for file in named {
            let file = file.to_str().expect("UTF-8");
            assert!(copied.iter().any(|name| name == file), "{runtime}: {file}");
        }
    }
}

#[test]
fn the_bake_file_builds_each_that_stands_on_debian() {
    let bake = directory("c").join("../../docker-bake.hcl");
    let bake = fs::read_to_string(bake).expect("the bake file");
    let base = "FROM debian:trixie-slim";
    let on_debian = |runtime: &&str| {
        instructions(runtime)
            .iter()
            .any(|line| line.starts_with(base))
    };
    let list: Vec<_> = ALL.iter().filter(|runtime| on_debian(runtime)).collect();
    assert!(list.len() == 3, "{list:?}");
    assert!(bake.contains(&format!("language = {list:?}")), "{list:?}");
}
