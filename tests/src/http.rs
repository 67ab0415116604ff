//! HTTP by hand: every byte that goes out is chosen by the test, every byte that comes is seen.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::wait::LIMIT;

/// The bytes of a request as a careful client sends it.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: Vec<(String, String)>,
    /// The body, of exactly the length that was announced.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn length(&self) -> io::Result<usize> {
        self.header("content-length")
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| io::Error::other(format!("an answer without a length: {self:?}")))
    }

    /// The text of the body's `error` field.
    pub fn error(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("the body is JSON");
        body["error"]
            .as_str()
            .expect("the body has an `error`")
            .to_owned()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffered: Vec<u8>,
}

impl Connection {
    /// Opens one. Reading gives up after the common limit.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffered: Vec::new(),
        })
    }

    /// Opens one to a Unix socket.
    pub fn open_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Connection {
            // What is done with it here are the same system calls on every stream socket.
            stream: TcpStream::from(OwnedFd::from(stream)),
            buffered: Vec::new(),
        })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that no more bytes come.
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads one answer; an end of the connection before it is an error.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        if answer.status == 100 {
            return Ok(answer);
        }
        let length = answer.length()?;
        while self.buffered.len() < length {
            self.more()?;
        }
        answer.body = self.buffered.drain(..length).collect();
        Ok(answer)
    }

    /// Reads one answer to a HEAD: its head alone, which announces the length of what a GET gets.
    pub fn answer_to_head(&mut self) -> io::Result<Answer> {
        let answer = self.head()?;
        answer.length()?;
        Ok(answer)
    }

    fn head(&mut self) -> io::Result<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.buffered, b"\r\n\r\n") {
                break at;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.buffered[..head_end]).into_owned();
        self.buffered.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not a status line: {status_line:?}")))?;
        let headers: Vec<_> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Ok(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Waits for a byte or the end; whether the end came.
    pub fn is_at_its_end(&mut self) -> bool {
        let ends = |e: io::Error| e.kind() == io::ErrorKind::UnexpectedEof;
        self.buffered.is_empty() && self.more().is_err_and(ends)
    }

    /// Reads to the end of the connection and returns what came.
    pub fn rest(mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffered)?;
        Ok(self.buffered)
    }

    /// Waits for the proxy to close the connection; what comes before is dropped. A reset counts.
    pub fn closed(self) -> bool {
        match self.rest() {
            Ok(_) => true,
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64 << 10];
        // With a time limit a read is not begun again by itself.
        let read = loop {
            match self.stream.read(&mut bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffered.extend_from_slice(&bytes[..read]);
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
