//! The bytes to and from the broker: TCP, with TLS or without. Nothing here waits but connecting.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::Broker;

/// Where Debian, and most others, keep the authorities that the system trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How TLS is spoken.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files; without one of authorities, the system's.
    ///
    /// # Errors
    /// A line that names the file and what is wrong with it.
    pub(crate) fn read(
        ca: Option<&Path>,
        own: Option<(&PathBuf, &PathBuf)>,
    ) -> Result<Self, String> {
        let ca = ca.unwrap_or(Path::new(SYSTEM));
        let mut roots = RootCertStore::empty();
        for certificate in certificates("--ca", ca)? {
            // A system's file may hold some that cannot be used; what counts is that there are others.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(format!(
                "--ca {}: expected certificates of authorities",
                ca.display()
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("--certificate", certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|e| format!("--key {}: expected a key in PEM: {e}", key.display()))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|e| format!("--certificate {}: {e}", certificate.display()))?
            }
        };
        Ok(Tls(Arc::new(config)))
    }
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(path).map_err(|e| format!("{flag} {}: {e}", path.display()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "{flag} {}: expected certificates in PEM",
            path.display()
        )),
        Err(e) => Err(format!("{flag} {}: {e}", path.display())),
    }
}

/// A connected socket.
pub(super) struct Socket {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Socket {
    /// Connects within `limit` for each address that the broker's name has.
    ///
    /// # Errors
    /// None of them answers, or there is none.
    pub(super) fn connect(broker: &Broker, tls: Option<&Tls>, limit: Duration) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (broker.host.as_str(), broker.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    tcp.set_nonblocking(true)?;
                    let tls = tls.map(|tls| session(tls, broker)).transpose()?;
                    return Ok(Socket { tcp, tls });
                }
                Err(e) => failed = e,
            }
        }
        Err(failed)
    }

    /// Reads what is there. `Ok(0)`: the broker has ended.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there; anything else is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes what there is room for, and takes it off `bytes`.
    ///
    /// # Errors
    /// The end of the connection.
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            while !bytes.is_empty() {
                match self.tcp.write(bytes) {
                    Ok(written) => drop(bytes.drain(..written)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            return Ok(());
        };
        loop {
            // It takes as much as its own buffer holds.
            let taken = tls.writer().write(bytes)?;
            bytes.drain(..taken);
            while tls.wants_write() {
                match tls.write_tls(&mut self.tcp) {
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            if bytes.is_empty() || taken == 0 {
                return Ok(());
            }
        }
    }

    /// Whether something of its own waits to be written.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Says that nothing more will come. What the broker makes of it does not matter any more.
    pub(super) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.tcp);
        }
        let _ = self.tcp.shutdown(std::net::Shutdown::Write);
    }
}

fn session(tls: &Tls, broker: &Broker) -> io::Result<Box<ClientConnection>> {
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::clone(&tls.0), name).map_err(io::Error::other)?;
    Ok(Box::new(session))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
