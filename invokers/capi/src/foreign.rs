//! Reads what the host's pointers point to, and writes where it wants its answer.
//!
//! JUSTIFICATION: C has nothing but pointers. What can be checked is: NULL, UTF-8, names. That the
//! memory is there, and as long as was said, is the host's promise: each function of the header says
//! so, and no other module reads or writes through one of the host's pointers.

use std::ffi::{CStr, OsString, c_char, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::slice;

use crate::last_error::Failure;

/// A copy of a text of the host's, which ends in NUL.
///
/// # Safety
/// `text` is NULL, or points to bytes that can be read up to a NUL.
pub(crate) unsafe fn bytes_of_text(what: &str, text: *const c_char) -> Result<Vec<u8>, Failure> {
    if text.is_null() {
        return Err(Failure::misuse(format_args!("`{what}` is NULL")));
    }
    // SAFETY: not null, and the rest is promised by the caller.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

/// The same, of a text that has to be UTF-8.
///
/// # Safety
/// As [`bytes_of_text`].
pub(crate) unsafe fn text(what: &str, text: *const c_char) -> Result<String, Failure> {
    // SAFETY: promised by the caller.
    let bytes = unsafe { bytes_of_text(what, text) }?;
    String::from_utf8(bytes).map_err(|e| {
        let shown = String::from_utf8_lossy(e.as_bytes()).into_owned();
        Failure::bad_value(format_args!("`{what}` is not UTF-8: {shown:?}"))
    })
}

/// The same, as the system has its names.
///
/// # Safety
/// As [`bytes_of_text`].
pub(crate) unsafe fn os_text(what: &str, text: *const c_char) -> Result<OsString, Failure> {
    // SAFETY: promised by the caller.
    unsafe { bytes_of_text(what, text) }.map(OsString::from_vec)
}

/// A path that is not empty.
///
/// # Safety
/// As [`bytes_of_text`].
pub(crate) unsafe fn path(what: &str, text: *const c_char) -> Result<PathBuf, Failure> {
    // SAFETY: promised by the caller.
    let path = unsafe { os_text(what, text) }?;
    match path.is_empty() {
        true => Err(Failure::bad_value(format_args!(
            "`{what}` is empty; expected a path"
        ))),
        false => Ok(path.into()),
    }
}

/// A copy of bytes of the host's. NULL is none, if `length` is 0.
///
/// # Safety
/// `bytes` is NULL, or points to `length` bytes that can be read.
pub(crate) unsafe fn bytes(
    what: &str,
    bytes: *const c_void,
    length: usize,
) -> Result<Vec<u8>, Failure> {
    if bytes.is_null() && length > 0 {
        return Err(Failure::misuse(format_args!(
            "`{what}` is NULL, and its length is {length}"
        )));
    }
    if length > isize::MAX as usize {
        return Err(Failure::misuse(format_args!(
            "the length of `{what}` is {length}, which nothing can be"
        )));
    }
    if length == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: not null, short enough for a slice, and the rest is promised by the caller.
    Ok(unsafe { slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec())
}

/// Whether there is a place for the answer: asked before anything is done that would then be lost.
pub(crate) fn has_place<T>(what: &str, place: *mut T) -> Result<(), Failure> {
    match place.is_null() {
        true => Err(Failure::misuse(format_args!("`{what}` is NULL"))),
        false => Ok(()),
    }
}

/// Puts an answer where the host wants it, unless that is NULL.
///
/// # Safety
/// `place` is NULL, or points to memory that a `T` can be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and the rest is promised by the caller. What is there is not read.
        unsafe { place.write(value) };
    }
}
