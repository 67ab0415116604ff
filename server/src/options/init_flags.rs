//! The flags of commands that make an init: `--init FILE`, `--main NAME`, `--name NAME`,
//! `--env NAME=VALUE`. No variables stand for them.

use std::path::PathBuf;

use super::text;
use crate::source::Naming;

/// What they say.
#[derive(Debug, Default)]
pub(super) struct InitFlags {
    /// The code of a `run`.
    pub file: Option<PathBuf>,
    pub naming: Naming,
    /// The first that was given.
    given: Option<&'static str>,
}

impl InitFlags {
    /// Their names, without dashes.
    pub(super) const NAMES: [&'static str; 4] = ["init", "main", "name", "env"];

    /// Takes the flag of that name, which is one of [`NAMES`](Self::NAMES).
    ///
    /// # Errors
    /// There is no value, or none that fits.
    pub(super) fn take(&mut self, flag: &str, parser: &mut lexopt::Parser) -> Result<(), String> {
        let known = Self::NAMES.into_iter().find(|known| *known == flag);
        self.given = self.given.or(known);
        let value = parser
            .value()
            .map_err(|_| format!("--{flag} needs a value"))?;
        if flag == "init" {
            self.file = Some(value.into());
            return Ok(());
        }
        let value = text(&value).map_err(|e| format!("--{flag}: {e}"))?;
        match flag {
            "main" => self.naming.main = Some(value.to_owned()),
            "name" => self.naming.name = Some(value.to_owned()),
            _ => match value.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    self.naming.env.push((name.to_owned(), value.to_owned()));
                }
                _ => return Err(format!("--env: expected NAME=VALUE, found {value:?}")),
            },
        }
        Ok(())
    }

    /// # Errors
    /// One of them was given, and what is asked for makes no init.
    pub(super) fn refuse(&self) -> Result<(), String> {
        match self.given {
            None => Ok(()),
            Some("init") => Err("--init goes with `run`: `run --init FILE [JSON]`".to_owned()),
            Some(flag) => Err(format!(
                "--{flag} goes with `init`, `pack` and `run --init` only"
            )),
        }
    }

    /// For a command that has its own words for files.
    ///
    /// # Errors
    /// `--init` was given.
    pub(super) fn without_file(self, command: &str) -> Result<Naming, String> {
        match self.file {
            None => Ok(self.naming),
            Some(_) => Err(format!("--init goes with `run`, not with `{command}`")),
        }
    }
}
