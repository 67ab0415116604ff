//! What is known of messages: which wait for an answer, whom it goes to, and which have had one, so
//! that a run that comes again is not run again.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem;

use actionproxy_core::Digest;

use crate::answer::Answer;
use crate::message::{Publication, Receipt, Surely, Target};
use crate::topics::Topics;

/// All messages that are not over, and the runs that are, as far as they are remembered.
pub(super) struct Runs {
    entries: HashMap<u64, Entry>,
    by_key: HashMap<Key, u64>,
    /// Those without an id, by their packet: that one, sent again, is the same run.
    by_packet: HashMap<(u16, Digest), u64>,
    /// Those that are over, the oldest first.
    over: VecDeque<u64>,
    over_bytes: usize,
    most: usize,
    most_bytes: usize,
    next: u64,
}

/// To how many the answer to one run goes: its message may come again with another response topic or other
/// correlation data, each up to 64 KiB.
pub(super) const MAX_TARGETS: usize = 64;

/// What makes two messages the same run: the action, the id, and the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    action: String,
    id: String,
    message: Digest,
}

struct Entry {
    /// Of a run that is remembered.
    key: Option<Key>,
    packet: Option<(u16, Digest)>,
    id: String,
    /// Where the answer goes unless its target has a topic.
    default_topic: String,
    targets: Vec<Target>,
    receipts: Vec<Receipt>,
    answer: Option<Answer>,
    /// Nobody wants one.
    has_no_answer: bool,
    is_over: bool,
}

/// A run that came.
pub(super) struct Arrived<'m> {
    pub(super) action: &'m str,
    /// The id that its message gives it.
    pub(super) id: Option<String>,
    pub(super) message: Digest,
    pub(super) target: Target,
    pub(super) receipt: Option<Receipt>,
    /// The broker says that it may have sent it before.
    pub(super) is_again: bool,
}

/// What is to be done with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// To be run, under this number and id.
    New(u64, String),
    /// Nothing: it waits or runs already.
    Known,
    /// To be refused: it waits or runs, and has as many to answer as it may.
    Crowded(Target, Option<Receipt>),
    /// To be answered as it was.
    Answered(Box<Publication>),
}

impl Runs {
    /// Remembers at most so many that are over, and so many bytes of their answers.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Runs {
            entries: HashMap::new(),
            by_key: HashMap::new(),
            by_packet: HashMap::new(),
            over: VecDeque::new(),
            over_bytes: 0,
            most,
            most_bytes,
            next: 0,
        }
    }

    /// Takes in a run.
    pub(super) fn admit(&mut self, arrived: Arrived<'_>, topics: &Topics) -> Admitted {
        let packet = match (&arrived.id, arrived.receipt) {
            (None, Some(receipt)) => Some((receipt.packet, arrived.message)),
            _ => None,
        };
        let known = match (&arrived.id, packet) {
            (Some(id), _) => {
                let key = Key {
                    action: arrived.action.to_owned(),
                    id: id.clone(),
                    message: arrived.message,
                };
                self.by_key.get(&key).copied()
            }
            (None, Some(packet)) if arrived.is_again => self.by_packet.get(&packet).copied(),
            _ => None,
        };
        if let Some((number, entry)) = known.and_then(|n| Some((n, self.entries.get_mut(&n)?))) {
            let is_more = entry.answer.is_none() && !entry.targets.contains(&arrived.target);
            if is_more && entry.targets.len() >= MAX_TARGETS {
                return Admitted::Crowded(arrived.target, arrived.receipt);
            }
            entry.receipts.extend(arrived.receipt);
            if let Some(answer) = &entry.answer {
                let again = publication(entry, answer, &arrived.target, number);
                return Admitted::Answered(Box::new(again));
            }
            if is_more {
                entry.targets.push(arrived.target);
            }
            return Admitted::Known;
        }
        let id = arrived.id.unwrap_or_else(new_id);
        let key = Key {
            action: arrived.action.to_owned(),
            id: id.clone(),
            message: arrived.message,
        };
        let number = self.insert(Entry {
            key: Some(key.clone()),
            packet,
            default_topic: topics.result(&id),
            id: id.clone(),
            targets: vec![arrived.target],
            receipts: arrived.receipt.into_iter().collect(),
            answer: None,
            has_no_answer: false,
            is_over: false,
        });
        self.by_key.insert(key, number);
        if let Some(packet) = packet {
            self.by_packet.insert(packet, number);
        }
        Admitted::New(number, id)
    }

    /// Takes in a message that is not remembered when it is over.
    pub(super) fn admit_once(
        &mut self,
        target: Target,
        receipt: Option<Receipt>,
        default_topic: String,
    ) -> u64 {
        self.insert(Entry {
            key: None,
            packet: None,
            id: String::new(),
            default_topic,
            targets: vec![target],
            receipts: receipt.into_iter().collect(),
            answer: None,
            has_no_answer: false,
            is_over: false,
        })
    }

    /// The same message came again: it is acknowledged with this one.
    pub(super) fn add_receipt(&mut self, number: u64, receipt: Receipt) -> bool {
        match self.entries.get_mut(&number) {
            Some(entry) => {
                entry.receipts.push(receipt);
                true
            }
            None => false,
        }
    }

    /// Has it answered: what is to be published.
    pub(super) fn finish(&mut self, number: u64, answer: &Answer) -> Vec<Publication> {
        let Some(entry) = self.entries.get_mut(&number) else {
            return Vec::new();
        };
        entry.answer = Some(answer.clone());
        let targets = mem::take(&mut entry.targets);
        targets
            .iter()
            .map(|target| publication(entry, answer, target, number))
            .collect()
    }

    /// Has it refused: the same, but when the run comes again it is another.
    pub(super) fn refuse(&mut self, number: u64, answer: &Answer) -> Vec<Publication> {
        if let Some(entry) = self.entries.get_mut(&number) {
            let names = (entry.key.take(), entry.packet.take());
            self.forget_names(names, number);
        }
        self.finish(number, answer)
    }

    /// It will not be answered: the broker is to send it again, later.
    pub(super) fn drop(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.forget_names((entry.key, entry.packet), number);
        }
    }

    /// The broker has its answer: what it may be told now.
    pub(super) fn answered(&mut self, number: u64) -> Vec<Receipt> {
        let Some(entry) = self.entries.get_mut(&number) else {
            return Vec::new();
        };
        let receipts = mem::take(&mut entry.receipts);
        if entry.key.is_none() {
            self.entries.remove(&number);
        } else if !entry.is_over {
            entry.is_over = true;
            self.over_bytes += entry.size();
            self.over.push_back(number);
            while self.over.len() > self.most || self.over_bytes > self.most_bytes {
                let Some(oldest) = self.over.pop_front() else {
                    break;
                };
                self.over_bytes -= self.entries.get(&oldest).map_or(0, Entry::size);
                self.drop(oldest);
            }
        }
        receipts
    }

    /// The answer goes nowhere but to those who named a topic.
    pub(super) fn point_away(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.targets.retain(|target| target.topic.is_some());
            entry.has_no_answer = entry.targets.is_empty();
        }
    }

    /// Whether an answer is under way, with which it is over.
    pub(super) fn is_waited_for(&self, number: u64) -> bool {
        self.entries
            .get(&number)
            .is_some_and(|entry| !entry.has_no_answer)
    }

    /// Whether the broker keeps nothing of it.
    pub(super) fn is_acknowledged(&self, number: u64) -> bool {
        self.entries
            .get(&number)
            .is_none_or(|entry| entry.receipts.is_empty())
    }

    fn insert(&mut self, entry: Entry) -> u64 {
        self.next += 1;
        self.entries.insert(self.next, entry);
        self.next
    }

    fn forget_names(&mut self, names: (Option<Key>, Option<(u16, Digest)>), number: u64) {
        let (key, packet) = names;
        // Another may have taken the place since.
        if let Some(key) = key
            && self.by_key.get(&key) == Some(&number)
        {
            self.by_key.remove(&key);
        }
        if let Some(packet) = packet
            && self.by_packet.get(&packet) == Some(&number)
        {
            self.by_packet.remove(&packet);
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        self.answer.as_ref().map_or(0, |a| a.payload.len())
    }
}

fn publication(entry: &Entry, answer: &Answer, target: &Target, number: u64) -> Publication {
    let topic = || entry.default_topic.clone();
    let mut publication = answer.to(target, topic, Surely::Answers(number));
    if !entry.id.is_empty() {
        let id = ("activation_id", entry.id.clone());
        publication.properties.push(id);
    }
    publication
}

/// An id for an activation that came without: 32 hexadecimal digits, as OpenWhisk has them.
pub(super) fn new_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests;
