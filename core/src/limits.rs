//! What an error of the system's has to do with a limit that this process was started under.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// The error's own text, and behind it the limit that was reached, where there is one: by its
/// name, how the shell sets it, and its value.
pub fn explained(error: &io::Error) -> String {
    let reached: &[Limit] = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::FBIG) => &[FILE_SIZE],
        Some(Errno::MFILE) => &[OPEN_FILES],
        Some(Errno::AGAIN) => &[PROCESSES],
        Some(Errno::NOMEM) => &[ADDRESS_SPACE, DATA],
        None if error.kind() == io::ErrorKind::OutOfMemory => &[ADDRESS_SPACE, DATA, PROCESSES],
        _ => &[],
    };
    let mut text = error.to_string();
    for limit in reached {
        if let Some(value) = getrlimit(limit.resource).current {
            let Limit {
                of, option, unit, ..
            } = limit;
            text.push_str(&format!(
                "; the limit of {of} is {value}{unit} (ulimit -{option})"
            ));
        }
    }
    text
}

struct Limit {
    resource: Resource,
    of: &'static str,
    option: char,
    unit: &'static str,
}

const FILE_SIZE: Limit = Limit {
    resource: Resource::Fsize,
    of: "file sizes",
    option: 'f',
    unit: " bytes",
};
const OPEN_FILES: Limit = Limit {
    resource: Resource::Nofile,
    of: "open files",
    option: 'n',
    unit: "",
};
/// Of containers and machines there are others, which cannot be asked for everywhere.
const PROCESSES: Limit = Limit {
    resource: Resource::Nproc,
    of: "this user's processes and threads",
    option: 'u',
    unit: "",
};
const ADDRESS_SPACE: Limit = Limit {
    resource: Resource::As,
    of: "address space",
    option: 'v',
    unit: " bytes",
};
const DATA: Limit = Limit {
    resource: Resource::Data,
    of: "data",
    option: 'd',
    unit: " bytes",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_about_a_limit_names_it() {
        let open = getrlimit(Resource::Nofile)
            .current
            .expect("tests run with one");
        let said = explained(&io::Error::from_raw_os_error(libc::EMFILE));
        assert!(
            said.ends_with(&format!("; the limit of open files is {open} (ulimit -n)")),
            "{said}"
        );
        let said = explained(&io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(said, "Permission denied (os error 13)");
    }
}
