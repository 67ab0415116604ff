//! `scripts/architectures.sh` is the one list of architectures: what else names them follows from it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use actionproxy_tests::files::repository;

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a line of shell prints that has read the list.
fn shell(line: &str) -> Vec<String> {
    let output = Command::new("sh")
        .args(["-euc", &format!(". scripts/architectures.sh; {line}")])
        .current_dir(repository())
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{line}: {output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(str::to_owned).collect()
}

/// `function` of each architecture of the list; with `kinds`, of those with that word under `images`.
fn of_each(function: &str, kinds: &str) -> Vec<String> {
    let all = shell(&format!(
        "for arch in $(architectures {kinds}); do {function} \"$arch\"; done"
    ));
    assert!(!all.is_empty(), "{function} {kinds}");
    all
}

/// The strings in quotes between `start` and the next `]`.
fn quoted_list(text: &str, start: &str) -> Vec<String> {
    let (_, rest) = text.split_once(start).expect(start);
    let (list, _) = rest.split_once(']').expect("the end of a list");
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The first column of the table below the header that begins with `header`.
fn first_column(text: &str, header: &str) -> Vec<String> {
    let rows = text.lines().skip_while(|line| !line.starts_with(header));
    rows.skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.split('|').nth(1).unwrap_or_default().trim().to_owned())
        .collect()
}

#[test]
fn the_bake_file_builds_for_each() {
    let bake = read("docker-bake.hcl");
    let platforms = |target: &str| {
        let (_, rest) = bake
            .split_once(&format!("target \"{target}\" {{"))
            .expect(target);
        quoted_list(rest, "platforms = [")
    };
    assert_eq!(platforms("everywhere"), of_each("docker_platform", ""));
    assert_eq!(platforms("debian"), of_each("docker_platform", "all"));
}

#[test]
fn the_bake_file_and_the_dockerfile_start_from_the_same_and_have_the_version_of_the_workspace() {
    let bake = read("docker-bake.hcl");
    let dockerfile = read("Dockerfile.multiarch");
    for name in ["RUST_IMAGE", "DEBIAN_IMAGE"] {
        let (_, rest) = bake
            .split_once(&format!("variable \"{name}\" {{ default = \""))
            .expect(name);
        let (image, _) = rest.split_once('"').expect("the end of a string");
        assert!(
            dockerfile.contains(&format!("ARG {name}={image}\n")),
            "{image}"
        );
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(bake.contains(&format!(
        "variable \"VERSION\" {{ default = \"{version}\" }}"
    )));
    assert_eq!(
        dockerfile.matches("ARG VERSION=").count(),
        dockerfile
            .matches(&format!("ARG VERSION={version} "))
            .count()
    );
}

#[test]
fn cross_builds_for_each() {
    let cross = read("Cross.toml");
    let targets: Vec<_> = cross
        .lines()
        .filter_map(|line| line.strip_prefix("[target.")?.strip_suffix(".env]"))
        .collect();
    assert_eq!(targets, of_each("rust_target", ""));
}

#[test]
fn the_readme_has_a_row_for_each_and_names_each_platform() {
    let readme = read("README.md");
    assert_eq!(
        first_column(&readme, "| architecture | binary"),
        of_each("echo", "")
    );
    let of_invoker = read("invokers/mqtt/README.md");
    assert_eq!(
        first_column(&of_invoker, "| architecture | binary"),
        of_each("echo", "")
    );
    let (_, images) = readme
        .split_once("\n## Images\n")
        .expect("a section on images");
    let (images, _) = images.split_once("\n## ").expect("another section");
    let named: BTreeSet<_> = images
        .split('`')
        .filter(|word| word.starts_with("linux/"))
        .map(str::to_owned)
        .collect();
    let platforms: BTreeSet<_> = of_each("docker_platform", "").into_iter().collect();
    assert_eq!(named, platforms);
}

#[test]
fn ci_tests_only_what_is_in_the_list() {
    let ci = read(".ci/architectures");
    let all = of_each("echo", "");
    for (list, least) in [
        ("IMAGES", 2),
        ("EMULATED", 2),
        ("RUNTIMES", 1),
        ("PACKAGES", 1),
        ("INVOKERS", 2),
    ] {
        let (_, rest) = ci.split_once(&format!("\n{list}=\"")).expect(list);
        let (names, _) = rest.split_once('"').expect("the end of a string");
        assert!(names.split(' ').count() >= least, "{names}");
        for name in names.split(' ') {
            assert!(all.iter().any(|arch| arch == name), "{name}");
        }
    }
}

#[test]
fn names_of_platforms_lead_back() {
    assert_eq!(
        shell(
            "for arch in $(architectures); do platform_architecture \"$(docker_platform $arch)\"; done"
        ),
        of_each("echo", "")
    );
    assert_eq!(shell("platform_architecture linux/arm64/v8"), ["arm64"]);
}

#[test]
fn an_unknown_architecture_is_named_with_what_was_expected() {
    let output = Command::new("sh")
        .args(["-c", ". scripts/architectures.sh; rust_target sparc"])
        .current_dir(repository())
        .output()
        .expect("sh runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("unknown architecture `sparc`: expected one of amd64 arm64"),
        "{said}"
    );
}
