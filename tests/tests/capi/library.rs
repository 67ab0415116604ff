//! What is installed: names, versions, symbols, and the header for C and C++.

use std::fs;
use std::process::Command;

use super::{installed, root, succeeded, tools_are_here};

#[test]
fn the_files_are_where_they_are_looked_for() {
    if !tools_are_here() {
        return;
    }
    let installed = installed();
    let names: Vec<_> = installed
        .list
        .lines()
        .map(|line| line.split(' ').next())
        .collect();
    let expected = [
        "/usr/include/actionproxy.h",
        "/usr/lib/libactionproxy.a",
        "/usr/lib/libactionproxy.so.1",
        "/usr/lib/pkgconfig/actionproxy.pc",
    ];
    assert_eq!(names, expected.map(Some));
    for line in installed.list.lines() {
        let (name, size) = line.split_once(' ').expect("a size");
        let path = installed.destdir.join(&name[1..]);
        assert_eq!(
            path.metadata().expect(name).len().to_string(),
            size,
            "{name}"
        );
    }
    let link = fs::read_link(installed.libdir().join("libactionproxy.so")).expect("a link");
    assert_eq!(link.to_str(), Some("libactionproxy.so.1"));
    assert_eq!(
        installed.pkg_config(&["--modversion"]),
        [env!("CARGO_PKG_VERSION")]
    );
    assert_eq!(
        fs::read(root().join("invokers/capi/include/actionproxy.h")).expect("the header"),
        fs::read(installed.include().join("actionproxy.h")).expect("the header")
    );
}

#[test]
fn what_is_unpacked_elsewhere_is_found_by_pkg_config() {
    if !tools_are_here() {
        return;
    }
    let installed = installed();
    let words = succeeded(
        Command::new("pkg-config")
            .args(["--define-prefix", "--cflags", "--libs", "actionproxy"])
            .env("PKG_CONFIG_PATH", installed.libdir().join("pkgconfig")),
    );
    for option in [
        format!("-I{}", installed.include().display()),
        format!("-L{}", installed.libdir().display()),
    ] {
        assert!(
            words.split_whitespace().any(|word| word == option),
            "{option}: {words}"
        );
    }
}

#[test]
fn an_unknown_argument_of_the_script_is_refused() {
    let output = Command::new("invokers/capi/install")
        .arg("--prefer")
        .current_dir(root())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("unknown argument `--prefer`"), "{said}");
}

#[test]
fn the_shared_library_says_its_name_and_gives_nothing_but_its_functions() {
    if !tools_are_here() {
        return;
    }
    let shared = installed().shared();
    let dynamic = succeeded(Command::new("readelf").arg("--dynamic").arg(&shared));
    assert!(
        dynamic.contains("Library soname: [libactionproxy.so.1]"),
        "{dynamic}"
    );
    let symbols = succeeded(
        Command::new("nm")
            .args(["--dynamic", "--defined-only"])
            .arg(&shared),
    );
    let names: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    let strange: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("actionproxy_"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let header =
        fs::read_to_string(installed().include().join("actionproxy.h")).expect("the header");
    for name in &names {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in the header"
        );
    }
    assert!(names.len() > 40, "{names:?}");
}

#[test]
fn cpp_takes_the_header_and_so_does_strict_c() {
    if !tools_are_here() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = "#include <actionproxy.h>\n\
                   int main() { return actionproxy_abi_version() == ACTIONPROXY_ABI_VERSION ? 0 : 1; }\n";
    for (compiler, name, standard) in [
        ("g++", "a.cc", "-std=c++11"),
        ("g++", "a.cc", "-std=c++20"),
        ("gcc", "a.c", "-std=c99"),
        ("gcc", "a.c", "-std=c17"),
    ] {
        let (source, built) = (dir.path().join(name), dir.path().join("a"));
        fs::write(
            &source,
            program.replace(
                "main()",
                if name == "a.c" {
                    "main(void)"
                } else {
                    "main()"
                },
            ),
        )
        .expect("the source");
        succeeded(
            Command::new(compiler)
                .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
                .arg(&source)
                .args(installed().pkg_config(&["--cflags", "--libs"]))
                .arg("-o")
                .arg(&built),
        );
        succeeded(Command::new(&built).env("LD_LIBRARY_PATH", installed().libdir()));
    }
}
