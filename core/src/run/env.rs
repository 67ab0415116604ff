//! The environment of an action: the container's, then init's, then the activation's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Variables by name; a later value replaces an earlier one.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    skipped: Vec<String>,
}

impl Environment {
    /// From variables that the operating system gave, which are taken as they are.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Environment {
            variables: variables.into_iter().collect(),
            skipped: Vec::new(),
        }
    }

    /// Sets `name` to `value`.
    ///
    /// A pair that no environment can hold (an empty name, `=` or NUL in the name, NUL in the
    /// value) is skipped, and named by [`skipped`](Self::skipped).
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let bytes = name.as_bytes();
        let fits = !bytes.is_empty()
            && !bytes.contains(&b'=')
            && !bytes.contains(&0)
            && !value.as_bytes().contains(&0);
        if !fits {
            self.skipped.push(format!("{name:?}"));
            return;
        }
        self.variables
            .insert(name.to_os_string(), value.to_os_string());
    }

    /// The value of `name`.
    pub fn value(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.variables.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The names that could not be set, quoted.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let mut environment =
            Environment::new([("A".into(), "1".into()), ("B".into(), "2".into())]);
        environment.set("A", "3");
        let all: Vec<_> = environment.iter().collect();
        assert_eq!(
            all,
            [("A".as_ref(), "3".as_ref()), ("B".as_ref(), "2".as_ref())]
        );
    }

    #[test]
    fn names_that_cannot_be_are_skipped_and_named() {
        let mut environment = Environment::default();
        environment.set("", "x");
        environment.set("A=B", "x");
        environment.set("A\0", "x");
        environment.set("C", "x\0y");
        assert_eq!(environment.iter().count(), 0);
        assert_eq!(
            environment.skipped(),
            [r#""""#, r#""A=B""#, r#""A\0""#, r#""C""#]
        );
    }
}
