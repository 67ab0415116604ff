//! What a run gave.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use actionproxy_core::{Ended, Outcome};

use crate::border::{enter, enter_anywhere};
use crate::foreign;
use crate::handle::{self, Handled};
use crate::last_error::actionproxy_status;

/// The result of a run: JSON, and how the process ended.
#[allow(non_camel_case_types)]
pub struct actionproxy_result {
    _private: (),
}

pub(crate) struct Given(pub Outcome);

impl Handled for Given {
    const NAME: &'static str = "a result";
    type Opaque = actionproxy_result;
}

/// The JSON of the result, an object or array, byte for byte as the action gave it; `*length` is its
/// length, unless `length` is NULL. A NUL stands behind it, which is not counted. Valid until the
/// result is freed. NULL where `result` is no result.
///
/// Threads: any, several at once, in a log callback too.
///
/// # Safety
/// `length` is NULL, or points to a `size_t` that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_result_bytes(
    result: *const actionproxy_result,
    length: *mut usize,
) -> *const c_char {
    let mut bytes = ptr::null();
    enter_anywhere(|| {
        let given: Arc<Given> = handle::find(result)?;
        let json = &given.0.result;
        // SAFETY: promised by the host.
        unsafe { foreign::put(length, json.len().saturating_sub(1)) };
        bytes = json.as_ptr().cast();
        Ok(())
    });
    bytes
}

/// How the process ended: 0 to 255 is its exit status, and a negative number -S the signal S that
/// killed it. It does not touch the result. -1000 where `result` is no result.
///
/// Threads: any, several at once, in a log callback too.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_result_ended(result: *const actionproxy_result) -> i32 {
    let mut ended = -1000;
    enter_anywhere(|| {
        let given: Arc<Given> = handle::find(result)?;
        ended = match given.0.ended {
            Ended::Exited(status) => status,
            Ended::Signaled(killed) => -killed.signal,
        };
        Ok(())
    });
    ended
}

/// Frees a result, and its bytes. NULL is nothing to free.
///
/// Threads: any, while no other reads the bytes.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_result_free(result: *mut actionproxy_result) -> actionproxy_status {
    enter(|| match result.is_null() {
        true => Ok(()),
        false => handle::free::<Given>(result, |_| Ok(())).map(drop),
    })
}

impl Given {
    /// With a NUL behind the JSON, so that it is a string to whoever knows that it holds none.
    pub(crate) fn new(mut outcome: Outcome) -> Self {
        outcome.result.push(0);
        Given(outcome)
    }
}
