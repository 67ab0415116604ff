//! The bare cost of an executable: `posix_spawn`, three pipes, feed, drain, wait, in one thread.
//!
//! The standard library's `Command` does just that where nothing runs between fork and exec.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// Longer ones are not given on the command line.
const MAX_ARGUMENT: usize = actionproxy_core::MAX_ARGUMENT;

/// Runs `executable` once; what it wrote to stdout.
///
/// Output is read after input is given: enough for actions that read first, and the least work.
pub(crate) fn run(executable: &Path, argument: &[u8]) -> io::Result<Vec<u8>> {
    let mut command = Command::new(executable);
    if argument.len() <= MAX_ARGUMENT {
        command.arg(OsStr::from_bytes(argument));
    }
    let mut child = command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    if let Some(mut stdin) = stdin {
        stdin.write_all(argument)?;
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    if let Some(mut stdout) = stdout {
        stdout.read_to_end(&mut out)?;
    }
    if let Some(mut stderr) = stderr {
        stderr.read_to_end(&mut err)?;
    }
    child.wait()?;
    Ok(out)
}

/// The least that any proxy could do: one thread that takes a connection, reads until the request
/// is whole, answers, and closes. Where `executable` is given, it runs it bare before the answer.
/// Knows no HTTP: a request ends where its length says.
pub(crate) fn serve(executable: Option<PathBuf>, length: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // It ends with the process.
    thread::spawn(move || {
        let mut buffer = vec![0; length];
        for stream in listener.incoming() {
            let _ = stream.and_then(|s| answer(s, executable.as_deref(), &mut buffer));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, executable: Option<&Path>, buffer: &mut [u8]) -> io::Result<()> {
    stream.read_exact(buffer)?;
    let body = match executable {
        None => b"{\"bytes\":0}".to_vec(),
        Some(executable) => {
            let head = buffer.windows(4).position(|w| w == b"\r\n\r\n");
            run(executable, &buffer[head.map_or(0, |at| at + 4)..])?
        }
    };
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes)
}
