//! What is done with a message when it comes: it is queued, refused, acknowledged or answered from
//! memory.

use std::time::Instant;

use actionproxy_core::Digest;
use actionproxy_platforms::{Context, Done, openwhisk};

use super::queue::{Job, Named, Queue, Task};
use super::runs::{self, Admitted, Arrived, MAX_TARGETS};
use super::{Invoker, State};
use crate::answer::{Answer, Kind};
use crate::directory::Note;
use crate::message::{Delivery, Payload, Receipt, Target};
use crate::{say, topics};

impl Invoker {
    /// Takes in an init.
    pub(super) fn initialize(&self, name: &str, delivery: Delivery) {
        let Delivery {
            target,
            receipt,
            payload,
            ..
        } = delivery;
        let state = &mut *self.lock();
        if state.is_ending {
            // It comes again, or is retained.
            return;
        }
        let once = delivery.is_retained || delivery.is_again;
        let refused = topics::check_name(name)
            .and_then(|()| self.check_target(&target))
            .map_err(|text| Answer::error(&text, Kind::Caller))
            .and_then(|()| self.whole(payload));
        let body = match refused {
            Ok(body) => body,
            Err(answer) => {
                let is_name = topics::check_name(name).is_ok();
                let topic = is_name.then(|| self.topics.action_status(name));
                return self.refuse(state, target, receipt, topic, &answer);
            }
        };
        if body.is_empty() && !state.queues.contains_key(name) {
            self.acknowledge(receipt);
            return;
        }
        let message = Digest::of(&body);
        if once
            && let Some(queue) = state.queues.get(name)
            && queue.latest == Some(message)
        {
            let is_coming = match (queue.coming, receipt) {
                (Some(number), Some(receipt)) => state.runs.add_receipt(number, receipt),
                _ => false,
            };
            if !is_coming {
                self.acknowledge(receipt);
            }
            return;
        }
        if !state.queues.contains_key(name) {
            if state.queues.len() >= self.options.max_actions {
                let text = format!(
                    "There are {} actions already, as many as --max-actions allows.",
                    state.queues.len()
                );
                let topic = Some(self.topics.action_status(name));
                return self.refuse(
                    state,
                    target,
                    receipt,
                    topic,
                    &Answer::error(&text, Kind::Host),
                );
            }
            if let Err(e) = self.add(state, name, &Note::default(), None) {
                let answer = Answer::error(&format!("No thread can be started: {e}."), Kind::Host);
                let topic = Some(self.topics.action_status(name));
                return self.refuse(state, target, receipt, topic, &answer);
            }
        }
        let bytes = state.waiting.inits + body.len() as u64;
        let is_taken_at_once = state.queues.get(name).is_some_and(Queue::is_idle);
        if !is_taken_at_once && bytes > self.most_waiting_bytes() {
            let text = format!(
                "The queue is full: with this init {bytes} bytes of inits would wait, more than twice --max-body."
            );
            let (topic, answer) = (
                self.topics.action_status(name),
                Answer::error(&text, Kind::Host),
            );
            return self.refuse(state, target, receipt, Some(topic), &answer);
        }
        let number = state
            .runs
            .admit_once(target, receipt, self.topics.action_status(name));
        let State {
            queues,
            parked,
            waiting,
            ..
        } = state;
        if let Some(queue) = queues.get_mut(name) {
            queue.latest = Some(message);
            queue.coming = Some(number);
            let job = Job {
                number,
                task: match body.is_empty() {
                    true => Task::Remove,
                    false => Task::Init { message },
                },
                body,
                arrived: Instant::now(),
            };
            waiting.add(&job);
            queue.push(job);
            // They have waited for this.
            for (_, _, job) in parked.extract_if(.., |(_, wanted, _)| wanted == name) {
                queue.push(job);
            }
        }
    }

    /// Takes in a run.
    pub(super) fn run(&self, name: &str, delivery: Delivery) {
        let Delivery {
            target,
            receipt,
            payload,
            ..
        } = delivery;
        let state = &mut *self.lock();
        if state.is_ending {
            if receipt.is_none() {
                let reply = self
                    .contract
                    .encode(Done::ShuttingDown, &Context::default());
                let answer = Answer::failed(reply, Kind::Host);
                self.refuse(state, target, receipt, None, &answer);
            }
            // The broker has it, and sends it again.
            return;
        }
        let body = topics::check_name(name)
            .and_then(|()| self.check_target(&target))
            .map_err(|text| Answer::error(&text, Kind::Caller))
            .and_then(|()| self.whole(payload));
        let id = body.and_then(|body| {
            let id = openwhisk::activation_id(&body);
            match id.as_deref().map_or(Ok(()), topics::check_id) {
                Ok(()) => Ok((body, id)),
                Err(text) => Err(Answer::error(&text, Kind::Caller)),
            }
        });
        let (body, id) = match id {
            Ok(found) => found,
            Err(answer) => return self.refuse(state, target, receipt, None, &answer),
        };
        let named = id.as_ref().map_or(Named::Here, |_| Named::ByMessage);
        let arrived = Arrived {
            action: name,
            id,
            message: Digest::of(&body),
            target,
            receipt,
            is_again: delivery.is_again,
        };
        let (number, id) = match state.runs.admit(arrived, &self.topics) {
            Admitted::New(number, id) => (number, id),
            Admitted::Known => return,
            Admitted::Crowded(target, receipt) => {
                let text = format!(
                    "The same run waits to be answered {MAX_TARGETS} times already: expected no more of it."
                );
                let answer = Answer::error(&text, Kind::Caller);
                return self.refuse(state, target, receipt, None, &answer);
            }
            Admitted::Answered(publication) => return self.outbox.publish(*publication),
        };
        if let Err(text) = self.has_room(state, name, body.len() as u64) {
            let answer = Answer::error(&text, Kind::Host);
            for publication in state.runs.refuse(number, &answer) {
                self.outbox.publish(publication);
            }
            return;
        }
        let job = Job {
            number,
            task: Task::Run { id, named },
            body,
            arrived: Instant::now(),
        };
        state.waiting.add(&job);
        match state.queues.get_mut(name) {
            None => {
                let until = Instant::now() + self.options.init_wait;
                state.parked.push((until, name.to_owned(), job));
            }
            Some(queue) => {
                if queue.needs_thread(self.options.common.most_at_once) {
                    // Without another the run waits for one of those that are there.
                    match self.add_thread(name, queue) {
                        Ok(()) => queue.thread_added(),
                        Err(e) => say(&format!("no thread can be started: {e}")),
                    }
                }
                queue.push(job);
            }
        }
    }

    /// Whether one more run may wait.
    fn has_room(&self, state: &State, name: &str, bytes: u64) -> Result<(), String> {
        let is_taken_at_once = state.queues.get(name).is_some_and(Queue::is_idle);
        let waiting = state.parked.len() + state.queues.values().map(Queue::waiting).sum::<usize>();
        if !is_taken_at_once && waiting >= self.options.max_queue {
            return Err(format!(
                "The queue is full: {waiting} runs wait, as many as --max-queue allows."
            ));
        }
        let bytes = state.waiting.runs + bytes;
        if bytes > self.most_waiting_bytes() {
            return Err(format!(
                "The queue is full: with this run {bytes} bytes would wait, more than twice --max-body."
            ));
        }
        Ok(())
    }

    /// How many bytes of runs may wait, and as many of inits.
    fn most_waiting_bytes(&self) -> u64 {
        self.options.common.max_body.saturating_mul(2)
    }

    fn whole(&self, payload: Payload) -> Result<Vec<u8>, Answer> {
        match payload {
            Payload::Whole(body) => Ok(body),
            Payload::TooLarge(bytes) => {
                let text = format!(
                    "The message has {bytes} bytes: expected at most {}, which --max-body allows.",
                    self.options.common.max_body
                );
                Err(Answer::error(&text, Kind::Caller))
            }
        }
    }

    /// Whether answers may go there. Whoever may run an action need not be one who may change it, and
    /// must not have this invoker do so.
    fn check_target(&self, target: &Target) -> Result<(), String> {
        let Some(topic) = &target.topic else {
            return Ok(());
        };
        if !topics::is_topic(topic) {
            return Err("The response topic can be no topic.".to_owned());
        }
        match self.topics.is_own(topic) {
            false => Ok(()),
            true => Err(format!(
                "The response topic {topic:?} is one of this invoker's own: expected another."
            )),
        }
    }

    /// Answers a message that goes no further. Without a topic it is a run, and has one of its own.
    fn refuse(
        &self,
        state: &mut State,
        mut target: Target,
        receipt: Option<Receipt>,
        topic: Option<String>,
        answer: &Answer,
    ) {
        if self.check_target(&target).is_err() {
            target.topic = None;
        }
        let topic = topic.unwrap_or_else(|| self.topics.result(&runs::new_id()));
        let number = state.runs.admit_once(target, receipt, topic);
        for publication in state.runs.refuse(number, answer) {
            self.outbox.publish(publication);
        }
    }
}
