//! Installs base64 code from a file and says what it cost.
//!
//! ```text
//! cargo run --release -p actionproxy-core --example install -- action.base64 /tmp/action [durable]
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use actionproxy_core::init::decode::decode;
use actionproxy_core::init::install::Stage;
use actionproxy_core::init::unpack::unpack;
use actionproxy_core::{Code, Digest, Durability, UnpackLimits};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (code, action_dir, durability) = match arguments.as_slice() {
        [code, dir] => (code, dir, Durability::Process),
        [code, dir, word] if word == "durable" => (code, dir, Durability::PowerLoss),
        _ => return Err("usage: install BASE64-FILE ACTION-DIR [durable]".into()),
    };
    let idle = memory("VmRSS")?;
    let body = fs::read(code)?;
    let size = body.len();

    let start = Instant::now();
    let payload = decode(Code::Base64(body))?;
    let decoded = start.elapsed();
    let digest = Digest::of(payload.bytes());
    let hashed = start.elapsed();
    let stage = Stage::create(Path::new(action_dir), durability)?;
    let exec = Path::new("exec");
    unpack(payload, stage.dir(), exec, exec, &UnpackLimits::default())?;
    let unpacked = start.elapsed();
    stage.commit()?;
    let installed = start.elapsed();

    let peak = memory("VmHWM")? - idle;
    println!("body {size} bytes, sha256 of the code {digest}");
    println!(
        "decode {:?}, hash {:?}, unpack {:?}, install {:?}",
        decoded,
        hashed - decoded,
        unpacked - hashed,
        installed - unpacked
    );
    println!(
        "peak above idle {peak} bytes, {:.3} x the body",
        peak as f64 / size as f64
    );
    Ok(())
}

/// A field of `/proc/self/status`, in bytes.
fn memory(field: &str) -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .ok_or("no such field")?;
    let kilobytes: usize = line.split_whitespace().nth(1).ok_or("no value")?.parse()?;
    Ok(kilobytes << 10)
}
