//! The proxy as a process: its name, its descriptors, and the processes it is responsible for.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::panic;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, wait, waitid,
};

/// How long the processes left at the end are waited for after KILL.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The program's name, as messages begin with it.
pub(crate) fn name() -> String {
    std::env::args_os()
        .next()
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_name)
        .map_or_else(|| "actionproxy".into(), OsStr::to_string_lossy)
        .into_owned()
}

/// One line instead of a backtrace: the logs are the action's.
pub(crate) fn report_panics_in_a_line() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = info
            .location()
            .map(|l| format!("{}:{}", l.file(), l.line()))
            .unwrap_or_default();
        let line = format!(
            "actionproxy: panicked at {place}: {}\n",
            message.replace('\n', " ")
        );
        let _ = io::stderr().write_all(line.as_bytes());
    }));
}

/// Where the proxy's own file is.
pub(crate) fn executable() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

/// Unblocks every signal: a mask that the proxy was started with would keep it deaf to TERM and to
/// the end of orphans. To be called before there is another thread, which inherits it.
pub(crate) fn let_signals_in() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    // JUSTIFICATION: rustix leaves masks to the C library.
    // SAFETY: sigemptyset initialises the set before it is read; where the old mask would go, a
    // null pointer is allowed.
    let failed = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    match failed {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Sets how the GNU allocator keeps memory: blocks that a usual message needs are kept for the next
/// one, for getting them anew takes a page fault for each of their pages; larger ones are not.
///
/// Left alone it learns from the first large block that is freed to keep the next ones, up to
/// 32 MiB, and keeps them for each thread.
pub(crate) fn bound_kept_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes any numbers; no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives back what the GNU allocator keeps. Other allocators need no such thing.
pub(crate) fn return_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Marks every descriptor but 0, 1 and 2 as not for actions, those too that the proxy was started
/// with.
pub(crate) fn keep_descriptors_from_actions() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    for entry in entries.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number
            && number > 2
        {
            // JUSTIFICATION: nobody owns what was inherited, and there is no list of it but
            // numbers.
            // SAFETY: the call takes any number; one that is not open is refused with EBADF. It
            // changes no more than what happens to the descriptor at exec.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Has orphans of actions come to this process, as they do to the first of a container, so that
/// it behaves the same when it is not the first.
pub(crate) fn adopt_orphans() {
    // Before Linux 3.4 it fails, and orphans go to the first process as ever.
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// Reaps the orphans that have exited. To be called on the main thread only.
///
/// The kernel gives orphans to the main thread; actions are children of the worker thread that
/// started them and waits for them. `__WNOTHREAD` leaves other threads' children alone, so no exit
/// status is ever stolen and nobody has to keep a list.
pub(crate) fn reap_orphans() {
    let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(libc::__WNOTHREAD as u32);
    while let Ok(Some(_)) = wait(options) {}
}

/// Wakes the main thread where orphans may have exited, and only there: to wake it at the end of
/// every activation, whose process is another thread's to reap, would be felt in each.
#[derive(Debug, Clone)]
pub(crate) struct Orphans(Arc<UnixStream>);

impl Orphans {
    /// From now on SIGCHLD is looked at. The stream is readable where the main thread should reap,
    /// which is the one that calls this.
    pub(crate) fn register() -> io::Result<(UnixStream, Orphans)> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let orphans = Orphans(Arc::new(write));
        let told = orphans.clone();
        // JUSTIFICATION: the crate's own pipe cannot tell one SIGCHLD from another, and a thread's id
        // is a system call, which would be made at the end of every activation.
        // SAFETY: pthread_self has no conditions; it reads a register of the thread.
        let main = unsafe { libc::pthread_self() };
        // SAFETY: the handler makes at most one system call, which signal-safety(7) allows, on a
        // descriptor that it keeps open; it neither allocates nor locks nor panics, and so does
        // pthread_self.
        unsafe {
            signal_hook::low_level::register(libc::SIGCHLD, move || {
                // The kernel gives the signal to the thread whose child it is.
                if libc::pthread_self() == main {
                    told.wake();
                }
            })?;
        }
        Ok((read, orphans))
    }

    /// To be called by a thread that has reaped a process of its own: the signal of an orphan that
    /// exited at the same time may have been taken for that process's. The kernel keeps one.
    pub(crate) fn look(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Ok(Some(_)) = waitid(WaitId::All, options) {
            self.wake();
        }
    }

    fn wake(&self) {
        // Where it is full, the main thread is as good as awake.
        let _ = rustix::io::write(&*self.0, &[1]);
    }
}

/// Kills what is left of all actions and their orphans, and waits for it to be gone. The first
/// process of a container need not: the kernel does it.
pub(crate) fn end_children() {
    let until = Instant::now() + LAST_WAIT;
    while Instant::now() < until {
        reap_orphans();
        let children = children(getpid());
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The children of `parent`, by what `/proc` says; zombies do not count.
fn children(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in brackets may hold anything, brackets too.
            let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
            let state = fields.next()?;
            let found: i32 = fields.next()?.parse().ok()?;
            (state != "Z" && found == parent.as_raw_nonzero().get()).then_some(pid)
        })
        .collect()
}

/// A directory that goes with the process.
#[derive(Debug)]
pub(crate) struct OwnDir(PathBuf);

impl OwnDir {
    /// A new one among the system's temporary files.
    pub(crate) fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let mut tries = 0;
        loop {
            let name = format!("actionproxy-{}-{tries}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => return Ok(OwnDir(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < 1000 => tries += 1,
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
