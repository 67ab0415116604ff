//! The bare cost of a resident process behind a socket: a program of one thread that takes a
//! connection, reads requests, asks the process, and answers. It knows no HTTP, no JSON, no logs and
//! no limits: the least that any proxy could do.
//!
//! A program of its own, as a proxy is one: between two threads of one program a switch costs less.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The first argument that makes this program the bare one.
pub(crate) const ARGUMENT: &str = "bare-loop";

/// A started one. It ends with this.
#[derive(Debug)]
pub(crate) struct BareLoop {
    pub address: SocketAddr,
    child: Child,
}

impl BareLoop {
    /// Starts one in front of `executable`, for requests of `length` bytes.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(executable: &Path, length: usize) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .arg(executable)
            .arg(length.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(BareLoop { address, child }),
            Err(_) => {
                let _ = child.kill();
                child.wait()?;
                Err(io::Error::other(format!(
                    "expected an address, found {line:?}"
                )))
            }
        }
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program does: `arguments` are the executable and the length of a request in bytes.
///
/// # Errors
/// One line that says why it cannot serve.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let executable = arguments.next().ok_or("expected an executable")?;
    let length = arguments.next().and_then(|text| text.into_string().ok());
    let length = length
        .and_then(|text| text.parse::<usize>().ok())
        .ok_or("expected a number of bytes")?;
    let mut asked = Asked::start(&executable).map_err(|e| e.to_string())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    println!("{address}");
    // And a byte for the end of the question.
    let mut request = vec![0; length + 1];
    for stream in listener.incoming() {
        // A client that ends its connection is no error.
        let _ = stream.and_then(|stream| answer(stream, &mut request, &mut asked));
    }
    Ok(())
}

/// A started process. It ends with this: its stdin ends.
struct Asked {
    question: ChildStdin,
    answers: BufReader<ChildStdout>,
    answer: Vec<u8>,
}

impl Asked {
    fn start(executable: &OsString) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            // Descriptor 3 is the pipe of its stdout.
            .args(["-c", "exec \"$0\" 3>&1 >/dev/null"])
            .arg(executable)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(question), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Asked {
            question,
            answers: BufReader::with_capacity(64 << 10, answers),
            answer: Vec::new(),
        })
    }
}

/// Answers the requests of one connection, until its client ends it.
fn answer(mut stream: TcpStream, request: &mut [u8], asked: &mut Asked) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let length = request.len() - 1;
    loop {
        stream.read_exact(&mut request[..length])?;
        let head = request.windows(4).position(|w| w == b"\r\n\r\n");
        request[length] = b'\n';
        asked
            .question
            .write_all(&request[head.map_or(0, |at| at + 4)..])?;
        asked.answer.clear();
        asked.answers.read_until(b'\n', &mut asked.answer)?;
        let mut reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            asked.answer.len()
        )
        .into_bytes();
        reply.extend_from_slice(&asked.answer);
        stream.write_all(&reply)?;
    }
}
