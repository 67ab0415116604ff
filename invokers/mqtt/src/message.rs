//! Messages as the rest of the invoker sees them, whichever version of MQTT carries them.

use std::sync::Arc;

/// One that the broker delivers.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    pub(crate) payload: Payload,
    /// The broker kept it for whoever subscribes.
    pub(crate) is_retained: bool,
    /// The broker may have delivered it before.
    pub(crate) is_again: bool,
    /// Where its answer goes, and what goes with it.
    pub(crate) target: Target,
    /// What the broker is told when it has been dealt with; nothing where it does not wait for that.
    pub(crate) receipt: Option<Receipt>,
}

/// What a message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Whole(Vec<u8>),
    /// So many bytes, which were more than allowed, and are gone.
    TooLarge(usize),
}

/// Where an answer is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// MQTT 5: the topic that the sender listens on.
    pub(crate) topic: Option<String>,
    /// MQTT 5: what the sender knows its request by.
    pub(crate) correlation: Option<Vec<u8>>,
}

/// An acknowledgement that the broker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The connection that the message came by: on another, the number means something else.
    pub(crate) connection: u64,
    /// The packet's identifier.
    pub(crate) packet: u16,
}

/// One that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) topic: String,
    pub(crate) payload: Arc<Vec<u8>>,
    pub(crate) is_retained: bool,
    pub(crate) surely: Surely,
    /// MQTT 5: what the request's sender knows it by.
    pub(crate) correlation: Option<Vec<u8>>,
    /// MQTT 5: user properties.
    pub(crate) properties: Vec<(&'static str, String)>,
    /// How many connections were lost while the broker had it and had not acknowledged it.
    pub(crate) losses: u32,
}

/// How sure it has to be that a publication arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Surely {
    /// It is sent while there is a connection, and once (QoS 0).
    No,
    /// It is sent until the broker has it (QoS 1).
    Yes,
    /// And then the run of this number is over.
    Answers(u64),
}

impl Publication {
    /// One that needs neither an answer's address nor properties.
    pub(crate) fn new(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Publication {
            topic,
            payload: Arc::new(payload.into()),
            is_retained: false,
            surely: Surely::Yes,
            correlation: None,
            properties: Vec::new(),
            losses: 0,
        }
    }

    /// The same, kept by the broker for whoever subscribes.
    pub(crate) fn retained(self) -> Self {
        Publication {
            is_retained: true,
            ..self
        }
    }
}
