//! The threads that everything of core runs on, and the order in which it runs there.
//!
//! One activation at a time, later ones wait; with concurrency allowed, as many as configured.
//!
//! The thread of a proxy that runs one at a time looks for requests by itself while it has no job (see
//! [`source`]), and tends a process that outlives its activations. Whatever may take long, it does only
//! when others look in its place: `/healthz` never waits for an activation, or for who reads its logs.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{Action, InitRequest, InstanceKind, Stop};
use actionproxy_platforms::{Context, Contract, Done, Purpose, Reply, Request};

use crate::logs::LogStreams;
use crate::metrics::{Kind, Metrics, Outcome};
use crate::process::Orphans;
use crate::wake::Wake;

mod source;
mod working;

pub(crate) use source::Source;

/// Where the reply to a request goes.
pub(crate) trait ReplyTo: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&mut self) -> bool;

    /// Gives the reply.
    fn reply(self: Box<Self>, reply: Reply);

    /// There will be none: nobody waits for it.
    fn abandon(self: Box<Self>);
}

/// A request's place in the queue.
struct Job {
    request: Request,
    arrived: Instant,
    /// Others were before it.
    is_queued: bool,
    reply_to: Box<dyn ReplyTo>,
}

/// An init that comes before every request.
#[derive(Default)]
enum Preparation {
    /// There is none, or it has succeeded.
    #[default]
    None,
    Due(Box<InitRequest>),
    /// A thread does it. The others wait.
    Going,
    Failed,
}

/// What a thread is to do next.
enum Work {
    Prepare(Box<InitRequest>),
    Job(Job),
    /// The action is to be ended.
    End,
}

/// What is there for the end of an activation, and of the proxy.
pub(crate) struct End {
    /// Ends whatever runs.
    pub stop: Stop,
    pub orphans: Orphans,
}

/// The worker threads and their queue.
pub(crate) struct Workers {
    contract: Arc<dyn Contract>,
    action: RwLock<Action>,
    logs: LogStreams,
    most: usize,
    end: End,
    /// Where somebody looks at them.
    metrics: Option<Arc<Metrics>>,
    queue: Mutex<Queue>,
    /// A job came.
    changed: Condvar,
    /// In place of `changed` where there is one thread alone: it has more to wait for, an action that
    /// has to be tended, and requests.
    wake: Option<Wake>,
    /// Where the one thread looks for requests, once there is such a place.
    source: OnceLock<Box<dyn Source>>,
    outlives: Outlives,
    /// The action has been ended.
    ended: Condvar,
}

/// Whether the action has a process that outlives its activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlives {
    No,
    Yes,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait to be told.
    idle: usize,
    /// The thread behind `wake` has been told, and not woken yet.
    is_told: bool,
    running: usize,
    initialized: bool,
    /// The action reads bodies itself.
    raw: bool,
    preparation: Preparation,
    stopping: bool,
    /// The action is to be ended, or has been.
    ending: Ending,
}

/// Of an action that has to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ending {
    #[default]
    Not,
    Asked,
    Done,
}

impl Workers {
    /// Starts the first thread, so that the first request need not; `most` is how many activations
    /// may overlap.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(
        contract: Arc<dyn Contract>,
        action: Action,
        logs: LogStreams,
        most: usize,
        end: End,
        metrics: Option<Arc<Metrics>>,
    ) -> io::Result<Arc<Self>> {
        let outlives = match action.config().instance {
            InstanceKind::Process => Outlives::No,
            InstanceKind::Resident(_) => Outlives::Yes,
        };
        let wake = match (most, outlives) {
            // A process that outlives its activations writes between them too.
            (1, _) | (_, Outlives::Yes) => Some(Wake::new()?),
            (_, Outlives::No) => None,
        };
        let workers = Arc::new(Workers {
            contract,
            action: RwLock::new(action),
            logs,
            most,
            end,
            metrics,
            queue: Mutex::default(),
            changed: Condvar::new(),
            wake,
            source: OnceLock::new(),
            outlives,
            ended: Condvar::new(),
        });
        workers.add_thread(&mut workers.lock())?;
        Ok(workers)
    }

    /// Has an init done before every request. Where it fails, the logs say so once.
    pub(crate) fn prepare(&self, init: InitRequest) {
        let mut queue = self.lock();
        queue.preparation = Preparation::Due(Box::new(init));
        self.tell(queue);
    }

    /// Has the thread look for requests by itself while it has no job, where it is the only one.
    pub(crate) fn look_at(&self, source: Box<dyn Source>) {
        if self.most == 1 && self.source.set(source).is_ok() {
            self.tell(self.lock());
        }
    }

    /// Why requests are not served yet, or never will be, if that is so.
    pub(crate) fn is_unprepared(&self) -> Option<&'static str> {
        match self.lock().preparation {
            Preparation::None => None,
            Preparation::Due(_) | Preparation::Going => Some("the action is not prepared yet"),
            Preparation::Failed => Some("the action could not be prepared; the logs say why"),
        }
    }

    /// Queues a request, with one more thread for it where that is allowed.
    pub(crate) fn submit(self: &Arc<Self>, request: Request, reply_to: Box<dyn ReplyTo>) {
        let mut queue = self.lock();
        let is_queued = queue.is_busy();
        if is_queued && queue.threads < self.most {
            // Without another thread the job waits for one of those that are there.
            if let Err(e) = self.add_thread(&mut queue)
                && queue.threads == 0
            {
                drop(queue);
                let text = format!("No thread can be started: {e}.");
                return reply_to.reply(self.own(Done::Failed(text)));
            }
        }
        queue.jobs.push_back(Job {
            request,
            arrived: Instant::now(),
            is_queued,
            reply_to,
        });
        self.tell(queue);
    }

    /// There is something to do. A thread that does not wait looks by itself.
    fn tell(&self, mut queue: MutexGuard<'_, Queue>) {
        match &self.wake {
            // With the lock: `is_told` and the wake must not be seen apart.
            Some(wake) if queue.idle > 0 && !queue.is_told => {
                queue.is_told = true;
                wake.wake();
            }
            Some(_) => {}
            None => {
                drop(queue);
                self.changed.notify_one();
            }
        }
    }

    /// Ends a process that outlives its activations, and waits for that, no longer than `limit`.
    pub(crate) fn end(&self, limit: Duration) {
        if self.outlives == Outlives::No {
            return;
        }
        let mut queue = self.lock();
        if queue.ending == Ending::Not {
            queue.ending = Ending::Asked;
        }
        self.tell(queue);
        let _ = self
            .ended
            .wait_timeout_while(self.lock(), limit, |queue| queue.ending != Ending::Done);
    }

    /// The proxy's state, for `/healthz`, as JSON. Waits for nothing that an action could hold.
    pub(crate) fn health(&self) -> String {
        let queue = self.lock();
        format!(
            "{{\"status\":\"{}\",\"initialized\":{},\"running\":{},\"waiting\":{}}}",
            if queue.stopping { "stopping" } else { "ok" },
            queue.initialized,
            queue.running,
            queue.jobs.len(),
        )
    }

    /// How many requests wait, and how many are worked on.
    pub(crate) fn load(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.jobs.len(), queue.running)
    }

    /// Whether runs are not taken any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// The reply to a run that is not taken any more.
    pub(crate) fn shutting_down(&self) -> Reply {
        self.own(Done::ShuttingDown)
    }

    /// From now on runs are refused, those that wait included. They are answered at once: the
    /// platform sends them elsewhere.
    pub(crate) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopping = true;
        let (runs, others): (VecDeque<_>, _) = std::mem::take(&mut queue.jobs)
            .into_iter()
            .partition(|job| job.request.purpose != Purpose::Init);
        queue.jobs = others;
        drop(queue);
        for Job { reply_to, .. } in runs {
            self.count(Kind::Run, Outcome::Refused, None);
            reply_to.reply(self.shutting_down());
        }
    }

    fn source(&self) -> Option<&dyn Source> {
        self.source.get().map(|source| &**source)
    }

    fn add_thread(self: &Arc<Self>, queue: &mut Queue) -> io::Result<()> {
        let workers = Arc::clone(self);
        thread::Builder::new()
            .name("worker".into())
            .spawn(move || workers.work())?;
        queue.threads += 1;
        Ok(())
    }

    fn count(&self, kind: Kind, outcome: Outcome, time: Option<Duration>) {
        if let Some(metrics) = &self.metrics {
            metrics.count(kind, outcome, time);
        }
    }

    /// A reply that needs nothing of a request.
    fn own(&self, done: Done) -> Reply {
        self.contract.encode(done, &Context::default())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        unpoisoned(self.queue.lock())
    }
}

impl Queue {
    /// Whether a job that comes now has to wait for others, as far as the threads go that there are.
    fn is_busy(&self) -> bool {
        let prepares = match self.preparation {
            Preparation::None | Preparation::Failed => 0,
            Preparation::Due(_) | Preparation::Going => 1,
        };
        self.running + self.jobs.len() + prepares >= self.threads
    }

    /// What there is to do, if there is anything.
    fn take(&mut self) -> Option<Work> {
        match std::mem::take(&mut self.preparation) {
            Preparation::Due(init) => {
                self.preparation = Preparation::Going;
                return Some(Work::Prepare(init));
            }
            // The jobs wait for it.
            Preparation::Going => self.preparation = Preparation::Going,
            other => {
                self.preparation = other;
                if let Some(job) = self.jobs.pop_front() {
                    self.running += 1;
                    return Some(Work::Job(job));
                }
            }
        }
        (self.ending == Ending::Asked).then_some(Work::End)
    }
}

/// A panic leaves nothing half done behind these locks: core installs an action at one point, and
/// the queue's counters are moved by code that cannot panic.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
