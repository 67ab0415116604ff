//! The clients: some wait for their answer, some go away.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actionproxy_tests::{Connection, request};

use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::plan::Plan;

/// What the clients of one proxy share.
pub(crate) struct Load {
    pub address: SocketAddr,
    pub ledgers: [&'static Ledger; 2],
    ids: AtomicU64,
    tally: Mutex<Tally>,
}

/// What was sent and answered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub answered: u64,
    /// Answered, and without logs but the sentinels.
    pub unlogged: u64,
    /// Sent whole by a client that did not wait.
    pub left: u64,
    /// Never sent whole.
    pub broken: u64,
    pub kinds: BTreeMap<&'static str, u64>,
    /// How long the answers to activations that do nothing odd took, in this round.
    pub times: Vec<Duration>,
    pub faults: Vec<String>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, ledgers: [&'static Ledger; 2]) -> Self {
        Load {
            address,
            ledgers,
            ids: AtomicU64::new(1),
            tally: Mutex::default(),
        }
    }

    /// One client, until the time has come.
    pub(crate) fn client(&self, until: Instant, mut dice: Dice) {
        // As a pool of connections would: kept now and then.
        let mut kept: Option<Connection> = None;
        while Instant::now() < until {
            if let Err(fault) = self.one(&mut dice, &mut kept) {
                let mut tally = self.tally();
                if tally.faults.len() < 20 {
                    tally.faults.push(fault);
                }
            }
        }
    }

    pub(crate) fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().expect("no client has panicked")
    }

    fn one(&self, dice: &mut Dice, kept: &mut Option<Connection>) -> Result<(), String> {
        let plan = Plan::random(self.ids.fetch_add(1, Ordering::Relaxed), dice);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock");
        let bytes = request("POST", "/run", plan.body(now.as_millis() as u64).as_bytes());
        let failed = |e| format!("activation {} ({}): {e}", plan.id, plan.what);
        let connection = match kept.take().filter(|_| dice.below(2) == 0) {
            Some(connection) => Ok(connection),
            None => Connection::open(self.address),
        };
        let mut connection = connection.map_err(failed)?;
        let leaves = dice.below(20);
        if leaves == 0 {
            // In the middle of its request.
            let part = dice.below(bytes.len() as u64) as usize;
            let _ = connection.stream().write_all(&bytes[..part]);
            self.tally().broken += 1;
            return Ok(());
        }
        for ledger in self.ledgers.iter().filter(|_| plan.what != "nonsense") {
            ledger.expect(&plan);
        }
        let sent = Instant::now();
        connection.send(&bytes).map_err(failed)?;
        // Whether one that is never answered leaves logs must be known.
        if leaves == 1 && plan.is_in_time() && plan.what != "nonsense" {
            // Before the answer. The proxy may see it in time, or not.
            self.ledgers
                .iter()
                .for_each(|ledger| ledger.excuse(plan.id));
            self.tally().left += 1;
            return Ok(());
        }
        let answer = connection.answer().map_err(failed)?;
        let is_unlogged = plan.what == "nonsense" || answer.text().contains("not started");
        let mut tally = self.tally();
        tally.answered += 1;
        tally.unlogged += u64::from(is_unlogged);
        *tally.kinds.entry(plan.what).or_default() += 1;
        if plan.what == "good" {
            tally.times.push(sent.elapsed());
        }
        drop(tally);
        if is_unlogged {
            self.ledgers
                .iter()
                .for_each(|ledger| ledger.forget(plan.id));
        }
        let is_kept = answer.header("connection").is_none_or(|c| c != "close");
        if is_kept && dice.below(2) == 0 {
            *kept = Some(connection);
        }
        plan.check(answer.status, &answer.body)
    }
}
