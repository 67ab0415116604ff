//! The version, the changelog and what is packed fit together.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use actionproxy_tests::binary;
use actionproxy_tests::files::{repository, shell};

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_newest_heading_of_the_changelog_is_the_version() {
    let changelog = read("CHANGELOG.md");
    let heading = changelog.lines().find_map(|line| line.strip_prefix("## "));
    let version = heading.and_then(|heading| heading.split([',', ' ']).next());
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_crate_has_the_version_of_the_workspace() {
    let workspace = read("Cargo.toml");
    let own = workspace
        .lines()
        .filter(|line| line.contains("{ path = \"") && line.contains("version = \""));
    let mut seen = 0;
    for line in own {
        let expected = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(line.contains(&expected), "{line}");
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} crates of our own were found");
}

/// What a command of this repository prints, a word each.
fn printed(command: &str) -> Vec<String> {
    let text = shell(&repository(), command, &[]);
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_release_holds_everything_for_every_architecture() {
    let version = env!("CARGO_PKG_VERSION");
    let list = ". scripts/architectures.sh; ";
    let all = printed(&format!("{list}architectures"));
    assert!(all.len() >= 8, "{all:?}");
    let host = printed(&format!("{list}host_architecture"));
    let mut expected: BTreeSet<String> = [
        format!("actionproxy-c-{version}-linux-{}.tar.gz", host[0]),
        "proxy.oci.tar".to_owned(),
        "skeleton.oci.tar".to_owned(),
        "example-c.oci.tar".to_owned(),
    ]
    .into();
    for name in ["core", "platforms", "server", "mqtt", "capi"] {
        expected.insert(format!("actionproxy-{name}-{version}.crate"));
    }
    for program in ["actionproxy", "actionproxy-mqtt"] {
        for arch in &all {
            expected.insert(format!("{program}-{version}-linux-{arch}.tar.gz"));
        }
        for port in [
            "amd64", "arm64", "armhf", "s390x", "ppc64el", "riscv64", "i386", "loong64",
        ] {
            expected.insert(format!("{program}_{version}_{port}.deb"));
        }
    }
    let held = printed("scripts/release --list");
    let files: BTreeSet<_> = held.iter().cloned().collect();
    assert_eq!(files.len(), held.len(), "a name stands twice: {held:?}");
    assert_eq!(files, expected);
}

/// The names of units in `deploy/`, without their ending.
fn units() -> BTreeSet<String> {
    let folders = fs::read_dir(repository().join("deploy")).expect("the directory");
    let folders = folders.map(|entry| entry.expect("an entry").path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|path| fs::read_dir(path).expect("a directory"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "service"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect()
}

#[test]
fn every_program_that_has_a_unit_can_be_packed() {
    let script = read("scripts/debian");
    let units = units();
    assert!(units.contains("actionproxy"), "{units:?}");
    for program in units {
        assert!(
            script.contains(&format!("        {program}) echo \"")),
            "scripts/debian has no description of {program}"
        );
        let page = read(format!("deploy/debian/{program}.1"));
        assert!(
            page.contains(&format!(".I /var/lib/{program}\n")),
            "{program}"
        );
        assert!(page.contains(&format!("/{program}.service\n")), "{program}");
    }
}

#[test]
fn the_manual_page_of_the_invoker_has_what_it_needs() {
    let page = read("deploy/debian/actionproxy-mqtt.1");
    let usage = read("invokers/mqtt/src/options/table.rs");
    let usage = usage
        .lines()
        .find_map(|line| line.trim().strip_prefix("usage: \""));
    let flags: Vec<_> = usage
        .expect("a usage")
        .split(' ')
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(flags.len() >= 3, "{flags:?}");
    for flag in flags {
        let written = format!(".B {}\n", flag.replace('-', "\\-"));
        assert!(page.contains(&written), "{flag}");
    }
    // The topics are those of its README, which are tested with a broker.
    let readme = read("invokers/mqtt/README.md");
    let topics = readme.lines().filter(|line| line.starts_with("| `PREFIX/"));
    let mut seen = 0;
    for line in topics {
        let topic = line.split('`').nth(1).expect("a topic");
        let written = topic
            .replace("PREFIX/", "PREFIX /")
            .replace("/NAME/", "/ NAME /");
        let written = written.replace("/ID/", "/ ID /");
        assert!(page.contains(&format!(".IR {written}\n")), "{topic}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen} topics");
}

#[test]
fn the_manual_page_has_every_command_of_the_help() {
    let help = binary::command().arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let usage = help.lines().skip_while(|l| !l.starts_with("usage: "));
    let usage = usage.take_while(|line| !line.is_empty());
    let page = read("deploy/debian/actionproxy.1");
    let mut seen = 0;
    let commands = usage.filter_map(|line| line.split_once("[FLAGS] ")?.1.split(' ').next());
    // Behind the flags alone there is no command.
    for command in commands.filter(|command| !command.is_empty()) {
        assert!(page.contains(&format!(".B {command}\n")), "{command}");
        seen += 1;
    }
    assert!(seen >= 3, "{help}");
}

/// The directory is made anew.
#[test]
fn a_release_removes_nothing_but_an_earlier_one() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("mine"), "").expect("our own directory");
    let theirs = dir.path().to_str().expect("UTF-8");
    for (argument, why) in [
        (theirs, "is no earlier release"),
        ("core", "is no earlier release"),
        ("crates", "expected a directory"),
        ("--help", "expected a directory"),
    ] {
        let output = Command::new("scripts/release")
            .arg(argument)
            .current_dir(repository())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
    assert!(dir.path().join("mine").exists());
}

#[test]
fn what_an_image_tells_of_its_sources_holds_no_token() {
    let plain = "https://example.org/me/actionproxy";
    for (cloned, told) in [
        ("https://example.org/me/actionproxy.git", plain),
        ("https://ci:s3cret@example.org/me/actionproxy.git", plain),
        ("https://t0ken@example.org/me/actionproxy", plain),
        ("git@example.org:me/actionproxy.git", plain),
        ("/srv/git/actionproxy.git", ""),
        ("ssh://me@example.org/actionproxy", ""),
    ] {
        let address = format!(". scripts/bases.sh; echo '{cloned}' | source_address");
        assert_eq!(printed(&address).join("\n"), told, "{cloned}");
    }
}
