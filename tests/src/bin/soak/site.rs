//! One proxy under load, with the books on it.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use actionproxy_tests::{Proxy, census, eventually};
use rustix::process::Pid;
use serde_json::Value;

use crate::dice::Dice;
use crate::ledger::{Ledger, Stream};
use crate::load::Load;
use crate::plan::MAX_RESULT;

/// Clients of one proxy.
const CLIENTS: u64 = 4;
/// What resident memory may differ by from one time of rest to the next: what the allocator keeps.
const MEMORY_SLACK: u64 = 4 << 20;

/// For how long memory must stay the same: longer than the pause after which the proxy gives it
/// back.
const SETTLED: Duration = Duration::from_millis(300);

/// Whether activations may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    No,
    Yes,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overlap::No => "one at a time",
            Overlap::Yes => "overlapping",
        })
    }
}

/// What a proxy at rest takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Census {
    descriptors: usize,
    threads: usize,
    memory: u64,
    files: Vec<PathBuf>,
}

pub(crate) struct Site {
    overlap: Overlap,
    proxy: Proxy,
    temporary: tempfile::TempDir,
    load: Arc<Load>,
    readers: Vec<JoinHandle<()>>,
}

impl Site {
    /// Starts a proxy and initialises it.
    pub(crate) fn open(overlap: Overlap) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        // They are read for as long as there is a program.
        let ledgers = [Stream::Out, Stream::Err]
            .map(|stream| &*Box::leak(Box::new(Ledger::new(stream, overlap))));
        let mut readers = Vec::new();
        let [out, err]: [OwnedFd; 2] = ledgers.map(|ledger| {
            let (read, write) = std::io::pipe().expect("a pipe");
            readers.push(thread::spawn(move || ledger.read(read)));
            write.into()
        });
        let max_result = MAX_RESULT.to_string();
        let mut builder = Proxy::builder()
            .arg("--linger=20ms")
            .arg("--late-result=20ms")
            .arg("--kill-grace=100ms")
            .arg("--enforce-deadline")
            .arg("--max-result")
            .arg(&max_result)
            .env("TMPDIR", temporary.path().to_str().expect("a plain name"))
            .stdout(out)
            .stderr(err);
        if overlap == Overlap::Yes {
            builder = builder
                .env("__OW_ALLOW_CONCURRENT", "true")
                .arg("--max-concurrent=3");
        }
        let proxy = builder.start();
        let me = std::env::current_exe().expect("/proc is mounted");
        proxy.init(&format!("#!{} action\n", me.display()));
        let load = Arc::new(Load::new(proxy.address(), ledgers));
        Site {
            overlap,
            proxy,
            temporary,
            load,
            readers,
        }
    }

    /// Lets the clients work for `duration`, then waits for rest.
    pub(crate) fn load(&self, duration: Duration, report: Duration, seed: u64) {
        let started = Instant::now();
        let until = started + duration;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let load = Arc::clone(&self.load);
                let dice = Dice::new(seed * 1000 + client * 10 + self.overlap as u64);
                thread::spawn(move || load.client(until, dice))
            })
            .collect();
        let mut next = started + report;
        while clients.iter().any(|client| !client.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            if Instant::now() >= next {
                self.report(started.elapsed());
                next += report;
            }
        }
        for client in clients {
            client.join().expect("a client panicked");
        }
        self.rest();
    }

    /// What the proxy takes, at rest.
    pub(crate) fn census(&self) -> Census {
        let pid = self.proxy.pid();
        let mut files: Vec<_> = [self.temporary.path(), &self.proxy.action_dir()]
            .into_iter()
            .flat_map(|dir| fs::read_dir(dir).expect("our own directory").flatten())
            .map(|entry| entry.path())
            .collect();
        files.sort();
        Census {
            descriptors: census::descriptors(pid),
            threads: census::threads(pid),
            memory: settled_memory(pid),
            files,
        }
    }

    /// Ends the proxy. What was wrong.
    pub(crate) fn close(mut self, before: &Census, after: &Census) -> Vec<String> {
        let group = self.proxy.pid();
        let status = self.proxy.stop();
        for reader in self.readers {
            // They end with the last process that holds the logs: nothing may.
            eventually("the end of the logs", || reader.is_finished().then_some(()));
        }
        let tally = self.load.tally().clone();
        let mut faults = tally.faults;
        let [out, err] = self.load.ledgers;
        faults.extend(out.faults());
        faults.extend(err.faults());
        let sentinels = out.sentinels();
        for ledger in [out, err] {
            let [found, logged, cut] = [ledger.sentinels(), ledger.logged(), ledger.cut_short()];
            if found != logged + cut + tally.unlogged {
                faults.push(format!(
                    "{found} sentinels for {logged} activations with logs, {cut} ended before \
                     their first line, {} that were not begun",
                    tally.unlogged
                ));
            }
        }
        if status != 0 {
            faults.push(format!("exit status {status}"));
        }
        if (before.descriptors, before.threads, &before.files)
            != (after.descriptors, after.threads, &after.files)
        {
            faults.push(format!("left behind: before {before:?}, after {after:?}"));
        }
        if after.memory > before.memory + MEMORY_SLACK {
            faults.push(format!("memory: before {before:?}, after {after:?}"));
        }
        let left = census::children(group);
        if !left.is_empty() {
            faults.push(format!("processes left: {left:?}"));
        }
        println!(
            "{}: {} answered, {} abandoned, {} broken off; {sentinels} sentinels on each stream, \
             {} MB of logs\n  {:?}\n  descriptors {} -> {}, threads {} -> {}, \
             resident {} -> {} KiB, files {} -> {}, exit status {status}",
            self.overlap,
            tally.answered,
            tally.left,
            tally.broken,
            (out.bytes() + err.bytes()) / 1_000_000,
            tally.kinds,
            before.descriptors,
            after.descriptors,
            before.threads,
            after.threads,
            before.memory >> 10,
            after.memory >> 10,
            before.files.len(),
            after.files.len(),
        );
        faults
            .iter()
            .map(|fault| format!("{}: {fault}", self.overlap))
            .collect()
    }

    /// Waits until nothing is running, no connection is open, no child is left, all logs are read
    /// and the proxy has given back what memory it can.
    fn rest(&self) {
        let pid = self.proxy.pid();
        eventually("the proxy to rest", || {
            let answer = self.proxy.try_get("/healthz").ok()?;
            let health: Value = serde_json::from_slice(&answer.body).ok()?;
            (health["running"] == 0 && health["waiting"] == 0).then_some(())
        });
        eventually("every descendant to be reaped", || {
            census::children(pid).is_empty().then_some(())
        });
        // The connections of clients that went away.
        eventually("the connections to end", || {
            (census::connections(self.load.address.port()) == 0).then_some(())
        });
        let [out, err] = self.load.ledgers;
        eventually("the logs to be read", || {
            (out.sentinels() == err.sentinels()).then_some(())
        });
        // The proxy gives it back in its first pause.
        let mut settled = (census::memory(pid), Instant::now());
        eventually("the memory to settle", || {
            let memory = census::memory(pid);
            if memory != settled.0 {
                settled = (memory, Instant::now());
            }
            (settled.1.elapsed() > SETTLED).then_some(())
        });
    }

    fn report(&self, elapsed: Duration) {
        let pid = self.proxy.pid();
        println!(
            "{:>5} s {}: {} answered, resident {} KiB, descriptors {}, threads {}",
            elapsed.as_secs(),
            self.overlap,
            self.load.tally().answered,
            census::memory(pid) >> 10,
            census::descriptors(pid),
            census::threads(pid),
        );
    }
}

/// Resident memory once it stays the same: the proxy gives memory back in a pause of its work.
fn settled_memory(pid: Pid) -> u64 {
    let mut last = census::memory(pid);
    let mut same = 0;
    eventually("memory to settle", || {
        thread::sleep(Duration::from_millis(50));
        let now = census::memory(pid);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == 20).then_some(now)
    })
}
