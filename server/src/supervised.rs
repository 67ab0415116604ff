//! Work of a command, on a thread of its own, while the main thread waits for its end or a signal.

use std::io;
use std::process::ExitCode;
use std::thread;

use actionproxy_core::Stop;
use actionproxy_core::limits::explained;

use crate::process;
use crate::shutdown::{self, Shutdown, Woken};

/// What came of the work.
pub(crate) enum Finished<T> {
    /// It was done, unless it panicked.
    Done(Option<T>),
    /// INT, TERM or HUP ended it, and all that it had started; 128 and the signal's number.
    Ended(ExitCode),
}

/// Made before any action: its processes are then kept from what is not theirs.
pub(crate) struct Supervisor {
    command: &'static str,
    shutdown: Shutdown,
    stop: Stop,
}

impl Supervisor {
    /// For the command of that name.
    ///
    /// # Errors
    /// One line: signals cannot be handled, or no descriptor is left.
    pub(crate) fn new(command: &'static str) -> Result<Self, String> {
        process::keep_descriptors_from_actions();
        let shutdown = Shutdown::register()
            .map_err(|e| format!("{command}: failed to handle signals: {}", explained(&e)))?;
        let stop = Stop::new().map_err(|e| format!("{command}: {}", explained(&e)))?;
        Ok(Supervisor {
            command,
            shutdown,
            stop,
        })
    }

    /// What ends the work.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Does the work, and ends what it has left running: nobody else would. The action has a process
    /// group of its own, so a terminal's Ctrl-C does not reach it. This thread waits for signals, since
    /// orphans are its children.
    ///
    /// # Errors
    /// One line: there is no thread to be had.
    pub(crate) fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Finished<T>, String> {
        let command = self.command;
        let failed = |e: io::Error| format!("{command}: {}", explained(&e));
        let (finished, finishing) = shutdown::finish_line().map_err(failed)?;
        let working = thread::Builder::new()
            .spawn(move || {
                let done = work();
                drop(finishing);
                done
            })
            .map_err(|e| format!("{command}: failed to start a thread: {}", explained(&e)))?;
        let Woken::Signal(first) = self.shutdown.wait(&finished) else {
            let done = working.join().ok();
            process::end_children();
            return Ok(Finished::Done(done));
        };
        self.stop.request();
        let second = self.shutdown.wait(&finished);
        // Those too that have left the action's process group.
        process::end_children();
        Ok(Finished::Ended(shutdown::exit_status(match second {
            Woken::Signal(second) => second,
            Woken::Finished => first,
        })))
    }
}
