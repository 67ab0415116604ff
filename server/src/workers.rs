//! The threads that everything of core runs on, and the order in which it runs there.
//!
//! One activation at a time, later ones wait; with concurrency allowed, as many as configured.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use actionproxy_core::{Action, InitRequest, InstanceKind, Logs, TimeLimit};
use actionproxy_platforms::{
    Asked, Context, Contract, Done, EndOfLogs, LogLine, Moment, Purpose, Reply, Request, Task,
};

use crate::logs::LogStreams;
use crate::metrics::{Kind, Metrics, Outcome};
use crate::process::{self, Orphans};
use crate::wake::Wake;

/// Messages of so many bytes leave memory behind that is worth giving back.
const LARGE: usize = 1 << 20;
/// How long after them: longer than requests that follow each other leave between them.
const PAUSE: Duration = Duration::from_millis(100);

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
}

/// The worker threads and their queue.
pub(crate) struct Workers {
    contract: Arc<dyn Contract>,
    action: RwLock<Action>,
    logs: LogStreams,
    most: usize,
    orphans: Orphans,
    /// Where somebody looks at them.
    metrics: Option<Arc<Metrics>>,
    queue: Mutex<Queue>,
    /// A job came.
    changed: Condvar,
    /// Where an action has to be tended while no job is there: in place of `changed`.
    wake: Option<Wake>,
    /// The action has been ended.
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
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
        orphans: Orphans,
        metrics: Option<Arc<Metrics>>,
    ) -> io::Result<Arc<Self>> {
        // A process that outlives its activations writes between them too.
        let wake = match action.config().instance {
            InstanceKind::Process => None,
            InstanceKind::Resident(_) => Some(Wake::new()?),
        };
        let workers = Arc::new(Workers {
            contract,
            action: RwLock::new(action),
            logs,
            most,
            orphans,
            metrics,
            queue: Mutex::default(),
            changed: Condvar::new(),
            wake,
            ended: Condvar::new(),
        });
        workers.add_thread(&mut workers.lock())?;
        Ok(workers)
    }

    /// Has an init done before every request. Where it fails, the logs say so once.
    pub(crate) fn prepare(&self, init: InitRequest) {
        self.lock().preparation = Preparation::Due(Box::new(init));
        self.changed.notify_one();
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
        let is_queued = queue.idle <= queue.jobs.len();
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
        drop(queue);
        self.tell();
    }

    /// There is something to do.
    fn tell(&self) {
        match &self.wake {
            Some(wake) => wake.wake(),
            None => self.changed.notify_one(),
        }
    }

    /// Ends a process that outlives its activations, and waits for that, no longer than `limit`.
    pub(crate) fn end(&self, limit: Duration) {
        if self.wake.is_none() {
            return;
        }
        let mut queue = self.lock();
        if queue.ending == Ending::Not {
            queue.ending = Ending::Asked;
        }
        self.tell();
        let _ = self
            .ended
            .wait_timeout_while(queue, limit, |queue| queue.ending != Ending::Done);
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

    fn add_thread(self: &Arc<Self>, queue: &mut Queue) -> io::Result<()> {
        let workers = Arc::clone(self);
        thread::Builder::new()
            .name("worker".into())
            .spawn(move || workers.work())?;
        queue.threads += 1;
        Ok(())
    }

    fn work(&self) {
        // Bytes of the messages since memory was last given back.
        let mut handled = 0;
        loop {
            let mut job = match self.next(&mut handled) {
                Work::Job(job) => job,
                Work::Prepare(init) => {
                    self.do_prepare(*init);
                    continue;
                }
            };
            if job.is_queued && job.reply_to.is_abandoned() {
                self.lock().running -= 1;
                self.count(kind(job.request.purpose), Outcome::Abandoned, None);
                job.reply_to.abandon();
                continue;
            }
            handled += job.request.body.len();
            // It waits while sentinels are written, for as long as the log takes them; the queue,
            // and with it `/healthz`, must not.
            self.logs.begin();
            let kind = kind(job.request.purpose);
            let begun = self.metrics.as_ref().map(|_| Instant::now());
            // A hook of a derived runtime may panic; that costs its request and no more.
            let answered =
                panic::catch_unwind(AssertUnwindSafe(|| self.answer(job.request, job.arrived)));
            let (reply, outcome, until) = answered.unwrap_or_else(|_| {
                let text = "The proxy failed to answer this request.".to_owned();
                let reply = self.own(Done::Failed(text));
                (reply, Outcome::HostError, self.logs.limit_from_now(None))
            });
            self.count(kind, outcome, begun.map(|begun| begun.elapsed()));
            handled += reply.body.len();
            self.logs.end(reply.end_of_logs, until);
            self.lock().running -= 1;
            job.reply_to.reply(reply);
            self.orphans.look();
        }
    }

    /// Waits for a job. In a pause after large messages, gives back the memory that they took.
    fn next(&self, handled: &mut usize) -> Work {
        let mut queue = self.lock();
        loop {
            let job = match std::mem::take(&mut queue.preparation) {
                Preparation::Due(init) => {
                    queue.preparation = Preparation::Going;
                    return Work::Prepare(init);
                }
                Preparation::Going => {
                    queue.preparation = Preparation::Going;
                    None
                }
                other => {
                    queue.preparation = other;
                    queue.jobs.pop_front()
                }
            };
            if let Some(job) = job {
                queue.running += 1;
                return Work::Job(job);
            }
            if queue.ending == Ending::Asked {
                drop(queue);
                self.end_action();
                queue = self.lock();
                queue.ending = Ending::Done;
                self.ended.notify_all();
            }
            queue.idle += 1;
            if let Some(wake) = &self.wake {
                drop(queue);
                let longest = Some(PAUSE).filter(|_| *handled >= LARGE);
                let begun = Instant::now();
                self.tend(wake, longest);
                if longest.is_some_and(|longest| begun.elapsed() >= longest) {
                    *handled = 0;
                    process::return_memory();
                }
                queue = self.lock();
                queue.idle -= 1;
                continue;
            }
            if *handled < LARGE {
                queue = unpoisoned(self.changed.wait(queue));
                queue.idle -= 1;
                continue;
            }
            let (woken, waited) = unpoisoned(self.changed.wait_timeout(queue, PAUSE));
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.jobs.is_empty() {
                *handled = 0;
                drop(queue);
                process::return_memory();
                queue = self.lock();
            }
        }
    }

    /// The logs are those of the first activation, which shares their end; a failed one has its own.
    fn do_prepare(&self, init: InitRequest) {
        self.logs.begin();
        let until = self.logs.limit_from_now(None);
        let begun = Instant::now();
        let prepared = panic::catch_unwind(AssertUnwindSafe(|| {
            let (mut stdout, mut stderr) = self.logs.sinks(until);
            let mut logs = Logs {
                stdout: &mut stdout,
                stderr: &mut stderr,
            };
            let done = self.perform(Task::Init(init), &mut logs);
            let outcome = Outcome::of(&done);
            let reply = self.own(done);
            log(reply.logged, &mut logs);
            (outcome, reply.end_of_logs)
        }));
        let (outcome, end) = prepared.unwrap_or((Outcome::HostError, EndOfLogs::Sentinel));
        self.count(Kind::Init, outcome, Some(begun.elapsed()));
        self.logs.end(end, until);
        self.lock().preparation = match outcome {
            Outcome::Ok => Preparation::None,
            _ => Preparation::Failed,
        };
        self.changed.notify_all();
    }

    /// Hands on what the action writes, until there is something to do, or for so long.
    fn tend(&self, wake: &Wake, longest: Option<Duration>) {
        let (mut stdout, mut stderr) = self.logs.sinks(None);
        let mut logs = Logs {
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let action = unpoisoned(self.action.read());
        if let Err(e) = action.tend(wake.as_fd(), longest, &mut logs) {
            logs.note(e);
            // No reason to be busy with it.
            thread::sleep(PAUSE);
        }
        wake.clear();
    }

    fn end_action(&self) {
        let (mut stdout, mut stderr) = self.logs.sinks(self.logs.limit_from_now(None));
        let mut logs = Logs {
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        unpoisoned(self.action.write()).end(&mut logs);
    }

    /// One request, from its bytes to its reply, and when it has had its time; the logs have all
    /// but the sentinels then.
    fn answer(&self, request: Request, arrived: Instant) -> (Reply, Outcome, Option<Instant>) {
        let moment = self.moment(arrived);
        let asked = self.contract.decode(request, moment);
        let until = self.logs.limit_from_now(match &asked {
            Ok(Asked { task, .. }) => own_limit(task),
            Err(_) => None,
        });
        let (mut stdout, mut stderr) = self.logs.sinks(until);
        let mut logs = Logs {
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let (mut reply, outcome) = match asked {
            Ok(Asked {
                task,
                logged,
                context,
            }) => {
                log(logged, &mut logs);
                let done = self.perform(task, &mut logs);
                let outcome = Outcome::of(&done);
                (self.contract.encode(done, &context), outcome)
            }
            Err(reply) => (reply, Outcome::CallerError),
        };
        log(std::mem::take(&mut reply.logged), &mut logs);
        (reply, outcome, until)
    }

    fn count(&self, kind: Kind, outcome: Outcome, time: Option<Duration>) {
        if let Some(metrics) = &self.metrics {
            metrics.count(kind, outcome, time);
        }
    }

    fn moment(&self, arrived: Instant) -> Moment {
        let queue = self.lock();
        Moment {
            now: SystemTime::now(),
            waited: arrived.elapsed(),
            initialized: queue.initialized,
            raw: queue.raw,
        }
    }

    /// A reply that needs nothing of a request.
    fn own(&self, done: Done) -> Reply {
        self.contract.encode(done, &Context::default())
    }

    fn perform(&self, task: Task, logs: &mut Logs<'_>) -> Done {
        let (init, run) = match task {
            Task::Run(_) if self.is_stopping() => return Done::ShuttingDown,
            Task::Run(run) => {
                return Done::Run(unpoisoned(self.action.read()).run(run, logs));
            }
            Task::Init(init) => (init, None),
            Task::InitThenRun(init, run) => (init, Some(run)),
        };
        let mut action = unpoisoned(self.action.write());
        let raw = init
            .fields
            .get("raw")
            .is_some_and(|raw| raw.get() == "true");
        let result = action.init(init, logs);
        let mut queue = self.lock();
        queue.initialized = action.is_initialized();
        if result.is_ok() {
            queue.raw = raw;
        }
        drop(queue);
        match run {
            Some(run) if result.is_ok() => {
                Done::Run(RwLockWriteGuard::downgrade(action).run(run, logs))
            }
            _ => Done::Init(result),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        unpoisoned(self.queue.lock())
    }
}

fn kind(purpose: Purpose) -> Kind {
    match purpose {
        Purpose::Init => Kind::Init,
        Purpose::Run | Purpose::Either => Kind::Run,
    }
}

/// The time limit that a request brings itself.
fn own_limit(task: &Task) -> Option<Duration> {
    match task {
        Task::Run(run) | Task::InitThenRun(_, run) => run.time_limit.map(TimeLimit::duration),
        Task::Init(_) => None,
    }
}

fn log(lines: Vec<LogLine>, logs: &mut Logs<'_>) {
    for line in lines {
        match line {
            LogLine::Note(text) => logs.note(text),
            LogLine::Stderr(text) => {
                let _ = logs.stderr.write_all(format!("{text}\n").as_bytes());
            }
        }
    }
}

/// A panic leaves nothing half done behind these locks: core installs an action at one point, and
/// the queue's counters are moved by code that cannot panic.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
