//! What else can be said of an activation that failed: what its author may not know.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use serde::de::IgnoredAny;

use super::CommandLine;
use super::diagnose;
use super::status::{Cause, Ended};

/// An activation whose process has ended.
pub(super) struct Hints<'a> {
    pub(super) executable: &'a Path,
    /// The action's PATH.
    pub(super) path: Option<&'a OsStr>,
    /// The argument's length in bytes.
    pub(super) argument: usize,
    pub(super) command_line: CommandLine,
    pub(super) ended: Ended,
    pub(super) cause: Cause,
    /// Whether stdout stayed empty.
    pub(super) printed_nothing: bool,
    /// What it may have reached without being killed.
    pub(super) limits: Option<&'a str>,
}

impl Hints<'_> {
    /// Where there is no result.
    pub(super) fn instead_of_result(&self) -> Option<String> {
        let hints = [
            self.ended.words_behind_status(self.cause),
            self.executable(),
            self.short_command_line(),
            self.limits.map(str::to_owned),
        ];
        let hints: Vec<String> = hints.into_iter().flatten().collect();
        (!hints.is_empty()).then(|| hints.join("; "))
    }

    /// Where there is one that tells of a failure: an action that looked for its parameters on the
    /// command line may well answer that it has none.
    pub(super) fn beside(&self, result: &[u8]) -> Option<String> {
        let words = self.short_command_line()?;
        let has_failed = self.ended != Ended::Exited(0) || is_error(result);
        has_failed.then(|| format!("the action failed; {words}"))
    }

    /// Statuses 126 and 127 may come from an emulator or a wrapper that could not execute the file
    /// and has no other way to say so; others, from an interpreter that got no further.
    fn executable(&self) -> Option<String> {
        let Ended::Exited(status) = self.ended else {
            return None;
        };
        let refused = match status {
            126 | 127 => diagnose::diagnose(self.executable),
            _ => None,
        };
        refused.or_else(|| {
            let got_no_further = status != 0 && self.printed_nothing;
            let words = got_no_further
                .then(|| diagnose::words(self.executable, self.path))
                .flatten()?;
            Some(words.to_string())
        })
    }

    fn short_command_line(&self) -> Option<String> {
        (self.command_line == CommandLine::TooShort).then(|| {
            format!(
                "its argument of {} bytes was too long for the command line and came on stdin only",
                self.argument
            )
        })
    }
}

/// As the platform tells an error: by a field of that name.
fn is_error(result: &[u8]) -> bool {
    let fields: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_slice(result);
    fields.is_ok_and(|fields| fields.contains_key("error"))
}
