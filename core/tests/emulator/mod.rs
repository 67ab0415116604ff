//! Whether these tests run in an emulator of one process, as those of other architectures do.

use std::process::Command;

/// Whether it does, and says that a test is left out since `why`.
pub(crate) fn is_here(why: &str) -> bool {
    // What it starts is a program of the machine itself.
    let output = Command::new("uname").arg("-m").output();
    let machine = output.expect("uname").stdout;
    let machine = String::from_utf8_lossy(&machine).replace('_', "-");
    let built_for = std::env::consts::ARCH.replace('_', "-");
    let family = |name: &str| match name.trim() {
        "x86" | "i386" | "i686" => "x86-64".to_owned(),
        name => name.replace("powerpc64", "ppc64le"),
    };
    let is_here = family(&machine) != family(&built_for);
    if is_here {
        eprintln!("SKIPPED: this runs in an emulator, and {why}");
    }
    is_here
}
