//! What is said of an archive that was unpacked all the same.

use std::fmt;

/// What the maker of an archive that was unpacked may not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Backslashes were taken for a part of names.
    Backslashes {
        /// The first such name, made printable.
        first: String,
        /// How many have one.
        count: u64,
    },
    /// A tar ends without the blocks that mark its end.
    NoEnd {
        /// The last entry, made printable.
        last: String,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Backslashes { first, count } => {
                let names = if *count == 1 {
                    "name has"
                } else {
                    "names have"
                };
                write!(
                    f,
                    "{count} {names} a backslash, as `{first}` has: it is a part of the name and \
                     separates nothing; an archive's directories are separated by `/`"
                )
            }
            Remark::NoEnd { last } => write!(
                f,
                "the tar ends after `{last}` without an end mark: entries may be missing"
            ),
        }
    }
}
