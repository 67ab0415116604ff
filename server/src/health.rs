//! `actionproxy health`: asks the proxy of this machine whether it is alive. For containers that
//! have no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::options::{Listen, Options};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Status 0 if the proxy answers, else 1 with the reason on stderr.
pub(crate) fn check(options: &Options) -> ExitCode {
    let (place, status) = match &options.listen {
        Listen::Unix(path) => (
            format!("unix:{}", path.display()),
            UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(TIMEOUT))?;
                ask(stream)
            }),
        ),
        Listen::Tcp => {
            let address = address(options);
            let status = TcpStream::connect_timeout(&address, TIMEOUT).and_then(|stream| {
                stream.set_read_timeout(Some(TIMEOUT))?;
                ask(stream)
            });
            (address.to_string(), status)
        }
    };
    let why = match status {
        Ok(status) if status.starts_with("HTTP/1.1 200 ") => return ExitCode::SUCCESS,
        Ok(status) => format!("answered {status:?}"),
        Err(e) => e.to_string(),
    };
    let _ = writeln!(io::stderr(), "unhealthy: {place}: {why}");
    ExitCode::FAILURE
}

fn address(options: &Options) -> SocketAddr {
    let host = match options.host {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, options.port)
}

/// The status line.
fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
