//! The process itself: signals to it and its group, its exit, its end.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpgid, kill_process, kill_process_group,
    waitid,
};

use super::super::status::{self, Cause, Ended, MemoryWatch};
use crate::error::RunError;

/// Signals the group, and its leader where it has joined another one: each process once, since a handler
/// runs as often as its signal comes. An error only says that nobody is there any more.
pub(super) fn signal(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
    if getpgid(Some(leader)).is_ok_and(|group| group != leader) {
        let _ = kill_process(leader, signal);
    }
}

pub(crate) fn has_exited(pid: Pid) -> Result<bool, RunError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    wait(pid, options).map(|status| status.is_some())
}

/// Waits for the exit and reaps. What killed it is looked for in between: later nothing is known of
/// it any more.
pub(super) fn reap(pid: Pid, memory: Option<&MemoryWatch<'_>>) -> Result<(Ended, Cause), RunError> {
    let status = wait(pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let mut ended = status.map_or(Ended::Exited(0), |status| Ended::from_wait(&status));
    let cause = status::find(pid, ended, memory);
    if let Ended::Signaled(killed) = &mut ended {
        killed.cause = cause;
    }
    wait(pid, WaitIdOptions::EXITED)?;
    Ok((ended, cause))
}

fn wait(pid: Pid, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, RunError> {
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => return Ok(status),
            Err(Errno::INTR) => {}
            Err(e) => {
                return Err(RunError::Io {
                    doing: "learn how the action ended",
                    source: e.into(),
                });
            }
        }
    }
}
