//! What each thread does: takes a job, has core do it, replies, and tends an action that outlives its
//! activations.

use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::RwLockWriteGuard;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use actionproxy_core::{InitRequest, Logs, Rest, RunError, Stream, TimeLimit};
use actionproxy_platforms::{
    Asked, Done, EndOfLogs, LogLine, Moment, Purpose, Reply, Request, Task,
};

use super::source::Lookout;
use super::{Ending, Job, Preparation, Work, Workers, unpoisoned};
use crate::logs::Patience;
use crate::metrics::{Kind, Outcome};
use crate::process;
use crate::wake::Wake;

/// Messages of so many bytes leave memory behind that is worth giving back.
const LARGE: usize = 1 << 20;
/// How long after them: longer than requests that follow each other leave between them.
const PAUSE: Duration = Duration::from_millis(100);

impl Workers {
    pub(super) fn work(&self) {
        let mut lookout = Lookout::default();
        // Bytes of the messages since memory was last given back.
        let mut handled = 0;
        loop {
            let work = self.next(&mut lookout, &mut handled);
            lookout.leave();
            match work {
                Work::Job(job) => handled += self.do_job(job, &mut lookout),
                Work::Prepare(init) => self.do_prepare(*init),
                Work::End => self.end_action(),
            }
        }
    }

    /// How many bytes the messages had.
    fn do_job<'w>(&'w self, mut job: Job, lookout: &mut Lookout<'w>) -> usize {
        if job.is_queued && job.reply_to.is_abandoned() {
            self.lock().running -= 1;
            self.count(kind(job.request.purpose), Outcome::Abandoned, None);
            job.reply_to.abandon();
            return 0;
        }
        let request_length = job.request.body.len();
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
        let reply_length = reply.body.len();
        self.logs.end(reply.end_of_logs, until);
        self.lock().running -= 1;
        // In this order: a client that has its reply may send the next request at once.
        lookout.take(self.source());
        job.reply_to.reply(reply);
        self.end.orphans.look();
        request_length + reply_length
    }

    /// Waits for something to do. In a pause after large messages, gives back the memory that they
    /// took.
    fn next<'w>(&'w self, lookout: &mut Lookout<'w>, handled: &mut usize) -> Work {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.take() {
                return work;
            }
            queue.idle += 1;
            if let Some(wake) = &self.wake {
                drop(queue);
                self.rest(wake, lookout, handled);
                queue = self.lock();
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

    /// Waits once for whatever may come while there is no job, and deals with it.
    fn rest<'w>(&'w self, wake: &'w Wake, lookout: &mut Lookout<'w>, handled: &mut usize) {
        lookout.take(self.source());
        let wakes: Vec<_> = [Some(wake.as_fd()), lookout.something()]
            .into_iter()
            .flatten()
            .collect();
        let longest = Some(PAUSE).filter(|_| *handled >= LARGE);
        let begun = Instant::now();
        let rest = unpoisoned(self.action.read()).rest(&wakes, longest);
        let is_woken = matches!(rest, Ok(Rest::Woken));
        if !is_woken {
            // Still idle: the next job does not wait for who reads the logs.
            lookout.leave();
            self.tend(rest.err(), wake);
        }
        let mut queue = self.lock();
        queue.idle -= 1;
        if std::mem::take(&mut queue.is_told) {
            wake.clear();
        }
        drop(queue);
        if is_woken {
            lookout.look();
        }
        if longest.is_some_and(|longest| begun.elapsed() >= longest) {
            *handled = 0;
            process::return_memory();
        }
    }

    /// The logs are those of the first activation, which shares their end; a failed one has its own.
    fn do_prepare(&self, init: InitRequest) {
        self.logs.begin();
        let until = self.logs.limit_from_now(None);
        let begun = Instant::now();
        let prepared = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut sinks = self.logs.sinks(until);
            let mut logs = Logs::to(&mut sinks);
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

    /// Hands on what the action has written, unless it has `failed` to be watched. Waits for a reader of
    /// the logs until somebody calls.
    fn tend(&self, failed: Option<RunError>, wake: &Wake) {
        let mut sinks = self.logs.sinks(Patience::UntilCalled(wake));
        let mut logs = Logs::to(&mut sinks);
        let tended = match failed {
            Some(e) => Err(e),
            None => unpoisoned(self.action.read()).tend(&mut logs),
        };
        if let Err(e) = tended {
            logs.note(e);
            // No reason to be busy with it.
            thread::sleep(PAUSE);
        }
    }

    fn end_action(&self) {
        // Nothing more is waited for than a reader who reads: the process is to be told.
        let mut sinks = self.logs.sinks(Some(Instant::now()));
        let mut logs = Logs::to(&mut sinks);
        unpoisoned(self.action.write()).end(&mut logs);
        self.lock().ending = Ending::Done;
        self.ended.notify_all();
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
        let mut sinks = self.logs.sinks(until);
        let mut logs = Logs::to(&mut sinks);
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

    fn moment(&self, arrived: Instant) -> Moment {
        let queue = self.lock();
        Moment {
            now: SystemTime::now(),
            waited: arrived.elapsed(),
            initialized: queue.initialized,
            raw: queue.raw,
        }
    }

    fn perform(&self, task: Task, logs: &mut Logs<'_>) -> Done {
        let (mut init, run) = match task {
            Task::Run(_) if self.is_stopping() => return Done::ShuttingDown,
            Task::Run(mut run) => {
                run.stop = self.end.stop.clone();
                return Done::Run(unpoisoned(self.action.read()).run(run, logs));
            }
            Task::Init(init) => (init, None),
            Task::InitThenRun(init, run) => (init, Some(run)),
        };
        init.stop = self.end.stop.clone();
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
            Some(mut run) if result.is_ok() => {
                run.stop = self.end.stop.clone();
                Done::Run(RwLockWriteGuard::downgrade(action).run(run, logs))
            }
            _ => Done::Init(result),
        }
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
                logs.write(Stream::Stderr, format!("{text}\n").as_bytes());
            }
        }
    }
}
