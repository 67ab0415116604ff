//! The built-in stub: what stands for an action until there is one.
//!
//! It is a `#!` script whose interpreter is this program, so it needs no shell: an image from
//! scratch has none. Only where the kernel cannot take this program's path, a shell stands between.

use std::io::{Read, Write};
use std::path::Path;

use actionproxy_core::Stub;

/// The longest first line, its newline included: execve(2) gives 127 bytes up to Linux 5.0, and 255
/// since.
const MAX_FIRST_LINE: usize = 127;

/// The stub's file for a proxy that lives at `proxy`.
pub(crate) fn file(proxy: &Path) -> Stub {
    let path = proxy.display().to_string();
    let first = format!("#!{path} stub\n");
    // The kernel ends the path at the first white space.
    Stub(
        if path.contains([' ', '\t', '\n']) || first.len() > MAX_FIRST_LINE {
            let quoted = path.replace('\'', r"'\''");
            format!(
                "#!/bin/sh\n{}\nexec '{quoted}' stub \"$0\" \"$@\"\n",
                Stub::MARKER
            )
        } else {
            format!("{first}{}\n", Stub::MARKER)
        },
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_of_the_image_is_ours() {
        let dockerfile = include_str!("../../Dockerfile.multiarch");
        let ours = file(Path::new("/usr/local/bin/actionproxy")).0;
        let written = format!("printf \"{}\" >/action/exec", ours.replace('\n', "\\n"));
        assert!(dockerfile.contains(&written), "expected {written}");
    }
}
