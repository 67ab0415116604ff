//! What every function does at the border: no panic leaves it, no error is lost, and what must not be
//! called from a log callback is refused there.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::last_error::{Failure, actionproxy_status, keep};

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// For functions that may not be called from a log callback.
pub(crate) fn enter(work: impl FnOnce() -> Result<(), Failure>) -> actionproxy_status {
    enter_anywhere(|| match IN_CALLBACK.get() {
        true => Err(Failure::misuse(
            "called from a log callback, where only `actionproxy_cancel` and what reads may be called",
        )),
        false => work(),
    })
}

/// For those that may.
pub(crate) fn enter_anywhere(work: impl FnOnce() -> Result<(), Failure>) -> actionproxy_status {
    // What a panic leaves half done is behind a mutex, or belongs to the call that ends with it.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Failure::panic(format_args!(
            "a fault of the library: {}",
            words(&*panic)
        )))
    });
    match done {
        Ok(()) => actionproxy_status::ACTIONPROXY_OK,
        Err(failure) => keep(failure),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it says nothing of itself")
}

/// Calls into the host.
pub(crate) fn in_callback(call: impl FnOnce()) {
    // It does not nest: what calls back cannot be called from a callback.
    IN_CALLBACK.set(true);
    call();
    IN_CALLBACK.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::last_error::{actionproxy_error_reason, actionproxy_error_text, actionproxy_reason};
    use std::ffi::CStr;

    fn text() -> String {
        // SAFETY: the pointer is to a text that is valid until the next error of this thread.
        let text = unsafe { CStr::from_ptr(actionproxy_error_text()) };
        text.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_is_an_error_of_the_host() {
        assert_eq!(
            actionproxy_error_reason(),
            actionproxy_reason::ACTIONPROXY_REASON_NONE
        );
        assert_eq!(text(), "");
        let status = enter(|| panic!("no {}", "way"));
        assert_eq!(status, actionproxy_status::ACTIONPROXY_HOST);
        assert_eq!(
            actionproxy_error_reason(),
            actionproxy_reason::ACTIONPROXY_REASON_PANIC
        );
        assert_eq!(text(), "a fault of the library: no way");
    }

    #[test]
    fn in_a_callback_what_may_not_be_called_is_refused() {
        in_callback(|| {
            let status = enter(|| Ok(()));
            assert_eq!(status, actionproxy_status::ACTIONPROXY_MISUSE);
            assert!(
                text().starts_with("called from a log callback"),
                "{}",
                text()
            );
            assert_eq!(
                enter_anywhere(|| Ok(())),
                actionproxy_status::ACTIONPROXY_OK
            );
        });
        assert_eq!(enter(|| Ok(())), actionproxy_status::ACTIONPROXY_OK);
    }
}
