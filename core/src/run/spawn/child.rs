//! Makes the child: `clone` with the parent's memory, and what the child does until `execve`.
//!
//! JUSTIFICATION: rustix leaves starting processes to the C library. `fork` copies the page tables of
//! the parent. `posix_spawn` of the GNU library asks for, or sets, each of 64 signals in every child,
//! which is a good part of what a short activation takes, and does not say at which step it failed.
//! `clone3` with `CLONE_CLEAR_SIGHAND` needs a stack switch in assembly for each architecture.
//!
//! `CLONE_VFORK` has the calling thread wait until the child has executed its program or is gone.
//! What has to hold in between, and where it is seen to:
//!
//! - **Stack.** The child runs on [`Stack`], which lies in the frame of the parent's waiting thread
//!   and is used by nobody else meanwhile. The child calls a handful of functions that only make
//!   system calls; no handler runs on it, and nothing recurses.
//! - **Signals.** The parent blocks them first ([`Blocked`]) and the child inherits that, so no
//!   handler of the parent's runs in the child with the parent's memory. The child sets what is
//!   altered to its default before it unblocks them. SIGCHLD stays as it was, so that the kernel
//!   tells the end of a quick child to the thread that started it and wakes no other. The child has
//!   no children: only somebody who sends it that signal by hand, in the microsecond before it is
//!   reset, would have the parent's handler run in it, in place of the waiting thread and in a place
//!   where that thread could have run it too.
//! - **Memory.** The child allocates nothing, takes no lock and drops nothing: other threads of the
//!   parent go on running, and one of them may hold the allocator's lock. All strings are made
//!   before. It calls only what signal-safety(7) allows. It writes to its stack, to the atomics of
//!   [`Report`], and to `errno` of the waiting thread.
//! - **No panic, no return.** Nothing in the child indexes or unwraps, and it ends in `_exit`.
//! - **Descriptors.** The child has a table of its own (no `CLONE_FILES`), a working directory of its
//!   own (no `CLONE_FS`) and dispositions of its own (no `CLONE_SIGHAND`).
//!
//! qemu's user emulation makes a plain fork of it and lets both run on: what the child writes into
//! memory is then lost. So the first child of a [`Parent`](super::Parent) has a pipe beside, and by
//! whether the child's first word reached the parent's memory, the parent knows which it is. Where
//! memory is not shared, every later child has such a pipe too.
//!
//! A child that becomes another user's does not share memory either: between that and `execve` other
//! processes of the user could stop it, and the parent with it, or look into it.

use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};

use super::super::confine::Confined;
use super::pipes::{above_targets, pipe};
use super::signals::{Altered, Blocked, unblock_all};
use super::strings::Pointers;
use crate::error::SpawnStep;

/// What the child becomes. All of `descriptors` are above the numbers that they become there.
pub(super) struct Plan<'a> {
    /// What to execute, in this order, until one of them can be.
    pub candidates: &'a Pointers<'a>,
    pub arguments: &'a Pointers<'a>,
    pub environment: &'a Pointers<'a>,
    /// One string.
    pub working_dir: &'a Pointers<'a>,
    /// Its descriptors 0, 1, 2 and so on.
    pub descriptors: &'a [BorrowedFd<'a>],
    pub altered: Altered,
    pub confined: Option<&'a Confined>,
}

/// What a parent and its children until `execve` have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Shared,
    /// A fork: what an emulator makes of a `vfork`, and what is made of a child that becomes another
    /// user's.
    Separate,
}

/// A process that has executed its program.
pub(super) struct Started {
    pub pid: Pid,
    pub exit: Option<OwnedFd>,
}

/// At which step a start failed, and why.
#[derive(Debug)]
pub(super) struct Failure {
    pub step: SpawnStep,
    pub source: io::Error,
}

impl<E: Into<io::Error>> From<E> for Failure {
    fn from(source: E) -> Self {
        Failure {
            step: SpawnStep::Prepare,
            source: source.into(),
        }
    }
}

/// More than the child needs by far, even where its first calls go through the dynamic linker,
/// which saves all registers: glibc gives the child of its `posix_spawn` as much.
const STACK: usize = 32 << 10;

/// How long a child without the parent's memory may take until it is the program.
const LONGEST_START: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

#[repr(C, align(16))]
struct Stack([MaybeUninit<u8>; STACK]);

/// What the child says when it could not become the program.
struct Report {
    /// The child's first word, said always.
    reached: AtomicBool,
    /// The step, counted from 1 in [`STEPS`], and errno. 0 where there is nothing to say.
    failed: [AtomicI32; 2],
}

/// In the order of their declaration.
const STEPS: [SpawnStep; 4] = [
    SpawnStep::Prepare,
    SpawnStep::Confine,
    SpawnStep::EnterDirectory,
    SpawnStep::Execute,
];

/// What the child is given: it looks at nothing else.
struct Given<'a> {
    plan: &'a Plan<'a>,
    report: Report,
    /// Where it writes its failure as well; -1: nowhere.
    pipe: c_int,
}

/// Starts the child and waits until it is the program, or has failed and is reaped.
///
/// `memory` is what is known of it, and learned here.
pub(super) fn start(plan: &Plan<'_>, memory: &OnceLock<Memory>) -> Result<Started, Failure> {
    let wanted = plan.memory();
    let pipe = match (wanted, memory.get()) {
        (Memory::Shared, Some(Memory::Shared)) => None,
        _ => Some(pipe().and_then(|(read, write)| Ok((read, above_targets(write)?)))?),
    };
    let given = Given {
        plan,
        report: Report {
            reached: AtomicBool::new(false),
            failed: [AtomicI32::new(0), AtomicI32::new(0)],
        },
        pipe: pipe.as_ref().map_or(-1, |(_, write)| write.as_raw_fd()),
    };
    let (pid, pidfd) = clone(&given, wanted)?;
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("clone gave no process id"))?;
    // Before anything can fail: it is not ours to lose.
    let exit = exit_descriptor(pid, pidfd);
    let failed = if given.report.reached.load(Ordering::Relaxed) {
        memory.get_or_init(|| Memory::Shared);
        given.report.failed.map(AtomicI32::into_inner)
    } else if let Some((read, write)) = pipe {
        if wanted == Memory::Shared {
            memory.get_or_init(|| Memory::Separate);
        }
        drop(write);
        read_failure(&read, pid)
    } else {
        // Killed before its first word; whoever waits for it will see that.
        [0, 0]
    };
    let [step, errno] = failed;
    match usize::try_from(step - 1).ok().and_then(|at| STEPS.get(at)) {
        None => Ok(Started { pid, exit }),
        Some(&step) => {
            reap(pid);
            Err(Failure {
                step,
                source: io::Error::from_raw_os_error(errno),
            })
        }
    }
}

/// The new process's id and, where the kernel gives one, its descriptor.
fn clone(given: &Given<'_>, memory: Memory) -> io::Result<(c_int, Option<c_int>)> {
    let flags = match memory {
        Memory::Shared => libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
        Memory::Separate => libc::SIGCHLD,
    };
    let mut stack = MaybeUninit::<Stack>::uninit();
    // Stacks grow down on every architecture that we build for.
    let top: *mut c_void = stack.as_mut_ptr().wrapping_add(1).cast();
    let argument: *mut c_void = (&raw const *given).cast_mut().cast();
    // Kernels before 5.2 do not know the flag and leave this as it is.
    let mut pidfd: c_int = -1;
    let blocked = Blocked::all_but_child()?;
    // SAFETY: `child` is given a live `Given` and keeps to the rules at the top of this file. `top`
    // is the end of a stack of `STACK` bytes, aligned as every architecture asks, that outlives the
    // call: with CLONE_VFORK the thread goes on only when the child has left this memory, and
    // without it the child has a copy. The kernel writes one number to `pidfd`.
    let mut pid = unsafe {
        let flags = flags | libc::CLONE_PIDFD;
        libc::clone(child, top, flags, argument, &raw mut pidfd)
    };
    if pid < 0 {
        // A sandbox or an emulator that does not know the flag, or no descriptor left for it: a
        // process without one is seen to exit in another way.
        pidfd = -1;
        // SAFETY: as above.
        pid = unsafe { libc::clone(child, top, flags, argument) };
    }
    let failed = io::Error::last_os_error();
    drop(blocked);
    if pid < 0 {
        return Err(failed);
    }
    Ok((pid, Some(pidfd).filter(|fd| *fd >= 0)))
}

/// What becomes readable at the exit of `pid`, a child that nobody has waited for.
fn exit_descriptor(pid: Pid, from_clone: Option<c_int>) -> Option<OwnedFd> {
    let Some(number) = from_clone else {
        return pidfd_open(pid, PidfdFlags::empty()).ok();
    };
    // qemu's user emulation writes 0 where it got none.
    if number == 0 {
        // SAFETY: 0 may be open or not; the borrow ends with the call, which refuses everything
        // but a descriptor of a process, and waits for nobody.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(fd), options).ok()?;
    }
    // SAFETY: the kernel has just opened it for us, close-on-exec, and nobody else knows of it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What the child has written when all copies of the other end are closed, by `execve` or its end.
///
/// Another process of the user that the child becomes may stop it before that: then it is ended.
fn read_failure(read: &OwnedFd, pid: Pid) -> [c_int; 2] {
    let mut bytes = [0; 8];
    let mut filled = 0;
    let mut poll_fds = [PollFd::new(read, PollFlags::IN)];
    if let Ok(0) = poll(&mut poll_fds, Some(&LONGEST_START)) {
        // Not reaped yet, so it is nobody else.
        let _ = kill_process(pid, Signal::KILL);
    }
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match rustix::io::read(read, room) {
            Ok(0) => return [0, 0],
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(_) => return [0, 0],
        }
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    [[a, b, c, d], [e, f, g, h]].map(c_int::from_ne_bytes)
}

/// Waits for a child that is about to end. Where somebody has taken its status, that is fine.
fn reap(pid: Pid) {
    while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {}
}

// ---- what follows runs in the child ---------------------------------------------------------

extern "C" fn child(given: *mut c_void) -> c_int {
    // SAFETY: `clone` gives the address of a `Given` that outlives this process's use of it; nobody
    // writes to it but through atomics.
    let given = unsafe { &*given.cast::<Given<'_>>() };
    given.report.reached.store(true, Ordering::Relaxed);
    let (step, errno) = given.plan.become_program();
    let failed = [step as c_int + 1, errno];
    for (place, number) in given.report.failed.iter().zip(failed) {
        place.store(number, Ordering::Relaxed);
    }
    // SAFETY: the kernel reads 8 bytes of a live array; a number that is no descriptor is refused.
    // The process ends without running anything of the parent's.
    unsafe {
        libc::write(given.pipe, failed.as_ptr().cast(), size_of_val(&failed));
        libc::_exit(127)
    }
}

impl Plan<'_> {
    /// Whether the child may share the parent's memory.
    fn memory(&self) -> Memory {
        match self.confined.and_then(Confined::user) {
            None => Memory::Shared,
            Some(_) => Memory::Separate,
        }
    }

    /// Comes back only with the step that failed, and errno.
    fn become_program(&self) -> (SpawnStep, c_int) {
        self.altered.reset();
        // SAFETY: setpgid takes any numbers; both descriptors of dup2 are borrowed or targets, which
        // are none of the sources.
        unsafe {
            if libc::setpgid(0, 0) != 0 {
                return (SpawnStep::Prepare, errno());
            }
            for (fd, target) in self.descriptors.iter().zip(0..) {
                if libc::dup2(fd.as_raw_fd(), target) < 0 {
                    return (SpawnStep::Prepare, errno());
                }
            }
        }
        if self.confined.is_some_and(|confined| !confined.limit_self()) {
            return (SpawnStep::Confine, errno());
        }
        // As the user that it is now.
        for directory in self.working_dir.each() {
            // SAFETY: it is a NUL-terminated string.
            if unsafe { libc::chdir(*directory) } != 0 {
                return (SpawnStep::EnterDirectory, errno());
            }
        }
        if self
            .confined
            .is_some_and(|confined| !confined.restrict_self())
        {
            return (SpawnStep::Confine, errno());
        }
        // As late as can be: what comes now ends the child, as it would end the program.
        unblock_all();
        let mut failed = libc::ENOENT;
        let mut denied = false;
        for candidate in self.candidates.each() {
            failed = self.execute(*candidate);
            match failed {
                // It is there, and may not be executed. That counts if nothing else is found.
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                _ => return (SpawnStep::Execute, failed),
            }
        }
        (
            SpawnStep::Execute,
            if denied { libc::EACCES } else { failed },
        )
    }

    fn execute(&self, program: *const c_char) -> c_int {
        // SAFETY: the program is a NUL-terminated string; both arrays hold such strings and end in
        // a null pointer; all of them live as long as `self`.
        unsafe {
            libc::execve(program, self.arguments.as_ptr(), self.environment.as_ptr());
        }
        errno()
    }
}

fn errno() -> c_int {
    // Allocates nothing: it is the number of this thread.
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or_default()
}
