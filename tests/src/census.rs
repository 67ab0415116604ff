//! What `/proc` says about processes: who is there, in what state, and what it takes.

use std::fs;

use rustix::process::Pid;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its group's.
    pub group: i32,
    /// `R`, `S`, `T`, `Z` and so on.
    pub state: char,
}

/// Every process that is there now.
pub fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .flatten()
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Whether every thread of a process sleeps.
pub fn is_at_rest(pid: Pid) -> bool {
    let pid = pid.as_raw_nonzero();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat
            .rfind(')')
            .and_then(|name| stat.get(name + 2..name + 3));
        state == Some("S")
    })
}

/// One process, if it is there.
pub fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    Some(Process {
        pid,
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

/// Whether it is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    process(pid).is_some_and(|p| p.state != 'Z')
}

/// The children of `parent`, zombies included.
pub fn children(parent: Pid) -> Vec<Process> {
    let mut all = processes();
    all.retain(|p| p.parent == parent.as_raw_nonzero().get());
    all
}

/// A field of `/proc/PID/status`, without the unit.
pub fn status(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(
        line.strip_prefix(':')?
            .trim()
            .trim_end_matches(" kB")
            .into(),
    )
}

/// Resident memory in bytes.
pub fn memory(pid: Pid) -> u64 {
    kib(pid, "VmRSS")
}

/// The most resident memory there was since [`forget_peak`], in bytes.
pub fn peak_memory(pid: Pid) -> u64 {
    kib(pid, "VmHWM")
}

/// Starts the measurement of [`peak_memory`] again.
pub fn forget_peak(pid: Pid) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child");
}

/// Threads.
pub fn threads(pid: Pid) -> usize {
    entries(pid, "task")
}

/// Open descriptors.
pub fn descriptors(pid: Pid) -> usize {
    entries(pid, "fd")
}

/// Processor time that it has used, in ticks, of which Linux counts a hundred a second.
pub fn ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let after_name = stat.rfind(')').and_then(|at| stat.get(at + 1..));
    let mut fields = after_name.unwrap_or_default().split_ascii_whitespace();
    // User time and system time stand behind eleven others.
    let mut next = |skip| fields.nth(skip).and_then(|field| field.parse().ok());
    let times: [Option<u64>; 2] = [next(11), next(0)];
    times.into_iter().flatten().sum()
}

/// Connections that a server on `port` of this machine has not closed yet.
pub fn connections(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("/proc is mounted");
    let local = format!(":{port:04X}");
    let rows = table.lines().map(|row| row.split_ascii_whitespace());
    rows.filter_map(|mut fields| Some((fields.nth(1)?, fields.nth(1)?)))
        // Established, or closed by the client alone: include/net/tcp_states.h.
        .filter(|(address, state)| address.ends_with(&local) && matches!(*state, "01" | "08"))
        .count()
}

fn entries(pid: Pid, of: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{of}")).map_or(0, Iterator::count)
}

fn kib(pid: Pid, field: &str) -> u64 {
    let value = status(pid, field).expect("the process is there");
    value.parse::<u64>().expect("a number") << 10
}
