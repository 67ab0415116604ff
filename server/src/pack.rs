//! `actionproxy pack FILE…`: the init message for an action, on stdout.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use actionproxy_core::Digest;
use actionproxy_core::init::decode::{self, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::options::Options;
use crate::process;
use crate::source::{self, Naming};

/// Bytes encoded at a time: a multiple of three, so that no padding comes in between.
const PIECE: usize = 3 << 14;

/// Status 0, or 1 where the message cannot be written.
///
/// # Errors
/// One line: a file that cannot be read, or code that a proxy would refuse.
pub(crate) fn run(
    files: &[PathBuf],
    naming: Naming,
    options: &Options,
) -> Result<ExitCode, String> {
    let code = source::code(files, options.max_body).map_err(|e| format!("pack: {e}"))?;
    let decoded = match options.action_loop.is_served {
        true => decode::decode_any(code),
        false => decode::decode(code),
    };
    let payload = decoded.map_err(|e| format!("pack: {e}"))?;
    let mut length = Length(0);
    // It is written nowhere, which cannot fail.
    let _ = write(&mut length, &naming, &payload);
    if length.0 > options.max_body {
        return Err(format!(
            "pack: the message has {} bytes, over the limit of {} (--max-body)",
            length.0, options.max_body
        ));
    }
    let mut stdout = BufWriter::new(io::stdout().lock());
    let written = write(&mut stdout, &naming, &payload).and_then(|()| stdout.flush());
    Ok(match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let name = process::name();
            let _ = writeln!(io::stderr(), "{name}: failed to write the message: {e}");
            ExitCode::FAILURE
        }
    })
}

/// How many bytes were written.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(to: &mut impl Write, naming: &Naming, payload: &Payload) -> io::Result<()> {
    to.write_all(b"{\"value\":{")?;
    for (field, value) in [("name", &naming.name), ("main", &naming.main)] {
        if let Some(value) = value {
            write!(to, "\"{field}\":{},", Value::from(value.as_str()))?;
        }
    }
    let bytes = payload.bytes();
    match payload {
        Payload::Text(text) => {
            to.write_all(b"\"binary\":false,\"code\":")?;
            // It is UTF-8, or it would not be text.
            serde_json::to_writer(&mut *to, &String::from_utf8_lossy(text))?;
        }
        Payload::Binary { .. } | Payload::Unknown(_) => {
            to.write_all(b"\"binary\":true,\"code\":\"")?;
            for piece in bytes.chunks(PIECE) {
                to.write_all(STANDARD.encode(piece).as_bytes())?;
            }
            to.write_all(b"\"")?;
        }
    }
    write!(to, ",\"sha256\":\"{}\"", Digest::of(bytes))?;
    if !naming.env.is_empty() {
        let env = naming.env.iter();
        let env: Map<_, _> = env.map(|(n, v)| (n.clone(), v.as_str().into())).collect();
        write!(to, ",\"env\":{}", Value::Object(env))?;
    }
    to.write_all(b"}}\n")
}
