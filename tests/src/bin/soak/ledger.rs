//! What the logs must hold, struck off as it is read.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::sync::{Mutex, MutexGuard};

use actionproxy_tests::SENTINEL;

use crate::lines::{self, Tag};
use crate::plan::Plan;
use crate::site::Overlap;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The book of one stream.
pub(crate) struct Ledger {
    stream: Stream,
    overlap: Overlap,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    expected: HashMap<u64, Expected>,
    /// Lines seen of the activations whose sentinel has not come.
    open: BTreeMap<u64, u64>,
    /// The proxy's own lines since the last sentinel.
    notes: String,
    sentinels: u64,
    /// Activations whose logs came.
    logged: u64,
    bytes: u64,
    faults: Vec<String>,
}

struct Expected {
    lines: u64,
    /// It may have been ended before its last line.
    is_cut: bool,
    /// It may not have been begun.
    is_excused: bool,
    cause: Option<&'static str>,
}

impl Ledger {
    pub(crate) fn new(stream: Stream, overlap: Overlap) -> Self {
        Ledger {
            stream,
            overlap,
            state: Mutex::default(),
        }
    }

    /// An activation is about to be sent.
    pub(crate) fn expect(&self, plan: &Plan) {
        let expected = Expected {
            lines: match self.stream {
                Stream::Out => plan.lines_out(),
                Stream::Err => plan.err,
            },
            is_cut: !plan.is_in_time(),
            is_excused: false,
            cause: plan.cause().filter(|_| self.stream == Stream::Err),
        };
        self.lock().expected.insert(plan.id, expected);
    }

    /// It left no logs, and was not to.
    pub(crate) fn forget(&self, id: u64) {
        self.lock().expected.remove(&id);
    }

    /// Its client goes away: it need not be run.
    pub(crate) fn excuse(&self, id: u64) {
        if let Some(expected) = self.lock().expected.get_mut(&id) {
            expected.is_excused = true;
        }
    }

    /// Reads a log to its end.
    pub(crate) fn read(&self, log: impl Read) {
        let mut log = BufReader::with_capacity(64 << 10, log);
        let mut line = Vec::new();
        loop {
            line.clear();
            // Longer than any line that an activation of ours writes.
            match log.by_ref().take(8 << 20).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.line(&line),
            }
        }
    }

    fn line(&self, line: &[u8]) {
        let mut state = self.lock();
        state.bytes += line.len() as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            state.faults.push("a line without a newline".to_owned());
            return;
        };
        if line == SENTINEL.as_bytes() {
            state.sentinel(self.overlap);
        } else if let Some(late) = line.strip_prefix(b"~") {
            let id = std::str::from_utf8(late)
                .ok()
                .and_then(|id| id.parse().ok());
            if !id.is_some_and(|id| state.open.contains_key(&id)) {
                let line = String::from_utf8_lossy(line).into_owned();
                state
                    .faults
                    .push(format!("late output in another's logs: {line:?}"));
            }
        } else if line.starts_with(b"actionproxy: ") {
            state.notes.push_str(&String::from_utf8_lossy(line));
        } else if line.starts_with(b"{") {
            // A result that was refused, or that its process did not live to see answered.
        } else {
            match lines::read(line) {
                Ok(tag) => state.tag(&tag, self.overlap),
                Err(fault) => state.faults.push(fault),
            }
        }
    }

    /// How many sentinels have come.
    pub(crate) fn sentinels(&self) -> u64 {
        self.lock().sentinels
    }

    /// Activations that were run and left no line here: they were ended before it.
    pub(crate) fn cut_short(&self) -> u64 {
        let state = self.lock();
        let left = state.expected.values();
        left.filter(|e| e.is_cut && !e.is_excused).count() as u64
    }

    /// Activations whose logs came.
    pub(crate) fn logged(&self) -> u64 {
        self.lock().logged
    }

    /// Bytes read.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What was wrong, and what is still missing when all is done.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut state = self.lock();
        let mut faults = std::mem::take(&mut state.faults);
        faults.extend(
            state
                .expected
                .iter()
                .filter(|(_, expected)| !expected.is_excused && !expected.is_cut)
                .map(|(id, _)| format!("activation {id} left no logs")),
        );
        if !state.open.is_empty() {
            faults.push(format!("no sentinel behind {:?}", state.open));
        }
        faults
            .iter()
            .map(|fault| format!("{:?}: {fault}", self.stream))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no reader has panicked")
    }
}

impl State {
    fn tag(&mut self, tag: &Tag, overlap: Overlap) {
        let seen = self.open.entry(tag.id).or_default();
        if *seen != tag.sequence {
            let fault = format!(
                "activation {}: line {} behind {seen} lines",
                tag.id, tag.sequence
            );
            self.faults.push(fault);
        }
        *seen = tag.sequence + 1;
        if overlap == Overlap::No && self.open.len() > 1 {
            let fault = format!("two activations between two sentinels: {:?}", self.open);
            self.faults.push(fault);
        }
    }

    fn sentinel(&mut self, overlap: Overlap) {
        self.sentinels += 1;
        let notes = std::mem::take(&mut self.notes);
        for (id, seen) in std::mem::take(&mut self.open) {
            self.logged += 1;
            let Some(expected) = self.expected.remove(&id) else {
                self.faults.push(format!(
                    "activation {id} was never sent, or is logged twice"
                ));
                continue;
            };
            let is_complete = seen == expected.lines || (expected.is_cut && seen < expected.lines);
            if !is_complete {
                let fault = format!("activation {id}: {seen} lines of {}", expected.lines);
                self.faults.push(fault);
            }
            let is_told = expected.cause.is_none_or(|cause| notes.contains(cause));
            // Where several end together the proxy's lines do not say whose they are.
            if !is_told && overlap == Overlap::No {
                let fault = format!("activation {id}: {:?} not in {notes:?}", expected.cause);
                self.faults.push(fault);
            }
        }
    }
}
