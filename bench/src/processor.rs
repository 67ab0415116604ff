//! What a process takes of the processors, by what the kernel says in `/proc`.

use std::fs;

/// Nanoseconds that the threads of a process have run, kernel and all; not those that have ended.
/// `None` where there is no such process, or the kernel does not count.
pub(crate) fn time_of(pid: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut total = 0.0;
    for thread in threads {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += stat.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(total)
}
