//! The `#!` line of a script: what the kernel takes from it (`execve(2)`, "Interpreter scripts").

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{MAX_INTERPRETERS, SCRIPT_LINE, is_missing, printable, read_start};

/// What the kernel takes from the line: an interpreter, and all that follows it as one word.
struct Line<'a> {
    interpreter: &'a [u8],
    word: &'a [u8],
    /// Both, with what else stands there.
    whole: &'a [u8],
    /// Whether its end was found.
    is_complete: bool,
}

impl<'a> Line<'a> {
    /// `text` begins after the `#!`.
    fn of(text: &'a [u8]) -> Self {
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !blank(byte));
        let whole = &line[start.unwrap_or(line.len())..];
        let length = whole.iter().position(blank).unwrap_or(whole.len());
        let (interpreter, word) = whole.split_at(length);
        Line {
            interpreter,
            word: word.trim_ascii(),
            whole,
            is_complete: line.len() < text.len() || text.len() + 2 < SCRIPT_LINE,
        }
    }
}

/// What would keep the kernel from starting it. `text` begins after the `#!`.
pub(super) fn inspect(
    text: &[u8],
    executable: &Path,
    machine: &str,
    interpreters: usize,
) -> Option<String> {
    let line = Line::of(text);
    let shown = printable(line.interpreter);
    let line_ends = match line.whole {
        [.., b'\r'] if !line.whole[..line.whole.len() - 1].contains(&b'\r') => {
            Some("its `#!` line ends in a carriage return")
        }
        whole if whole.contains(&b'\r') => Some("its lines end in carriage returns alone"),
        _ => None,
    };
    if let Some(line_ends) = line_ends {
        return Some(format!(
            "{line_ends}, so the kernel takes `{}` for what to start: save it with Unix line ends",
            printable(line.whole)
        ));
    }
    if line.interpreter.is_empty() {
        return Some("its `#!` line names no interpreter".to_owned());
    }
    if !line.is_complete && line.word.is_empty() {
        return Some(format!(
            "its `#!` line is longer than the {} bytes that the kernel reads",
            SCRIPT_LINE - 1
        ));
    }
    // A relative name starts from the working directory, which is the executable's own.
    let directory = executable.parent().unwrap_or(Path::new("."));
    let interpreter = directory.join(OsStr::from_bytes(line.interpreter));
    match fs::metadata(&interpreter) {
        Err(e) if is_missing(&e) => Some(format!("its interpreter `{shown}` does not exist here")),
        Err(_) => None,
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 == 0 => {
            Some(format!("its interpreter `{shown}` is not executable"))
        }
        Ok(_) if interpreters < MAX_INTERPRETERS => {
            super::inspect(&interpreter, machine, interpreters + 1)
                .map(|reason| format!("its interpreter `{shown}`: {reason}"))
        }
        Ok(_) => Some(
            "its interpreter is a script, whose interpreter is one too, and so on: more than the \
             kernel follows"
                .to_owned(),
        ),
    }
}

/// A `#!` that stands where the kernel does not look for it, or in an encoding that it does not
/// know.
pub(super) fn misplaced(head: &[u8]) -> Option<String> {
    const FIRST: &str = "it must be the first two bytes of the file";
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'#', 0, b'!', 0, ..] => {
            return Some("it is UTF-16: save it as UTF-8".to_owned());
        }
        [0xef, 0xbb, 0xbf, b'#', b'!', ..] => {
            return Some(
                "a byte order mark stands before its `#!` line: save it without one".to_owned(),
            );
        }
        _ => {}
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.position(|line| line.trim_ascii_start().starts_with(b"#!"))?;
    Some(match line {
        0 => format!("white space stands before its `#!`: {FIRST}"),
        line => format!("its `#!` stands on line {}: {FIRST}", line + 1),
    })
}

/// What a `#!` line gives its interpreter as one word where its author may have meant more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// `#!/usr/bin/env python3 -u`: a program of that whole name is looked for.
    Env(String),
    /// `#!/bin/sh -e -u`.
    Options(String),
    /// `#!/usr/bin/env python3`, and nothing of that name is in PATH.
    NotFound(String),
}

/// Looks at the `#!` line of `executable`, which is run with this PATH, for what its interpreter
/// may not have liked. Perl and Ruby take the words apart themselves.
pub(crate) fn words(executable: &Path, path: Option<&OsStr>) -> Option<Words> {
    if !fs::metadata(executable).ok()?.is_file() {
        return None;
    }
    let mut buffer = [0; SCRIPT_LINE];
    let head = read_start(&File::open(executable).ok()?, &mut buffer).ok()?;
    let line = Line::of(head.strip_prefix(b"#!")?);
    let name = Path::new(OsStr::from_bytes(line.interpreter)).file_name()?;
    let has_several = line.word.iter().any(u8::is_ascii_whitespace);
    let shown = printable(line.word);
    match name.as_bytes() {
        b"env" if line.word.starts_with(b"-") => None,
        b"env" if has_several => Some(Words::Env(shown)),
        b"env" if !line.word.is_empty() && !is_in(line.word, path?) => Some(Words::NotFound(shown)),
        b"env" => None,
        name if name.starts_with(b"perl") || name.starts_with(b"ruby") => None,
        _ => has_several.then_some(Words::Options(shown)),
    }
}

fn is_in(program: &[u8], path: &OsStr) -> bool {
    let program = Path::new(OsStr::from_bytes(program));
    std::env::split_paths(path).any(|dir| fs::exists(dir.join(program)).unwrap_or(true))
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Words::Env(word) => write!(
                f,
                "its `#!` line has env look for one program called `{word}`: write `env -S {word}`"
            ),
            Words::Options(word) => write!(
                f,
                "its `#!` line gives its interpreter `{word}` as one word: the kernel takes no words apart"
            ),
            Words::NotFound(program) => write!(
                f,
                "its `#!` line has env look for `{program}`, which is in no directory of PATH"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_the_kernel_does_not_take_apart_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let exec = dir.path().join("exec");
        for (line, found) in [
            (
                "#!/usr/bin/env python3 -u",
                Some(Words::Env("python3 -u".into())),
            ),
            ("#!/usr/bin/env -S python3 -u", None),
            ("#!/usr/bin/env sh", None),
            ("#!/usr/bin/env /bin/sh", None),
            (
                "#!/usr/bin/env no-such",
                Some(Words::NotFound("no-such".into())),
            ),
            ("#! /bin/sh -e  -u ", Some(Words::Options("-e  -u".into()))),
            ("#!/bin/sh -eu", None),
            ("#!/usr/bin/perl -w -T", None),
            ("#!/bin/sh", None),
            ("no script", None),
            ("", None),
        ] {
            fs::write(&exec, format!("{line}\n")).unwrap();
            let path = Some(OsStr::new("/nowhere:/bin:/usr/bin"));
            assert_eq!(words(&exec, path), found, "{line}");
        }
        assert_eq!(words(dir.path(), None), None);
    }
}
