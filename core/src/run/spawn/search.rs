//! Where a program may be that is named without a slash: `execvp(3)`'s rules, over the PATH of the
//! environment that the program is given.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::strings::Strings;
use crate::run::env::Environment;

/// Where is looked when the environment has no PATH: what the GNU library has for `_CS_PATH`.
const USUAL: &[u8] = b"/bin:/usr/bin";

/// Linux's `PATH_MAX`: what is longer cannot be a path. One such directory must not end the search.
const MAX_PATH: usize = 4096;

/// What to try to execute, in this order.
///
/// A name with a slash is a path already. An empty entry of PATH is the working directory, and a
/// relative one begins there: that of the program, not ours.
pub(super) fn candidates(program: &Path, environment: &Environment) -> io::Result<Strings> {
    let name = program.as_os_str().as_bytes();
    let mut candidates = Strings::default();
    if !is_searched(program) || name.is_empty() {
        candidates.push(&[name])?;
        return Ok(candidates);
    }
    let path = environment.value("PATH").map_or(USUAL, OsStrExt::as_bytes);
    for directory in path.split(|byte| *byte == b':') {
        if directory.is_empty() {
            candidates.push(&[name])?;
        } else if directory.len() + 1 + name.len() < MAX_PATH {
            candidates.push(&[directory, b"/", name])?;
        }
    }
    Ok(candidates)
}

/// The file that is executed for `program` by a process that is started in `working_dir`, as far as
/// can be told without doing it; `None` where there is none.
pub(crate) fn file_of(
    program: &Path,
    environment: &Environment,
    working_dir: &Path,
) -> Option<PathBuf> {
    let candidates = candidates(program, environment).ok()?;
    let mut paths = candidates
        .iter()
        .map(|path| working_dir.join(OsStr::from_bytes(path)));
    let may_execute =
        |path: &PathBuf| accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    paths.find(|path| path.is_file() && may_execute(path))
}

/// Whether it is looked for in PATH.
pub(super) fn is_searched(program: &Path) -> bool {
    !program.as_os_str().as_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, OsString};

    use super::*;

    fn tried(program: &str, path: Option<&str>) -> Vec<String> {
        let path = path.map(|path| ("PATH".into(), OsString::from(path)));
        let candidates = candidates(Path::new(program), &Environment::new(path)).unwrap();
        let pointers = candidates.pointers();
        pointers
            .each()
            .iter()
            // SAFETY: each is the address of a NUL-terminated string that `candidates` holds.
            .map(|path| unsafe { CStr::from_ptr(*path) }.to_string_lossy().into())
            .collect()
    }

    #[test]
    fn a_name_is_tried_in_each_directory_of_path_and_a_path_is_not() {
        assert_eq!(tried("cc", Some("/a:/b/")), ["/a/cc", "/b//cc"]);
        assert_eq!(tried("cc", Some(":/a:")), ["cc", "/a/cc", "cc"]);
        assert_eq!(tried("cc", Some("")), ["cc"]);
        assert_eq!(tried("cc", None), ["/bin/cc", "/usr/bin/cc"]);
        assert_eq!(tried("./cc", Some("/a")), ["./cc"]);
        assert_eq!(tried("/x/cc", None), ["/x/cc"]);
        assert_eq!(tried("", Some("/a")), [""]);
    }

    #[test]
    fn a_directory_too_long_to_be_one_is_passed_over() {
        let path = format!("{}:/b", "x".repeat(5000));
        assert_eq!(tried("cc", Some(&path)), ["/b/cc"]);
    }
}
