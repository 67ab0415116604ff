//! The processes that the proxy is responsible for: orphans of actions, and what is left at the end.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, wait, waitid,
};

/// How long the processes left at the end are waited for after KILL.
const LAST_WAIT: Duration = Duration::from_secs(2);

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
pub struct Orphans(Arc<UnixStream>);

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
        // It is compared and nothing else; as an address it can go to the handler, which the pointer
        // that it is in some C libraries cannot.
        // SAFETY: pthread_self has no conditions; it reads a register of the thread.
        let main = unsafe { libc::pthread_self() } as usize;
        // SAFETY: the handler makes at most one system call, which signal-safety(7) allows, on a
        // descriptor that it keeps open; it neither allocates nor locks nor panics, and so does
        // pthread_self.
        unsafe {
            signal_hook::low_level::register(libc::SIGCHLD, move || {
                // The kernel gives the signal to the thread whose child it is.
                if libc::pthread_self() as usize == main {
                    told.wake();
                }
            })?;
        }
        Ok((read, orphans))
    }

    /// To be called by a thread that has reaped a process of its own: the signal of an orphan that
    /// exited at the same time may have been taken for that process's. The kernel keeps one.
    pub fn look(&self) {
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
pub fn end_children() {
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
