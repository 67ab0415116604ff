//! Resident memory: idle, after activations, with idle connections.

use std::thread;
use std::time::Duration;

use super::Bench;
use super::run::expect_200;
use crate::client::{self, Client};
use crate::memory::{self, mib};
use crate::programs::Answering;
use crate::report::Report;
use crate::subject::Running;

const ACTIVATIONS: usize = 1000;
const CONNECTIONS: usize = 1000;
const GIVEN_BACK: Duration = Duration::from_secs(6);

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let executable = bench.actions.answering(Answering::StaticC);
    let request = client::run_request(100);
    for subject in &bench.subjects {
        report.group(format!("resident memory: {}", subject.name));
        // Before the first request it is less than after an init, which is what is idle in use.
        let running = match subject.start(&executable) {
            Ok(running) => running,
            Err(e) => {
                report.note(&e);
                continue;
            }
        };
        let Some(pid) = running.pid() else {
            report.note("its process is not known");
            continue;
        };
        let mut show = |what: &str| {
            // What is freed after an answer is freed.
            std::thread::sleep(Duration::from_millis(200));
            if let Some(memory) = memory::of(pid) {
                report.value(what, "MiB", mib(memory.resident));
            }
        };
        show("idle, after the first /init");
        let done = runs(&running, &request);
        show(&format!("after {ACTIVATIONS} activations"));
        let idle: Vec<Client> = (0..CONNECTIONS)
            .map_while(|_| Client::connect(running.address).ok())
            .collect();
        show(&format!("with {} idle connections", idle.len()));
        drop(idle);
        // The watch over connections gives back what they took when it wakes, every 5 s.
        thread::sleep(GIVEN_BACK);
        show("6 s after they are closed");
        if let Err(e) = done {
            report.note(&e);
        }
    }
    Ok(())
}

fn runs(running: &Running, request: &[u8]) -> Result<(), String> {
    (0..ACTIVATIONS).try_for_each(|_| expect_200(client::exchange(running.address, request)))
}
