//! One connection, from CONNECT to its end.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frames::{Frame, Frames};
use super::packets::{self, Incoming, Limits, Refusal, Version};
use super::socket::Socket;
use super::{Outbox, Receiver, Settings, Taken};
use crate::answer::{Answer, Kind};
use crate::message::{Delivery, Publication, Receipt, Surely};
use crate::say;

/// How long connecting and the broker's first word may take, each.
const MAX_SILENCE: Duration = Duration::from_secs(10);
/// So many bytes wait to be written before more are made.
const MAX_UNWRITTEN: usize = 256 << 10;
/// Everything of a PUBLISH but topic, properties and payload has fewer bytes.
const HEAD: usize = 64;
/// A publication of more bytes may be what a broker closes the connection for (MQTT 3.1.1 has no other
/// way to refuse it), after so many losses.
const LARGE: usize = 16 << 10;
const MAX_LOSSES: u32 = 5;
/// Reads between two looks at everything else.
const READS: usize = 16;

/// Why a connection is over.
pub(super) enum End {
    /// The outbox is finished.
    Finished,
    /// The broker does not speak this version.
    OtherVersion,
    /// Anything else.
    Lost(String),
}

/// A connection on which CONNECT has been sent.
pub(super) struct Connection<'a> {
    settings: &'a Settings,
    version: Version,
    number: u64,
    outbox: &'a Outbox,
    receiver: &'a dyn Receiver,
    socket: Socket,
    frames: Frames,
    unwritten: Vec<u8>,
    state: State,
    limits: Limits,
    /// By packet identifier, with their places in the order.
    unacknowledged: BTreeMap<u16, (u64, Publication)>,
    sent: u64,
    last_packet: u16,
    keep_alive: Duration,
    last_written: Instant,
    last_read: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Since then.
    Connecting(Instant),
    Subscribing(Instant),
    Subscribed,
}

impl<'a> Connection<'a> {
    /// Connects, and sends CONNECT.
    pub(super) fn open(
        settings: &'a Settings,
        version: Version,
        number: u64,
        outbox: &'a Arc<Outbox>,
        receiver: &'a Arc<dyn Receiver>,
    ) -> Result<Self, End> {
        let lost = |e: io::Error| End::Lost(format!("failed to connect: {e}"));
        let socket =
            Socket::connect(&settings.broker, settings.tls.as_ref(), MAX_SILENCE).map_err(lost)?;
        let connect = packets::connect(version, &settings.login)
            .map_err(|e| End::Lost(format!("failed to say who this is: {e}")))?;
        let now = Instant::now();
        Ok(Connection {
            settings,
            version,
            number,
            outbox,
            receiver: &**receiver,
            socket,
            frames: Frames::new(version, settings.max_payload),
            unwritten: connect,
            state: State::Connecting(now),
            limits: Limits {
                unacknowledged: 0,
                packet: usize::MAX,
                keep_alive: None,
            },
            unacknowledged: BTreeMap::new(),
            sent: 0,
            last_packet: 0,
            keep_alive: settings.login.keep_alive,
            last_written: now,
            last_read: now,
        })
    }

    /// Whether all went well, for a while at least.
    pub(super) fn was_subscribed(&self) -> bool {
        self.state == State::Subscribed
    }

    /// What the broker has not acknowledged, in its order.
    pub(super) fn into_unacknowledged(self) -> Vec<Publication> {
        let mut left: Vec<_> = self.unacknowledged.into_values().collect();
        left.sort_by_key(|(place, _)| *place);
        left.into_iter()
            .map(|(_, publication)| Publication {
                losses: publication.losses + 1,
                ..publication
            })
            .collect()
    }

    /// Carries messages until the connection is lost or the outbox is finished.
    pub(super) fn serve(&mut self) -> End {
        loop {
            match self.step() {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    fn step(&mut self) -> Result<(), End> {
        let is_over = self.fill()?;
        self.write()?;
        if is_over && self.unwritten.is_empty() && !self.socket.wants_write() {
            self.socket.end();
            return Err(End::Finished);
        }
        let now = Instant::now();
        let due = self.receiver.tend(now);
        let next = [Some(self.check_times(now)?), due].into_iter().flatten();
        let left = next
            .min()
            .map(|next| next.saturating_duration_since(now))
            .and_then(|left| Timespec::try_from(left).ok());
        let wants_write = !self.unwritten.is_empty() || self.socket.wants_write();
        let flags = match wants_write {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        let mut fds = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), flags),
            PollFd::new(self.outbox.wake(), PollFlags::IN),
        ];
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(End::Lost(io::Error::from(e).to_string())),
        }
        self.outbox.wake().clear();
        self.read()
    }

    /// Makes packets of what waits, as far as there is room for them. Whether that was the last.
    fn fill(&mut self) -> Result<bool, End> {
        if self.state != State::Subscribed {
            // Before the broker has spoken nothing can be ended in good order.
            return match self.outbox.is_over() {
                true => Err(End::Finished),
                false => Ok(false),
            };
        }
        for receipt in self.outbox.receipts() {
            self.acknowledge(receipt);
        }
        while self.unwritten.len() < MAX_UNWRITTEN {
            let room = self.unacknowledged.len() < self.limits.unacknowledged;
            match self.outbox.take(room, self.unacknowledged.is_empty()) {
                Taken::Nothing => return Ok(false),
                Taken::Over => {
                    self.unwritten.extend_from_slice(&packets::DISCONNECT);
                    return Ok(true);
                }
                Taken::Publication(publication) => self.publish(publication),
            }
        }
        Ok(false)
    }

    fn publish(&mut self, mut publication: Publication) {
        if let Some(why) = self.cannot_take(&publication) {
            let Surely::Answers(_) = publication.surely else {
                return say(&format!("{}: left out: {why}", publication.topic));
            };
            Answer::error(&format!("The answer cannot be sent: {why}."), Kind::Host)
                .replace(&mut publication);
        }
        let packet = packets::is_sure(&publication).then(|| self.free_packet());
        match packets::publish(self.version, packet, &publication) {
            Ok(bytes) => {
                self.unwritten.extend_from_slice(&bytes);
                if let Some(packet) = packet {
                    self.sent += 1;
                    self.unacknowledged.insert(packet, (self.sent, publication));
                }
            }
            // It would not be otherwise another time.
            Err(e) => {
                say(&format!("{}: cannot be published: {e}", publication.topic));
                self.over(&publication);
            }
        }
    }

    /// Why the broker would not take it, by what it said or, where it says nothing, by what it did.
    fn cannot_take(&self, publication: &Publication) -> Option<String> {
        let length = publication.payload.len();
        let size = length + publication.topic.len() + HEAD;
        if size > self.limits.packet {
            let most = self.limits.packet;
            return Some(format!(
                "it has {length} bytes, and the broker takes packets of at most {most}"
            ));
        }
        let is_blamed = length > LARGE && publication.losses >= MAX_LOSSES;
        is_blamed.then(|| {
            format!(
                "it has {length} bytes, and the connection was lost with it {} times",
                publication.losses
            )
        })
    }

    /// There are fewer unacknowledged than identifiers.
    fn free_packet(&mut self) -> u16 {
        loop {
            self.last_packet = self.last_packet.checked_add(1).unwrap_or(1);
            if !self.unacknowledged.contains_key(&self.last_packet) {
                return self.last_packet;
            }
        }
    }

    fn acknowledge(&mut self, receipt: Receipt) {
        if receipt.connection == self.number {
            let puback = packets::puback(receipt.packet);
            self.unwritten.extend_from_slice(&puback);
        }
    }

    /// The broker has it: what it answers is over.
    fn over(&mut self, publication: &Publication) {
        if let Surely::Answers(run) = publication.surely {
            for receipt in self.receiver.answered(run) {
                self.acknowledge(receipt);
            }
        }
    }

    fn write(&mut self) -> Result<(), End> {
        let before = self.unwritten.len();
        let written = self.socket.write(&mut self.unwritten);
        if self.unwritten.len() < before {
            self.last_written = Instant::now();
        }
        written.map_err(|e| End::Lost(format!("connection lost: {e}")))
    }

    fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; 16 << 10];
        for _ in 0..READS {
            let count = match self.socket.read(&mut buffer) {
                Ok(0) => return Err(self.closed()),
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(End::Lost(format!("connection lost: {e}"))),
            };
            self.last_read = Instant::now();
            let mut frames = Vec::new();
            let fed = self
                .frames
                .feed(&buffer[..count], |frame| frames.push(frame));
            for frame in frames {
                self.take(frame)?;
            }
            fed.map_err(|e| End::Lost(format!("the broker sends what is no MQTT: {}", e.0)))?;
        }
        Ok(())
    }

    fn closed(&self) -> End {
        let doing = match self.state {
            State::Connecting(_) => {
                " before it answered: a broker that speaks 3.1.1 alone may do so (--mqtt 3.1.1)"
            }
            State::Subscribing(_) => " before it had subscribed: it may not allow that",
            State::Subscribed => "",
        };
        End::Lost(format!("the broker closed the connection{doing}"))
    }

    fn take(&mut self, frame: Frame) -> Result<(), End> {
        let malformed = |e| End::Lost(format!("the broker sends what is no MQTT: {e}"));
        match frame {
            Frame::Publish {
                first,
                head,
                payload,
            } => {
                if let State::Connecting(_) = self.state {
                    return Err(End::Lost("the broker sends before it has answered".into()));
                }
                let head = packets::head(self.version, first, head).map_err(malformed)?;
                let receipt = head.packet.map(|packet| Receipt {
                    connection: self.number,
                    packet,
                });
                self.receiver.deliver(Delivery {
                    topic: head.topic,
                    payload,
                    is_retained: head.is_retained,
                    is_again: head.is_again,
                    target: head.target,
                    receipt,
                });
                Ok(())
            }
            Frame::Packet { first, body } => {
                let packet = packets::read(self.version, first, &body).map_err(malformed)?;
                self.control(packet)
            }
        }
    }

    fn control(&mut self, packet: Incoming) -> Result<(), End> {
        match (packet, self.state) {
            (Incoming::Connack(Ok(limits)), State::Connecting(_)) => {
                self.limits = limits;
                self.keep_alive = limits.keep_alive.unwrap_or(self.keep_alive);
                let packet = self.free_packet();
                let subscribe =
                    packets::subscribe(self.version, packet, &self.settings.subscriptions)
                        .map_err(|e| End::Lost(format!("failed to subscribe: {e}")))?;
                self.unwritten.extend_from_slice(&subscribe);
                self.state = State::Subscribing(Instant::now());
            }
            (Incoming::Connack(Err(Refusal::Version)), State::Connecting(_)) => {
                return Err(End::OtherVersion);
            }
            (Incoming::Connack(Err(Refusal::Other(why))), State::Connecting(_)) => {
                return Err(End::Lost(why));
            }
            (Incoming::Suback(Ok(())), State::Subscribing(_)) => {
                self.state = State::Subscribed;
                say(&format!(
                    "connected to {} by MQTT {}",
                    self.settings.broker, self.version
                ));
                self.outbox.connected();
                self.receiver.subscribed();
            }
            (Incoming::Suback(Err(why)), State::Subscribing(_)) => return Err(End::Lost(why)),
            (Incoming::Puback { packet, refused }, State::Subscribed) => {
                if let Some((_, publication)) = self.unacknowledged.remove(&packet) {
                    if let Some(why) = refused {
                        say(&format!("{}: the broker refuses: {why}", publication.topic));
                    }
                    self.over(&publication);
                }
            }
            (Incoming::Pingresp, _) => {}
            (Incoming::Disconnect(why), _) => return Err(End::Lost(why)),
            _ => {
                return Err(End::Lost(
                    "the broker sends what it was not asked for".into(),
                ));
            }
        }
        Ok(())
    }

    /// Asks the broker for a sign of life where there was none; when to look again.
    fn check_times(&mut self, now: Instant) -> Result<Instant, End> {
        if let State::Connecting(since) | State::Subscribing(since) = self.state {
            let until = since + MAX_SILENCE;
            return match now < until {
                true => Ok(until),
                false => Err(End::Lost("the broker does not answer".into())),
            };
        }
        if self.keep_alive.is_zero() {
            return Ok(now + Duration::from_secs(3600));
        }
        let lost = self.last_read + self.keep_alive * 3 / 2;
        if now >= lost {
            return Err(End::Lost("the broker is silent".into()));
        }
        // Whichever way nothing went: a broker may send all the time and hear nothing.
        let ping = self.last_written.min(self.last_read) + self.keep_alive * 3 / 4;
        if now < ping {
            return Ok(ping.min(lost));
        }
        if self.last_written + self.keep_alive / 4 <= now && self.unwritten.is_empty() {
            self.unwritten.extend_from_slice(&packets::PINGREQ);
            self.write()?;
        }
        Ok(lost.min(now + self.keep_alive / 4))
    }
}
