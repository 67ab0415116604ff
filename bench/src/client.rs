//! The measuring client: as little as an exchange takes, so that what is measured is the other
//! side. The tests' client checks more, sets time limits and clears its buffers, which costs as
//! much as a tenth of a request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use actionproxy_tests::request;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            buffer: vec![0; 4096],
        })
    }

    /// Sends a whole request and reads one answer; its status and body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let (status, body) = loop {
            filled += self.read_some(filled)?;
            if let Some(found) = head(&self.buffer[..filled]) {
                let (status, start, length) = found?;
                break (status, start..start + length);
            }
        };
        while filled < body.end {
            filled += self.read_some(filled)?;
        }
        Ok((status, &self.buffer[body]))
    }

    fn read_some(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(2 * filled, 0);
        }
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// One request on a connection of its own, as the invoker sends it.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<u16> {
    Ok(Client::connect(address)?.exchange(request)?.0)
}

/// A `/run` as the invoker sends it, whose argument has `size` bytes.
pub(crate) fn run_request(size: usize) -> Vec<u8> {
    run_with(&argument(size))
}

/// A `/run` as the invoker sends it.
pub(crate) fn run_with(argument: &[u8]) -> Vec<u8> {
    let mut body = b"{\"value\":".to_vec();
    body.extend_from_slice(argument);
    body.extend_from_slice(
        b",\"namespace\":\"guest\",\"action_name\":\"/guest/answer\",\"action_version\":\"0.0.1\",\
          \"activation_id\":\"5f1a2b3c4d5e6f708192a3b4c5d6e7f8\",\"transaction_id\":\"4711\",\
          \"deadline\":\"4102444800000\"}",
    );
    request("POST", "/run", &body)
}

/// A JSON object of exactly `size` bytes, which are at least 8.
pub(crate) fn argument(size: usize) -> Vec<u8> {
    let filler = "a".repeat(size.saturating_sub(8));
    format!("{{\"a\":\"{filler}\"}}").into_bytes()
}

/// Status, start and length of the body, once the head is complete.
fn head(bytes: &[u8]) -> Option<io::Result<(u16, usize, usize)>> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?);
    let status = head.get(9..12).and_then(|s| s.parse().ok());
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Some(match (status, length) {
        (Some(status), Some(length)) => Ok((status, end + 4, length)),
        _ => Err(io::Error::other(format!(
            "an answer that cannot be read: {head:?}"
        ))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_an_object_of_the_length_asked_for() {
        for size in [8, 100, 100_000] {
            let argument = argument(size);
            assert_eq!(argument.len(), size);
            let value: serde_json::Value = serde_json::from_slice(&argument).expect("JSON");
            assert!(value.is_object());
        }
    }
}
