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

#[cfg(test)]
mod tests {
    use super::*;

    /// By the unwinder of the library that the program is linked with.
    #[test]
    fn a_panic_is_caught_and_what_it_passes_is_dropped() {
        struct Passed<'a>(&'a Cell<u32>);
        impl Drop for Passed<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        fn deep(levels: u32, dropped: &Cell<u32>) -> u32 {
            let _passed = Passed(dropped);
            assert!(levels > 0, "the lowest");
            deep(levels - 1, dropped) + 1
        }
        let dropped = Cell::new(0);
        let caught = quietly(panic::AssertUnwindSafe(|| deep(3, &dropped)));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the lowest"));
        assert_eq!(dropped.get(), 4);
        assert_eq!(quietly(|| 5).ok(), Some(5));
    }
}
