//! One proxy under load, with the books on it.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use actionproxy_tests::{Proxy, census, eventually};
use rustix::process::Pid;
use serde_json::Value;

use crate::dice::Dice;
use crate::history::{Census, Round, Times};
use crate::ledger::{Ledger, Stream};
use crate::load::Load;
use crate::plan::MAX_RESULT;

/// Clients of one proxy.
const CLIENTS: u64 = 4;
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
            // A deadline that is past when its request arrives, on a machine that has no time for
            // the clients, is no limit. Less than the clients wait.
            .arg("--timeout=50s")
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

    /// Lets the clients work for `duration`, waits for rest and looks what the proxy takes then.
    /// `started` is when the first round began.
    pub(crate) fn round(&self, started: Instant, duration: Duration, seed: u64) -> Round {
        let until = Instant::now() + duration;
        census::forget_peak(self.proxy.pid());
        let before = self.load.tally().answered;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let load = Arc::clone(&self.load);
                let dice = Dice::new(seed * 1000 + client * 10 + self.overlap as u64);
                thread::spawn(move || load.client(until, dice))
            })
            .collect();
        for client in clients {
            client.join().expect("a client panicked");
        }
        self.rest();
        let (answered, times) = {
            let mut tally = self.load.tally();
            (tally.answered - before, std::mem::take(&mut tally.times))
        };
        let round = Round {
            elapsed: started.elapsed(),
            answered,
            times: Times::of(times),
            peak: census::peak_memory(self.proxy.pid()),
            rest: self.census(),
        };
        println!(
            "{:>5} s {}: {answered} answered, resident {} KiB, descriptors {}",
            round.elapsed.as_secs(),
            self.overlap,
            round.rest.memory >> 10,
            round.rest.descriptors,
        );
        round
    }

    /// What the proxy takes, at rest.
    fn census(&self) -> Census {
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
            children: census::children(pid).len(),
            memory: settled_memory(pid),
            files,
        }
    }

    /// Ends the proxy. What was wrong.
    pub(crate) fn close(mut self) -> Vec<String> {
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
        let left = census::children(group);
        if !left.is_empty() {
            faults.push(format!("processes left: {left:?}"));
        }
        println!(
            "{}: {} answered, {} abandoned, {} broken off; {sentinels} sentinels on each stream, \
             {} MB of logs, exit status {status}\n  {:?}",
            self.overlap,
            tally.answered,
            tally.left,
            tally.broken,
            (out.bytes() + err.bytes()) / 1_000_000,
            tally.kinds,
        );
        faults
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
