//! A directory of the proxy's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory that goes with the process.
#[derive(Debug)]
pub(crate) struct OwnDir(PathBuf);

impl OwnDir {
    /// A new one among the system's temporary files.
    pub(crate) fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let mut tries = 0;
        loop {
            let name = format!("actionproxy-{}-{tries}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => return Ok(OwnDir(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < 1000 => tries += 1,
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
