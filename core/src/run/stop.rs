//! A request, from another thread, to end one run or one init.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{EventfdFlags, eventfd};

/// Ends what it was given to, a run or an init: its process group gets TERM, then KILL. The action goes
/// on.
///
/// It is given with the request ([`RunRequest::stop`](crate::RunRequest::stop),
/// [`InitRequest::stop`](crate::InitRequest::stop)); a clone, which stays with whoever may want the end,
/// is the same stop. One for each request ends them one by one, one that all are given ends all, and with
/// [`child`](Self::child) both can be had.
///
/// It cannot be taken back: what is begun with it afterwards ends at once. The default is a stop that
/// nobody can request, and costs nothing.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<Shared>>);

/// For calls that nobody stops.
pub(crate) static NEVER: Stop = Stop(None);

struct Shared {
    /// Readable once the stop is requested.
    requested: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_requested: bool,
    children: Vec<Weak<Shared>>,
}

impl Stop {
    /// A stop that is not requested yet.
    ///
    /// # Errors
    /// Where the system has no descriptor to spare.
    pub fn new() -> io::Result<Self> {
        let requested = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop(Some(Arc::new(Shared {
            requested,
            state: Mutex::default(),
        }))))
    }

    /// Another stop, which is requested by itself or together with this one.
    ///
    /// # Errors
    /// Where the system has no descriptor to spare.
    pub fn child(&self) -> io::Result<Self> {
        let child = Stop::new()?;
        if let (Some(parent), Some(shared)) = (&self.0, &child.0) {
            let mut state = parent.state();
            state.children.retain(|known| known.strong_count() > 0);
            if state.is_requested {
                drop(state);
                child.request();
            } else {
                state.children.push(Arc::downgrade(shared));
            }
        }
        Ok(child)
    }

    /// Makes the request, from any thread. More than once is the same as once. It takes a lock: it is not
    /// for signal handlers.
    pub fn request(&self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.state();
        state.is_requested = true;
        let children = mem::take(&mut state.children);
        drop(state);
        // The only error a counter can give is that it is full, which is as good as set.
        let _ = rustix::io::write(&shared.requested, &1u64.to_ne_bytes());
        for child in children {
            Stop(child.upgrade()).request();
        }
    }

    /// Whether the request was made.
    pub fn is_requested(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.state().is_requested)
    }

    /// What is readable once the request was made, for a poll loop of one's own; it is not to be read.
    /// `None` where nobody can make it.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|shared| shared.requested.as_fd())
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.0, self.is_requested()) {
            (None, _) => "Stop(never)",
            (Some(_), false) => "Stop(not requested)",
            (Some(_), true) => "Stop(requested)",
        })
    }
}

impl Shared {
    /// Nothing that can panic runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_parent_and_not_the_other_way_round() {
        let parent = Stop::new().unwrap();
        let [first, second] = [parent.child().unwrap(), parent.child().unwrap()];
        let grandchild = second.child().unwrap();
        first.request();
        assert!(first.is_requested() && !parent.is_requested() && !second.is_requested());
        parent.clone().request();
        assert!(parent.is_requested() && second.is_requested() && grandchild.is_requested());
        assert!(parent.child().unwrap().is_requested(), "it came too late");
    }

    #[test]
    fn children_that_are_gone_leave_nothing_behind() {
        let parent = Stop::new().unwrap();
        for _ in 0..100 {
            parent.child().unwrap();
        }
        let known = parent.0.as_ref().unwrap().state().children.len();
        assert!(known <= 1, "{known} are kept");
    }

    #[test]
    fn nobody_can_request_the_default() {
        let never = Stop::default();
        never.request();
        assert!(!never.is_requested() && never.descriptor().is_none());
        let child = never.child().unwrap();
        child.request();
        assert!(child.is_requested());
    }
}
