//! A command as people write it in one line: words as a shell splits them, without a shell.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::tool::Words;

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandLine {
    /// Splits `text` at its blanks. Between single quotes everything stands for itself; between double
    /// quotes a backslash takes the meaning of `"`, `\`, `$` and a backquote, elsewhere that of any
    /// character, and a line break behind it goes with it. Nothing else has a meaning: no variables, no
    /// patterns, no redirections. What needs them is `sh -c '…'`.
    ///
    /// # Errors
    /// What was expected: a quote is open at the end, a backslash is last, or there is no word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = split(text)?.into_iter().map(OsString::from);
        match words.next() {
            Some(program) if !program.is_empty() => Ok(CommandLine {
                program,
                arguments: words.collect(),
            }),
            _ => Err("a command".to_owned()),
        }
    }

    /// A program with these arguments, as they are.
    pub fn new<S: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        CommandLine {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }

    /// The program. Without a slash it is searched in PATH, by the rules of `execvp(3)`.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The same arguments for the program at `path`.
    #[must_use]
    pub fn with_program(self, path: &Path) -> Self {
        CommandLine {
            program: path.into(),
            ..self
        }
    }

    /// What the program is given.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words {
            program: &self.program,
            arguments: self.arguments.clone(),
        }
    }
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut characters = text.chars();
    // `None` between two words; a pair of quotes makes a word of nothing.
    let mut word: Option<String> = None;
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or_else(|| open('\''))? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => match characters
                .next()
                .ok_or("a command without a last backslash")?
            {
                '\n' => {}
                other => word.get_or_insert_default().push(other),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match characters.next().ok_or_else(|| open('"'))? {
            '"' => return Ok(()),
            '\\' => match characters.next().ok_or_else(|| open('"'))? {
                '\n' => {}
                special @ ('"' | '\\' | '$' | '`') => word.push(special),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

fn open(quote: char) -> String {
    format!("a command whose {quote} is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        let line = CommandLine::parse(text)?;
        let words = std::iter::once(line.program()).chain(line.arguments().iter().map(|a| &**a));
        Ok(words.map(|w| w.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        // `printf '[%s]'` of a shell prints the same.
        for text in [
            "cc",
            "  cc\t-O2  -o exec\n",
            r#"cc '-D A="b"' "-D C='d'" e\ f g\\h"#,
            r#"a'b'"c"\d '' "" 'x'y"#,
            r#"sh -c 'echo "$1" | cat' sh "\"\\\$\`\a" \$x"#,
            "a \\\n b \"c\\\nd\" 'e\\\nf'",
            "ü 'ö ä'",
        ] {
            let shell = std::process::Command::new("sh")
                .args(["-c", &format!("printf '[%s]' {}", text.trim())])
                .output()
                .unwrap();
            let ours: String = words(text)
                .unwrap()
                .iter()
                .map(|w| format!("[{w}]"))
                .collect();
            assert_eq!(ours, String::from_utf8(shell.stdout).unwrap(), "{text}");
        }
    }

    #[test]
    fn nothing_else_has_a_meaning() {
        let all = "echo $HOME `x` $(y) *.c ~ #z ; > f | & {a,b}";
        let expected: Vec<_> = all.split(' ').collect();
        assert_eq!(words(all).unwrap(), expected);
    }

    #[test]
    fn what_is_no_command_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("", "a command"),
            ("  \t ", "a command"),
            ("''", "a command"),
            ("cc 'x", "a command whose ' is closed"),
            ("cc \"x'", "a command whose \" is closed"),
            ("cc \"x\\", "a command whose \" is closed"),
            ("cc x\\", "a command without a last backslash"),
        ] {
            assert_eq!(words(text).unwrap_err(), expected, "{text}");
        }
    }
}
