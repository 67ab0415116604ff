//! One bound for what all connections together keep in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes each connection may keep beside the bound: small requests pass, however much
/// memory the large ones have.
const SMALL: u64 = 64 << 10;

/// Bytes kept, of all connections together.
#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Budget {
            most,
            used: AtomicU64::new(0),
        })
    }
}

/// One connection's part, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    /// What of it is in the count of all.
    counted: u64,
}

impl Share {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Share {
            budget: Arc::clone(budget),
            counted: 0,
        }
    }

    /// The connection keeps `bytes` now. False where that is too much.
    pub(super) fn set(&mut self, bytes: u64) -> bool {
        if bytes <= SMALL.max(self.counted) {
            return true;
        }
        let more = bytes - self.counted;
        self.counted = bytes;
        self.budget.used.fetch_add(more, Ordering::Relaxed) + more <= self.budget.most
    }

    /// The connection keeps nothing any more.
    pub(super) fn clear(&mut self) {
        self.budget.used.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_shares_one_bound_and_gives_it_back() {
        let budget = Budget::new(1 << 20);
        let mut first = Share::new(&budget);
        assert!(first.set(1 << 20));
        let mut second = Share::new(&budget);
        assert!(second.set(SMALL) && !second.set(SMALL + 1));
        drop(second);
        first.clear();
        assert!(Share::new(&budget).set(1 << 20));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
