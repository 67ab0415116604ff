//! A directory tree as one run of bytes: directories, files and symlinks with their modes, and the
//! times of files, which what is built may go by. Owners and extended attributes are not in it, and two
//! names of one file are two files.
//!
//! ```text
//! entry   kind (1 byte)  mode (4)  name (length 4, bytes)  what belongs to the kind
//! file    modified: seconds (8), nanoseconds (4)  length (8)  content
//! link    target (length 4, bytes)
//! dir     its entries, then an end
//! end     nothing; the last one ends the tree
//! ```
//! Numbers are little-endian. Nothing is written through a symlink, whatever the bytes say.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::entry::damaged;
use crate::init::fs_at::open_dir;
use crate::init::install::tree as names_of;

const DIR: u8 = b'd';
const FILE: u8 = b'f';
const LINK: u8 = b'l';
const END: u8 = b'e';

/// More levels than any build makes: each is a descriptor.
const MAX_DEPTH: usize = 128;
/// Longer than a name or the target of a symlink may be on Linux.
const MAX_NAME: usize = 4096;
/// Bytes moved at a time.
const PIECE: usize = 64 << 10;

/// Writes what is in the directory `dir`.
///
/// # Errors
/// Of reading and writing, and where there is something that is no file, directory or symlink.
pub(super) fn write(to: &mut impl Write, dir: &Path) -> io::Result<()> {
    // It may be named by a symlink itself; below, none is followed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(dir, flags, Mode::empty())?;
    write_dir(to, root.as_fd(), 0)
}

fn write_dir(to: &mut impl Write, dir: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(
            "what was built has too many levels of directories",
        ));
    }
    for name in names_of::names(dir)? {
        let stat = names_of::stat(dir, &*name)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                begin(to, DIR, &stat, &name)?;
                write_dir(to, open_dir(dir, &*name)?.as_fd(), depth + 1)?;
            }
            FileType::RegularFile => write_file(to, dir, &stat, &name)?,
            FileType::Symlink => {
                begin(to, LINK, &stat, &name)?;
                let target = rustix::fs::readlinkat(dir, &*name, Vec::new())?;
                write_bytes(to, target.to_bytes())?;
            }
            _ => {
                let name = name.to_string_lossy();
                return Err(io::Error::other(format!(
                    "what was built holds `{name}`, which is no file, directory or symlink"
                )));
            }
        }
    }
    to.write_all(&[END])
}

fn write_file(
    to: &mut impl Write,
    dir: BorrowedFd<'_>,
    stat: &Stat,
    name: &CStr,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let length = metadata.len();
    begin(to, FILE, stat, name)?;
    to.write_all(&metadata.mtime().to_le_bytes())?;
    to.write_all(&(metadata.mtime_nsec() as u32).to_le_bytes())?;
    to.write_all(&length.to_le_bytes())?;
    match io::copy(&mut file.take(length), to)? {
        copied if copied == length => Ok(()),
        _ => Err(io::Error::other("what was built changes while it is read")),
    }
}

fn begin(to: &mut impl Write, kind: u8, stat: &Stat, name: &CStr) -> io::Result<()> {
    to.write_all(&[kind])?;
    let mode = Mode::from_raw_mode(stat.st_mode).as_raw_mode() & 0o7777;
    to.write_all(&mode.to_le_bytes())?;
    write_bytes(to, name.to_bytes())
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    to.write_all(bytes)
}

/// Makes what [`write`] wrote, in `dir`, which holds nothing but empty directories.
///
/// # Errors
/// Where the bytes are no such tree, and of making it.
pub(super) fn read(from: &mut impl Read, dir: &Path) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    // Each with the mode that it gets when it is full.
    let mut dirs: Vec<(OwnedFd, Mode)> = Vec::new();
    let mut current = open_dir(CWD, dir)?;
    loop {
        let kind = byte(from)?;
        if kind == END {
            match dirs.pop() {
                None => return Ok(()),
                Some((parent, mode)) => {
                    rustix::fs::fchmod(&current, mode)?;
                    current = parent;
                    continue;
                }
            }
        }
        let mode = Mode::from_raw_mode((number(from)? & 0o7777) as _);
        let name = bytes(from)?;
        let is_name = !matches!(&*name, b"" | b"." | b"..") && !name.contains(&b'/');
        if !is_name {
            return Err(damaged("it holds a name that is none"));
        }
        let name = OsStr::from_bytes(&name);
        match kind {
            DIR if dirs.len() < MAX_DEPTH => {
                match rustix::fs::mkdirat(&current, name, Mode::RWXU) {
                    // A place comes with directories of its own.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
                let child = open_dir(&current, name)?;
                dirs.push((std::mem::replace(&mut current, child), mode));
            }
            FILE => read_file(from, current.as_fd(), name, mode, &mut piece)?,
            LINK => rustix::fs::symlinkat(OsStr::from_bytes(&bytes(from)?), &current, name)?,
            _ => return Err(damaged("it holds what is no entry")),
        }
    }
}

fn read_file(
    from: &mut impl Read,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    mode: Mode,
    piece: &mut [u8],
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let seconds = i64::from_le_bytes(array(from)?);
    let nanoseconds = number(from)?;
    let mut left = u64::from_le_bytes(array(from)?);
    let mut file = File::from(rustix::fs::openat(
        dir,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?);
    while left > 0 {
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = match from.read(&mut piece[..most]) {
            Ok(0) => return Err(damaged("it is cut off")),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        file.write_all(&piece[..length])?;
        left -= length as u64;
    }
    rustix::fs::fchmod(&file, mode)?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT as _,
        },
        last_modification: Timespec {
            tv_sec: seconds as _,
            tv_nsec: nanoseconds.min(999_999_999) as _,
        },
    };
    // What has no times has them in no other way either.
    let _ = rustix::fs::futimens(&file, &times);
    Ok(())
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    array(from).map(|[byte]| byte)
}

fn number(from: &mut impl Read) -> io::Result<u32> {
    array(from).map(u32::from_le_bytes)
}

fn bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = number(from)? as usize;
    if length > MAX_NAME {
        return Err(damaged("it holds a name that is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).map_err(cut_off)?;
    match bytes.contains(&0) {
        true => Err(damaged("it holds a name with a NUL")),
        false => Ok(bytes),
    }
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    from.read_exact(&mut array).map_err(cut_off)?;
    Ok(array)
}

fn cut_off(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => e,
    }
}
