//! Where each connection is, and which of them go.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Entrance, Id, Time};
use crate::http::connection::Connection;
use crate::http::coroutine::Waker;

/// How many that are parting may be open beside the most: who is refused is to read why, and must not be
/// ended for one that would be refused too.
const PARTING_ROOM: usize = 16;
/// What a connection whose time is up is given then.
pub(super) const RESPITE: Duration = Duration::from_secs(1);
/// Memory is given back where so many times fewer connections are left.
const SPARSE: usize = 8;
/// The room for so many of them is kept.
pub(super) const FEW: usize = 64;

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) open: HashMap<Id, Entry>,
    pub(super) last: Id,
    /// The most that have been open since memory was given back.
    pub(super) most_open: usize,
    /// The watch waits for a first connection, or to be needed otherwise.
    pub(super) is_watch_asleep: bool,
    /// The watch has to tick although no connection is open.
    pub(super) is_tick_needed: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) since: Instant,
    /// When its time is up; never for one that works.
    pub(super) until: Option<Instant>,
    /// It has been given a respite.
    pub(super) is_respited: bool,
}

/// Where a connection is.
#[derive(Debug)]
pub(super) enum Place {
    /// Here, between two requests.
    Idle(Connection),
    /// Here, until the client has read its last reply and gone.
    Parting(Connection, Instant),
    /// In a coroutine's hands. It looks whether its time is up whenever it wakes.
    Moving(Option<Waker>, Time),
    /// In the service's hands, for as long as that takes.
    Working,
}

impl State {
    /// Gives up the room of those that have gone, if that is most of them; whether it is. The watch does
    /// so, and not who leaves: what that has in memory is let go only afterwards.
    pub(super) fn shrink(&mut self) -> bool {
        let is_sparse = self.open.len() < self.most_open / SPARSE;
        if is_sparse {
            self.most_open = self.open.len();
            self.open.shrink_to(FEW.max(self.open.len() * 2));
        }
        is_sparse
    }

    /// Ends those whose time is up, and gives back what is to be dropped.
    pub(super) fn end_still(&mut self, now: Instant, was_stopped: bool) -> Vec<Place> {
        let mut ended = Vec::new();
        self.open.retain(|_, entry| {
            if entry.until.is_none_or(|until| until > now) {
                return true;
            }
            // One whose request has come is idle no more: it is on its way to a coroutine.
            let has_come = match &entry.place {
                Place::Idle(connection) => connection.is_readable(),
                _ => false,
            };
            if has_come || (was_stopped && !entry.is_respited) {
                entry.until = Some(now + RESPITE);
                entry.is_respited = true;
                return true;
            }
            match &mut entry.place {
                Place::Idle(_) | Place::Parting(..) => {
                    ended.push(std::mem::replace(&mut entry.place, Place::Working));
                    false
                }
                Place::Moving(waker, time) => {
                    if *time == Time::Left {
                        *time = Time::Up;
                    }
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    // Its coroutine ends it; should it miss this, it is told again.
                    entry.until = Some(now + RESPITE);
                    true
                }
                Place::Working => true,
            }
        });
        ended
    }

    /// Room for one more of `most` that are not parting, and for one more in all.
    pub(super) fn make_room(&mut self, most: usize) -> (Entrance, Option<Entry>) {
        if self.open.len() < most {
            return (Entrance::Free, None);
        }
        let is_parting = |place: &Place| matches!(place, Place::Parting(..));
        let staying = self.open.values().filter(|e| !is_parting(&e.place)).count();
        let (entrance, ended) = match staying < most {
            true => (Entrance::Free, None),
            false => self.end_one(|place| !is_parting(place)),
        };
        if ended.is_none() && self.open.len() >= most.saturating_add(PARTING_ROOM) {
            return (entrance, self.end_one(is_parting).1);
        }
        (entrance, ended)
    }

    /// Of those that `may` go, ends the one that has been parting longest, or been idle longest; where
    /// all are busy, one that waits for its client.
    pub(super) fn end_one(&mut self, may: impl Fn(&Place) -> bool) -> (Entrance, Option<Entry>) {
        let rank = |entry: &Entry| match &entry.place {
            place if !may(place) => None,
            Place::Parting(..) => Some(0),
            Place::Idle(_) => Some(1),
            Place::Moving(_, Time::Left) => Some(2),
            Place::Moving(_, Time::Up | Time::Needed) | Place::Working => None,
        };
        let first = self
            .open
            .iter()
            .filter_map(|(id, entry)| Some((rank(entry)?, entry.since, *id)))
            .min();
        let Some((_, _, id)) = first else {
            return (Entrance::Full, None);
        };
        match self.open.get_mut(&id).map(|entry| &mut entry.place) {
            Some(Place::Moving(waker, time)) => {
                *time = Time::Needed;
                if let Some(waker) = waker {
                    waker.wake();
                }
                (Entrance::Soon, None)
            }
            _ => (Entrance::Free, self.open.remove(&id)),
        }
    }
}
