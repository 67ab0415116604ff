//! Flags with one dash, as the Go proxy has them: `-compile MAIN`, `-env JSON`, `-debug`, `-version`.

use super::text;

/// What they ask for.
#[derive(Debug, Default)]
pub(super) struct GoFlags {
    /// The entry point of what is to be compiled.
    pub compile: Option<String>,
    /// Variables for the compiler.
    pub env: Option<String>,
    /// Whether an action may be initialised again: what it is to debug there.
    pub debugs: bool,
}

/// Whether a flag was one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// It asks for the version alone.
    Version,
    No,
}

impl GoFlags {
    /// Takes the flag whose name, and perhaps `=` and its value, is `flag`; else its value is what
    /// comes next.
    ///
    /// # Errors
    /// There is no value.
    pub(super) fn take(
        &mut self,
        flag: &str,
        parser: &mut lexopt::Parser,
    ) -> Result<Taken, String> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let place = match name {
            "compile" => &mut self.compile,
            "env" => &mut self.env,
            "debug" => {
                self.debugs = true;
                return Ok(Taken::Yes);
            }
            "version" => return Ok(Taken::Version),
            _ => return Ok(Taken::No),
        };
        *place = Some(match value {
            Some(value) => value,
            None => {
                let value = parser
                    .value()
                    .map_err(|_| format!("-{name} needs a value"))?;
                text(&value)
                    .map_err(|e| format!("-{name}: {e}"))?
                    .to_owned()
            }
        });
        Ok(Taken::Yes)
    }
}
