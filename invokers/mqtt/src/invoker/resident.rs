//! Actions with one process for all activations: what their threads do between those, and how the
//! processes end.

use std::os::fd::AsFd;
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_core::{Action, Logs, Rest, RunError};

use super::queue::{Changed, Job, Task};
use super::{Invoker, Shared, State, unpoisoned};
use crate::say;

/// Where the machine does not let it wait: no reason to be busy with that.
const PAUSE: Duration = Duration::from_millis(100);

impl Invoker {
    /// Waits for something to do, and hands on what a process writes meanwhile. It may return for
    /// nothing.
    pub(super) fn wait<'s>(
        &'s self,
        state: MutexGuard<'s, State>,
        name: &str,
        action: &Shared,
        changed: &Changed,
    ) -> MutexGuard<'s, State> {
        let Some(wake) = changed.wake() else {
            return changed.wait(state);
        };
        // Only this thread, which is the only one of its action, puts another there.
        let action = unpoisoned(action.read());
        let Some(action) = &*action else {
            return changed.wait(state);
        };
        drop(state);
        let rested = action.rest(&[wake.as_fd()], None);
        wake.clear();
        let tended = match rested {
            Ok(Rest::Woken) => Ok(()),
            Ok(Rest::Untended) => self.tend(name, action),
            Err(e) => Err(e),
        };
        if let Err(e) = tended {
            say(&format!("action {name}: {e}"));
            thread::sleep(PAUSE);
        }
        self.lock()
    }

    fn tend(&self, name: &str, action: &Action) -> Result<(), RunError> {
        self.logged(self.topics.action_log(name), |logs| action.tend(logs))
    }

    /// Has each process ended, behind what its action does now.
    pub(super) fn end_processes(&self, state: &mut State) {
        for queue in state.queues.values_mut() {
            queue.push(Job {
                // No message's.
                number: 0,
                task: Task::End,
                body: Vec::new(),
                arrived: Instant::now(),
            });
        }
    }

    /// Ends the process of an action that there is no more. Of one without a process nothing is left
    /// to end.
    pub(super) fn end(&self, name: &str, former: Option<Action>) {
        if let Some(mut former) = former {
            self.logged(self.topics.action_log(name), |logs| former.end(logs));
        }
    }

    /// Has `work` done, with its logs sent to `topic`.
    pub(super) fn logged<T>(&self, topic: String, work: impl FnOnce(&mut Logs<'_>) -> T) -> T {
        let log = self.log(topic);
        let mut sink = log.sink();
        let done = work(&mut Logs::to(&mut *sink));
        drop(sink);
        log.end();
        done
    }
}

/// The message that a resident process is asked, with the id that it was given here.
pub(super) fn with_id(message: &[u8], id: &str) -> Vec<u8> {
    let rest = message.strip_prefix(b"{").unwrap_or(message);
    let is_empty = rest.trim_ascii_start().starts_with(b"}");
    let comma = if is_empty { "" } else { "," };
    let mut named = format!("{{\"activation_id\":\"{id}\"{comma}").into_bytes();
    named.extend_from_slice(rest);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_put_into_an_object() {
        for (message, named) in [
            ("{}", r#"{"activation_id":"7"}"#),
            ("{ }", r#"{"activation_id":"7" }"#),
            (r#"{"value": {}}"#, r#"{"activation_id":"7","value": {}}"#),
        ] {
            let found = with_id(message.as_bytes(), "7");
            assert_eq!(String::from_utf8_lossy(&found), named);
        }
    }
}
