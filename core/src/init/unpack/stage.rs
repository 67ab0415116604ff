//! Writes entries into the staging directory: the one place that touches the file system, and
//! that counts what an archive costs.
//!
//! Every component of a name is opened by itself and never as a symlink, so nothing is written
//! through one even where an earlier entry made it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::config::UnpackLimits;
use crate::error::InitError;

use super::links;
use super::path::{self, EntryPath, Target};
use super::refusal::{printable, refused};
use super::remark::Remark;
use crate::init::fs_at::{open_below, open_dir};

const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Bytes moved at a time.
const PIECE: usize = 64 << 10;

/// An open staging directory and what has been spent on it.
pub(super) struct StageWriter<'a> {
    root: OwnedFd,
    path: &'a Path,
    limits: &'a UnpackLimits,
    bytes: u64,
    entries: u64,
    /// The directory of the entry before, which most often is that of the next.
    last_parent: Option<(Vec<u8>, OwnedFd)>,
    /// Inodes of the directories that had an entry of their own: the others may still get one.
    named_directories: HashSet<u64>,
    links_need_check: bool,
    /// The first name that has a backslash, and how many have.
    backslashes: Option<(Vec<u8>, u64)>,
    piece: Vec<u8>,
}

impl<'a> StageWriter<'a> {
    /// Opens `path`, an empty directory.
    pub(super) fn open(path: &'a Path, limits: &'a UnpackLimits) -> Result<Self, InitError> {
        let root = open_dir(rustix::fs::CWD, path.as_os_str())
            .map_err(|e| InitError::io("open the staging directory", path)(e.into()))?;
        Ok(StageWriter {
            root,
            path,
            limits,
            bytes: 0,
            entries: 0,
            last_parent: None,
            named_directories: HashSet::new(),
            links_need_check: false,
            backslashes: None,
            piece: vec![0; PIECE],
        })
    }

    /// The limits that this writer keeps.
    pub(super) fn limits(&self) -> &UnpackLimits {
        self.limits
    }

    /// Reads the name of an entry.
    pub(super) fn parse(&mut self, name: &[u8]) -> Result<EntryPath, InitError> {
        let at = EntryPath::parse(name, self.limits.max_depth)
            .map_err(|reason| refused(name, reason))?;
        if at.as_bytes().contains(&b'\\') {
            let (_, count) = self
                .backslashes
                .get_or_insert_with(|| (at.as_bytes().to_vec(), 0));
            *count += 1;
        }
        Ok(at)
    }

    /// Makes a directory. One that was made for an entry in it may be named once afterwards.
    pub(super) fn directory(&mut self, at: &EntryPath, mode: Option<u32>) -> Result<(), InitError> {
        if at.is_root() {
            return Ok(());
        }
        let parent = self.parent_of(at)?;
        let name = OsStr::from_bytes(at.name());
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => self.count_entry(at)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(self.failed("create", at, e)),
        }
        // A file or a symlink of that name: the name was taken.
        let dir = open_dir(&parent, name).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP => duplicate(at),
            e => self.failed("open", at, e),
        })?;
        let stat = rustix::fs::fstat(&dir).map_err(|e| self.failed("look at", at, e))?;
        if !self.named_directories.insert(stat.st_ino) {
            return Err(duplicate(at));
        }
        // The proxy itself must be able to write into it, to replace it and to remove it.
        let mode = mode.map_or(DIRECTORY_MODE, |mode| mode & 0o777 | 0o700);
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))
            .map_err(|e| self.failed("set the mode of", at, e))?;
        self.keep_parent(at, parent);
        Ok(())
    }

    /// Writes a file with what `content` gives, which is counted while it is written.
    pub(super) fn file(
        &mut self,
        at: &EntryPath,
        mode: Option<u32>,
        content: &mut dyn Read,
    ) -> Result<(), InitError> {
        self.count_entry(at)?;
        let parent = self.parent_of(at)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = OsStr::from_bytes(at.name());
        let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.failed("create", at, e))?;
        let mut file = File::from(file);
        loop {
            let length = match content.read(&mut self.piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(refused(at.as_bytes(), e.to_string())),
            };
            self.count_bytes(at, length as u64)?;
            file.write_all(&self.piece[..length])
                .map_err(InitError::io("write", self.shown(at)))?;
        }
        let mode = mode
            .map(|mode| mode & 0o777)
            .filter(|&mode| mode != 0)
            .unwrap_or(FILE_MODE);
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|e| self.failed("set the mode of", at, e))?;
        self.keep_parent(at, parent);
        Ok(())
    }

    /// Makes a symlink, if it stays in the tree.
    pub(super) fn symlink(&mut self, at: &EntryPath, target: &[u8]) -> Result<(), InitError> {
        self.count_entry(at)?;
        self.count_bytes(at, target.len() as u64)?;
        let kind = path::check_target(target, at.parent())
            .map_err(|reason| refused(at.as_bytes(), reason))?;
        self.links_need_check |= kind == Target::GoesUpLater;
        let parent = self.parent_of(at)?;
        rustix::fs::symlinkat(
            OsStr::from_bytes(target),
            &parent,
            OsStr::from_bytes(at.name()),
        )
        .map_err(|e| self.failed("create", at, e))?;
        self.keep_parent(at, parent);
        Ok(())
    }

    /// Makes another name for a file that was unpacked before. A hard link to a symlink is
    /// refused: at another depth its `..` would lead elsewhere than was checked.
    pub(super) fn hard_link(&mut self, at: &EntryPath, target: &[u8]) -> Result<(), InitError> {
        let shown = String::from_utf8_lossy(target).escape_debug().to_string();
        let refuse = |reason: &str| {
            refused(
                at.as_bytes(),
                format!("it is a hard link to `{shown}`: {reason}"),
            )
        };
        self.count_entry(at)?;
        let to =
            EntryPath::parse(target, self.limits.max_depth).map_err(|reason| refuse(&reason))?;
        let missing = "no file of that name was unpacked before";
        let target_parent =
            open_below(&self.root, path::components(to.parent())).map_err(|_| refuse(missing))?;
        let target_name = OsStr::from_bytes(to.name());
        match rustix::fs::statat(&target_parent, target_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            Ok(_) => return Err(refuse("that is not a regular file")),
            Err(_) => return Err(refuse(missing)),
        }
        let parent = self.parent_of(at)?;
        let name = OsStr::from_bytes(at.name());
        rustix::fs::linkat(&target_parent, target_name, &parent, name, AtFlags::empty())
            .map_err(|e| self.failed("create", at, e))?;
        self.keep_parent(at, parent);
        Ok(())
    }

    /// Ends the unpacking: what could not be judged entry by entry is looked at now.
    pub(super) fn finish(self) -> Result<Vec<Remark>, InitError> {
        if self.links_need_check {
            links::check(&self.root)?;
        }
        let backslashes = self.backslashes.map(|(first, count)| Remark::Backslashes {
            // Escaped, it would have two.
            first: printable(&first).replace(r"\\", r"\"),
            count,
        });
        Ok(backslashes.into_iter().collect())
    }

    /// Counts one more thing that was made.
    fn count_entry(&mut self, at: &EntryPath) -> Result<(), InitError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(refused(
                at.as_bytes(),
                format!(
                    "the archive has more entries than the limit of {}",
                    self.limits.max_entries
                ),
            ));
        }
        Ok(())
    }

    fn count_bytes(&mut self, at: &EntryPath, bytes: u64) -> Result<(), InitError> {
        self.bytes += bytes;
        if self.bytes > self.limits.max_bytes {
            return Err(refused(
                at.as_bytes(),
                format!(
                    "the archive unpacks to more than the limit of {} bytes",
                    self.limits.max_bytes
                ),
            ));
        }
        Ok(())
    }

    /// Opens the directory that an entry goes into and makes what is missing of it.
    fn parent_of(&mut self, at: &EntryPath) -> Result<OwnedFd, InitError> {
        if at.is_root() {
            return Err(refused(
                b".",
                "the action directory itself must be a directory",
            ));
        }
        if let Some((path, dir)) = self.last_parent.take()
            && path == at.parent()
        {
            return Ok(dir);
        }
        let failed = |e| match e {
            Errno::NOTDIR | Errno::LOOP => refused(
                at.as_bytes(),
                "a file or a symlink stands where a directory would have to be",
            ),
            e => self.failed("create the directories of", at, e),
        };
        let mut dir = open_dir(&self.root, OsStr::new(".")).map_err(failed)?;
        let mut made = 0;
        for component in path::components(at.parent()) {
            let name = OsStr::from_bytes(component);
            let next = match open_dir(&dir, name) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&dir, name, Mode::RWXU).map_err(failed)?;
                    let next = open_dir(&dir, name).map_err(failed)?;
                    rustix::fs::fchmod(&next, Mode::from_raw_mode(DIRECTORY_MODE))
                        .map_err(failed)?;
                    made += 1;
                    next
                }
                other => other.map_err(failed)?,
            };
            dir = next;
        }
        // At most the depth limit at a time, so counting afterwards is soon enough.
        for _ in 0..made {
            self.count_entry(at)?;
        }
        Ok(dir)
    }

    fn keep_parent(&mut self, at: &EntryPath, parent: OwnedFd) {
        self.last_parent = Some((at.parent().to_vec(), parent));
    }

    /// An error of a system call: names that the file system cannot hold or that are taken are the
    /// archive's fault, everything else the machine's.
    fn failed(&self, doing: &str, at: &EntryPath, e: Errno) -> InitError {
        match e {
            Errno::EXIST => duplicate(at),
            Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => refused(
                at.as_bytes(),
                format!(
                    "the file system does not take the name: {}",
                    io::Error::from(e)
                ),
            ),
            e => InitError::io(doing, self.shown(at))(e.into()),
        }
    }

    fn shown(&self, at: &EntryPath) -> PathBuf {
        self.path.join(OsStr::from_bytes(at.as_bytes()))
    }
}

fn duplicate(at: &EntryPath) -> InitError {
    refused(
        at.as_bytes(),
        "another entry has the same name: make the archive anew instead of adding to it",
    )
}
