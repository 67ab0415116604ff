//! Keeps what commands have built, by everything that it was built from.
//!
//! An entry is one file, whose name is its key. It is written under another name and then renamed, so
//! nobody sees half of one; its digest stands before its content and is compared before anything is
//! taken from it. Its modification time is when it was last used. Nobody waits for anybody: readers
//! hold a descriptor, and what is removed under them stays until they close it.
//!
//! Nothing here fails an init: what cannot be had is built, and what cannot be kept is not kept.

mod entry;
mod key;
mod room;
mod tree;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::config::BuildCache;
use crate::digest::Digest;

pub(super) use key::{Key, this_architecture};

/// The cache, for one init.
pub(super) struct Cache<'a> {
    config: &'a BuildCache,
    name: String,
}

/// What was found for a key.
pub(super) enum Found {
    /// It is in the directory that was given.
    Built,
    Nothing,
    /// It could not be used; why. The directory may hold parts of it.
    Unusable(String),
}

impl<'a> Cache<'a> {
    pub(super) fn new(config: &'a BuildCache, key: &Digest) -> Self {
        Cache {
            config,
            name: key.to_string(),
        }
    }

    /// Puts what was built into `dir`, which holds nothing but empty directories.
    pub(super) fn fetch(&self, dir: &Path) -> Found {
        let path = self.config.dir.join(&self.name);
        let mut file = match entry::open(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return Found::Nothing,
            Err(e) => return Found::Unusable(format!("`{}`: {e}", path.display())),
        };
        match entry::check(&mut file).and_then(|()| tree::read(&mut file, dir)) {
            Ok(()) => {
                room::note_use(file.get_ref());
                Found::Built
            }
            Err(e) => Found::Unusable(format!("`{}`: {e}", path.display())),
        }
    }

    /// Writes down what is in `dir`, to be kept if the init goes well.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn write(&self, dir: &Path) -> Result<Written, String> {
        let named = |e| self.named(e);
        make(&self.config.dir).map_err(named)?;
        let mut entry =
            entry::New::create(&self.config.dir, self.config.max_bytes).map_err(named)?;
        tree::write(&mut entry, dir).map_err(named)?;
        Ok(Written(entry))
    }

    /// Keeps what was written down, in place of what there is for this key.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(super) fn keep(&self, Written(entry): Written) -> Result<(), String> {
        let named = |e| self.named(e);
        let room = self.config.max_bytes.saturating_sub(entry.length());
        room::make(&self.config.dir, room, Some(self.name.as_ref())).map_err(named)?;
        entry.finish(&self.name).map_err(named)?;
        // Others may have added theirs meanwhile: whoever comes last sees all.
        room::make(&self.config.dir, self.config.max_bytes, None).map_err(named)
    }

    fn named(&self, e: io::Error) -> String {
        format!("`{}`: {e}", self.config.dir.display())
    }
}

/// See [`Cache::write`]. Where it is dropped, nothing is kept.
pub(super) struct Written(entry::New);

fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests;
