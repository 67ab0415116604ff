//! Which library this is.

use std::ffi::c_char;

/// The version of the ABI that this header describes: of its functions, types and constants. It
/// changes whenever a program that was compiled with an earlier header would go wrong, and with it
/// the SONAME, `libactionproxy.so.1`. What is only added does not change it.
pub const ACTIONPROXY_ABI_VERSION: u32 = 1;

/// The version of the ABI of the library that is loaded: compare it with ACTIONPROXY_ABI_VERSION
/// where the library was not found by its SONAME.
///
/// Threads: any, at any time, in a log callback too.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_abi_version() -> u32 {
    ACTIONPROXY_ABI_VERSION
}

/// The version of the library that is loaded, such as `0.1.0`. The text is valid for ever.
///
/// Threads: any, at any time, in a log callback too.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
