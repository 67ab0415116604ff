//! What the command of the `env` hook prints: variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::HookError;
use crate::run::env::Environment;

/// How much of a line that is no variable is shown, in bytes.
const SHOWN: usize = 80;

/// Reads `NAME=value` lines, or, where there is a NUL, what stands between NULs. Empty ones are passed
/// over.
///
/// # Errors
/// One that is no `NAME=value`.
pub(super) fn parse(printed: &[u8]) -> Result<Environment, HookError> {
    let separator = match printed.contains(&0) {
        true => 0,
        false => b'\n',
    };
    let lines = printed.split(|byte| *byte == separator);
    lines
        .filter(|line| !line.is_empty())
        .map(|line| variable(line).ok_or_else(|| bad(line)))
        .collect()
}

fn variable(line: &[u8]) -> Option<(&OsStr, &OsStr)> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&line[..equals], &line[equals + 1..]);
    // `export A=b` is meant for a shell.
    let is_name = !name.is_empty() && !name.iter().any(u8::is_ascii_whitespace);
    is_name.then(|| (OsStr::from_bytes(name), OsStr::from_bytes(value)))
}

fn bad(line: &[u8]) -> HookError {
    let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    format!("expected lines NAME=value, found {shown:?}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(printed: &str) -> Result<Environment, String> {
        parse(printed.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn lines_or_what_stands_between_nuls() {
        let lines = "A=b=c\n\nD=\nE= f ";
        assert_eq!(
            parsed(lines),
            Ok([("A", "b=c"), ("D", ""), ("E", " f ")].into())
        );
        let nuls = "A=one\ntwo\0B=\0\0";
        assert_eq!(parsed(nuls), Ok([("A", "one\ntwo"), ("B", "")].into()));
        assert_eq!(parsed(""), Ok(Environment::default()));
    }

    #[test]
    fn what_is_no_variable_is_shown() {
        for bad in ["A", "=b", "export A=b", "A=b\nsome words"] {
            let said = parsed(bad).unwrap_err();
            let line = bad.lines().last().unwrap();
            assert_eq!(said, format!("expected lines NAME=value, found {line:?}"));
        }
        assert!(parsed(&"x".repeat(10_000)).unwrap_err().len() < 200);
    }
}
