//! The header is what its source makes. To write it anew after a change:
//! `ACTIONPROXY_WRITE_HEADER=1 cargo test -p actionproxy-capi --test header`.

use std::fs;
use std::path::{Path, PathBuf};

/// In the order of the header.
const SOURCES: &[&str] = &[
    "version",
    "last_error",
    "logs",
    "config",
    "limits",
    "resident",
    "confinement",
    "hooks",
    "call",
    "action",
    "result",
];

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn made() -> String {
    let config =
        cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).expect("the settings");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(crate_dir().join("src").join(source).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder
        .generate()
        .expect("the source is understood")
        .write(&mut header);
    String::from_utf8(header).expect("text")
}

fn path() -> PathBuf {
    crate_dir().join("include/actionproxy.h")
}

#[test]
fn it_is_what_the_source_makes() {
    let made = made();
    if std::env::var_os("ACTIONPROXY_WRITE_HEADER").is_some() {
        fs::write(path(), &made).expect("include/actionproxy.h can be written");
    }
    let stands = fs::read_to_string(path()).unwrap_or_default();
    let differs = made
        .lines()
        .zip(stands.lines())
        .position(|(made, stands)| made != stands);
    assert!(
        made == stands,
        "include/actionproxy.h is not what src makes, from line {:?} on: \
         ACTIONPROXY_WRITE_HEADER=1 cargo test -p actionproxy-capi --test header",
        differs.map(|line| line + 1)
    );
}

/// A function that is not in the header would be one that nobody can call, or call by accident.
#[test]
fn it_has_every_function_of_the_source() {
    let header = made();
    for entry in fs::read_dir(crate_dir().join("src"))
        .expect("src")
        .flatten()
    {
        let source = fs::read_to_string(entry.path()).expect("a source");
        for line in source
            .lines()
            .filter(|line| line.contains("extern \"C\" fn actionproxy_"))
        {
            let (_, rest) = line.split_once("fn ").expect("a function");
            let (name, _) = rest.split_once('(').expect("a function");
            assert!(
                header.contains(&format!("{name}(")),
                "{name} of {:?}",
                entry.path()
            );
        }
    }
}

#[test]
fn each_function_says_what_threads_may_call_it() {
    let header = made();
    let mut functions = 0;
    for part in header.split("/**\n").skip(1) {
        let (words, declared) = part.split_once(" */\n").expect("the end of a comment");
        if declared.contains(");\n") && !declared.starts_with("typedef") {
            assert!(words.contains(" * Threads: "), "{part}");
            functions += 1;
        }
    }
    assert!(functions > 40, "only {functions} were found");
}

/// The number that programs are linked with, in each place that has it.
#[test]
fn the_number_of_the_abi_is_the_same_everywhere() {
    let read = |file: &str| fs::read_to_string(crate_dir().join(file)).expect(file);
    let header = read("include/actionproxy.h");
    let (_, rest) = header
        .split_once("#define ACTIONPROXY_ABI_VERSION ")
        .expect("the number");
    let number = rest.lines().next().expect("a line");
    assert!(read("build.rs").contains(&format!("libactionproxy.so.{number}\"")));
    assert!(read("install").contains(&format!("\nABI={number}\n")));
    assert!(read("Cargo.toml").contains(&format!("\nversion = \"{number}.0.0\"\n")));
    assert!(header.contains(&format!("`libactionproxy.so.{number}`")));
}
