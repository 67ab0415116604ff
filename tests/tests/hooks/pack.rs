//! Init messages as `pack` writes them are what a proxy takes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use actionproxy_core::Digest;
use actionproxy_tests::Proxy;
use actionproxy_tests::proxy::write_executable;
use base64::Engine as _;
use serde_json::{Value, json};

use crate::{actionproxy, assert_refused, path, text};

fn packed(arguments: &[&str]) -> Value {
    let output = actionproxy(&[&["pack"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let message = text(&output.stdout);
    assert!(message.ends_with("}}\n") && message.lines().count() == 1);
    serde_json::from_str(message).expect("JSON")
}

/// Initialises a proxy with a message; the result of its first run.
fn answer_to(message: &Value) -> String {
    let proxy = Proxy::start();
    let answer = proxy.post("/init", message.to_string());
    assert_eq!(answer.text(), "OK", "{}", proxy.stderr());
    proxy.result(json!({}))
}

#[test]
fn a_script_is_text_and_a_program_is_binary_with_the_checksum_of_each() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let script = dir.path().join("script");
    let code = "#!/bin/sh\n# \u{fc} \" \\ \u{1}\necho \"{\\\"a\\\":\\\"$A\\\"}\"\n";
    fs::write(&script, code).expect("our directory");
    let message = packed(&[
        path(&script),
        "--main=m\"ain",
        "--name",
        "n",
        "--env",
        "A=x=y",
        "--env",
        "B=",
    ]);
    let sha256 = Digest::of(code.as_bytes()).to_string();
    assert_eq!(
        message,
        json!({"value": {
            "name": "n", "main": "m\"ain", "binary": false, "code": code, "sha256": sha256,
            "env": {"A": "x=y", "B": ""},
        }})
    );
    assert_eq!(answer_to(&message), r#"{"a":"x=y"}"#);

    let source = dir.path().join("a.c");
    fs::write(
        &source,
        "#include <stdio.h>\nint main() { puts(\"{}\"); return 0; }\n",
    )
    .expect("ours");
    let program = dir.path().join("a.out");
    let built = std::process::Command::new("cc")
        .args([path(&source), "-o", path(&program)])
        .status();
    assert!(built.expect("a C compiler").success());
    let message = packed(&[path(&program)]);
    let bytes = fs::read(&program).expect("our own");
    let code = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let sha256 = Digest::of(&bytes).to_string();
    assert_eq!(
        message,
        json!({"value": {"binary": true, "code": code, "sha256": sha256}})
    );
    assert_eq!(answer_to(&message), "{}");
}

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("lib/empty")).expect("our directory");
    fs::write(dir.join("lib/data"), "7").expect("our directory");
    fs::set_permissions(dir.join("lib/data"), fs::Permissions::from_mode(0o640)).expect("ours");
    symlink("lib/data", dir.join("link")).expect("our directory");
    let script = "#!/bin/sh\necho \"[\\\"$(stat -c %a lib/data exec)\\\",\\\"$(readlink link)\\\",\\\"$(ls lib)\\\"]\" | tr '\\n' ' '\n";
    write_executable(&dir.join("exec"), script.as_bytes());
}

#[test]
fn directories_and_several_files_are_a_zip_with_modes_and_symlinks() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tree(dir.path());
    let all = "[\"640 755\",\"lib/data\",\"data empty\"]";
    assert_eq!(answer_to(&packed(&[path(dir.path())])), all);
    let names = ["exec", "lib", "link"].map(|name| dir.path().join(name));
    let files: Vec<_> = names.iter().map(|name| path(name)).collect();
    assert_eq!(answer_to(&packed(&files)), all);
    // The other way round, and an archive that was made already.
    let again = packed(&files[..1]);
    assert_eq!(again["value"]["binary"], json!(false));
    let zip = dir.path().join("a.zip");
    let message = packed(&[path(dir.path())]);
    let code = message["value"]["code"].as_str().expect("text");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(code)
        .expect("base64");
    fs::write(&zip, bytes).expect("our directory");
    assert_eq!(
        packed(&[path(&zip)])["value"]["code"],
        message["value"]["code"]
    );
}

#[test]
fn what_a_proxy_would_refuse_is_not_packed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().expect("it has one")).expect("ours");
        fs::write(&file, bytes).expect("our directory");
        file
    };
    let latin = write("latin", b"# caf\xe9");
    let encoded = write(
        "encoded",
        b"UEsDBBQAAAAIAAAAIQB2LqQGOQkAADE/AABAAAAANzI2MzhiMmRh",
    );
    let (one, two) = (write("one/exec", b"1"), write("two/exec", b"2"));
    // Of text files: it is text itself, but for the NULs.
    let tar = dir.path().join("a.tar");
    let made = std::process::Command::new("tar")
        .args(["-cf", path(&tar), "-C", path(dir.path()), "one"])
        .status();
    assert!(made.expect("tar runs").success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("two/socket"));
    for (files, said) in [
        (&[][..], "pack needs a FILE"),
        (&["/no/such/file"], "pack: /no/such/file: No such file"),
        (
            &["/no/such/file", path(&one)],
            "pack: /no/such/file: No such file",
        ),
        (
            &[path(&latin)],
            "expected a zip, a tar.gz, an ELF executable or a `#!` script",
        ),
        (&[path(&encoded)], "base64"),
        (&[path(&tar)], "compress it with gzip (`tar -czf`)"),
        (
            &[path(&one), path(&two)],
            "there are two files called \"exec\"",
        ),
        (
            &[path(&dir.path().join("two"))],
            "socket: expected a file, a directory or a symlink",
        ),
    ] {
        assert_refused(&actionproxy(&[&["pack"], files].concat()), said);
    }
    // ActionLoop compiles what has no known form.
    let message = packed(&["--action-loop", path(&latin)]);
    assert_eq!(message["value"]["code"], json!("IyBjYWbp"));
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = crate::command(&["pack", path(&one)])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the proxy runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("failed to write the message: "),
        "{output:?}"
    );
}

#[test]
fn a_message_over_max_body_is_not_packed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| {
        let file = dir.path().join(name);
        fs::write(&file, [b"\x7fELF", [0; 8000].as_slice()].concat()).expect("our directory");
        file
    };
    let (exec, data) = (file("exec"), file("data"));
    for (files, limit) in [
        // Base64 makes a third more of it.
        (&[path(&exec)][..], "8100"),
        (&[path(dir.path())], "100"),
        (&[path(&exec), path(&data)], "100"),
    ] {
        let arguments = [&["--max-body", limit, "pack"], files].concat();
        assert_refused(&actionproxy(&arguments), "(--max-body)");
    }
}
