//! What becomes of the messages: each goes to the queue of its action, is refused, or is answered from
//! memory.

mod intake;
mod queue;
mod runs;
mod work;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{Action, Stop};
use actionproxy_platforms::{Context, Contract, Done, OpenWhisk};
use actionproxy_server::shared::Orphans;
use serde_json::json;

use crate::answer::{Answer, Kind};
use crate::directory::{Directory, Note};
use crate::link::{Outbox, Receiver};
use crate::message::{Delivery, Publication, Receipt};
use crate::options::Options;
use crate::say;
use crate::topics::{Purpose, Topics};
use queue::{Job, Queue};
use runs::Runs;

/// Runs actions for the broker.
pub(crate) struct Invoker {
    options: Options,
    topics: Topics,
    contract: OpenWhisk,
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
    /// Bytes of all messages that wait.
    waiting_bytes: u64,
    /// Jobs that are being done.
    running: usize,
    is_ending: bool,
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
            contract: OpenWhisk {
                enforce_deadline: options.common.enforce_deadline,
            },
            directory,
            outbox,
            stop,
            orphans,
            state: Mutex::new(State {
                queues: HashMap::new(),
                parked: Vec::new(),
                runs: Runs::new(options.remember, max_result),
                waiting_bytes: 0,
                running: 0,
                is_ending: false,
            }),
            quiet: Condvar::new(),
            this: this.clone(),
            options,
        });
        for (name, note) in known {
            let opened = note.and_then(|note| {
                let action = invoker.open(&name, &note).map_err(|e| e.to_string())?;
                Ok((note, action))
            });
            match opened {
                Ok((note, action)) => {
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
        let queue = Queue::new(note.message, action);
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
        state.waiting_bytes = 0;
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
            .wait_timeout_while(self.lock(), limit, |state| state.running > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.running == 0
    }

    /// The last word: this invoker is gone.
    pub(crate) fn say_goodbye(&self) {
        self.outbox.publish(offline(&self.topics));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            state.waiting_bytes -= job.body.len() as u64;
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
