//! How a refused archive names the entry that is at fault.

use crate::error::InitError;

/// A refusal of the entry `name`, which is made printable.
pub(super) fn refused(name: &[u8], reason: impl Into<String>) -> InitError {
    InitError::Unpack {
        entry: printable(name),
        reason: reason.into(),
    }
}

/// For one log line: control characters escaped, and only the beginning of a name too long for it.
pub(super) fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 256;
    let mut shown = String::from_utf8_lossy(&name[..name.len().min(SHOWN)])
        .escape_debug()
        .to_string();
    if name.len() > SHOWN {
        shown.push_str("...");
    }
    shown
}
