//! A connection's socket: nothing here waits, but for a moment in [`Socket::is_abandoned`].

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

/// How long the kernel of a client that ended its sending side is given to say whether the client
/// still listens.
const PROBE: Duration = Duration::from_millis(500);

/// A connected stream socket, not blocking.
#[derive(Debug, Clone)]
pub(super) struct Socket(Arc<OwnedFd>);

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Bytes,
    /// Nothing so far.
    Nothing,
    /// The client sends no more.
    End,
}

impl Socket {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Socket(Arc::new(fd))
    }

    /// Appends what has come to `buffer`, as far as it has room.
    ///
    /// # Errors
    /// The connection was reset.
    pub(super) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        loop {
            let room = rustix::buffer::spare_capacity(buffer);
            match rustix::net::recv(&*self.0, room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Ok(Received::End),
                Ok(_) => return Ok(Received::Bytes),
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Takes what has come and forgets it, as far as it fits into `scratch`.
    ///
    /// # Errors
    /// The connection was reset.
    pub(super) fn discard(&self, scratch: &mut [u8]) -> io::Result<Received> {
        loop {
            match rustix::net::recv(&*self.0, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Ok(Received::End),
                Ok(_) => return Ok(Received::Bytes),
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Sends what goes without waiting; returns how many bytes that was.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let mut nothing = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&*self.0, parts, &mut nothing, flags) {
                Ok(sent) => return Ok(sent),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) fn finish(&self) {
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Write);
    }

    /// When it is closed, what the client has not taken is dropped.
    pub(super) fn reset_at_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&*self.0, Some(Duration::ZERO));
    }

    /// Whether something could be read now: bytes, or the client's end.
    pub(super) fn is_readable(&self) -> bool {
        self.state(PollFlags::IN).intersects(PollFlags::IN)
    }

    /// Whether nobody is there any more to take a reply. A client that has only ended its sending
    /// side waits for one, and looks like one that has gone: both have sent their FIN. So such a
    /// client is sent `beginning`, with which every reply begins. The kernel of one that waits
    /// acknowledges it, that of one that is gone resets the connection.
    ///
    /// Returns too whether `beginning` was sent.
    pub(super) fn is_abandoned(&self, beginning: &[u8]) -> (bool, bool) {
        let gone = PollFlags::HUP | PollFlags::ERR;
        let state = self.state(PollFlags::RDHUP);
        if state.intersects(gone) {
            return (true, false);
        }
        if !state.intersects(PollFlags::RDHUP) {
            return (false, false);
        }
        match self.send(&[IoSlice::new(beginning)]) {
            Ok(sent) if sent == beginning.len() => {}
            Ok(_) => return (false, false),
            Err(_) => return (true, false),
        }
        let until = Instant::now() + PROBE;
        let mut pause = Duration::from_micros(50);
        loop {
            let flags = self.poll(PollFlags::empty(), Some(pause));
            if flags.intersects(gone) {
                return (true, true);
            }
            if self.unacknowledged() == Some(0) || Instant::now() >= until {
                return (false, true);
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Bytes that the client's kernel has not acknowledged yet.
    pub(super) fn unacknowledged(&self) -> Option<usize> {
        let mut bytes: libc::c_int = 0;
        // JUSTIFICATION: rustix has no SIOCOUTQ (tcp(7)).
        // SAFETY: the call writes one int, to a live one; a descriptor that is no socket is refused.
        let result = unsafe { libc::ioctl(self.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        (result == 0).then(|| bytes.try_into().ok()).flatten()
    }

    fn state(&self, wanted: PollFlags) -> PollFlags {
        self.poll(wanted, Some(Duration::ZERO))
    }

    fn poll(&self, wanted: PollFlags, time: Option<Duration>) -> PollFlags {
        let mut fds = [PollFd::new(&*self.0, wanted)];
        let time = time.and_then(|t| Timespec::try_from(t).ok());
        match poll(&mut fds, time.as_ref()) {
            Ok(_) => fds[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
