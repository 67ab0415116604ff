//! The queue of one action: its messages in their order, an init alone, runs as many at a time as is
//! allowed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use actionproxy_core::{Action, Digest, InstanceKind};
use actionproxy_server::shared::Wake;

use super::{Shared, State};

/// One message that is to be dealt with.
pub(super) struct Job {
    /// Which of the messages it is.
    pub(super) number: u64,
    pub(super) task: Task,
    pub(super) body: Vec<u8>,
    pub(super) arrived: Instant,
}

/// Bytes of the messages that wait, of all actions.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) inits: u64,
    pub(super) runs: u64,
}

impl Waiting {
    pub(super) fn add(&mut self, job: &Job) {
        *self.like(job) += job.body.len() as u64;
    }

    pub(super) fn remove(&mut self, job: &Job) {
        let bytes = self.like(job);
        *bytes = bytes.saturating_sub(job.body.len() as u64);
    }

    fn like(&mut self, job: &Job) -> &mut u64 {
        match job.task {
            Task::Run { .. } => &mut self.runs,
            Task::Init { .. } | Task::Remove | Task::End => &mut self.inits,
        }
    }
}

/// What it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// To initialise the action, by a message of this digest.
    Init { message: Digest },
    /// To remove it.
    Remove,
    /// To run it, as the activation of this id.
    Run { id: String, named: Named },
    /// To end its process: the invoker is ending.
    End,
}

/// Who gave an activation its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    ByMessage,
    Here,
}

/// How the threads of an action are told that something is to be done.
pub(super) struct Changed {
    told: Condvar,
    wake: Option<Wake>,
}

impl Changed {
    /// # Errors
    /// There is no descriptor to spare.
    pub(super) fn new(instance: &InstanceKind) -> io::Result<Arc<Self>> {
        let wake = match instance {
            InstanceKind::Process => None,
            InstanceKind::Resident(_) => Some(Wake::new()?),
        };
        let told = Condvar::new();
        Ok(Arc::new(Changed { told, wake }))
    }

    /// Where a thread that has a process to wait for is told.
    pub(super) fn wake(&self) -> Option<&Wake> {
        self.wake.as_ref()
    }

    /// Waits to be told.
    pub(super) fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let waited = self.told.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread is enough.
    fn tell_one(&self) {
        self.told.notify_one();
        self.wake.iter().for_each(Wake::wake);
    }

    pub(super) fn tell_all(&self) {
        self.told.notify_all();
        self.wake.iter().for_each(Wake::wake);
    }
}

/// An action's queue, and what is known of the action.
pub(super) struct Queue {
    pub(super) action: Shared,
    /// Something is to be done.
    pub(super) changed: Arc<Changed>,
    pub(super) has_action: bool,
    /// The message of the last init that came, whatever became of it.
    pub(super) latest: Option<Digest>,
    /// Its number, while it is not done.
    pub(super) coming: Option<u64>,
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    running: usize,
    /// What runs does so alone.
    is_alone: bool,
}

impl Queue {
    /// One whose first thread is about to begin.
    pub(super) fn new(
        latest: Option<Digest>,
        action: Option<Action>,
        changed: Arc<Changed>,
    ) -> Self {
        Queue {
            has_action: action.is_some(),
            action: Arc::new(RwLock::new(action)),
            changed,
            latest,
            coming: None,
            jobs: VecDeque::new(),
            threads: 1,
            idle: 1,
            running: 0,
            is_alone: false,
        }
    }

    pub(super) fn push(&mut self, job: Job) {
        self.jobs.push_back(job);
        self.changed.tell_one();
    }

    /// The next job, if it may begin now. [`Queue::done`] has to follow.
    pub(super) fn take(&mut self) -> Option<Job> {
        let wants_to_be_alone = match self.jobs.front()?.task {
            Task::Init { .. } | Task::Remove | Task::End => true,
            Task::Run { .. } => false,
        };
        if self.is_alone || (wants_to_be_alone && self.running > 0) {
            return None;
        }
        self.is_alone = wants_to_be_alone;
        self.running += 1;
        self.idle -= 1;
        self.jobs.pop_front()
    }

    /// A job is done.
    pub(super) fn done(&mut self) {
        self.is_alone = false;
        self.running -= 1;
        self.idle += 1;
        self.changed.tell_all();
    }

    /// All that waits.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Job> + '_ {
        self.jobs.drain(..)
    }

    /// Whether one more job would be begun at once.
    pub(super) fn is_idle(&self) -> bool {
        self.idle > self.jobs.len()
    }

    /// How many jobs no thread is free for.
    pub(super) fn waiting(&self) -> usize {
        self.jobs.len().saturating_sub(self.idle)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether an init waits.
    pub(super) fn has_init(&self) -> bool {
        let mut jobs = self.jobs.iter();
        jobs.any(|job| matches!(job.task, Task::Init { .. }))
    }

    /// Whether one more thread, of `most`, would be of use for one more job.
    pub(super) fn needs_thread(&self, most: usize) -> bool {
        !self.is_idle() && self.threads < most
    }

    /// There is one more.
    pub(super) fn thread_added(&mut self) {
        self.threads += 1;
        self.idle += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64, task: Task) -> Job {
        Job {
            number,
            task,
            body: Vec::new(),
            arrived: Instant::now(),
        }
    }

    fn run(id: &str) -> Task {
        let named = Named::ByMessage;
        Task::Run {
            id: id.to_owned(),
            named,
        }
    }

    #[test]
    fn an_init_waits_for_what_runs_and_what_follows_waits_for_it() {
        let changed = Changed::new(&InstanceKind::Process).expect("nothing to make");
        let mut queue = Queue::new(None, None, changed);
        queue.thread_added();
        queue.thread_added();
        let message = Digest::of(b"");
        for (number, task) in [
            (1, run("a")),
            (2, run("b")),
            (3, Task::Init { message }),
            (4, run("c")),
        ] {
            queue.push(job(number, task));
        }
        let mut taken = || queue.take().map(|job| job.number);
        assert_eq!((taken(), taken(), taken()), (Some(1), Some(2), None));
        queue.done();
        assert!(queue.take().is_none());
        queue.done();
        assert_eq!(queue.take().map(|job| job.number), Some(3));
        assert!(queue.take().is_none());
        queue.done();
        assert_eq!(queue.take().map(|job| job.number), Some(4));
        queue.done();
        assert!(queue.take().is_none() && !queue.has_init());
    }
}
