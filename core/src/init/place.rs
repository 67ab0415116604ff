//! Where an init prepares an action: a staging directory that replaces what stands, or a numbered
//! directory beside what stands.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, InstanceKind};
use crate::digest::Digest;
use crate::error::InitError;

use super::install::{Committed, Stage};

/// The directory of a numbered place that code is received in.
const RECEIVED: &str = "src";
/// The one of what is run.
const BUILT: &str = "bin";
/// The name of a program in either.
const PROGRAM: &str = "exec";

/// The same configuration, its action directory absolute: what lies in it is run from elsewhere.
pub(crate) fn absolute(mut config: Config) -> Result<Config, InitError> {
    config.action_dir = std::path::absolute(&config.action_dir)
        .map_err(InitError::io("find the directory", &config.action_dir))?;
    Ok(config)
}

/// A directory to prepare an action in.
pub(crate) enum Place {
    Staged(Stage),
    Numbered(Numbered),
}

impl Place {
    /// The kind that the instance needs. One that is dropped is removed, unless it was committed.
    pub(crate) fn create(config: &Config) -> Result<Self, InitError> {
        match config.instance {
            InstanceKind::Process => {
                Stage::create(&config.action_dir, config.durability).map(Place::Staged)
            }
            InstanceKind::Resident(_) => Numbered::create(&config.action_dir).map(Place::Numbered),
        }
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        match self {
            Place::Staged(stage) => stage.dir(),
            Place::Numbered(numbered) => &numbered.dir,
        }
    }

    /// Where things lie in it.
    pub(crate) fn paths(&self, config: &Config) -> Paths {
        Paths::in_dir(self.dir(), config)
    }

    /// Records the digest of what an init brings for those that come after this process. A numbered
    /// place has no use for it: nobody runs what lies there but who started it.
    pub(crate) fn record(&mut self, executable: &Path, digest: &Digest) -> Result<(), InitError> {
        match self {
            Place::Staged(stage) => stage.record(executable, digest),
            Place::Numbered(_) => Ok(()),
        }
    }

    /// Makes what was prepared the action, if it is staged; a numbered place stands where it is.
    pub(crate) fn commit(self) -> Result<Standing, InitError> {
        match self {
            Place::Staged(stage) => stage.commit().map(Standing::Installed),
            Place::Numbered(numbered) => Ok(Standing::Beside(numbered)),
        }
    }
}

/// What an init has prepared, where it stands now.
pub(crate) enum Standing {
    /// In the action directory.
    Installed(Committed),
    /// In a directory of its own. The process is still to be started.
    Beside(Numbered),
}

/// Where things lie in a place. All but the directories are relative to one of them.
pub(crate) struct Paths {
    /// What archives are unpacked into.
    pub received: PathBuf,
    /// What text is received as.
    pub source: PathBuf,
    /// What an ELF executable or a script is received as.
    pub program: PathBuf,
    /// Where the executable has to be when all is built.
    pub built: PathBuf,
    /// The executable.
    pub executable: PathBuf,
}

impl Paths {
    /// As the instance lays them out in the directory of one init.
    pub(crate) fn in_dir(dir: &Path, config: &Config) -> Self {
        match config.instance {
            InstanceKind::Process => Paths {
                received: dir.to_path_buf(),
                source: config.source.clone(),
                program: config.executable.clone(),
                built: dir.to_path_buf(),
                executable: config.executable.clone(),
            },
            InstanceKind::Resident(_) => Paths {
                received: dir.join(RECEIVED),
                source: PROGRAM.into(),
                program: PROGRAM.into(),
                built: dir.join(BUILT),
                executable: PROGRAM.into(),
            },
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.received.join(&self.source)
    }

    pub(crate) fn executable(&self) -> PathBuf {
        self.built.join(&self.executable)
    }
}

/// A directory of its own for one init. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Numbered {
    dir: PathBuf,
}

impl Numbered {
    /// One more than the highest number in `action_dir`.
    fn create(action_dir: &Path) -> Result<Self, InitError> {
        fs::create_dir_all(action_dir).map_err(InitError::io("create", action_dir))?;
        let mut number = highest(action_dir).map_err(InitError::io("read", action_dir))?;
        let dir = loop {
            number = number.checked_add(1).ok_or_else(|| {
                let full = io::Error::other("its directories have the highest number there is");
                InitError::io("number a directory in", action_dir)(full)
            })?;
            let dir = action_dir.join(number.to_string());
            match make(&dir) {
                Ok(()) => break dir,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(InitError::io("create", dir)(e)),
            }
        };
        let numbered = Numbered { dir };
        let received = numbered.dir.join(RECEIVED);
        make(&received).map_err(InitError::io("create", received))?;
        Ok(numbered)
    }
}

impl Numbered {
    /// The directory of what is run.
    pub(crate) fn built(&self) -> PathBuf {
        self.dir.join(BUILT)
    }

    /// What is run.
    pub(crate) fn executable(&self) -> PathBuf {
        self.built().join(PROGRAM)
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        // What cannot be removed does no harm: the next one has a higher number.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// 0 where there is none.
fn highest(dir: &Path) -> io::Result<u64> {
    let mut highest = 0;
    for entry in fs::read_dir(dir)? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_one_more_than_the_highest_number_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["7", "12", "x", "99x", "-3"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let first = Numbered::create(dir.path()).unwrap();
        let second = Numbered::create(dir.path()).unwrap();
        assert!(first.dir.ends_with("13") && second.dir.join("src").is_dir());
        drop(second);
        assert!(!dir.path().join("14").exists() && dir.path().join("13").exists());
        let again = Numbered::create(dir.path()).unwrap();
        assert!(again.dir.ends_with("14"));
        fs::create_dir(dir.path().join(u64::MAX.to_string())).unwrap();
        let full = Numbered::create(dir.path()).unwrap_err().to_string();
        assert!(full.contains("highest number"), "{full}");
    }
}
