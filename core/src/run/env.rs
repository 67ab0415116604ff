//! The environment of an action: the container's, then init's, then the activation's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Variables by name; a later value replaces an earlier one.
///
/// What it was made from is shared by its clones: each activation has one.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    inherited: Arc<BTreeMap<OsString, OsString>>,
    /// What was set since, over that.
    own: BTreeMap<OsString, OsString>,
    skipped: Vec<String>,
}

impl Environment {
    /// From variables that the operating system gave, which are taken as they are.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Environment {
            inherited: Arc::new(variables.into_iter().collect()),
            own: BTreeMap::new(),
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
        self.own.insert(name.to_os_string(), value.to_os_string());
    }

    /// The value of `name`.
    pub fn value(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        let value = self.own.get(name).or_else(|| self.inherited.get(name));
        value.map(OsString::as_os_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let replaced = |name: &OsString| self.own.contains_key(name);
        let mut inherited = self
            .inherited
            .iter()
            .filter(move |(name, _)| !replaced(name))
            .peekable();
        let mut own = self.own.iter().peekable();
        iter::from_fn(move || match (inherited.peek(), own.peek()) {
            (Some(a), Some(b)) if b.0 < a.0 => own.next(),
            (None, _) => own.next(),
            (Some(_), _) => inherited.next(),
        })
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
        let before = environment.clone();
        for (name, value) in [("A", "3"), ("C", "4"), ("AA", "5")] {
            environment.set(name, value);
        }
        let pairs = |environment: &Environment| {
            let text = |text: &OsStr| text.to_str().unwrap().to_owned();
            let pairs = environment.iter().map(|(n, v)| text(n) + "=" + &text(v));
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(pairs(&environment), ["A=3", "AA=5", "B=2", "C=4"]);
        assert_eq!(environment.value("A"), Some("3".as_ref()));
        assert_eq!(environment.value("B"), Some("2".as_ref()));
        assert_eq!(pairs(&before), ["A=1", "B=2"]);
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
