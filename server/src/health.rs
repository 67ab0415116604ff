//! `actionproxy health`: asks the proxy of this machine whether it is alive. For containers that
//! have no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::options::Options;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Status 0 if the proxy answers, else 1 with the reason on stderr.
pub(crate) fn check(options: &Options) -> ExitCode {
    let host = match options.host {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let address = SocketAddr::new(host, options.port);
    match ask(address) {
        Ok(status) if status.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(status) => {
            let _ = writeln!(io::stderr(), "unhealthy: {address} answered {status:?}");
            ExitCode::FAILURE
        }
        Err(e) => {
            let _ = writeln!(io::stderr(), "unhealthy: {address}: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The status line.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
