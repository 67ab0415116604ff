//! The directory of all actions: a directory for each, and what has to be known of them when this
//! program starts again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use actionproxy_core::{Digest, Durability};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::topics;

/// Where the notes are; no action has a name that begins with a dot.
const NOTES: &str = ".actionproxy-mqtt";

/// The directory, which is this process's alone.
pub(crate) struct Directory {
    path: PathBuf,
    durability: Durability,
    /// The lock goes with it.
    _lock: File,
}

/// What is known of an action that was initialised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// The digest of the message that initialised it.
    pub(crate) message: Option<Digest>,
    /// The digest of what its code went through, hooks and compilers.
    pub(crate) made_by: Option<Digest>,
    /// It is a process that went with the invoker.
    pub(crate) is_resident: bool,
    /// The variables that its init brought.
    pub(crate) env: Vec<(String, String)>,
}

impl Directory {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be used, or another process uses it.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self, String> {
        let told = |e: io::Error| format!("action directory {}: {e}", path.display());
        let notes = path.join(NOTES);
        fs::create_dir_all(&notes).map_err(told)?;
        let lock = File::create(notes.join("lock")).map_err(told)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|e| match e {
            rustix::io::Errno::WOULDBLOCK => format!(
                "action directory {}: another invoker uses it",
                path.display()
            ),
            e => told(e.into()),
        })?;
        Ok(Directory {
            path: path.to_owned(),
            durability,
            _lock: lock,
        })
    }

    /// Where an action of this name lives.
    pub(crate) fn action(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The actions that were initialised, and the names of those of which it cannot be read what
    /// they need.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn actions(&self) -> io::Result<Vec<(String, Result<Note, String>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.join(NOTES))? {
            let file = entry?.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some(name) = name.filter(|name| topics::check_name(name).is_ok()) {
                found.push((name.to_owned(), self.read(name)));
            }
        }
        Ok(found)
    }

    fn read(&self, name: &str) -> Result<Note, String> {
        let path = self.note(name);
        let told = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let text = fs::read(&path).map_err(|e| told(&e))?;
        let note: Value = serde_json::from_slice(&text).map_err(|e| told(&e))?;
        let (Some(message), Some(env)) = (note["sha256"].as_str(), note["env"].as_object()) else {
            return Err(told(&"expected `sha256` and `env`"));
        };
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let env: Option<Vec<_>> = env.iter().map(text).collect();
        let made_by = note["made_by"].as_str().map(Digest::parse).transpose();
        Ok(Note {
            message: Some(Digest::parse(message).map_err(|e| told(&e))?),
            made_by: made_by.map_err(|e| told(&e))?,
            is_resident: note["resident"] == true,
            env: env.ok_or_else(|| told(&"expected text in `env`"))?,
        })
    }

    /// Keeps what is known of an action.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn write(&self, name: &str, note: &Note) -> io::Result<()> {
        let env: serde_json::Map<_, _> = note
            .env
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let text = |digest: &Option<Digest>| digest.as_ref().map(ToString::to_string);
        let text = json!({
            "sha256": text(&note.message),
            "made_by": text(&note.made_by),
            "resident": note.is_resident,
            "env": env,
        })
        .to_string();
        let path = self.note(name);
        let new = path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        self.sync(&file)?;
        fs::rename(&new, &path)?;
        self.sync(&File::open(self.path.join(NOTES))?)
    }

    /// Forgets what was known of an action. From then on it is none, whatever stands in its
    /// directory.
    ///
    /// # Errors
    /// The disk does not let it go.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.note(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        self.sync(&File::open(self.path.join(NOTES))?)
    }

    /// Removes an action's directory.
    ///
    /// # Errors
    /// The disk does not let it go.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.action(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.durability {
            Durability::PowerLoss => file.sync_all(),
            Durability::Process => Ok(()),
        }
    }

    fn note(&self, name: &str) -> PathBuf {
        let mut file = OsString::from(name);
        file.push(".json");
        self.path.join(NOTES).join(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_of_an_action_is_there_for_the_next_process_and_for_one_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        let note = Note {
            message: Some(Digest::of(b"x")),
            made_by: Some(Digest::of(b"cc")),
            is_resident: true,
            env: vec![("A".into(), "ü\n".into()), ("B".into(), String::new())],
        };
        let first = Directory::open(&path, Durability::PowerLoss).expect("a directory");
        first.write("one.two", &note).expect("written");
        first
            .write(
                "other",
                &Note {
                    message: Some(Digest::of(b"")),
                    ..Note::default()
                },
            )
            .expect("written");
        first.forget("other").expect("gone");
        first.forget("never").expect("nothing to forget");
        let other = Directory::open(&path, Durability::Process)
            .err()
            .expect("locked");
        assert!(other.ends_with("another invoker uses it"), "{other}");
        drop(first);
        let next = Directory::open(&path, Durability::Process).expect("free again");
        let actions = next.actions().expect("read");
        assert_eq!(actions, [("one.two".to_owned(), Ok(note))]);
        fs::write(next.note("broken"), "{}").expect("written");
        let actions = next.actions().expect("read");
        let broken = actions
            .iter()
            .find(|(name, _)| name == "broken")
            .expect("named");
        assert!(
            broken
                .1
                .as_ref()
                .is_err_and(|e| e.ends_with("expected `sha256` and `env`"))
        );
    }
}
