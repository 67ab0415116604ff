//! Panics: a line in the logs, and no more.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic::{self, UnwindSafe};
use std::thread;

thread_local! {
    /// Whether whoever catches a panic of this thread reports it in words of its own.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// One line instead of a backtrace: the logs are the action's.
pub fn report_panics_in_a_line() {
    panic::set_hook(Box::new(|info| {
        if IS_QUIET.get() {
            return;
        }
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = info
            .location()
            .map(|l| format!("{}:{}", l.file(), l.line()))
            .unwrap_or_default();
        let line = format!(
            "actionproxy: panicked at {place}: {}\n",
            message.replace('\n', " ")
        );
        let _ = io::stderr().write_all(line.as_bytes());
    }));
}

/// What `f` gives, or that it has panicked, of which nothing is written.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T + UnwindSafe) -> thread::Result<T> {
    let before = IS_QUIET.replace(true);
    let result = panic::catch_unwind(f);
    IS_QUIET.set(before);
    result
}
