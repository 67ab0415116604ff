//! Temporary.
#![allow(missing_docs)]
use crate::error::InitError;
use std::path::{Path, PathBuf};
pub struct Stage(PathBuf, PathBuf);
impl Stage {
    pub fn create(d: &Path) -> Result<Stage, InitError> {
        let p = d.join(".stage");
        std::fs::create_dir_all(&p).map_err(InitError::io("create", &p))?;
        Ok(Stage(p, d.into()))
    }
    pub fn dir(&self) -> &Path {
        &self.0
    }
    pub fn commit(self) -> Result<(), InitError> {
        for e in std::fs::read_dir(&self.0)
            .map_err(InitError::io("read", &self.0))?
            .flatten()
        {
            std::fs::rename(e.path(), self.1.join(e.file_name()))
                .map_err(InitError::io("rename", e.path()))?;
        }
        Ok(())
    }
}
impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
pub fn recover(_d: &Path) -> Result<(), InitError> {
    Ok(())
}
