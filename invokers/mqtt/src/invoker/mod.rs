//! What becomes of the messages: each goes to the queue of its action, is refused, or is answered from
//! memory.

mod intake;
mod queue;
mod resident;
mod runs;
mod work;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{Action, Digest, Hook, InstanceKind, Stop};
use actionproxy_platforms::{Context, Contract, Done};
use actionproxy_server::shared::Orphans;
use serde_json::json;

use crate::answer::{Answer, Kind};
use crate::directory::{Directory, Note};
use crate::link::{Outbox, Receiver};
use crate::message::{Delivery, Publication, Receipt};
use crate::options::Options;
use crate::say;
use crate::topics::{Purpose, Topics};
use queue::{Changed, Job, Queue, Waiting};
use runs::Runs;

/// Runs actions for the broker.
pub(crate) struct Invoker {
    options: Options,
    topics: Topics,
    contract: Box<dyn Contract>,
    /// Of what code goes through, hooks and compilers.
    made_by: Digest,
    directory: Directory,
    outbox: Arc<Outbox>,
    stop: Stop,
    orphans: Orphans,
    state: Mutex<State>,
    /// Nothing runs any more.
    quiet: Condvar,
    /// For its threads.
    this: Weak<Invoker>,
}

struct State {
    queues: HashMap<String, Queue>,
    /// Runs of actions that are not there, and until when they wait for them.
    parked: Vec<(Instant, String, Job)>,
    runs: Runs,
    waiting: Waiting,
    /// Jobs that are being done.
    running: usize,
    is_ending: bool,
}

impl State {
    /// Whether nothing runs, and nothing is about to.
    fn is_quiet(&self) -> bool {
        self.running == 0 && self.queues.values().all(Queue::is_empty)
    }
}

/// The digest of what code goes through. Another release may word it otherwise; then inits are done
/// once more.
fn maker(options: &Options) -> Digest {
    let (runner, config) = (options.common.runner(), &options.common.config);
    let hooks = [Hook::Preinit, Hook::Verify, Hook::Env].map(|hook| runner.command(hook));
    let all = format!(
        "{hooks:?} {:?} {:?}",
        runner.build_commands(),
        config.source
    );
    Digest::of(all.as_bytes())
}

impl Invoker {
    /// Opens the actions that are there, each with a thread of its own.
    ///
    /// # Errors
    /// The directory cannot be read, or there is no thread to be had.
    pub(crate) fn start(
        options: Options,
        directory: Directory,
        outbox: Arc<Outbox>,
        stop: Stop,
        orphans: Orphans,
    ) -> io::Result<Arc<Self>> {
        let known = directory.actions()?;
        let max_result = options.common.config.process.max_result;
        let invoker = Arc::new_cyclic(|this| Invoker {
            topics: options.topics.clone(),
            contract: options.common.contract(),
            made_by: maker(&options),
            directory,
            outbox,
            stop,
            orphans,
            state: Mutex::new(State {
                queues: HashMap::new(),
                parked: Vec::new(),
                runs: Runs::new(options.remember, max_result),
                waiting: Waiting::default(),
                running: 0,
                is_ending: false,
            }),
            quiet: Condvar::new(),
            this: this.clone(),
            options,
        });
        for (name, note) in known {
            // A process has gone with the invoker that had it: its init is done again.
            let is_gone = note.as_ref().is_ok_and(|note| note.is_resident);
            if is_gone || invoker.is_resident() {
                let removed = invoker.directory.forget(&name);
                if let Err(e) = removed.and_then(|()| invoker.directory.remove(&name)) {
                    say(&format!("action {name}: {e}"));
                }
                continue;
            }
            let opened = note.and_then(|note| {
                let action = invoker.open(&name, &note).map_err(|e| e.to_string())?;
                Ok((note, action))
            });
            match opened {
                Ok((mut note, action)) => {
                    if note.made_by != Some(invoker.made_by) {
                        // It runs, and the same message makes another of it.
                        note.message = None;
                    }
                    invoker.add(&mut invoker.lock(), &name, &note, Some(action))?
                }
                // Its init makes it anew.
                Err(e) => say(&format!("action {name}: {e}")),
            }
        }
        Ok(invoker)
    }

    /// Makes the queue of an action, and its first thread.
    fn add(
        &self,
        state: &mut State,
        name: &str,
        note: &Note,
        action: Option<Action>,
    ) -> io::Result<()> {
        let changed = Changed::new(&self.options.common.config.instance)?;
        let queue = Queue::new(note.message, action, changed);
        self.add_thread(name, &queue)?;
        state.queues.insert(name.to_owned(), queue);
        Ok(())
    }

    fn add_thread(&self, name: &str, queue: &Queue) -> io::Result<()> {
        let Some(this) = self.this.upgrade() else {
            return Ok(());
        };
        let (name, action) = (name.to_owned(), Arc::clone(&queue.action));
        let changed = Arc::clone(&queue.changed);
        thread::Builder::new()
            .name("action".into())
            .spawn(move || this.work(&name, &action, &changed))?;
        Ok(())
    }

    /// Whether each action is one process, for all its activations.
    fn is_resident(&self) -> bool {
        matches!(
            self.options.common.config.instance,
            InstanceKind::Resident(_)
        )
    }

    fn acknowledge(&self, receipt: Option<Receipt>) {
        if let Some(receipt) = receipt {
            self.outbox.acknowledge(receipt);
        }
    }

    /// Tells whoever subscribes that this invoker is there, and which actions it has.
    fn publish_status(&self, state: &State) {
        let mut actions: Vec<_> = state
            .queues
            .iter()
            .filter(|(_, queue)| queue.has_action)
            .map(|(name, _)| name)
            .collect();
        actions.sort();
        let status = match state.is_ending {
            true => "stopping",
            false => "ok",
        };
        let text = json!({ "status": status, "actions": actions }).to_string();
        let publication = Publication::new(self.topics.status(), text);
        self.outbox.publish(publication.retained());
    }

    /// From now on nothing is begun. What waits is left to the broker, which sends it again; what the
    /// broker does not keep is refused.
    pub(crate) fn stop(&self) {
        let state = &mut *self.lock();
        state.is_ending = true;
        let mut left: Vec<Job> = state.parked.drain(..).map(|(_, _, job)| job).collect();
        for queue in state.queues.values_mut() {
            left.extend(queue.clear());
        }
        state.waiting = Waiting::default();
        if self.is_resident() {
            self.end_processes(state);
        }
        for job in left {
            if state.runs.is_acknowledged(job.number) {
                let reply = self
                    .contract
                    .encode(Done::ShuttingDown, &Context::default());
                let answer = Answer::failed(reply, Kind::Host);
                for publication in state.runs.refuse(job.number, &answer) {
                    self.outbox.publish(publication);
                }
            } else {
                state.runs.drop(job.number);
            }
        }
        self.publish_status(state);
    }

    /// Waits until nothing runs, no longer than `limit`. Whether nothing does.
    pub(crate) fn wait_quiet(&self, limit: Duration) -> bool {
        let waited = self
            .quiet
            .wait_timeout_while(self.lock(), limit, |state| !state.is_quiet());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_quiet()
    }

    /// The last word: this invoker is gone.
    pub(crate) fn say_goodbye(&self) {
        self.outbox.publish(offline(&self.topics));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }
}

/// What whoever subscribes is told when this invoker is gone, by itself or by the broker.
pub(crate) fn offline(topics: &Topics) -> Publication {
    let text = json!({ "status": "offline" }).to_string();
    Publication::new(topics.status(), text).retained()
}

impl Receiver for Invoker {
    fn subscribed(&self) {
        self.publish_status(&self.lock());
    }

    fn deliver(&self, delivery: Delivery) {
        if delivery.receipt.is_none() && self.outbox.is_crowded() {
            // Sent without wanting to be sure (QoS 0), in a flood.
            return;
        }
        let topic = delivery.topic.clone();
        match self.topics.purpose(&topic) {
            Some(Purpose::Init(name)) => self.initialize(name, delivery),
            Some(Purpose::Run(name)) => self.run(name, delivery),
            // Not subscribed to, by this program at least.
            None => self.acknowledge(delivery.receipt),
        }
    }

    fn answered(&self, run: u64) -> Vec<Receipt> {
        self.lock().runs.answered(run)
    }

    fn tend(&self, now: Instant) -> Option<Instant> {
        let state = &mut *self.lock();
        let due: Vec<_> = state
            .parked
            .extract_if(.., |(until, _, _)| *until <= now)
            .collect();
        for (_, name, job) in due {
            state.waiting.remove(&job);
            let text = format!("There is no action {name:?}: expected its init before.");
            let answer = Answer::error(&text, Kind::Caller);
            for publication in state.runs.refuse(job.number, &answer) {
                self.outbox.publish(publication);
            }
        }
        state.parked.iter().map(|(until, _, _)| *until).min()
    }
}

/// An action and its lock: inits take it alone, runs share it.
type Shared = Arc<RwLock<Option<Action>>>;

/// A panic leaves nothing half done: core installs an action at one point.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
