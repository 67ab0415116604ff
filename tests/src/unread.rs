//! Whether the proxy has read what was sent to it: how a test cuts a stream at a given byte and
//! knows that the cut was seen, without waiting for a time.
//!
//! The kernel tells how many bytes lie unread in the other end of a connection (sock_diag(7)).

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::wait::LIMIT;

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` of linux/netlink.h.
const REQUEST: u16 = 1;
/// Bytes of a `nlmsghdr`.
const HEADER: usize = 16;
/// Where `idiag_rqueue` stands in an `inet_diag_msg`.
const RECEIVE_QUEUE: usize = 56;
const TCP: u8 = 6;
const IPV4: u8 = 2;

/// Asks the kernel about the other ends of this test's connections.
#[derive(Debug)]
pub struct Unread {
    kernel: OwnedFd,
}

impl Unread {
    /// # Panics
    /// Where the kernel does not tell: without `CONFIG_INET_DIAG`.
    pub fn new() -> Self {
        let kernel = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .expect("a netlink socket");
        let unread = Unread { kernel };
        unread.assert_that_it_works().expect("a pair of sockets");
        unread
    }

    /// "Not found" is the answer about a closed socket and about a kernel that cannot tell.
    fn assert_that_it_works(&self) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        io::Write::write_all(&mut stream, b"12345")?;
        let (_accepted, _) = listener.accept()?;
        let found = self.bytes(listener.local_addr()?, stream.local_addr()?)?;
        assert_eq!(found, Some(5), "the kernel tells about sockets");
        Ok(())
    }

    /// Waits until the process at the other end has read all that was sent, or has closed it.
    ///
    /// # Panics
    /// After [`LIMIT`].
    pub fn wait(&self, stream: &TcpStream) {
        let (Ok(theirs), Ok(ours)) = (stream.peer_addr(), stream.local_addr()) else {
            return; // Reset meanwhile.
        };
        let until = Instant::now() + LIMIT;
        loop {
            match self.bytes(theirs, ours).expect("the kernel answers") {
                None | Some(0) => return,
                Some(left) => {
                    assert!(Instant::now() < until, "{left} bytes are not read");
                    thread::yield_now();
                }
            }
        }
    }

    /// Whether the other end of a connection is gone: closed by its process, and by the kernel.
    pub fn is_gone(&self, stream: &TcpStream) -> bool {
        let (Ok(theirs), Ok(ours)) = (stream.peer_addr(), stream.local_addr()) else {
            return true; // Reset.
        };
        let found = self.bytes(theirs, ours).expect("the kernel answers");
        found.is_none()
    }

    /// Bytes that lie unread in the socket at `local` whose other end is `remote`, of this
    /// machine. `None`: there is no such socket.
    fn bytes(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<u32>> {
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
            return Err(io::Error::other("only IPv4 is asked for"));
        };
        let mut request = Vec::new();
        // nlmsghdr: length, type, flags, sequence, sender.
        request.extend(72_u32.to_ne_bytes());
        request.extend(BY_FAMILY.to_ne_bytes());
        request.extend(REQUEST.to_ne_bytes());
        request.extend([0; 8]);
        // inet_diag_req_v2: family, protocol, extensions, padding, states; then inet_diag_sockid:
        // ports, addresses, interface, cookie ("any").
        request.extend([IPV4, TCP, 0, 0]);
        request.extend(u32::MAX.to_ne_bytes());
        request.extend(local.port().to_be_bytes());
        request.extend(remote.port().to_be_bytes());
        for address in [local.ip(), remote.ip()] {
            request.extend(address.octets());
            request.extend([0; 12]);
        }
        request.extend([0; 4]);
        request.extend([0xff; 8]);
        rustix::net::send(&self.kernel, &request, SendFlags::empty())?;
        let mut answer = [0; 512];
        let (read, _) = rustix::net::recv(&self.kernel, &mut answer, RecvFlags::empty())?;
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        if kind != BY_FAMILY {
            return Ok(None);
        }
        let field = answer[..read].get(HEADER + RECEIVE_QUEUE..HEADER + RECEIVE_QUEUE + 4);
        let field = field.ok_or_else(|| io::Error::other("a short answer of the kernel"))?;
        Ok(Some(u32::from_ne_bytes(
            field.try_into().expect("four bytes"),
        )))
    }
}

impl Default for Unread {
    fn default() -> Self {
        Self::new()
    }
}
