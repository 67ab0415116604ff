//! Moves a staged tree into the tree that stands, as planned.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::config::Durability;
use crate::error::InitError;

use super::plan::{Entry, How, Kind, Plan, join};
use super::{sync, tree};
use crate::init::fs_at;

/// One merge of a staged tree.
pub(super) struct Merge<'a> {
    durability: Durability,
    step: &'a mut dyn FnMut(),
}

impl<'a> Merge<'a> {
    /// `step` is called before each change.
    pub(super) fn new(durability: Durability, step: &'a mut dyn FnMut()) -> Self {
        Merge { durability, step }
    }

    /// Moves every entry of `stage` into `target`, which is `path`, and removes the directories
    /// that are left empty in `stage`. A run that was cut off is completed by another with a new
    /// plan, whatever of the first has reached the disk. That is why it has four parts, each
    /// synced before the next where a loss of power is to be outlived:
    ///
    /// 1. What stands in the way is removed, and checksums of files that are about to be replaced
    ///    without a new one. While that is not done, every entry is still in `stage`, from which it
    ///    can be told.
    /// 2. Everything but checksums is moved.
    /// 3. New checksums are moved. So a file that is still in `stage` without one never had one,
    ///    and a checksum that stands beside its name is an old one.
    /// 4. Emptied directories are removed from `stage`: until now, they tell the modes.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        self.clear(plan, target, path)?;
        self.move_up(plan, stage, target, path)?;
        self.sync(target, path)?;
        self.sweep(plan, stage, path)
    }

    /// Syncs what an earlier run did to the directories that stand, and was killed before it
    /// synced: what it removed is no longer seen, and might come back beside what is moved now.
    pub(super) fn settle(
        &self,
        plan: &Plan,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        if self.durability == Durability::Process {
            return Ok(());
        }
        for entry in &plan.entries {
            if let How::Merge { plan, .. } = &entry.how {
                let path = join(path, &entry.name);
                let to = open(target, &entry.name, &path)?;
                self.settle(plan, to.as_fd(), &path)?;
            }
        }
        self.sync(target, path)
    }

    fn clear(&mut self, plan: &Plan, target: BorrowedFd<'_>, path: &Path) -> Result<(), InitError> {
        if !plan.removes() {
            return Ok(());
        }
        for entry in plan.all() {
            let at = join(path, &entry.name);
            if let Some(checksum) = &entry.stale_checksum {
                (self.step)();
                rustix::fs::unlinkat(target, &**checksum, AtFlags::empty())
                    .map_err(|e| InitError::io("remove", join(path, checksum))(e.into()))?;
            }
            match &entry.how {
                How::Replace {
                    standing: Kind::Directory(_),
                    ..
                } => {
                    (self.step)();
                    tree::remove(&at).map_err(InitError::io("replace", &at))?;
                }
                How::Replace { .. } => {
                    (self.step)();
                    rustix::fs::unlinkat(target, &*entry.name, AtFlags::empty())
                        .map_err(|e| InitError::io("replace", &at)(e.into()))?;
                }
                How::Merge { plan, .. } if plan.removes() => {
                    let to = open(target, &entry.name, &at)?;
                    self.clear(plan, to.as_fd(), &at)?;
                }
                How::Merge { .. } | How::Move(_) => {}
            }
        }
        self.sync(target, path)
    }

    /// Leaves the last sync of `target` to the caller, which may have its mode to set before.
    fn move_up(
        &mut self,
        plan: &Plan,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        for entry in &plan.entries {
            self.move_entry(entry, stage, target, path)?;
        }
        if !plan.checksums.is_empty() {
            self.sync(target, path)?;
        }
        for entry in &plan.checksums {
            self.move_entry(entry, stage, target, path)?;
        }
        Ok(())
    }

    fn move_entry(
        &mut self,
        entry: &Entry,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        let name = &*entry.name;
        let path = join(path, name);
        let staged = match &entry.how {
            How::Move(staged) | How::Replace { staged, .. } => *staged,
            How::Merge { mode, plan } => {
                let from = open(stage, name, &path)?;
                let to = open(target, name, &path)?;
                self.move_up(plan, from.as_fd(), to.as_fd(), &path)?;
                (self.step)();
                match rustix::fs::fchmod(&to, permissions(*mode)) {
                    // Another user's directory that this one may write keeps its mode.
                    Ok(()) | Err(Errno::PERM) => {}
                    Err(e) => return Err(InitError::io("merge", path)(e.into())),
                }
                return self.sync(to.as_fd(), &path);
            }
        };
        (self.step)();
        match (rustix::fs::renameat(stage, name, target, name), staged) {
            // Moving a directory changes its `..`, which takes permission to write it.
            (Err(Errno::ACCESS), Kind::Directory(mode)) => {
                self.move_unwritable(name, mode, stage, target, &path)
            }
            (moved, _) => moved.map_err(|e| InitError::io("replace", path)(e.into())),
        }
    }

    fn move_unwritable(
        &self,
        name: &CStr,
        mode: u32,
        stage: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<(), InitError> {
        let chmod = |dir: BorrowedFd<'_>, mode| {
            rustix::fs::chmodat(dir, name, permissions(mode), AtFlags::empty())
        };
        let replace = |e: Errno| InitError::io("replace", path)(e.into());
        chmod(stage, 0o700).map_err(replace)?;
        rustix::fs::renameat(stage, name, target, name).map_err(replace)?;
        let moved = open(target, name, path)?;
        chmod(target, mode).map_err(replace)?;
        self.sync(moved.as_fd(), path)
    }

    fn sweep(&mut self, plan: &Plan, stage: BorrowedFd<'_>, path: &Path) -> Result<(), InitError> {
        for entry in &plan.entries {
            let How::Merge { plan, .. } = &entry.how else {
                continue;
            };
            let path = join(path, &entry.name);
            if plan.merges() {
                let from = open(stage, &entry.name, &path)?;
                self.sweep(plan, from.as_fd(), &path)?;
            }
            (self.step)();
            rustix::fs::unlinkat(stage, &*entry.name, AtFlags::REMOVEDIR)
                .map_err(|e| InitError::io("merge", path)(e.into()))?;
        }
        Ok(())
    }

    fn sync(&self, dir: BorrowedFd<'_>, path: &Path) -> Result<(), InitError> {
        sync::entry(self.durability, dir, path)
    }
}

fn open(dir: BorrowedFd<'_>, name: &CStr, path: &Path) -> Result<OwnedFd, InitError> {
    fs_at::open_dir(dir, name).map_err(|e| InitError::io("merge", path)(e.into()))
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}
