//! What people send by mistake: refused with a line that says what it is and how to send it, or
//! taken where it can mean one thing only.

mod base64;
mod forms;
mod layout;
#[path = "../makers/mod.rs"]
mod makers;

use std::fs;
use std::process::Command;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use actionproxy_core::init::decode::{Form, decode};
use actionproxy_core::{
    Action, Code, Config, InitError, InitRequest, Logs, NativeRunner, Stub, UnpackLimits,
};
use makers::zip::Entry;
use makers::{Place, tar, zip};

const SCRIPT: &[u8] = b"#!/bin/sh\necho '{\"a\": \"???>>>\"}'\n";

/// Why `code` is refused, without what every such line begins with.
fn refused(code: Code) -> String {
    let line = match decode(code) {
        Ok(payload) => panic!("it was taken: {payload:?}"),
        Err(e) => e.to_string(),
    };
    assert!(!line.contains('\n'), "{line:?}");
    line.strip_prefix("failed to decode `code`: ")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

fn refused_text(text: impl AsRef<[u8]>) -> String {
    refused(Code::Text(text.as_ref().to_vec()))
}

fn refused_binary(text: impl AsRef<[u8]>) -> String {
    refused(Code::Base64(text.as_ref().to_vec()))
}

/// Why the base64 of `bytes` is refused.
fn refused_bytes(bytes: &[u8]) -> String {
    refused_binary(STANDARD.encode(bytes))
        .strip_prefix("expected a zip, a tar.gz, an ELF executable or a `#!` script, found ")
        .expect("a foreign form")
        .to_owned()
}

fn decoded(text: &str) -> Vec<u8> {
    decode(Code::Base64(text.as_bytes().to_vec()))
        .unwrap_or_else(|e| panic!("{e}"))
        .bytes()
        .to_vec()
}

/// A zip and a tar.gz of the script as `exec`, an ELF file, and the script, each with its name.
fn forms() -> [(Vec<u8>, &'static str); 4] {
    let mut elf = fs::read("/proc/self/exe").unwrap();
    elf.truncate(5000);
    [
        (
            zip::of(&[Entry::deflated("exec", 0o100755, SCRIPT)]),
            "a zip archive",
        ),
        (tar::of(&[tar::file("exec", 0o755, SCRIPT)]), "a gzip file"),
        (elf, "an ELF executable"),
        (SCRIPT.to_vec(), "a `#!` script"),
    ]
}
