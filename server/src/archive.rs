//! Zips of files and directories, with modes and symlinks.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Cursor};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

type Writer = ZipWriter<Cursor<Vec<u8>>>;

/// A zip of what is in `dir`, the names in order.
///
/// # Errors
/// One line that names what cannot be in one.
pub(crate) fn of_dir(dir: &Path) -> Result<Vec<u8>, String> {
    make(|writer| add_all(writer, dir, ""))
}

/// A zip that holds each of `files` under its own name, the last part of its path; directories with all
/// that is in them.
///
/// # Errors
/// One line that names what cannot be in one, or two of one name.
pub(crate) fn of_files(files: &[PathBuf]) -> Result<Vec<u8>, String> {
    make(|writer| {
        let mut names = HashSet::new();
        for file in files {
            let name = match file.file_name() {
                Some(name) => name.to_os_string(),
                // `.` and `..` have the name of the directory that they are.
                None => named(file, fs::canonicalize(file))?
                    .file_name()
                    .unwrap_or_default()
                    .to_os_string(),
            };
            if !names.insert(name.clone()) {
                return Err(format!(
                    "{}: there are two files called {name:?}",
                    file.display()
                ));
            }
            add(writer, file, name, "")?;
        }
        Ok(())
    })
}

fn make(fill: impl FnOnce(&mut Writer) -> Result<(), String>) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer)?;
    let written = writer.finish().map_err(|e| format!("the archive: {e}"))?;
    Ok(written.into_inner())
}

fn add_all(writer: &mut Writer, dir: &Path, prefix: &str) -> Result<(), String> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = named(dir, entries)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    entries
        .into_iter()
        .try_for_each(|entry| add(writer, &entry.path(), entry.file_name(), prefix))
}

fn add(writer: &mut Writer, path: &Path, name: OsString, prefix: &str) -> Result<(), String> {
    let refused = |what: &str| Err(format!("{}: {what}", path.display()));
    let Ok(name) = name.into_string() else {
        return refused("the name is not UTF-8");
    };
    let name = format!("{prefix}{name}");
    let metadata = named(path, fs::symlink_metadata(path))?;
    let mode = metadata.permissions().mode() & 0o777;
    let options = SimpleFileOptions::default().unix_permissions(mode);
    let file_type = metadata.file_type();
    if file_type.is_symlink() {
        let target = named(path, fs::read_link(path))?;
        let Some(target) = target.to_str() else {
            return refused("the target of the symlink is not UTF-8");
        };
        named(path, writer.add_symlink(name, target, options))
    } else if file_type.is_dir() {
        named(path, writer.add_directory(format!("{name}/"), options))?;
        add_all(writer, path, &format!("{name}/"))
    } else if file_type.is_file() {
        let options = options.large_file(metadata.len() >= u64::from(u32::MAX));
        named(path, writer.start_file(name, options))?;
        let copied = File::open(path).and_then(|mut file| io::copy(&mut file, writer));
        named(path, copied).map(drop)
    } else {
        refused("expected a file, a directory or a symlink")
    }
}

fn named<T, E: std::fmt::Display>(path: &Path, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|e| format!("{}: {e}", path.display()))
}
