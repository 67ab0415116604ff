//! Programs that some tests use and not every machine has.

use std::path::Path;

/// Whether all of `names` are on this machine. A test that gets `false` returns, and has said so.
///
/// # Panics
/// In CI (where the variable `CI` is set), if one is missing: there, nothing is left out.
pub fn are_here(names: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |name: &&&str| std::env::split_paths(&path).any(|dir| is_file(&dir.join(name)));
    let missing: Vec<_> = names.iter().filter(|name| !is_here(name)).collect();
    if missing.is_empty() {
        return true;
    }
    leave_out(&format!(
        "this test needs {missing:?}; .ci/install installs them"
    ));
    false
}

/// The same for a package that is known by one of its files.
///
/// # Panics
/// In CI, if it is missing.
pub fn is_installed(file: &Path, package: &str) -> bool {
    let is_here = is_file(file);
    if !is_here {
        leave_out(&format!(
            "this test needs {package}; .ci/install installs it"
        ));
    }
    is_here
}

/// Says that a test is left out, and `why`: a privilege or a program that it needs is not there.
/// The test returns then.
///
/// # Panics
/// In CI (where the variable `CI` is set): there, nothing is left out.
pub fn leave_out(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
