//! ActionLoop: `/run` in front of one process for all activations, the time of an init with and
//! without an ack, memory with a loop running.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::run::{exchange_kept, expect_200};
use super::{Bench, size_name};
use crate::alternate::{self, Shown, Turn};
use crate::bare_loop::BareLoop;
use crate::client;
use crate::memory::{self, mib};
use crate::processor;
use crate::programs::Looping;
use crate::report::{Report, Row};
use crate::stats::Samples;
use crate::subject::{Running, Subject, archive_init, text_init};

/// Bytes of the argument, and how often each is measured.
const SIZES: [(usize, usize); 3] = [(100, 1000), (100_000, 200), (900_000, 60)];

/// Over how many runs processor time is taken: the kernel counts it in nanoseconds, and reading it costs.
const RUNS_IN_A_ROW: u32 = 100;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let subjects: Vec<_> = bench
        .subjects
        .iter()
        .map(|subject| subject.clone().with_flag("--action-loop"))
        .collect();
    for program in Looping::ALL {
        runs(bench, &subjects, program, report)?;
    }
    if !bench.case.is_empty() {
        return Ok(());
    }
    for (how, variable) in [("with an ack", "1"), ("without", "")] {
        let subjects: Vec<_> = subjects
            .iter()
            .map(|subject| subject.clone().with_variable("OW_WAIT_FOR_ACK", variable))
            .collect();
        report.group(format!("ActionLoop /init of a C loop, {how}"));
        inits(bench, &subjects, report)?;
    }
    processor_time(bench, &subjects, report)?;
    resident_memory(bench, &subjects, report)
}

fn runs(
    bench: &Bench,
    subjects: &[Subject],
    program: Looping,
    report: &mut Report,
) -> Result<(), String> {
    let executable = bench.actions.looping(program);
    let init = init_of(&executable)?;
    let mut proxies = Vec::new();
    for (at, subject) in subjects.iter().enumerate() {
        match start(subject, &init) {
            Ok(running) => proxies.push((subject.name.as_str(), running)),
            Err(e) if at == 0 => return Err(e),
            Err(e) => report.note(&e),
        }
    }
    // Ratios are to the first that is put beside ours.
    let named = |how: &str| proxies.get(1).map(|(name, _)| format!("{name}, {how}"));
    let (fresh, kept) = (named("fresh connection"), named("kept connection"));
    for (size, rounds) in SIZES {
        let heading = format!(
            "ActionLoop /run: {} loop, {}",
            program.name(),
            size_name(size)
        );
        if !heading.contains(&bench.case) {
            continue;
        }
        report.group(heading);
        let request = client::run_request(size);
        let floor = |_| BareLoop::start(&executable, request.len());
        let [Ok(fresh_floor), Ok(kept_floor)] = [(), ()].map(floor) else {
            return Err("the floor cannot be started".to_owned());
        };
        let mut connection = None;
        let mut turns = vec![
            Turn::new("floor, fresh connection", fresh.as_deref(), || {
                expect_200(client::exchange(fresh_floor.address, &request))
            }),
            Turn::new("floor, kept connection", kept.as_deref(), || {
                expect_200(exchange_kept(&mut connection, kept_floor.address, &request))
            }),
        ];
        for (name, running) in &proxies {
            let (address, request) = (running.address, &request);
            turns.push(Turn::new(
                format!("{name}, fresh connection"),
                fresh.as_deref(),
                move || expect_200(client::exchange(address, request)),
            ));
            let mut connection = None;
            turns.push(Turn::new(
                format!("{name}, kept connection"),
                kept.as_deref(),
                move || expect_200(exchange_kept(&mut connection, address, request)),
            ));
        }
        alternate::measure(report, bench.runs(rounds), Shown::Micros, turns);
    }
    Ok(())
}

/// From the request to the answer, each of a proxy that was just started.
fn inits(bench: &Bench, subjects: &[Subject], report: &mut Report) -> Result<(), String> {
    let init = init_of(&bench.actions.looping(Looping::C))?;
    let mut samples = vec![Samples::default(); subjects.len()];
    for _ in 0..bench.runs(60) {
        for (at, subject) in subjects.iter().enumerate() {
            let running = subject.spawn().map_err(|e| e.to_string())?;
            drop(running.connect().map_err(|e| e.to_string())?);
            let begun = Instant::now();
            match running.init(&init) {
                Ok(()) => samples[at].push(begun.elapsed().as_secs_f64() * 1e3),
                Err(e) if at == 0 => return Err(e),
                // A row without samples is left out.
                Err(_) => {}
            }
        }
    }
    for (subject, own) in subjects.iter().zip(&samples) {
        report.row(&Row {
            subject: &subject.name,
            unit: "ms",
            samples: own,
            against: samples
                .get(1)
                .filter(|peer| peer.summary().is_some())
                .map(|peer| (subjects[1].name.as_str(), peer)),
        });
    }
    Ok(())
}

/// What a `/run` takes of the processors, on a kept connection: the proxy's part, without the loop's.
fn processor_time(bench: &Bench, subjects: &[Subject], report: &mut Report) -> Result<(), String> {
    report.group("ActionLoop processor time of a /run, without the loop's own: C loop, 100 B");
    let init = init_of(&bench.actions.looping(Looping::C))?;
    let request = client::run_request(100);
    let mut proxies = Vec::new();
    for (at, subject) in subjects.iter().enumerate() {
        match start(subject, &init) {
            Ok(running) => proxies.push((subject, running, None, Samples::default())),
            Err(e) if at == 0 => return Err(e),
            Err(e) => report.note(&e),
        }
    }
    for _ in 0..bench.runs(40) {
        for (_, running, connection, samples) in &mut proxies {
            let time = || running.pid().and_then(processor::time_of);
            let before = time();
            for _ in 0..RUNS_IN_A_ROW {
                expect_200(exchange_kept(connection, running.address, &request))?;
            }
            if let (Some(before), Some(after)) = (before, time()) {
                samples.push((after - before) / 1e3 / f64::from(RUNS_IN_A_ROW));
            }
        }
    }
    let peer = proxies
        .get(1)
        .map(|(subject, _, _, samples)| (subject.name.as_str(), samples));
    for (subject, _, _, samples) in &proxies {
        report.row(&Row {
            subject: &subject.name,
            unit: "us",
            samples,
            against: peer,
        });
    }
    Ok(())
}

fn resident_memory(bench: &Bench, subjects: &[Subject], report: &mut Report) -> Result<(), String> {
    report.group("ActionLoop resident memory, without the loop's own");
    let init = init_of(&bench.actions.looping(Looping::C))?;
    let request = client::run_request(100);
    for (at, subject) in subjects.iter().enumerate() {
        let running = match start(subject, &init) {
            Ok(running) => running,
            Err(e) if at == 0 => return Err(e),
            Err(e) => {
                report.note(&e);
                continue;
            }
        };
        let Some(pid) = running.pid() else { continue };
        let mut show = |what: &str| {
            // What is freed after an answer is freed.
            std::thread::sleep(Duration::from_millis(200));
            if let Some(memory) = memory::of(pid) {
                report.value(
                    &format!("{}, {what}", subject.name),
                    "MiB",
                    mib(memory.resident),
                );
            }
        };
        show("idle, after /init");
        for _ in 0..1000 {
            expect_200(client::exchange(running.address, &request))?;
        }
        show("after 1,000 activations");
    }
    Ok(())
}

fn start(subject: &Subject, init: &[u8]) -> Result<Running, String> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", subject.name);
    let running = subject.spawn().map_err(|e| named(&e))?;
    running.connect().map_err(|e| named(&e))?;
    running.init(init).map_err(|e| named(&e))?;
    Ok(running)
}

fn init_of(program: &Path) -> Result<Vec<u8>, String> {
    let code = fs::read(program).map_err(|e| format!("{}: {e}", program.display()))?;
    Ok(match code.starts_with(b"#!") {
        true => text_init(&code),
        false => archive_init(&crate::programs::zip(&[("exec", &code)])?),
    })
}
