//! The threads that everything of core runs on, and the order in which it runs there.
//!
//! One activation at a time, later ones wait; with concurrency allowed, as many as configured.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use actionproxy_core::Action;
use actionproxy_platforms::{Answer, Moment, Platform};
use may::sync::Blocker;

use crate::logs::LogStreams;
use crate::process::{self, Orphans};

/// Messages of so many bytes leave memory behind that is worth giving back.
const LARGE: usize = 1 << 20;
/// How long after them: longer than requests that follow each other leave between them.
const PAUSE: Duration = Duration::from_millis(100);

/// What a request wants of core.
pub(crate) enum Task {
    Init(Vec<u8>),
    Run(Vec<u8>),
}

/// A request's place in the queue.
struct Job {
    task: Task,
    arrived: Instant,
    ticket: Arc<Ticket>,
}

/// Where a coroutine waits for the answer that a thread makes.
struct Ticket {
    answer: Mutex<Option<Answer>>,
    waiter: Arc<Blocker>,
}

impl Ticket {
    fn give(&self, answer: Answer) {
        *unpoisoned(self.answer.lock()) = Some(answer);
        self.waiter.unpark();
    }
}

/// The worker threads and their queue.
pub(crate) struct Workers {
    platform: Arc<dyn Platform>,
    action: RwLock<Action>,
    logs: LogStreams,
    most: usize,
    orphans: Orphans,
    queue: Mutex<Queue>,
    /// A job came, or the end.
    changed: Condvar,
    /// A request was answered.
    answered: Condvar,
}

/// A request whose answer is not sent yet: the proxy does not end before it is dropped.
pub(crate) struct Open(Arc<Workers>);

impl Open {
    /// Has `task` done by a thread; the calling coroutine waits and blocks nobody.
    pub(crate) fn perform(&self, task: Task) -> Answer {
        let ticket = Arc::new(Ticket {
            answer: Mutex::new(None),
            waiter: Blocker::current(),
        });
        let job = Job {
            task,
            arrived: Instant::now(),
            ticket: Arc::clone(&ticket),
        };
        if let Err(answer) = self.0.push(job) {
            return answer;
        }
        loop {
            let taken = unpoisoned(ticket.answer.lock()).take();
            match taken {
                Some(answer) => return answer,
                // It may wake early; the answer decides.
                None => {
                    let _ = ticket.waiter.park(None);
                }
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
        self.0.answered.notify_all();
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Requests whose answer is not given yet, waiting ones included.
    open: usize,
    running: usize,
    initialized: bool,
    stopping: bool,
}

impl Workers {
    pub(crate) fn new(
        platform: Arc<dyn Platform>,
        action: Action,
        logs: LogStreams,
        most: usize,
        orphans: Orphans,
    ) -> Self {
        Workers {
            platform,
            action: RwLock::new(action),
            logs,
            most,
            orphans,
            queue: Mutex::default(),
            changed: Condvar::new(),
            answered: Condvar::new(),
        }
    }

    /// Starts the first thread, so that the first request need not.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        self.add_thread(&mut self.lock())
    }

    /// A request is open from here until the returned value is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        self.lock().open += 1;
        Open(Arc::clone(self))
    }

    /// Queues a job, with one more thread for it where that is allowed.
    fn push(self: &Arc<Self>, job: Job) -> Result<(), Answer> {
        let mut queue = self.lock();
        if queue.idle <= queue.jobs.len() && queue.threads < self.most {
            // Without another thread the job waits for one of those that are there.
            if let Err(e) = self.add_thread(&mut queue)
                && queue.threads == 0
            {
                let text = format!("No thread can be started: {e}.");
                return Err(Answer::HostFailed(text));
            }
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// The proxy's state, for `/healthz`. Waits for nothing that an action could hold.
    pub(crate) fn health(&self) -> Answer {
        let queue = self.lock();
        Answer::Healthy(format!(
            "{{\"status\":\"{}\",\"initialized\":{},\"running\":{},\"waiting\":{}}}",
            if queue.stopping { "stopping" } else { "ok" },
            queue.initialized,
            queue.running,
            queue.jobs.len(),
        ))
    }

    /// Whether runs are still taken.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// From now on runs are refused, those that wait included. They are answered at once: the
    /// platform sends them elsewhere.
    pub(crate) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopping = true;
        let (runs, inits): (VecDeque<_>, _) = std::mem::take(&mut queue.jobs)
            .into_iter()
            .partition(|job| matches!(job.task, Task::Run(_)));
        queue.jobs = inits;
        drop(queue);
        for Job { ticket, .. } in runs {
            ticket.give(Answer::ShuttingDown);
        }
    }

    /// Waits until every request is answered; false if that takes longer than `time`.
    pub(crate) fn wait_answered(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut queue = self.lock();
        while queue.open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = unpoisoned(self.answered.wait_timeout(queue, left)).0;
        }
        true
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
            let Job {
                task,
                arrived,
                ticket,
            } = self.next(&mut handled);
            let (Task::Init(body) | Task::Run(body)) = &task;
            handled += body.len();
            // A hook of a derived runtime may panic; that costs its request and no more.
            let answer = panic::catch_unwind(AssertUnwindSafe(|| self.answer(task, arrived)))
                .unwrap_or_else(|_| {
                    Answer::HostFailed("The proxy failed to answer this request.".to_owned())
                });
            if let Answer::Result(result) = &answer {
                handled += result.len();
            }
            self.logs.end(answer.end_of_logs());
            self.lock().running -= 1;
            ticket.give(answer);
            self.orphans.look();
        }
    }

    /// Waits for a job. In a pause after large messages, gives back the memory that they took.
    fn next(&self, handled: &mut usize) -> Job {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.running += 1;
                // It waits while sentinels are written, for as long as the log takes them; the
                // queue, and with it `/healthz`, must not.
                drop(queue);
                self.logs.begin();
                return job;
            }
            queue.idle += 1;
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

    fn answer(&self, task: Task, arrived: Instant) -> Answer {
        let (mut stdout, mut stderr) = self.logs.sinks();
        let mut logs = actionproxy_core::Logs {
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        match task {
            Task::Init(body) => {
                let mut action = unpoisoned(self.action.write());
                let answer = self.platform.init(&mut action, body, &mut logs);
                self.lock().initialized = action.is_initialized();
                answer
            }
            Task::Run(_) if self.is_stopping() => Answer::ShuttingDown,
            Task::Run(body) => {
                let action = unpoisoned(self.action.read());
                let moment = Moment {
                    now: SystemTime::now(),
                    waited: arrived.elapsed(),
                };
                self.platform.run(&action, body, moment, &mut logs)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        unpoisoned(self.queue.lock())
    }
}

/// A panic leaves nothing half done behind these locks: core installs an action at one point, and
/// the queue's counters are moved by code that cannot panic.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
