//! What a process holds in memory, by what the kernel says in `/proc`.

use std::fs;

/// Resident memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Now, in bytes. Includes the pages of the program's file.
    pub resident: f64,
    /// The most since the start, or since [`forget_peak`].
    pub peak: f64,
}

/// `None` where there is no such process.
pub(crate) fn of(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024.0)
    };
    Some(Memory {
        resident: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

/// The peak is counted from now on.
pub(crate) fn forget_peak(pid: u32) {
    // See proc(5), clear_refs. Where it is not allowed the peak is the one since the start.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
