//! The environment of an action: the container's, then init's, then the activation's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Variables by name; a later value replaces an earlier one. Everywhere in core: of the
/// [`Config`](crate::Config), of an init, of a run, of a hook.
///
/// ```
/// use actionproxy_core::Environment;
///
/// let own: Environment = std::env::vars_os().collect();
/// let mut given: Environment = [("TZ", "UTC"), ("LANG", "C")].into();
/// given.set("TZ", "CET");
/// given.remove("LANG");
/// given.merge(&own);
/// ```
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

    /// Takes `name` away, if it is there.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        let name = name.as_ref();
        self.own.remove(name);
        if self.inherited.contains_key(name) {
            Arc::make_mut(&mut self.inherited).remove(name);
        }
    }

    /// Sets all that `other` holds; its values win. What it skipped counts as skipped here.
    pub fn merge(&mut self, other: &Environment) {
        if self.inherited.is_empty() {
            // Nothing of it would be kept: what `other` shares is shared on.
            self.inherited = Arc::clone(&other.inherited);
            self.own
                .retain(|name, _| !other.inherited.contains_key(name));
        } else {
            let inherited = other.inherited.iter();
            let pairs = inherited.map(|(name, value)| (name.clone(), value.clone()));
            self.own.extend(pairs);
        }
        let own = other.own.iter();
        self.own
            .extend(own.map(|(name, value)| (name.clone(), value.clone())));
        self.skipped.extend_from_slice(&other.skipped);
    }

    /// The same, all of it shared by clones from now on.
    pub(crate) fn shared(mut self) -> Self {
        if !self.own.is_empty() {
            let own = std::mem::take(&mut self.own);
            Arc::make_mut(&mut self.inherited).extend(own);
        }
        self
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

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> Extend<(N, V)> for Environment {
    /// [`set`](Self::set)s every pair.
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.set(name, value);
        }
    }
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> FromIterator<(N, V)> for Environment {
    /// [`set`](Self::set)s every pair.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut environment = Environment::default();
        environment.extend(pairs);
        environment.shared()
    }
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>, const COUNT: usize> From<[(N, V); COUNT]> for Environment {
    /// [`set`](Self::set)s every pair.
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

/// Equal where they hold the same variables, whatever was skipped.
impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Environment {}

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
    fn what_is_merged_wins_and_what_is_removed_is_gone_here_alone() {
        let base: Environment = [("A", "1"), ("B", "2")].into();
        let mut given: Environment = [("B", "3"), ("C", "4")].into();
        given.set("=", "x");
        let mut both = base.clone();
        both.merge(&given);
        assert_eq!(both, [("A", "1"), ("B", "3"), ("C", "4")].into());
        assert_eq!(both.skipped(), [r#""=""#]);
        both.remove("A");
        both.remove("C");
        both.remove("D");
        assert_eq!(both, [("B", "3")].into());
        assert_eq!(base, [("A", "1"), ("B", "2")].into());
        let mut own = Environment::default();
        own.set("A", "0");
        own.set("Z", "9");
        own.merge(&base);
        assert_eq!(own, [("A", "1"), ("B", "2"), ("Z", "9")].into());
        assert_eq!(own.clone().shared(), own);
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
