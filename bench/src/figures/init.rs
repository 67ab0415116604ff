//! Init of text and archives: time, time by stage, peak memory, beside unzip.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use actionproxy_core::init::{decode, install::Stage, unpack};
use actionproxy_core::{Code, Digest, Durability, UnpackLimits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Bench;
use super::run::expect_200;
use crate::alternate::{self, Shown, Turn};
use crate::client;
use crate::memory::{self, mib};
use crate::programs::{Answering, told, zip};
use crate::report::{Report, Row};
use crate::stats::Samples;
use crate::subject::{archive_init, text_init};

/// Bytes of one file of an archive.
const FILE: usize = 200_000;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let script = fs::read(bench.actions.answering(Answering::Bash))
        .map_err(|e| format!("answer.sh: {e}"))?;
    report.group("/init: text");
    requests(bench, &text_init(&script), 100, None, report);
    for (megabytes, rounds) in [(1, 40), (40, 8)] {
        let archive = archive(megabytes, &script)?;
        report.group(format!("/init: zip of {megabytes} MB"));
        requests(
            bench,
            &archive_init(&archive),
            rounds,
            Some(&archive),
            report,
        );
        report.group(format!("/init by stage, core alone: zip of {megabytes} MB"));
        stages(&archive, bench.runs(rounds), report)?;
    }
    Ok(())
}

/// Time of the request, and the most memory it took.
fn requests(
    bench: &Bench,
    request: &[u8],
    rounds: usize,
    archive: Option<&[u8]>,
    report: &mut Report,
) {
    let mut started = Vec::new();
    for subject in &bench.subjects {
        match subject.start(&bench.actions.answering(Answering::Bash)) {
            Ok(running) => started.push((subject.name.as_str(), running)),
            Err(e) => report.note(&e),
        }
    }
    // Before the others: what is measured is one init of a proxy that has done nothing else.
    for (name, running) in &started {
        let Some(pid) = running.pid() else { continue };
        let before = memory::of(pid);
        memory::forget_peak(pid);
        let done = expect_200(client::exchange(running.address, request));
        if let (Some(before), Some(after), Ok(())) = (before, memory::of(pid), done) {
            let above = after.peak - before.resident;
            report.value(
                &format!("{name}, most memory above idle"),
                "MiB",
                mib(above),
            );
            if archive.is_some() {
                let times = above / request.len() as f64;
                report.value(&format!("{name}, the same in request bodies"), "x", times);
            }
        }
    }
    let dir = tempfile::tempdir();
    let mut turns = Vec::new();
    if let (Some(archive), Ok(dir)) = (archive, &dir) {
        let zip = dir.path().join("archive.zip");
        let unpacked = dir.path().join("unpacked");
        let written = fs::write(&zip, archive).map_err(|e| e.to_string());
        turns.push(Turn::new(UNZIP, None, move || {
            written.clone()?;
            told(
                Command::new("unzip")
                    .arg("-qo")
                    .arg(&zip)
                    .arg("-d")
                    .arg(&unpacked),
            )
            .map(drop)
        }));
    }
    for (name, running) in &started {
        turns.push(Turn::new(*name, archive.map(|_| UNZIP), || {
            expect_200(client::exchange(running.address, request))
        }));
    }
    alternate::measure(report, bench.runs(rounds), Shown::Millis, turns);
}

const UNZIP: &str = "unzip";

fn stages(archive: &[u8], rounds: usize, report: &mut Report) -> Result<(), String> {
    let encoded = STANDARD.encode(archive).into_bytes();
    let mut samples = vec![Samples::default(); STAGES.len()];
    for _ in 0..rounds {
        // As in a container: there is no action yet.
        let dir = tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?;
        let times = once(encoded.clone(), dir.path()).map_err(|e| e.to_string())?;
        for (samples, time) in samples.iter_mut().zip(times) {
            samples.push(time);
        }
    }
    for (stage, samples) in STAGES.iter().zip(&samples) {
        report.row(&Row {
            subject: stage,
            unit: "ms",
            samples,
            against: None,
        });
    }
    Ok(())
}

const STAGES: [&str; 5] = [
    "decode (base64)",
    "checksum of the archive, where asked for",
    "unpack",
    "install",
    "checksum of the executable",
];

fn once(encoded: Vec<u8>, dir: &Path) -> Result<[f64; 5], Box<dyn std::error::Error>> {
    let mut last = Instant::now();
    let mut lap = || {
        let time = last.elapsed().as_secs_f64() * 1e3;
        last = Instant::now();
        time
    };
    let payload = decode::decode(Code::Base64(encoded))?;
    let decoded = lap();
    let _ = Digest::of(payload.bytes());
    let summed = lap();
    let stage = Stage::create(dir, Durability::Process)?;
    let exec = Path::new("exec");
    unpack::unpack(payload, stage.dir(), exec, exec, &UnpackLimits::default())?;
    let unpacked = lap();
    stage.commit()?;
    let installed = lap();
    let _ = Digest::of_file(&dir.join(exec))?;
    Ok([decoded, summed, unpacked, installed, lap()])
}

/// A zip of about that size: the executable and files that hardly shrink.
fn archive(megabytes: usize, executable: &[u8]) -> Result<Vec<u8>, String> {
    let mut state = 1u64;
    let mut noise = || {
        // Knuth's linear congruential generator (MMIX): the same bytes in every run.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let files: Vec<(String, Vec<u8>)> = (0..megabytes * 1_000_000 / FILE)
        .map(|n| (format!("lib/{n}.bin"), (0..FILE).map(|_| noise()).collect()))
        .collect();
    let mut all = vec![("exec", executable)];
    all.extend(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    );
    zip(&all)
}
