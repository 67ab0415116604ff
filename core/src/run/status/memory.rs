//! The control group's count of processes that the kernel ended because memory ran out.
//!
//! Version 2 has it in `memory.events`, version 1 in `memory.oom_control` (both `oom_kill`; kernel
//! documentation, admin-guide/cgroup-v2 and cgroup-v1/memory). Where neither can be read, as in a
//! sandbox without `/sys/fs/cgroup`, nothing is known and nothing is claimed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// More than these files hold.
const ROOM: usize = 512;

/// The memory group of this process, which is also that of what it starts.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    /// Kept open: it is read before every run.
    counts: File,
    limit: PathBuf,
}

impl MemoryGroup {
    /// Finds it; `None` where it has none, or none that can be read.
    pub(crate) fn of_this_process() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        [Version::One, Version::Two]
            .into_iter()
            .find_map(|version| Self::open(&locate(version, &groups, &mounts)?, version))
    }

    /// A group of which memory is not counted belongs to the next above that is.
    fn open(place: &Place, version: Version) -> Option<Self> {
        let (counts, limit) = match version {
            Version::One => ("memory.oom_control", "memory.limit_in_bytes"),
            Version::Two => ("memory.events", "memory.max"),
        };
        place.group.ancestors().find_map(|group| {
            let dir = place.mount.join(group);
            Some(MemoryGroup {
                counts: File::open(dir.join(counts)).ok()?,
                limit: dir.join(limit),
            })
        })
    }

    /// How many processes of the group were ended so far for want of memory.
    pub(crate) fn killed(&self) -> Option<u64> {
        let mut buffer = [0; ROOM];
        let length = self.counts.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix("oom_kill "))?
            .trim()
            .parse()
            .ok()
    }

    /// Begins to watch.
    pub(crate) fn watch(&self) -> Option<MemoryWatch<'_>> {
        Some(self.watch_since(self.killed()?))
    }

    /// Watches since it was that [`killed`](Self::killed) gave this.
    pub(crate) fn watch_since(&self, before: u64) -> MemoryWatch<'_> {
        MemoryWatch {
            group: self,
            before,
        }
    }
}

/// The group from a moment on.
pub(crate) struct MemoryWatch<'a> {
    group: &'a MemoryGroup,
    before: u64,
}

impl MemoryWatch<'_> {
    /// Whether a process of the group was ended since, for want of memory.
    pub(super) fn has_killed(&self) -> Option<bool> {
        Some(self.group.killed()? > self.before)
    }

    /// The group's limit in bytes.
    pub(super) fn limit(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.group.limit).ok()?;
        // `max` in version 2; in version 1 the largest number of whole pages.
        text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where a group lies.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    mount: PathBuf,
    /// Relative to it.
    group: PathBuf,
}

/// By the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. A container may see only its
/// own group, mounted where its root should be, and yet be told its path from the host's root.
fn locate(version: Version, groups: &str, mounts: &str) -> Option<Place> {
    let has_memory = |controllers: &str| controllers.split(',').any(|name| name == "memory");
    let group = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers) = (fields.next()?, fields.next()?);
        let is_it = match version {
            Version::One => has_memory(controllers),
            Version::Two => id == "0" && controllers.is_empty(),
        };
        is_it.then(|| fields.next()).flatten()
    })?;
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let (kind, options) = (file_system.next()?, file_system.nth(1)?);
        let is_it = match version {
            Version::One => kind == "cgroup" && has_memory(options),
            Version::Two => kind == "cgroup2",
        };
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
        is_it.then(|| Place {
            mount: PathBuf::from(point),
            group: below.to_path_buf(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(mount: &str, group: &str) -> Option<Place> {
        Some(Place {
            mount: mount.into(),
            group: group.into(),
        })
    }

    #[test]
    fn a_group_is_found_on_the_host_and_in_a_container() {
        let two = "0::/user.slice/shell\n";
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let found = locate(Version::Two, two, mounts);
        assert_eq!(found, place("/sys/fs/cgroup", "user.slice/shell"));
        // A namespace of its own.
        let found = locate(Version::Two, "0::/\n", mounts);
        assert_eq!(found, place("/sys/fs/cgroup", ""));
        let one = "9:name=systemd:/x\n4:cpu,memory:/docker/abc\n0::/\n";
        let mounts = "30 23 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = locate(Version::One, one, mounts);
        assert_eq!(found, place("/sys/fs/cgroup/memory", ""));
        assert_eq!(locate(Version::Two, one, mounts), None);
        assert_eq!(locate(Version::One, "", ""), None);
    }

    #[test]
    fn a_kill_is_seen_and_the_limit_named_in_both_versions() {
        for (version, names, counts) in [
            (
                Version::One,
                ["memory.oom_control", "memory.limit_in_bytes"],
                "oom_kill_disable 0\nunder_oom 0\noom_kill N\n",
            ),
            (
                Version::Two,
                ["memory.events", "memory.max"],
                "low 0\nhigh 0\nmax 7\noom 7\noom_kill N\noom_group_kill 0\n",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
            write(names[0], &counts.replace('N', "3"));
            write(names[1], "1048576\n");
            let place = Place {
                mount: dir.path().into(),
                // Memory is not counted down there.
                group: "a/b".into(),
            };
            let group = MemoryGroup::open(&place, version).unwrap();
            let watch = group.watch().unwrap();
            assert_eq!(watch.has_killed(), Some(false));
            write(names[0], &counts.replace('N', "4"));
            assert_eq!(watch.has_killed(), Some(true));
            assert_eq!(watch.limit(), Some(1 << 20));
            for none in ["max\n", "9223372036854771712\n"] {
                write(names[1], none);
                assert_eq!(watch.limit(), None);
            }
        }
    }
}
