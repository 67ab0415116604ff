//! Looks for what an archive has instead of the executable, and what its maker most likely meant.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::decode::foreign;

/// How many of an archive's names are told.
const TOLD_NAMES: usize = 5;

/// How many entries are looked at for the executable in another place.
const LOOKED_AT: usize = 1000;

/// What macOS adds to archives.
const RESOURCE_FORKS: &str = "__MACOSX";

/// Sources by the end of their name, with what runs them.
const INTERPRETERS: [(&str, &str); 6] = [
    ("py", "python3"),
    ("js", "node"),
    ("rb", "ruby"),
    ("php", "php"),
    ("pl", "perl"),
    ("sh", "sh"),
];

/// Names that a program's first source has.
const MAIN_SOURCES: [&str; 3] = ["main", "index", "__main__"];

/// Looks at what was unpacked into `stage`, which does not hold `executable`.
pub(super) fn contents(stage: &Path, executable: &Path) -> Contents {
    let mut top: Vec<Entry> = entries(stage).collect();
    top.sort_unstable_by(|a, b| a.shown.cmp(&b.shown));
    let hint = hint(stage, executable, &top);
    let more = top.len().saturating_sub(TOLD_NAMES);
    top.truncate(TOLD_NAMES);
    Contents {
        executable: executable.to_path_buf(),
        found: top.into_iter().map(|entry| entry.shown).collect(),
        more,
        hint,
    }
}

struct Entry {
    path: PathBuf,
    name: String,
    /// Printable, with a slash where it is a directory.
    shown: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Other,
}

/// What a directory of the stage holds. One that cannot be read holds nothing: this is about a
/// better word in an error.
fn entries(dir: &Path) -> impl Iterator<Item = Entry> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => Kind::Directory,
                Ok(kind) if kind.is_file() => Kind::File,
                _ => Kind::Other,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let slash = if kind == Kind::Directory { "/" } else { "" };
            Entry {
                path: entry.path(),
                shown: format!("{}{slash}", name.escape_debug()),
                name,
                kind,
            }
        })
}

/// What the maker of the archive most likely meant.
fn hint(stage: &Path, executable: &Path, top: &[Entry]) -> Option<String> {
    let wanted = executable.display();
    if let Some((found, above)) = deeper(stage, executable) {
        return Some(format!(
            "`{found}` has to stand at the top: archive what is in `{above}/`, not the directory"
        ));
    }
    let files: Vec<&Entry> = top.iter().filter(|e| e.kind == Kind::File).collect();
    if let Some(file) = files.iter().find(|file| resembles(&file.name, executable)) {
        return Some(format!("`{}` has to be called `{wanted}`", file.shown));
    }
    if let [only] = &files[..] {
        let directories = top.iter().filter(|e| e.kind == Kind::Directory);
        let alone = directories.filter(|e| e.name != RESOURCE_FORKS).count() == 0;
        if alone && let Some(kind) = archive_in(&only.path) {
            return Some(format!("`{}` is {kind}: send that alone", only.shown));
        }
    }
    if let [only] = &files
        .iter()
        .filter(|f| is_program(&f.path))
        .collect::<Vec<_>>()[..]
    {
        return Some(format!(
            "if `{}` is the program, it has to be called `{wanted}`",
            only.shown
        ));
    }
    if let Some((source, interpreter)) = main_source(&files) {
        return Some(format!(
            "`{source}` runs only if `{wanted}` starts it, a script with `exec {interpreter} {source}`"
        ));
    }
    let mut visible = top.iter().filter(|e| e.name != RESOURCE_FORKS);
    match (visible.next(), visible.next()) {
        (Some(only), None) if only.kind == Kind::Directory => Some(format!(
            "everything is in `{}`: archive what is in there, not the directory",
            only.shown
        )),
        _ => None,
    }
}

/// A file of the executable's name in a directory, the nearest first, and that directory.
fn deeper(stage: &Path, executable: &Path) -> Option<(String, String)> {
    let name = executable.file_name()?.to_string_lossy();
    let mut open = VecDeque::from([stage.to_path_buf()]);
    let mut left = LOOKED_AT;
    while let Some(dir) = open.pop_front() {
        for entry in entries(&dir) {
            left = left.checked_sub(1)?;
            if entry.kind == Kind::Directory && entry.name != RESOURCE_FORKS {
                open.push_back(entry.path);
            } else if entry.kind == Kind::File && entry.name == name && dir != stage {
                let shown = |path: &Path| {
                    let path = path.strip_prefix(stage).unwrap_or(path);
                    path.to_string_lossy().escape_debug().to_string()
                };
                return Some((shown(&entry.path), shown(&dir)));
            }
        }
    }
    None
}

/// Whether a name is the executable's but for its case or what Windows and editors add. Its
/// checksum's is not.
fn resembles(name: &str, executable: &Path) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim();
    !name.ends_with(".sha256")
        && executable
            .file_name()
            .is_some_and(|wanted| stem.eq_ignore_ascii_case(&wanted.to_string_lossy()))
}

/// What kind of archive a file is.
fn archive_in(path: &Path) -> Option<&'static str> {
    let start = start_of(path)?;
    foreign::name(&start).filter(|name| name.contains("archive") || name.contains("gzip"))
}

/// A `#!` script or an ELF file.
fn is_program(path: &Path) -> bool {
    let executable = fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o100 != 0);
    let start = start_of(path).unwrap_or_default();
    executable && start.starts_with(b"#!") || start.starts_with(b"\x7fELF")
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut start))
        .ok()?;
    Some(start)
}

/// The source that a program of several begins with, or the only one.
fn main_source(files: &[&Entry]) -> Option<(String, &'static str)> {
    let sources: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let (stem, end) = file.name.rsplit_once('.')?;
            let (_, interpreter) = INTERPRETERS.iter().find(|(known, _)| *known == end)?;
            Some((file, stem, *interpreter))
        })
        .collect();
    let is_main = |stem: &str| MAIN_SOURCES.contains(&stem);
    let (file, _, interpreter) =
        sources
            .iter()
            .find(|(_, stem, _)| is_main(stem))
            .or(match &sources[..] {
                [only] => Some(only),
                _ => None,
            })?;
    Some((file.shown.clone(), interpreter))
}
