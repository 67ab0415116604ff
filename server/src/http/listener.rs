//! Where connections come from: a TCP port, a Unix socket, or a listener that was handed over.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections that wait while the proxy is not ready for them yet. The kernel may allow fewer.
const BACKLOG: i32 = 1024;

/// The first descriptor that a service manager hands over (sd_listen_fds(3)).
const FIRST_INHERITED: RawFd = 3;

/// By what a service manager tells that it hands listeners over. Meant for one process alone.
pub(crate) const HANDED_OVER: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// A listening stream socket, not blocking.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Tcp(SocketAddr),
    /// The path goes with the listener, as long as it leads to it.
    Unix(PathBuf, FileId),
    Inherited(RawFd),
}

/// Tells a file from all others that there are at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(FileId {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl Listener {
    /// Listens on a TCP port; 0 takes a free one. The port is this listener's alone.
    ///
    /// # Errors
    /// The port is in use, or not for this user.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let fd = OwnedFd::from(listener);
        // Again, for a longer backlog than the standard library's.
        rustix::net::listen(&fd, BACKLOG)?;
        send_at_once(&fd);
        Ok(Listener {
            fd,
            origin: Origin::Tcp(address),
        })
    }

    /// Listens on a Unix socket at `path` with the permissions `mode`. A socket that a process
    /// left there which is gone is replaced.
    ///
    /// # Errors
    /// Something else stands there, or the directory cannot be written.
    pub(crate) fn unix(path: &Path, mode: u32) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let address = SocketAddrUnix::new(&path)?;
        let _alone = alone_beside(&path);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket())
            // Without waiting: a process may listen that takes no connections.
            && rustix::net::connect(unix_socket()?, &address) == Err(Errno::CONNREFUSED)
        {
            fs::remove_file(&path)?;
        }
        let fd = unix_socket()?;
        rustix::net::bind(&fd, &address)?;
        let listener = Listener {
            fd,
            origin: Origin::Unix(path.clone(), FileId::of(&path)?),
        };
        // Before it listens nobody can connect.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&listener.fd, BACKLOG)?;
        Ok(listener)
    }

    /// The listeners that a service manager hands over: `LISTEN_FDS` of them from descriptor 3 on,
    /// for the process `LISTEN_PID` (sd_listen_fds(3)). None where one of the variables is missing or
    /// they are meant for another process.
    ///
    /// # Errors
    /// One line that says which variable makes no sense, or what was handed over instead of
    /// listening stream sockets.
    pub(crate) fn inherited(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Vec<Self>, String> {
        let number = |name: &str, least: RawFd, what: &str| {
            let Some(value) = variable(name) else {
                return Ok(None);
            };
            let number = value.to_str().and_then(|text| text.parse().ok());
            match number.filter(|number| *number >= least) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{name}: expected {what}, found {value:?}")),
            }
        };
        let Some(pid) = number("LISTEN_PID", 1, "the id of a process")? else {
            return Ok(Vec::new());
        };
        if u32::try_from(pid) != Ok(std::process::id()) {
            return Ok(Vec::new());
        }
        let count = number("LISTEN_FDS", 1, "a number of listeners, at least 1")?;
        let last = FIRST_INHERITED.saturating_add(count.unwrap_or(0));
        (FIRST_INHERITED..last).map(adopt).collect()
    }

    /// Takes the path of a Unix socket away, so that nobody connects any more, unless another process
    /// listens there by now. For a process that ends without letting go of it.
    pub(super) fn remove_path(&self) {
        // While the socket is bound, its inode is given to no other file.
        if let Origin::Unix(path, own) = &self.origin
            && FileId::of(path).is_ok_and(|found| found == *own)
        {
            let _ = fs::remove_file(path);
        }
    }

    pub(super) fn accept(&self) -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::accept_with(&self.fd, flags)
    }
}

/// How long another proxy that starts in the same directory is waited for.
const START_OF_ANOTHER: Duration = Duration::from_secs(1);

/// Keeps all others that come through here from the directory that holds `path`, until it is dropped.
/// A socket that is bound and does not listen yet looks like one that was left behind: of two that
/// start at once, one would take the path from the other.
///
/// None where the directory cannot be read, or somebody keeps it locked, for that has other uses
/// (tmpfiles.d(5)).
fn alone_beside(path: &Path) -> Option<fs::File> {
    let directory = fs::File::open(path.parent()?).ok()?;
    let until = Instant::now() + START_OF_ANOTHER;
    loop {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}

fn unix_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Connections have it from their listener (tcp(7)). A Unix socket has no such thing, and without
/// it replies are only later.
fn send_at_once(fd: &OwnedFd) {
    let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
}

fn adopt(number: RawFd) -> Result<Listener, String> {
    let refused = |why: &dyn fmt::Display| {
        format!(
            "LISTEN_FDS: expected a listening stream socket as descriptor {number}, found {why}"
        )
    };
    // SAFETY: borrowed for one call, which a number that is not open makes fail with EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC).map_err(|e| refused(&e))?;
    // JUSTIFICATION: what a service manager hands over has no owner but its number.
    // SAFETY: it is open, as the call before shows, and by the protocol it is this process's;
    // nothing else here takes it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    let listens = rustix::net::sockopt::socket_acceptconn(&fd).map_err(|e| refused(&e))?;
    let kind = rustix::net::sockopt::socket_type(&fd).map_err(|e| refused(&e))?;
    if !listens || kind != SocketType::STREAM {
        return Err(refused(&"another one"));
    }
    rustix::io::ioctl_fionbio(&fd, true).map_err(|e| refused(&e))?;
    send_at_once(&fd);
    Ok(Listener {
        fd,
        origin: Origin::Inherited(number),
    })
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_path();
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Tcp(address) => address.fmt(f),
            Origin::Unix(path, _) => write!(f, "unix:{}", path.display()),
            Origin::Inherited(number) => write!(f, "descriptor {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;

    /// Those that got the path, of `many` that ask for it at the same moment.
    fn ask_at_once(path: &Path, many: usize) -> Vec<Listener> {
        let start = Barrier::new(many);
        thread::scope(|scope| {
            let asking: Vec<_> = (0..many)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        Listener::unix(path, 0o600)
                    })
                })
                .collect();
            let answers = asking.into_iter().map(|asked| asked.join().unwrap());
            let refused = |e: io::Error| assert_eq!(e.kind(), io::ErrorKind::AddrInUse);
            answers
                .filter_map(|got| got.map_err(refused).ok())
                .collect()
        })
    }

    #[test]
    fn of_many_that_start_at_once_one_has_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        for round in 0..100 {
            if round % 2 == 0 {
                // Left by one that is gone.
                drop(UnixListener::bind(&path).unwrap());
            }
            let mut got = ask_at_once(&path, 4);
            assert_eq!(got.len(), 1, "round {round}");
            let _client = UnixStream::connect(&path).unwrap();
            got.pop().unwrap().accept().unwrap();
        }
    }
}
