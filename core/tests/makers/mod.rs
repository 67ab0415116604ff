//! Makes archives byte by byte, so that they can be wrong in exactly one way, and looks at what
//! unpacking them left on disk.
// Shared by several test binaries, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

pub mod tar;
pub mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use actionproxy_core::init::decode::{Form, Payload};
use actionproxy_core::init::install::Stage;
use actionproxy_core::init::unpack::unpack;
use actionproxy_core::{Durability, InitError, UnpackLimits};

/// An action directory with an action in it, inside a directory that nothing may touch.
pub struct Place {
    outer: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let outer = tempfile::tempdir().unwrap();
        let action = outer.path().join("action");
        fs::create_dir(&action).unwrap();
        fs::write(action.join("exec"), "old").unwrap();
        fs::write(outer.path().join("outside"), "untouched").unwrap();
        Place { outer }
    }

    pub fn action(&self) -> std::path::PathBuf {
        self.outer.path().join("action")
    }

    /// Stages, unpacks and commits, as an init does.
    pub fn install(
        &self,
        form: Form,
        bytes: &[u8],
        limits: &UnpackLimits,
    ) -> Result<(), InitError> {
        install(&self.action(), form, bytes, limits)
    }

    /// What is there: the action, the file beside it, and nothing else.
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        snapshot(self.outer.path())
    }

    /// Installs what has to be refused, and checks that the tree is as it was.
    pub fn refuses(&self, form: Form, bytes: &[u8], limits: &UnpackLimits) -> String {
        let before = self.snapshot();
        let error = match self.install(form, bytes, limits) {
            Ok(()) => panic!("it was installed: {:#?}", self.snapshot()),
            Err(error) => error,
        };
        assert_eq!(self.snapshot(), before, "after {error}");
        let line = error.to_string();
        assert!(!line.contains('\n'), "one line, not {line:?}");
        line
    }
}

pub fn install(
    action_dir: &Path,
    form: Form,
    bytes: &[u8],
    limits: &UnpackLimits,
) -> Result<(), InitError> {
    let stage = Stage::create(action_dir, Durability::Process)?;
    let payload = Payload::Binary {
        form,
        bytes: bytes.to_vec(),
    };
    unpack(
        payload,
        stage.dir(),
        Path::new("exec"),
        Path::new("exec"),
        limits,
    )?;
    stage.commit().map(drop)
}

/// The line that refuses a zip of these entries.
pub fn refused_zip(entries: &[zip::Entry]) -> String {
    Place::new().refuses(Form::Zip, &zip::of(entries), &UnpackLimits::default())
}

/// The line that refuses a tar.gz of these entries.
pub fn refused_tar(entries: &[Vec<u8>]) -> String {
    Place::new().refuses(Form::TarGz, &tar::of(entries), &UnpackLimits::default())
}

/// A valid entry to put in front, so that something has been staged by the time of a refusal.
pub fn good() -> zip::Entry {
    zip::Entry::file("exec", 0o100755, b"#!/bin/sh\n")
}

/// The same in tar.
pub fn good_tar() -> Vec<u8> {
    tar::file("exec", 0o755, b"#!/bin/sh\n")
}

/// `path -> mode and content`, `-> target` for symlinks, `mode/` for directories.
pub fn snapshot(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                open.push(path.clone());
                format!("{mode:o}/")
            } else if metadata.is_file() {
                let content = fs::read(&path).unwrap();
                format!("{mode:o} {}", String::from_utf8_lossy(&content))
            } else {
                panic!("{path:?} is neither file, directory nor symlink")
            };
            let name = path.strip_prefix(dir).unwrap();
            found.insert(name.display().to_string(), what);
        }
    }
    found
}

/// Whether a tool that makes archives is on this machine; a test that gets `false` returns.
///
/// In CI, where the variable `CI` is set, a missing one fails the test.
pub fn is_here(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "this test needs `{tool}`; .ci/install installs it"
    );
    eprintln!("SKIPPED: this test needs `{tool}`");
    false
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
