//! Files as the code of an init: what a proxy would be sent for them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use actionproxy_core::init::decode::{self, Form};
use actionproxy_core::limits::explained;
use actionproxy_core::{Code, InitRequest};

use crate::archive;

/// What is said of an action beside its code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    pub name: Option<String>,
    pub main: Option<String>,
    pub env: Vec<(String, String)>,
}

impl Naming {
    /// An init of that name.
    pub(crate) fn request(self, code: Code) -> InitRequest {
        InitRequest {
            name: self.name,
            main: self.main,
            env: self.env.into_iter().collect(),
            code: Some(code),
            ..InitRequest::default()
        }
    }
}

/// The code that `files` are: one file as it is, a directory as a zip of what is in it, several as a
/// zip that holds each under its own name. `-` is stdin.
///
/// # Errors
/// One line that names what cannot be read, or is over `max_bytes`.
pub(crate) fn code(files: &[PathBuf], max_bytes: u64) -> Result<Code, String> {
    let archive = match files {
        [file] if file.is_dir() => archive::of_dir(file)?,
        [file] => return read(file, max_bytes).map(form),
        files => archive::of_files(files)?,
    };
    match archive.len() as u64 > max_bytes {
        true => Err(format!(
            "{}: the archive has {} bytes, over the limit of {max_bytes} (--max-body)",
            files[0].display(),
            archive.len()
        )),
        false => Ok(Code::Bytes(archive)),
    }
}

/// Text is sent as text, and so is a script; everything else in base64, archives that are none of the
/// forms too, so that what refuses them says how to make one of those.
fn form(bytes: Vec<u8>) -> Code {
    match Form::detect(&bytes) {
        Some(Form::Zip | Form::TarGz | Form::Elf) => Code::Bytes(bytes),
        Some(Form::Script) | None => match std::str::from_utf8(&bytes) {
            Ok(text) if !is_archive(text) => Code::Text(bytes),
            _ => Code::Bytes(bytes),
        },
    }
}

/// An archive of text files is UTF-8 itself, but for what no text holds.
fn is_archive(text: &str) -> bool {
    text.contains('\0') && decode::name(text.as_bytes()).is_some()
}

fn read(file: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut from: Box<dyn Read> = match file.as_os_str() == OsStr::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(|e| format!("{}: {e}", file.display()))?),
    };
    from.by_ref()
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{}: {}", file.display(), explained(&e)))?;
    match bytes.len() as u64 > max_bytes {
        true => Err(format!(
            "{}: it is over the limit of {max_bytes} bytes (--max-body)",
            file.display()
        )),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_the_rest_is_binary() {
        for (bytes, is_text) in [
            (&b"#!/bin/sh\necho\n"[..], true),
            (b"def main(args):\n", true),
            (b"", true),
            (b"\x7fELF\x02", false),
            (b"PK\x03\x04", false),
            (b"\x1f\x8b\x08", false),
            (b"# caf\xe9 in Latin-1", false),
        ] {
            let code = form(bytes.to_vec());
            assert_eq!(matches!(code, Code::Text(_)), is_text, "{bytes:?}");
        }
    }
}
