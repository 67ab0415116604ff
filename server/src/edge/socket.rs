//! The connection's socket, beside the library that owns it.
//!
//! `may_minihttp` gives a service only the number of its descriptor. Everything that closes the
//! library's holes (an answer that surely arrives, a connection that is ended from outside) needs
//! the socket itself, so this module borrows it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use may::net::TcpStream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// A borrowed socket. Valid as long as the service of its connection lives: the library drops the
/// service before it closes the socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket(RawFd);

impl Socket {
    /// The socket that `HttpServiceFactory::new_service` was called with.
    pub(crate) fn new(id: usize) -> Self {
        // Descriptors are small: the library made the number from one.
        Socket(id as RawFd)
    }

    /// The number, which names the connection as long as it is open.
    pub(crate) fn id(self) -> RawFd {
        self.0
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // JUSTIFICATION: the library keeps the stream to itself and hands out its number.
        // SAFETY: the descriptor is open: whoever holds a `Socket` is the connection's service,
        // or holds the lock on the registry that the service leaves, under that lock, before the
        // library closes the stream.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// Sends small writes at once.
    pub(crate) fn set_nodelay(self) {
        // It only makes answers later where it fails.
        let _ = rustix::net::sockopt::set_tcp_nodelay(self.fd(), true);
    }

    /// Ends both directions: whoever waits for the socket is woken and sees its end.
    pub(crate) fn shut(self) {
        let _ = rustix::net::shutdown(self.fd(), Shutdown::Both);
    }

    /// Resets the connection and drops what was received and not read yet: after [`shut`] the
    /// reader would still get all of it.
    ///
    /// [`shut`]: Self::shut
    pub(crate) fn abort(self) {
        if rustix::net::connect_unspec(self.fd()).is_err() {
            self.shut();
        }
    }

    /// Tells the client that nothing more comes.
    pub(crate) fn finish(self) {
        let _ = rustix::net::shutdown(self.fd(), Shutdown::Write);
    }

    /// Bytes received and segments of data sent so far.
    pub(crate) fn traffic(self) -> Option<Traffic> {
        tcp_info::traffic(self.0)
    }

    /// Sends what goes without waiting; returns how much that was.
    pub(crate) fn send_now(self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::net::send(self.fd(), bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether a byte, or the end, could be read now without waiting; nothing is taken.
    pub(crate) fn is_open(self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(self.fd(), &mut byte[..], flags) {
            Ok((_, received)) => received > 0,
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// A stream of its own on the same socket, whose reads and writes yield to other coroutines.
    pub(crate) fn stream(self) -> io::Result<TcpStream> {
        use std::os::fd::{FromRawFd, IntoRawFd};
        let copy = rustix::io::fcntl_dupfd_cloexec(self.fd(), 3)?;
        // SAFETY: the descriptor was just made and is given away here, once.
        Ok(unsafe { TcpStream::from_raw_fd(copy.into_raw_fd()) })
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// What a connection has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub received: u64,
    pub segments_sent: u32,
    /// Bytes given to the kernel and not sent yet.
    pub unsent: u32,
}

mod tcp_info {
    use std::mem::{MaybeUninit, offset_of, size_of};
    use std::os::fd::RawFd;

    use super::Traffic;

    /// The start of Linux's `struct tcp_info` (include/uapi/linux/tcp.h), up to what is used.
    #[repr(C)]
    struct TcpInfo {
        bytes: [u8; 8],
        words: [u32; 24],
        pacing_rate: u64,
        max_pacing_rate: u64,
        bytes_acked: u64,
        bytes_received: u64,
        segs_out: u32,
        segs_in: u32,
        notsent_bytes: u32,
        min_rtt: u32,
        data_segs_in: u32,
        data_segs_out: u32,
    }

    pub(super) fn traffic(fd: RawFd) -> Option<Traffic> {
        let mut info = MaybeUninit::<TcpInfo>::zeroed();
        let mut length = size_of::<TcpInfo>() as libc::socklen_t;
        // JUSTIFICATION: rustix has no TCP_INFO.
        // SAFETY: the pointer is to `length` writable bytes; the kernel writes at most so many.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &mut length,
            )
        };
        let needed = offset_of!(TcpInfo, data_segs_out) + size_of::<u32>();
        if result != 0 || (length as usize) < needed {
            return None;
        }
        // SAFETY: zeroed, then partly overwritten; every bit pattern is a valid integer.
        let info = unsafe { info.assume_init() };
        Some(Traffic {
            received: info.bytes_received,
            segments_sent: info.data_segs_out,
            unsent: info.notsent_bytes,
        })
    }
}
