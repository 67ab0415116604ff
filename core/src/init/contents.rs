//! The words for an archive that does not hold the executable.

use std::fmt;
use std::path::PathBuf;

/// What stands at the top of an archive that does not hold the executable. Its text says so, names
/// what is there, and what to do about it where that can be told.
#[derive(Debug)]
pub struct Contents {
    pub(super) executable: PathBuf,
    /// The first names, made printable; directories end in a slash.
    pub(super) found: Vec<String>,
    /// How many more there are.
    pub(super) more: usize,
    /// What was probably meant.
    pub(super) hint: Option<String>,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executable = self.executable.display();
        write!(f, "the archive has no `{executable}` at its top")?;
        match &self.found[..] {
            [] => f.write_str("; it is empty")?,
            found => write!(f, "; it has `{}`", found.join("`, `"))?,
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        match &self.hint {
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}
