//! Who still holds the other end of a pipe, by what `/proc` tells of open descriptors.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;

/// So many are named.
const NAMED: usize = 3;

/// The processes that hold an end of some pipes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holders {
    /// `stdout`, `stderr`, or both.
    pipes: String,
    named: Vec<Holder>,
    more: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    name: String,
    pid: u32,
}

/// Looks for those who hold one of `pipes`, of which this process has the other ends. Sees the
/// processes that this user may look into; without `/proc`, none.
pub(super) fn find<'a>(pipes: impl Iterator<Item = (&'static str, &'a OwnedFd)>) -> Holders {
    let (names, pipes): (Vec<_>, Vec<_>) = pipes
        .filter_map(|(name, fd)| {
            let inode = rustix::fs::fstat(fd).ok()?.st_ino;
            // As the links of `/proc/PID/fd` are written (proc_pid_fd(5)).
            Some((name, format!("pipe:[{inode}]")))
        })
        .unzip();
    let mut pids = processes();
    pids.retain(|pid| holds_one(*pid, &pipes));
    let named = pids.iter().take(NAMED).map(|pid| Holder {
        name: name(*pid),
        pid: *pid,
    });
    Holders {
        pipes: names.join(" and "),
        named: named.collect(),
        more: pids.len().saturating_sub(NAMED),
    }
}

/// All but this one.
fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .collect();
    pids.sort_unstable();
    pids
}

fn holds_one(pid: u32, pipes: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut descriptors = descriptors.into_iter().flatten().flatten();
    descriptors.any(|descriptor| {
        fs::read_link(descriptor.path())
            .is_ok_and(|target| pipes.iter().any(|pipe| target.as_os_str() == pipe.as_str()))
    })
}

fn name(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(name.trim_ascii_end());
    name.escape_debug().to_string()
}

impl fmt::Display for Holders {
    /// ```tee` (process 42) still holds stdout``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named.is_empty() {
            f.write_str("a descendant")?;
        }
        for (index, Holder { name, pid }) in self.named.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}`{name}` (process {pid})")?;
        }
        let holds = match (self.named.len() + self.more, self.more) {
            (0 | 1, _) => "holds",
            (_, 0) => "hold",
            (_, more) => {
                write!(f, " and {more} more")?;
                "hold"
            }
        };
        write!(f, " still {holds} {}", self.pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_pipe_is_told_by_name_and_process() {
        let (read, write) = std::io::pipe().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .stdout(write)
            .spawn()
            .unwrap();
        let fd = OwnedFd::from(read);
        let found = find([("stdout", &fd)].into_iter());
        child.kill().and_then(|()| child.wait()).unwrap();
        let expected = format!("`sleep` (process {}) still holds stdout", child.id());
        assert_eq!(found.to_string(), expected);
        let nobody = find([("stderr", &fd)].into_iter());
        assert_eq!(nobody.to_string(), "a descendant still holds stderr");
    }

    #[test]
    fn of_many_some_are_named() {
        let holder = |pid| Holder {
            name: "x".into(),
            pid,
        };
        let mut holders = Holders {
            pipes: "stdout".into(),
            named: vec![holder(1), holder(2)],
            more: 0,
        };
        let two = "`x` (process 1), `x` (process 2) still hold stdout";
        assert_eq!(holders.to_string(), two);
        holders.more = 4;
        let six = "`x` (process 1), `x` (process 2) and 4 more still hold stdout";
        assert_eq!(holders.to_string(), six);
    }
}
