//! Files of checksums, as `sha256sum` writes them.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::decode::BYTE_ORDER_MARK;
use crate::digest::Digest;
use crate::error::VerifyError;

/// The largest checksum file that is read, in bytes.
const MAX_CHECKSUM_FILE: u64 = 1 << 20;

/// Reads the digest of `executable_name` from `path`, a file as `sha256sum` writes it: lines of
/// 64 hexadecimal digits, a space, a space or `*`, and a name, with a backslash in front where the
/// name holds an escaped newline, carriage return or backslash (GNU coreutils, `sha256sum(1)`).
/// Of several lines the one that names the executable counts; directories in front of the name
/// do not matter. Blank lines, lines that begin with `#` and a byte order mark are skipped.
///
/// `None` when there is no such file.
///
/// # Errors
/// [`VerifyError::BadChecksumFile`] when a line has another form, when no line names the
/// executable, when two name it with different digests, or when the file is no regular file of at
/// most 1 MiB; [`VerifyError::Io`] when it cannot be read.
pub fn read_checksum_file(
    path: &Path,
    executable_name: &str,
) -> Result<Option<Digest>, VerifyError> {
    let bad = |reason: String| VerifyError::BadChecksumFile {
        path: path.to_path_buf(),
        reason,
    };
    let io = |source| VerifyError::Io {
        path: path.to_path_buf(),
        source,
    };
    // Looked at before it is opened: opening a fifo would wait for a writer.
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(bad("it is not a regular file".to_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CHECKSUM_FILE + 1).read_to_end(&mut content))
        .map_err(io)?;
    if content.len() as u64 > MAX_CHECKSUM_FILE {
        return Err(bad(format!("it is over {MAX_CHECKSUM_FILE} bytes")));
    }
    find_digest(&content, executable_name)
        .map(Some)
        .map_err(bad)
}

/// The line that `sha256sum` writes for a file of this name, its newline included.
pub(crate) fn line(digest: &Digest, name: &str) -> String {
    let escaped = name
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{digest}  {escaped}\n")
}

fn find_digest(content: &[u8], executable_name: &str) -> Result<Digest, String> {
    let wanted = last_component(executable_name.as_bytes());
    let mut found = None;
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (digest, name) =
            parse_line(line).map_err(|reason| format!("line {}: {reason}", index + 1))?;
        if last_component(&name) != wanted {
            continue;
        }
        match found {
            Some(other) if other != digest => {
                return Err(format!("it names `{executable_name}` with two digests"));
            }
            _ => found = Some(digest),
        }
    }
    found.ok_or_else(|| format!("no line names `{executable_name}`"))
}

fn parse_line(line: &[u8]) -> Result<(Digest, Vec<u8>), String> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let form = || "expected a digest, two characters between and a name, as `sha256sum` writes it";
    let (hex, rest) = line.split_at_checked(64).ok_or_else(form)?;
    let digest = Digest::parse(&String::from_utf8_lossy(hex))?;
    let name = rest
        .strip_prefix(b"  ")
        .or_else(|| rest.strip_prefix(b" *"))
        .filter(|name| !name.is_empty())
        .ok_or_else(form)?;
    if escaped {
        Ok((digest, unescape(name)?))
    } else {
        Ok((digest, name.to_vec()))
    }
}

fn unescape(name: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'\\') => b'\\',
                _ => return Err("the name holds an unknown escape".to_owned()),
            },
            byte => byte,
        });
    }
    Ok(plain)
}

fn last_component(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const OTHER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn found(content: &str) -> Result<String, String> {
        find_digest(content.as_bytes(), "exec").map(|digest| digest.to_string())
    }

    #[test]
    fn lines_of_sha256sum_are_read() {
        for content in [
            format!("{EMPTY}  exec\n"),
            format!("{EMPTY} *exec"),
            format!("{}  ./bin/exec\r\n", EMPTY.to_uppercase()),
            format!("# made by hand\n\n{OTHER}  lib.so\n{EMPTY}  exec\n{EMPTY}  exec\n"),
            format!("\\{OTHER}  a\\nb\n{EMPTY}  exec\n"),
            format!("\u{feff}{EMPTY}  exec\r\n"),
        ] {
            assert_eq!(found(&content).unwrap(), EMPTY, "{content}");
        }
        let name = "a\nb\\c\r";
        let escaped = format!("\\{OTHER}  a\\nb\\\\c\\r\n");
        let digest = find_digest(escaped.as_bytes(), name).unwrap();
        assert_eq!(digest.to_string(), OTHER);
        assert_eq!(line(&digest, name), escaped);
        assert_eq!(line(&digest, "bin/exec"), format!("{OTHER}  bin/exec\n"));
    }

    #[test]
    fn other_content_is_refused_with_its_line() {
        for (content, reason) in [
            (String::new(), "no line names `exec`"),
            (format!("{OTHER}  lib.so\n"), "no line names `exec`"),
            (
                format!("{EMPTY}\n"),
                "line 1: expected a digest, two characters between and a name, as `sha256sum` writes it",
            ),
            (
                format!("{EMPTY}  exec\n{OTHER}  exec\n"),
                "it names `exec` with two digests",
            ),
            (
                format!("\n{}g  exec\n", &EMPTY[1..]),
                "line 2: expected 64 hexadecimal digits, found 'g'",
            ),
            (
                format!("\\{EMPTY}  a\\tb\n"),
                "line 1: the name holds an unknown escape",
            ),
        ] {
            assert_eq!(found(&content).unwrap_err(), reason);
        }
    }

    #[test]
    fn a_missing_file_is_none_and_another_thing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec.sha256");
        assert_eq!(read_checksum_file(&path, "exec").unwrap(), None);
        std::fs::create_dir(&path).unwrap();
        let error = read_checksum_file(&path, "exec").unwrap_err().to_string();
        assert!(
            error.ends_with("is not usable: it is not a regular file"),
            "{error}"
        );
    }
}
