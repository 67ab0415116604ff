//! The built-in stub: what stands for an action until there is one.
//!
//! It is a `#!` script whose interpreter is this program, so it needs no shell: an image from
//! scratch has none.

use std::io::{Read, Write};
use std::path::Path;

use actionproxy_core::Stub;

/// The stub's file for a proxy that lives at `proxy`.
pub(crate) fn file(proxy: &Path) -> Stub {
    Stub(format!("#!{} stub\n", proxy.display()))
}

/// What the stub does when it is run: explain, then give its result.
pub(crate) fn run() {
    // `actionproxy stub FILE [ARGUMENT]`: the kernel puts the script's name before its arguments.
    let argument = std::env::args_os().nth(3).unwrap_or_default();
    let mut input = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut input);
    let text = format!(
        "This is a stub action that stands for your own: a script or a program for this machine.\n\
         The argument of an activation comes on stdin and, up to {max} bytes, as the command line's \
         only argument.\n\
         What an action writes to stdout and stderr is log; the last line of stdout is its result, \
         a JSON object or array.\n\
         command line argument length: {argument}\n\
         stdin length: {input}\n\
         {{\"error\":\"This is a stub action. Replace it with custom logic.\"}}\n",
        max = actionproxy_core::MAX_ARGUMENT,
        argument = argument.len(),
        input = input.len(),
    );
    let _ = std::io::stdout().write_all(text.as_bytes());
}
