//! What the threads of an action do: init, removal and runs, with core, and their answers.

use std::ffi::OsStr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actionproxy_core::{Action, Config, Digest, Environment, InitError, Logs, Stream};
use actionproxy_platforms::{
    Asked, Context, Done, LogLine, Moment, Purpose, Reply, Request, Task as Wanted,
};
use actionproxy_server::shared;
use serde_json::json;

use super::queue::{Changed, Job, Named, Task};
use super::resident::with_id;
use super::{Invoker, Shared, unpoisoned};
use crate::answer::{Answer, Kind};
use crate::directory::Note;
use crate::logs::Log;
use crate::message::Publication;
use crate::{options, say};

/// Messages of so many bytes leave memory behind that is worth giving back.
const LARGE: usize = 1 << 20;

impl Invoker {
    /// Does the jobs of one action, until that is removed.
    pub(super) fn work(&self, name: &str, action: &Shared, changed: &Changed) {
        let mut state = self.lock();
        loop {
            let Some(queue) = state.queues.get_mut(name) else {
                return;
            };
            // Another of its name may have taken its place.
            if !Arc::ptr_eq(&queue.action, action) {
                return;
            }
            let Some(job) = queue.take() else {
                state = self.wait(state, name, action, changed);
                continue;
            };
            state.waiting.remove(&job);
            state.running += 1;
            drop(state);
            let (number, size) = (job.number, job.body.len());
            // A panic costs its message and no more.
            let done = panic::catch_unwind(AssertUnwindSafe(|| self.perform(name, action, job)));
            let done = done.unwrap_or_else(|_| {
                let text = "The invoker failed to answer this message.";
                Performed::Run(Answer::error(text, Kind::Host))
            });
            if size >= LARGE {
                shared::return_memory();
            }
            self.orphans.look();
            state = self.lock();
            self.answer(&mut state, name, number, done);
            state.running -= 1;
            if let Some(queue) = state.queues.get_mut(name) {
                queue.done();
            }
            if state.is_quiet() {
                self.quiet.notify_all();
            }
        }
    }

    fn perform(&self, name: &str, action: &Shared, job: Job) -> Performed {
        match job.task {
            Task::Init { message } => self.perform_init(name, action, job.body, message),
            Task::Remove => self.perform_removal(name, action),
            Task::Run { id, named } => {
                self.perform_run(action, job.body, (&id, named), job.arrived)
            }
            Task::End => {
                let former = unpoisoned(action.write()).take();
                self.end(name, former);
                Performed::End
            }
        }
    }

    fn answer(&self, state: &mut super::State, name: &str, number: u64, done: Performed) {
        let answer = match done {
            Performed::End => return,
            Performed::Run(answer) => answer,
            Performed::Init { answer, worked } => {
                if let Some(queue) = state.queues.get_mut(name) {
                    queue.has_action |= worked;
                    queue.coming = queue.coming.filter(|coming| *coming != number);
                }
                let mut status = Publication::new(self.topics.action_status(name), Vec::new());
                answer.replace(&mut status);
                self.outbox.publish(status.retained());
                self.publish_status(state);
                state.runs.point_away(number);
                answer
            }
            Performed::Removal(answer) => {
                if answer.kind.is_none() {
                    self.forget_queue(state, name);
                    let status = Publication::new(self.topics.action_status(name), Vec::new());
                    self.outbox.publish(status.retained());
                    self.publish_status(state);
                }
                state.runs.point_away(number);
                answer
            }
        };
        for publication in state.runs.finish(number, &answer) {
            self.outbox.publish(publication);
        }
        if !state.runs.is_waited_for(number) {
            for receipt in state.runs.answered(number) {
                self.outbox.acknowledge(receipt);
            }
        }
    }

    /// Of a removed action. Runs that wait are for an action that there is not; an init makes it anew.
    fn forget_queue(&self, state: &mut super::State, name: &str) {
        let Some(queue) = state.queues.get_mut(name) else {
            return;
        };
        queue.has_action = false;
        if queue.has_init() {
            return;
        }
        if let Some(mut queue) = state.queues.remove(name) {
            let until = Instant::now() + self.options.init_wait;
            let runs = queue.clear().map(|job| (until, name.to_owned(), job));
            state.parked.extend(runs);
            // Its threads end.
            queue.changed.tell_all();
        }
    }

    /// An action that an earlier process initialised, with the variables that its init brought.
    pub(super) fn open(&self, name: &str, note: &Note) -> Result<Action, InitError> {
        let mut config = self.config(name);
        for (name, value) in &note.env {
            config.env.set(name, value);
        }
        Action::open(config, self.options.common.runner())
    }

    fn config(&self, name: &str) -> Config {
        Config {
            action_dir: self.directory.action(name),
            ..self.options.common.config.clone()
        }
    }

    /// The action is opened anew: of what the last init brought nothing is left to the next.
    fn perform_init(
        &self,
        name: &str,
        action: &Shared,
        body: Vec<u8>,
        message: Digest,
    ) -> Performed {
        let log = self.log(self.topics.action_log(name));
        let mut sink = log.sink();
        let mut logs = Logs::to(&mut *sink);
        let request = match self.decode(Purpose::Init, body, Instant::now()) {
            Ok(Asked {
                task: Wanted::Init(request),
                ..
            }) => Ok(request),
            Ok(_) => Err(Answer::error("Expected an init.", Kind::Host)),
            Err(reply) => Err(Answer::failed(reply, Kind::Caller)),
        };
        let done = request.and_then(|mut request| {
            request.stop = self.stop.clone();
            if self.is_resident() && unpoisoned(action.read()).is_none() {
                // What a process that was killed left behind.
                let _ = self.directory.remove(name);
            }
            let opened = Action::open(self.config(name), self.options.common.runner());
            let initialized = opened.and_then(|mut opened| {
                opened.init(request, &mut logs)?;
                Ok(opened)
            });
            match initialized {
                Err(e) => {
                    let kind = e.fault().into();
                    let reply = self
                        .contract
                        .encode(Done::Init(Err(e)), &Context::default());
                    Err(self.failed(reply, kind, &mut logs, Some(name)))
                }
                Ok(opened) => {
                    let note = self.note(message, opened.brought());
                    let former = unpoisoned(action.write()).replace(opened);
                    if let Some(mut former) = former {
                        former.end(&mut logs);
                    }
                    self.directory.write(name, &note).map_err(|e| {
                        let text = format!("The action cannot be noted: {e}.");
                        say(&format!("action {name}: {text}"));
                        Answer::error(&text, Kind::Host)
                    })
                }
            }
        });
        drop(sink);
        log.end();
        match done {
            Ok(()) => {
                say(&format!("action {name}: initialised"));
                let text = json!({ "ok": true, "sha256": message.to_string() }).to_string();
                Performed::Init {
                    answer: Answer::result(text.into_bytes()),
                    worked: true,
                }
            }
            Err(answer) => {
                if unpoisoned(action.read()).is_none() {
                    // There was none before, and nothing of it is left.
                    let _ = self.directory.remove(name);
                }
                Performed::Init {
                    answer,
                    worked: false,
                }
            }
        }
    }

    fn note(&self, message: Digest, brought: &Environment) -> Note {
        let text = |part: &OsStr| part.to_string_lossy().into_owned();
        let env = brought.iter();
        Note {
            message: Some(message),
            made_by: Some(self.made_by),
            is_resident: self.is_resident(),
            env: env.map(|(n, v)| (text(n), text(v))).collect(),
        }
    }

    fn perform_removal(&self, name: &str, action: &Shared) -> Performed {
        let former = unpoisoned(action.write()).take();
        self.end(name, former);
        let removed = self
            .directory
            .forget(name)
            .and_then(|()| self.directory.remove(name));
        Performed::Removal(match removed {
            Ok(()) => {
                say(&format!("action {name}: removed"));
                Answer::result(json!({ "ok": true }).to_string().into_bytes())
            }
            Err(e) => Answer::error(&format!("The action cannot be removed: {e}."), Kind::Host),
        })
    }

    fn perform_run(
        &self,
        action: &Shared,
        body: Vec<u8>,
        (id, named): (&str, Named),
        arrived: Instant,
    ) -> Performed {
        let log = self.log(self.topics.log(id));
        let mut sink = log.sink();
        let mut logs = Logs::to(&mut *sink);
        let answer = match self.decode(Purpose::Run, body, arrived) {
            Ok(Asked {
                task: Wanted::Run(mut request),
                logged,
                ..
            }) => {
                write(logged, &mut logs);
                const ID: &str = "__OW_ACTIVATION_ID";
                if request.env.value(ID).is_none() {
                    request.env.set(ID, id);
                }
                if self.is_resident() && named == Named::Here {
                    request.argument = with_id(&request.argument, id);
                }
                request.stop = self.stop.clone();
                match &*unpoisoned(action.read()) {
                    None => {
                        let text = "There is no such action: it was removed, or its init failed.";
                        Answer::error(text, Kind::Caller)
                    }
                    Some(action) => {
                        // There is no other container that could take its place.
                        action.revive();
                        let ran = action.run(request, &mut logs);
                        let kind = ran
                            .as_ref()
                            .map_or_else(|e| e.fault().into(), |_| Kind::Host);
                        let reply = self.contract.encode(Done::Run(ran), &Context::default());
                        match reply.status {
                            200 => {
                                write(reply.logged, &mut logs);
                                Answer::result(reply.body)
                            }
                            _ => self.failed(reply, kind, &mut logs, None),
                        }
                    }
                }
            }
            Ok(_) => Answer::error("Expected a run.", Kind::Host),
            Err(reply) => {
                let kind = match reply.status {
                    400..500 => Kind::Caller,
                    // Its deadline passed while it waited.
                    _ => Kind::Host,
                };
                self.failed(reply, kind, &mut logs, None)
            }
        };
        drop(sink);
        log.end();
        Performed::Run(answer)
    }

    fn decode(&self, purpose: Purpose, body: Vec<u8>, arrived: Instant) -> Result<Asked, Reply> {
        let request = Request {
            purpose,
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers: Vec::new(),
            body,
        };
        let moment = Moment {
            now: SystemTime::now(),
            waited: arrived.elapsed(),
            initialized: true,
            raw: false,
        };
        self.contract.decode(request, moment)
    }

    /// A failure's answer; its cause goes to the logs and, of an init or where there are none, to
    /// stderr.
    fn failed(&self, reply: Reply, kind: Kind, logs: &mut Logs<'_>, init: Option<&str>) -> Answer {
        let mut reply = reply;
        let logged = std::mem::take(&mut reply.logged);
        if init.is_some() || self.options.logs == options::Logs::Off {
            for line in &logged {
                let (LogLine::Note(text) | LogLine::Stderr(text)) = line;
                match init {
                    Some(name) => say(&format!("action {name}: {text}")),
                    None => say(text),
                }
            }
        }
        write(logged, logs);
        Answer::failed(reply, kind)
    }

    pub(super) fn log(&self, topic: String) -> Log<'_> {
        Log::new(&self.outbox, topic, self.options.logs)
    }
}

/// What came of a job.
enum Performed {
    Run(Answer),
    Init {
        answer: Answer,
        worked: bool,
    },
    Removal(Answer),
    /// Of the action's process.
    End,
}

fn write(lines: Vec<LogLine>, logs: &mut Logs<'_>) {
    for line in lines {
        match line {
            LogLine::Note(text) => logs.note(text),
            LogLine::Stderr(text) => {
                logs.write(Stream::Stderr, format!("{text}\n").as_bytes());
            }
        }
    }
}
