//! Why the kernel may have refused an executable: what its errno does not tell.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;

mod elf;
mod script;

pub(crate) use script::words;

/// What the kernel reads of a script (`BINPRM_BUF_SIZE`, since Linux 5.1).
const SCRIPT_LINE: usize = 256;

/// The longest name of a loader that is looked at, Linux's `PATH_MAX`.
const MAX_LOADER: u64 = 4096;

/// Looks at `executable` and says what would stop the kernel from running it. `None` when nothing
/// is seen to be wrong. Reads a few hundred bytes of it, whatever its size and headers.
pub(crate) fn diagnose(executable: &Path) -> Option<String> {
    inspect(executable, &machine(), 0)
}

/// Says so where `path` lies on a file system of which nothing is executed.
pub(crate) fn noexec(path: &Path) -> Option<&'static str> {
    let mounted = rustix::fs::statvfs(path).ok()?;
    let is_so = mounted.f_flag.contains(StatVfsMountFlags::NOEXEC);
    is_so.then_some("it lies on a file system that is mounted noexec")
}

/// Interpreters that are scripts themselves are followed this far, as the kernel does
/// (`execve(2)`, "Interpreter scripts").
const MAX_INTERPRETERS: usize = 4;

fn inspect(executable: &Path, machine: &str, interpreters: usize) -> Option<String> {
    let metadata = fs::metadata(executable).ok()?;
    if metadata.is_dir() {
        return Some("it is a directory".to_owned());
    }
    // Only a regular file: opening a fifo would wait for a writer.
    if !metadata.is_file() {
        return None;
    }
    // Before its content: there, none is executed.
    if let Some(words) = noexec(executable) {
        return Some(words.to_owned());
    }
    let file = File::open(executable).ok()?;
    let mut buffer = [0; SCRIPT_LINE];
    let head = read_start(&file, &mut buffer).ok()?;
    if head.starts_with(elf::MAGIC) {
        inspect_elf(&file, machine)
    } else if let Some(line) = head.strip_prefix(b"#!") {
        script::inspect(line, executable, machine, interpreters)
    } else {
        Some(inspect_other(head))
    }
}

fn inspect_elf(file: &File, machine: &str) -> Option<String> {
    let header = match elf::Header::read(file) {
        Ok(header) => header,
        Err(elf::Damaged) => return Some("its ELF header is damaged or cut off".to_owned()),
    };
    if !header.runs_on(machine) {
        return Some(format!("built for {header}, this machine is {machine}"));
    }
    if let Some(kind) = header.not_a_program() {
        return Some(format!("it is {kind}, not a program"));
    }
    match header.loader(file, MAX_LOADER) {
        Ok(Some(loader)) => {
            let path = Path::new(std::ffi::OsStr::from_bytes(&loader));
            let shown = printable(&loader);
            match fs::metadata(path) {
                Err(e) if is_missing(&e) => Some(format!(
                    "its loader `{shown}` does not exist here: link it statically or use an image that has it"
                )),
                Ok(metadata) if !metadata.is_file() => {
                    Some(format!("its loader `{shown}` is not a file"))
                }
                _ => None,
            }
        }
        Ok(None) => None,
        Err(elf::Damaged) => Some("its ELF program headers are damaged or cut off".to_owned()),
    }
}

/// What is neither ELF nor a script.
fn inspect_other(head: &[u8]) -> String {
    if let Some(words) = script::misplaced(head) {
        return words;
    }
    let kind = match head {
        [] => return "it is empty".to_owned(),
        [b'M', b'Z', ..] => "a Windows program",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            "a macOS program or a Java class"
        }
        [0, b'a', b's', b'm', ..] => "a WebAssembly module",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "a gzip file",
        _ => return "it is neither an ELF executable nor a script with a `#!` line".to_owned(),
    };
    format!("it is {kind}, neither an ELF executable nor a script with a `#!` line")
}

fn read_start<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(&buffer[..filled])
}

/// The machine as the kernel names it, for instance `x86_64`.
fn machine() -> String {
    rustix::system::uname()
        .machine()
        .to_string_lossy()
        .into_owned()
}

fn is_missing(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn diagnosed(content: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec");
        fs::write(&path, content).unwrap();
        inspect(&path, "x86_64", 0)
    }

    #[test]
    fn scripts_are_told_what_is_wrong_with_their_first_line() {
        for (content, reason) in [
            ("#!/bin/sh\necho", None),
            ("#! /bin/sh -e\n", None),
            ("#!/bin/sh", None),
            (
                "#!/no/such/python3 -u\n",
                Some("its interpreter `/no/such/python3` does not exist here"),
            ),
            (
                "#!./nowhere\n",
                Some("its interpreter `./nowhere` does not exist here"),
            ),
            (
                "#!/bin/sh\r\necho\r\n",
                Some(
                    "its `#!` line ends in a carriage return, so the kernel takes `/bin/sh\\r` for what to start: save it with Unix line ends",
                ),
            ),
            ("#!\n", Some("its `#!` line names no interpreter")),
            (
                "#!/etc/passwd\n",
                Some("its interpreter `/etc/passwd` is not executable"),
            ),
            (
                "#!/usr/bin\n",
                Some("its interpreter `/usr/bin`: it is a directory"),
            ),
            (
                "#!/etc/passwd/sh\n",
                Some("its interpreter `/etc/passwd/sh` does not exist here"),
            ),
            (
                "#!/bin/sh\recho\r",
                Some(
                    "its lines end in carriage returns alone, so the kernel takes `/bin/sh\\recho\\r` for what to start: save it with Unix line ends",
                ),
            ),
            (
                &format!("#!/{}\n", "x".repeat(300)),
                Some("its `#!` line is longer than the 255 bytes that the kernel reads"),
            ),
            (
                "\n\n#!/bin/sh\n",
                Some("its `#!` stands on line 3: it must be the first two bytes of the file"),
            ),
            (
                " #!/bin/sh\n",
                Some(
                    "white space stands before its `#!`: it must be the first two bytes of the file",
                ),
            ),
            (
                "# a comment\r\n#!/bin/sh\n",
                Some("its `#!` stands on line 2: it must be the first two bytes of the file"),
            ),
            ("", Some("it is empty")),
            (
                "echo hello\n",
                Some("it is neither an ELF executable nor a script with a `#!` line"),
            ),
            (
                "\u{feff}#!/bin/sh\n",
                Some("a byte order mark stands before its `#!` line: save it without one"),
            ),
            (
                "MZ\x10",
                Some(
                    "it is a Windows program, neither an ELF executable nor a script with a `#!` line",
                ),
            ),
        ] {
            assert_eq!(
                diagnosed(content.as_bytes()).as_deref(),
                reason,
                "{content}"
            );
        }
    }

    #[test]
    fn a_script_saved_as_utf_16_is_told_so() {
        for content in [&b"\xff\xfe#\0!\0/\0"[..], b"\xfe\xff\0#\0!", b"#\0!\0/\0"] {
            assert_eq!(
                diagnosed(content).unwrap(),
                "it is UTF-16: save it as UTF-8"
            );
        }
    }

    #[test]
    fn an_interpreter_is_looked_at_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::write(&inner, "#!/no/such/shell\n").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        let looping = dir.path().join("loop");
        fs::write(&looping, "#!./loop\n").unwrap();
        fs::set_permissions(&looping, fs::Permissions::from_mode(0o755)).unwrap();
        let outer = dir.path().join("outer");
        fs::write(&outer, "#!./inner\n").unwrap();
        assert_eq!(
            diagnose(&outer).unwrap(),
            "its interpreter `./inner`: its interpreter `/no/such/shell` does not exist here"
        );
        assert!(
            diagnose(&looping)
                .unwrap()
                .ends_with("more than the kernel follows")
        );
    }

    #[test]
    fn executables_of_other_machines_and_missing_loaders_are_named() {
        for (machine, bits, order, described) in [
            (183, 64, b'l', "aarch64 (64-bit little-endian)"),
            (22, 64, b'b', "s390x (64-bit big-endian)"),
            (40, 32, b'l', "arm (32-bit little-endian)"),
            (62, 64, b'b', "x86_64 (64-bit big-endian)"),
            (0xbeef, 64, b'l', "machine 48879 (64-bit little-endian)"),
        ] {
            let file = elf::sample(machine, bits, order == b'b', None);
            assert_eq!(
                diagnosed(&file).unwrap(),
                format!("built for {described}, this machine is x86_64")
            );
        }
        assert_eq!(diagnosed(&elf::sample(62, 64, false, None)), None);
        // A 64-bit kernel may well run 32-bit programs of its own family.
        assert_eq!(diagnosed(&elf::sample(3, 32, false, None)), None);
        for (machine, bits) in [(62, 64), (3, 32)] {
            let file = elf::sample(machine, bits, false, Some("/no/such/ld.so"));
            assert_eq!(
                diagnosed(&file).unwrap(),
                "its loader `/no/such/ld.so` does not exist here: link it statically or use an image that has it"
            );
        }
    }

    #[test]
    fn a_big_endian_header_is_read_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exec");
        fs::write(&path, elf::sample(22, 64, true, Some("/no/such/ld64.so.1"))).unwrap();
        assert_eq!(
            inspect(&path, "s390x", 0).unwrap(),
            "its loader `/no/such/ld64.so.1` does not exist here: link it statically or use an image that has it"
        );
    }

    #[test]
    fn no_prefix_and_no_changed_byte_of_a_header_panics() {
        let whole = elf::sample(62, 64, false, Some("/no/such/ld.so"));
        for length in 0..whole.len() {
            diagnosed(&whole[..length]);
        }
        for index in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[index] = value;
                diagnosed(&changed);
            }
        }
        let mut hostile = whole;
        hostile[32..].fill(0xff);
        assert_eq!(
            diagnosed(&hostile).unwrap(),
            "its ELF program headers are damaged or cut off"
        );
    }

    #[test]
    fn what_runs_here_is_given_no_reason() {
        assert_eq!(diagnose(&std::env::current_exe().unwrap()), None);
        assert_eq!(diagnose(Path::new("/dev/null")), None);
        let directory = diagnose(Path::new("/usr"));
        assert_eq!(directory.as_deref(), Some("it is a directory"));
        assert_eq!(diagnose(Path::new("/no/such/file")), None);
    }
}
