//! Installs an action: a staging directory that replaces what stands, whole or not at all.
//!
//! ```text
//! .actionproxy-stage-*    filled by unpack and the hooks; removed by any error
//!         │ rename: the commit point
//! .actionproxy-commit-*   its entries are moved up into the action directory, one by one
//! ```
//!
//! A process that dies before the commit point leaves the previous action as it was; one that
//! dies after it leaves work that [`recover`] completes. With [`Durability::PowerLoss`] this holds
//! for a machine that loses power too: the stage is synced whole before the commit point, the
//! action directory after it, and each part of the moves before the next.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::config::Durability;
use crate::digest::Digest;
use crate::error::InitError;

use super::fs_at;

use self::merge::Merge;
use self::plan::Plan;

mod merge;
mod plan;
pub(crate) mod record;
pub(crate) mod sync;
pub(crate) mod tree;

/// What every name that the proxy makes in the action directory begins with. An archive that
/// holds such a name at its top is refused.
pub const RESERVED_PREFIX: &str = ".actionproxy-";

/// What a stub is written to before it gets its name.
pub(crate) const NEW_STUB: &str = ".actionproxy-stub";

const STAGE_PREFIX: &str = ".actionproxy-stage-";
const COMMIT_PREFIX: &str = ".actionproxy-commit-";

/// A directory to prepare an action in. It lies inside the action directory, so that it is on the
/// same file system even when the action directory is a mount, and needs no permission on the
/// directory above. A lock is held on it while its process lives.
///
/// Dropping it without [`Stage::commit`] removes it with what it holds.
#[derive(Debug)]
pub struct Stage {
    action_dir: PathBuf,
    dir: PathBuf,
    /// The stage itself, locked.
    lock: OwnedFd,
    durability: Durability,
    /// Whether the record in it is ours.
    recorded: bool,
    committed: bool,
}

impl Stage {
    /// Makes a staging directory in `action_dir`, which is created with the directories above it
    /// where it is missing. A commit that was cut off is completed first.
    ///
    /// # Errors
    /// [`InitError::Io`] when a directory cannot be made.
    pub fn create(action_dir: &Path, durability: Durability) -> Result<Stage, InitError> {
        if !action_dir.is_dir() {
            sync::make_dir(durability, action_dir)?;
        }
        recover(action_dir, durability)?;
        // The first that is free. A process id comes back after a restart, and is 1 in every
        // container.
        let mut number = 0_u64;
        loop {
            let name = format!("{STAGE_PREFIX}{}-{number}", process::id());
            number += 1;
            let dir = action_dir.join(name);
            match rustix::fs::mkdir(&dir, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(e) => {
                    return Err(InitError::io("create the staging directory", dir)(e.into()));
                }
            }
            // Between the two calls another proxy's recovery may have taken it for a leftover.
            if let Some(lock) =
                lock(&dir).map_err(InitError::io("lock the staging directory", &dir))?
            {
                return Ok(Stage {
                    action_dir: action_dir.to_path_buf(),
                    dir,
                    lock,
                    durability,
                    recorded: false,
                    committed: false,
                });
            }
        }
    }

    /// The directory to fill.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes down what the stage installs, so that a later process knows `executable`, which is
    /// relative to the stage, for an init's and not for the image's own: see
    /// [`Action::open`](crate::Action::open). The last thing before [`Stage::commit`].
    ///
    /// # Errors
    /// [`InitError::Unpack`] when something of the record's name was staged, [`InitError::Io`]
    /// when it cannot be written.
    pub fn record(&mut self, executable: &Path, digest: &Digest) -> Result<(), InitError> {
        record::write(&self.dir, executable, digest)?;
        self.recorded = true;
        Ok(())
    }

    /// Makes what was staged the action. Directories that stand are merged with the staged ones
    /// of the same name and take their modes; everything else that stands under a staged name is
    /// replaced, a symlink itself and not what it points to; all other files stay, but for the
    /// `<name>.sha256` of a file that is replaced without a new one.
    ///
    /// # Errors
    /// [`InitError::Unpack`] when a staged name is one of the proxy's own, and [`InitError::Io`]
    /// when a directory to merge with is on another file system or may not be written, or when
    /// the stage cannot be synced: nothing has changed then. An [`InitError::Io`] from the moves
    /// themselves leaves the commit to [`recover`], which the next [`Stage::create`] calls.
    pub fn commit(self) -> Result<Committed, InitError> {
        self.commit_watched(&mut || {})
    }

    /// [`Stage::commit`], calling `step` before each change, so that a test can end the process
    /// between any two.
    fn commit_watched(mut self, step: &mut dyn FnMut()) -> Result<Committed, InitError> {
        let (durability, action_dir) = (self.durability, &self.action_dir);
        let target =
            open_dir(action_dir).map_err(InitError::io("open the action directory", action_dir))?;
        let plan = Plan::draw(self.lock.as_fd(), target.as_fd(), action_dir)?;
        for entry in plan.all() {
            let name = entry.name.to_bytes();
            let is_record = self.recorded && name == record::NAME.as_bytes();
            if name.starts_with(RESERVED_PREFIX.as_bytes()) && !is_record {
                return Err(reserved(&entry.name.to_string_lossy()));
            }
        }
        sync::everything(durability, self.lock.as_fd(), &self.dir)?;
        // The name of a stage is free again when it is committed, while the commit still stands. No
        // two directories that stand have the same inode.
        let stat = rustix::fs::fstat(&self.lock)
            .map_err(|e| InitError::io("look at the staging directory", &self.dir)(e.into()))?;
        let commit = OsString::from(format!("{COMMIT_PREFIX}{}", stat.st_ino));
        let stage = file_name(&self.dir);
        let rename = |from: &OsStr, to: &OsStr| {
            rustix::fs::renameat_with(&target, from, &target, to, RenameFlags::empty())
        };
        step();
        rename(stage, &commit)
            .map_err(|e| InitError::io("commit the staging directory", &self.dir)(e.into()))?;
        if let Err(e) = sync::entry(durability, target.as_fd(), action_dir) {
            // Nothing has been moved yet, so it can be taken back.
            self.committed = rename(&commit, stage).is_err();
            return Err(e);
        }
        self.committed = true;
        let commit = Commit {
            dir: &self.lock,
            name: &commit,
            target: &target,
            action_dir,
            durability,
        };
        commit.roll_forward(&plan, step)?;
        Ok(Committed { _emptied: self })
    }
}

/// What a commit leaves: the staging directory, which is empty and has no name any more. The file system
/// frees it when this is dropped, and takes longer for that than for the rest of a small install.
#[derive(Debug)]
pub struct Committed {
    _emptied: Stage,
}

/// A staging directory past the commit point.
struct Commit<'a> {
    dir: &'a OwnedFd,
    /// In `target`.
    name: &'a OsStr,
    target: &'a OwnedFd,
    /// The path of `target`.
    action_dir: &'a Path,
    durability: Durability,
}

impl Commit<'_> {
    /// Moves everything up into the action directory and removes the directory that is left.
    fn roll_forward(&self, plan: &Plan, step: &mut dyn FnMut()) -> Result<(), InitError> {
        let target = self.target.as_fd();
        Merge::new(self.durability, step).run(plan, self.dir.as_fd(), target, self.action_dir)?;
        step();
        // Not synced: where it comes back, there is nothing in it that is not done.
        rustix::fs::unlinkat(target, self.name, AtFlags::REMOVEDIR).map_err(|e| {
            let path = self.action_dir.join(self.name);
            InitError::io("remove the staging directory", path)(e.into())
        })
    }

    /// Completes what an earlier process began, which may have been killed before it synced.
    fn complete(&self) -> Result<(), InitError> {
        let (target, path) = (self.target.as_fd(), self.action_dir);
        sync::everything(self.durability, self.dir.as_fd(), &path.join(self.name))?;
        let plan = Plan::draw(self.dir.as_fd(), target, path)?;
        let step = &mut || {};
        Merge::new(self.durability, step).settle(&plan, target, path)?;
        self.roll_forward(&plan, step)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is a leftover that `recover` tries again.
            let _ = tree::remove(&self.dir);
        }
    }
}

/// Completes a commit that was cut off and removes the staging directories of processes that
/// are gone, and half a stub. Those of live processes stay. Call it before looking at the action directory; one
/// that does not exist is fine.
///
/// # Errors
/// [`InitError::Io`] when a leftover can be neither completed nor removed.
pub fn recover(action_dir: &Path, durability: Durability) -> Result<(), InitError> {
    let entries = match fs::read_dir(action_dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(InitError::io("read the action directory", action_dir)(e)),
    };
    for entry in entries {
        let name = entry
            .map_err(InitError::io("read the action directory", action_dir))?
            .file_name();
        if name == NEW_STUB {
            // Whoever is still about to give it its name writes another.
            let path = action_dir.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(InitError::io("remove the leftover", path)(e));
                }
                _ => continue,
            }
        }
        let committed = name.as_bytes().starts_with(COMMIT_PREFIX.as_bytes());
        if !committed && !name.as_bytes().starts_with(STAGE_PREFIX.as_bytes()) {
            continue;
        }
        let path = action_dir.join(&name);
        let leftover = match lock(&path) {
            Ok(Some(leftover)) => leftover,
            Ok(None) => continue,
            // No directory, so none of ours.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => continue,
            Err(e) => return Err(InitError::io("lock the leftover", path)(e)),
        };
        if committed {
            let target = open_dir(action_dir)
                .map_err(InitError::io("open the action directory", action_dir))?;
            let commit = Commit {
                dir: &leftover,
                name: &name,
                target: &target,
                action_dir,
                durability,
            };
            commit.complete()?;
        } else {
            tree::remove(&path).map_err(InitError::io("remove the leftover", path))?;
        }
    }
    Ok(())
}

/// Locks the directory `path`. `None` when a live process holds it, or when it was moved or
/// removed before the lock was had.
fn lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let dir = match fs_at::open_dir(CWD, path) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(None),
        // What is called ours but is a symlink or a file is not.
        Err(Errno::LOOP) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(e) => return Err(e.into()),
    };
    match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        // No locks on directories here, as on NFS and some shared file systems of virtual
        // machines: one proxy per action directory, as in a container, has to be trusted then.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF | Errno::INVAL) => {}
        Err(e) => return Err(e.into()),
    }
    let held = rustix::fs::fstat(&dir)?;
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if named.st_ino == held.st_ino && named.st_dev == held.st_dev => Ok(Some(dir)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The action directory itself may be named by a symlink: whoever configured it meant that.
fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn reserved(name: &str) -> InitError {
    InitError::Unpack {
        entry: name.to_owned(),
        reason: format!("names that begin with `{RESERVED_PREFIX}` are reserved"),
    }
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

#[cfg(test)]
mod tests;
