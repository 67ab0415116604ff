//! Bytes of the broker's, cut into packets. What is too large to be kept is let go while it comes.

use std::mem;

use super::packets::Version;
use crate::message::Payload;

/// The longest packet other than a message, and the longest head of a message: its topic and
/// properties have 65,535 bytes each where they are honest.
const MAX_HEAD: usize = 256 << 10;
/// The upper half of a PUBLISH's first byte.
const PUBLISH: u8 = 3;

/// A packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Any but a PUBLISH: its first byte, and what stands behind the length.
    Packet { first: u8, body: Vec<u8> },
    /// A PUBLISH: everything before the payload, and the payload.
    Publish {
        first: u8,
        head: Vec<u8>,
        payload: Payload,
    },
}

/// Reads packets from bytes that come in any pieces.
pub(super) struct Frames {
    version: Version,
    max_payload: usize,
    state: State,
    buffer: Vec<u8>,
}

enum State {
    /// The first byte and the length, of at most four bytes.
    Header,
    Packet {
        first: u8,
        length: usize,
    },
    /// What stands before a payload; the length is of both.
    Head {
        first: u8,
        length: usize,
    },
    Payload {
        first: u8,
        head: Vec<u8>,
        length: usize,
    },
    /// So much is still to be passed over.
    Passing {
        first: u8,
        head: Vec<u8>,
        length: usize,
        left: usize,
    },
}

/// What comes is no MQTT.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Frames {
    pub(super) fn new(version: Version, max_payload: usize) -> Self {
        Frames {
            version,
            max_payload,
            state: State::Header,
            buffer: Vec::new(),
        }
    }

    /// Takes `bytes`; whole packets go to `take`.
    ///
    /// # Errors
    /// [`Malformed`]; nothing that follows can be read.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Frame),
    ) -> Result<(), Malformed> {
        loop {
            let (state, frame) = match mem::replace(&mut self.state, State::Header) {
                State::Header => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        return Ok(());
                    };
                    bytes = rest;
                    self.buffer.push(*byte);
                    (self.header()?, None)
                }
                State::Packet { first, length } => match self.fill(&mut bytes, length) {
                    None => return self.keep(State::Packet { first, length }),
                    Some(body) => (State::Header, Some(Frame::Packet { first, body })),
                },
                State::Head { first, length } => {
                    match head_length(&self.buffer, first, self.version)? {
                        Some(head) if head > length || head > MAX_HEAD => {
                            return Err(Malformed(
                                "the head of a message is longer than the message",
                            ));
                        }
                        Some(head) if self.buffer.len() == head => {
                            let left = length - head;
                            let head = mem::take(&mut self.buffer);
                            let state = match left <= self.max_payload {
                                true => State::Payload {
                                    first,
                                    head,
                                    length: left,
                                },
                                false => State::Passing {
                                    first,
                                    head,
                                    length: left,
                                    left,
                                },
                            };
                            (state, None)
                        }
                        _ if self.buffer.len() >= length => {
                            return Err(Malformed("a message ends within its head"));
                        }
                        known => {
                            // One more byte is always a step: it may be the last of a length.
                            let wanted = known.unwrap_or(self.buffer.len() + 1);
                            let more = wanted - self.buffer.len();
                            if bytes.is_empty() {
                                return self.keep(State::Head { first, length });
                            }
                            let (taken, rest) = bytes.split_at(more.min(bytes.len()));
                            self.buffer.extend_from_slice(taken);
                            bytes = rest;
                            (State::Head { first, length }, None)
                        }
                    }
                }
                State::Payload {
                    first,
                    head,
                    length,
                } => match self.fill(&mut bytes, length) {
                    None => {
                        return self.keep(State::Payload {
                            first,
                            head,
                            length,
                        });
                    }
                    Some(payload) => {
                        let payload = Payload::Whole(payload);
                        let frame = Frame::Publish {
                            first,
                            head,
                            payload,
                        };
                        (State::Header, Some(frame))
                    }
                },
                State::Passing {
                    first,
                    head,
                    length,
                    left,
                } => {
                    let passed = left.min(bytes.len());
                    bytes = &bytes[passed..];
                    let left = left - passed;
                    if left > 0 {
                        return self.keep(State::Passing {
                            first,
                            head,
                            length,
                            left,
                        });
                    }
                    let payload = Payload::TooLarge(length);
                    let frame = Frame::Publish {
                        first,
                        head,
                        payload,
                    };
                    (State::Header, Some(frame))
                }
            };
            self.state = state;
            if let Some(frame) = frame {
                take(frame);
            }
        }
    }

    fn keep(&mut self, state: State) -> Result<(), Malformed> {
        self.state = state;
        Ok(())
    }

    /// The state behind the first byte and the length, once they are there.
    fn header(&mut self) -> Result<State, Malformed> {
        let (first, digits) = match self.buffer.split_first() {
            Some((first, digits)) if !digits.is_empty() => (*first, digits),
            _ => return Ok(State::Header),
        };
        let Some((length, _)) = variable_length(digits)? else {
            return Ok(State::Header);
        };
        self.buffer.clear();
        match first >> 4 {
            PUBLISH => Ok(State::Head { first, length }),
            _ if length <= MAX_HEAD => Ok(State::Packet { first, length }),
            _ => Err(Malformed("a packet is longer than any can be")),
        }
    }

    /// All of `length` bytes, when they are there.
    fn fill(&mut self, bytes: &mut &[u8], length: usize) -> Option<Vec<u8>> {
        let (taken, rest) = bytes.split_at((length - self.buffer.len()).min(bytes.len()));
        self.buffer.extend_from_slice(taken);
        *bytes = rest;
        (self.buffer.len() == length).then(|| mem::take(&mut self.buffer))
    }
}

/// How long the head of a PUBLISH is, if as much of it is there as tells.
fn head_length(bytes: &[u8], first: u8, version: Version) -> Result<Option<usize>, Malformed> {
    let [high, low, ..] = *bytes else {
        return Ok(None);
    };
    let mut length = 2 + usize::from(u16::from_be_bytes([high, low]));
    // A packet identifier, unless its QoS is 0.
    if first & 0b0110 != 0 {
        length += 2;
    }
    if version == Version::V3 {
        return Ok(Some(length));
    }
    let Some(digits) = bytes.get(length..) else {
        return Ok(None);
    };
    Ok(variable_length(digits)?.map(|(properties, digits)| length + digits + properties))
}

/// A variable byte integer (MQTT 5, section 1.5.5), and how many bytes it has.
fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    match bytes.len() {
        0..4 => Ok(None),
        _ => Err(Malformed("a length has more than four bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(version: Version, bytes: &[u8], piece: usize) -> Result<Vec<Frame>, Malformed> {
        let mut frames = Frames::new(version, 10);
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.feed(piece, |frame| found.push(frame))?;
        }
        Ok(found)
    }

    /// A PUBLISH of QoS 1 to `a/b` with these properties and payload.
    fn publish(properties: Option<&[u8]>, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut head = b"\0\x03a/b\0\x07".to_vec();
        if let Some(properties) = properties {
            assert!(properties.len() < 128);
            head.push(properties.len() as u8);
            head.extend_from_slice(properties);
        }
        let length = head.len() + payload.len();
        assert!(length < 16384);
        let mut packet = vec![0x32, (length % 128) as u8 | 0x80, (length / 128) as u8];
        packet.extend_from_slice(&head);
        packet.extend_from_slice(payload);
        (packet, head)
    }

    #[test]
    fn packets_are_the_same_in_whatever_pieces_they_come() {
        for version in [Version::V3, Version::V5] {
            let of_5 =
                |properties: &'static [u8]| Some(properties).filter(|_| version == Version::V5);
            let (small, small_head) = publish(of_5(b"\x01\x00"), b"payload");
            let (empty, empty_head) = publish(of_5(b""), b"");
            let (large, large_head) = publish(of_5(&[1; 60]), &[7; 300]);
            let mut bytes = b"\x40\x02\x00\x01\xd0\x00".to_vec();
            for packet in [&small, &empty, &large, &small] {
                bytes.extend_from_slice(packet);
            }
            let publish = |head: &Vec<u8>, payload| Frame::Publish {
                first: 0x32,
                head: head.clone(),
                payload,
            };
            let expected = [
                Frame::Packet {
                    first: 0x40,
                    body: vec![0, 1],
                },
                Frame::Packet {
                    first: 0xd0,
                    body: vec![],
                },
                publish(&small_head, Payload::Whole(b"payload".to_vec())),
                publish(&empty_head, Payload::Whole(vec![])),
                publish(&large_head, Payload::TooLarge(300)),
                publish(&small_head, Payload::Whole(b"payload".to_vec())),
            ];
            for piece in 1..bytes.len() {
                let found = frames(version, &bytes, piece).expect("packets");
                assert_eq!(found, expected, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_refused_and_nothing_is_kept_for_it() {
        for bytes in [
            // A length of five bytes; a packet of 256 MB; a topic longer than its message.
            &b"\x40\xff\xff\xff\xff\x01"[..],
            b"\x40\xff\xff\xff\x7f",
            b"\x30\x04\0\x09ab",
            // Properties longer than their message; a length of properties without an end.
            b"\x30\x07\0\x03a/b\x7fx",
            b"\x30\x0c\0\x03a/b\xff\xff\xff\xff\x01xx",
        ] {
            for piece in [1, bytes.len()] {
                assert!(frames(Version::V5, bytes, piece).is_err(), "{bytes:x?}");
            }
        }
        // What a message says it has is not set aside before it comes.
        let mut large = Frames::new(Version::V3, usize::MAX);
        let whole = large.feed(b"\x30\xff\xff\xff\x7f\0\x01a", |_| {
            panic!("it is not whole")
        });
        assert_eq!(whole, Ok(()));
        assert!(large.buffer.capacity() < 1024);
    }
}
