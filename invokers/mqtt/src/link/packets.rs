//! Packets of MQTT 5 and 3.1.1: what is sent is made here, what comes is read here.

use std::fmt;
use std::time::Duration;

use mqtt_protocol_core::mqtt::packet::{
    CorrelationData, MaximumPacketSize, Property, Qos, ReceiveMaximum, ResponseTopic,
    SessionExpiryInterval, SubEntry, SubOpts, UserProperty, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, MqttError, PubackReasonCode,
};

use crate::message::{Publication, Surely, Target};

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V5,
    /// 3.1.1, which has no properties.
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V5 => "5",
            Version::V3 => "3.1.1",
        })
    }
}

/// What a broker is told when a connection begins.
pub(crate) struct Login {
    pub(crate) client_id: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) keep_alive: Duration,
    pub(crate) session_expiry: Duration,
    /// How many messages may come that have not been acknowledged.
    pub(crate) receive_maximum: u16,
    /// What the broker publishes, for whoever subscribes, when this connection is lost.
    pub(crate) will: Publication,
}

/// What comes.
pub(super) enum Incoming {
    Connack(Result<Limits, Refusal>),
    Puback {
        packet: u16,
        refused: Option<String>,
    },
    /// The subscriptions stand, or why they do not.
    Suback(Result<(), String>),
    Pingresp,
    /// The broker ends the connection, and why.
    Disconnect(String),
}

/// Why there is no connection.
pub(super) enum Refusal {
    /// The broker does not speak this version.
    Version,
    Other(String),
}

/// What the broker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Messages that it has not acknowledged.
    pub(super) unacknowledged: usize,
    /// Bytes of a packet.
    pub(super) packet: usize,
    /// In place of the one that it was told.
    pub(super) keep_alive: Option<Duration>,
}

impl Default for Limits {
    /// Those of a broker that names none.
    fn default() -> Self {
        Limits {
            unacknowledged: MAX_UNACKNOWLEDGED.into(),
            packet: usize::MAX,
            keep_alive: None,
        }
    }
}

/// What a PUBLISH's head says.
pub(super) struct Head {
    pub(super) topic: String,
    pub(super) packet: Option<u16>,
    pub(super) is_again: bool,
    pub(super) is_retained: bool,
    pub(super) target: Target,
}

pub(super) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// More messages in flight do not make a connection faster.
const MAX_UNACKNOWLEDGED: u16 = 64;

/// What is the same in both versions' CONNECT: whoever builds it has said what is not.
macro_rules! completed {
    ($connect:expr, $login:expr) => {{
        let login: &Login = $login;
        let will = &login.will;
        let keep_alive = u16::try_from(login.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let mut connect = $connect
            .client_id(login.client_id.as_str())?
            .keep_alive(keep_alive)
            .will_message(
                will.topic.as_str(),
                will.payload.to_vec(),
                Qos::AtLeastOnce,
                will.is_retained,
            )?;
        if let Some(user) = &login.user {
            connect = connect.user_name(user.as_str())?;
        }
        if let Some(password) = &login.password {
            connect = connect.password(password.clone())?;
        }
        connect.build()?.to_continuous_buffer()
    }};
}

/// SUBSCRIBE, the same in both.
macro_rules! subscribed {
    ($subscribe:expr, $packet:expr, $entries:expr) => {
        $subscribe
            .packet_id($packet)
            .entries($entries)
            .build()?
            .to_continuous_buffer()
    };
}

/// What is the same of PUBLISH.
macro_rules! published {
    ($publish:expr, $packet:expr, $publication:expr) => {{
        let publication: &Publication = $publication;
        let qos = match $packet {
            None => Qos::AtMostOnce,
            Some(_) => Qos::AtLeastOnce,
        };
        $publish
            .topic_name(publication.topic.as_str())?
            .qos(qos)
            .retain(publication.is_retained)
            .packet_id($packet)
            .payload(publication.payload.as_slice())
            .build()?
            .to_continuous_buffer()
    }};
}

/// The same of a PUBLISH that came.
macro_rules! head_of {
    ($publish:expr, $target:expr) => {
        Head {
            topic: $publish.topic_name().to_owned(),
            packet: $publish.packet_id(),
            is_again: $publish.dup(),
            is_retained: $publish.retain(),
            target: $target,
        }
    };
}

/// PUBACK: in both versions these bytes, where there is nothing to say.
pub(super) fn puback(packet: u16) -> [u8; 4] {
    let [high, low] = packet.to_be_bytes();
    [0x40, 2, high, low]
}

/// CONNECT, to a session that outlives the connection.
///
/// # Errors
/// What cannot be said in MQTT, as a client identifier of more than 65,535 bytes.
pub(super) fn connect(version: Version, login: &Login) -> Result<Vec<u8>, MqttError> {
    Ok(match version {
        Version::V5 => {
            let expiry = u32::try_from(login.session_expiry.as_secs()).unwrap_or(u32::MAX);
            let properties = vec![
                Property::SessionExpiryInterval(SessionExpiryInterval::new(expiry)?),
                Property::ReceiveMaximum(ReceiveMaximum::new(login.receive_maximum)?),
            ];
            let connect = v5_0::Connect::builder().clean_start(false);
            completed!(connect.props(properties), login)
        }
        Version::V3 => completed!(v3_1_1::Connect::builder().clean_session(false), login),
    })
}

/// SUBSCRIBE, with QoS 1.
///
/// # Errors
/// A filter that is none.
pub(super) fn subscribe(
    version: Version,
    packet: u16,
    filters: &[String],
) -> Result<Vec<u8>, MqttError> {
    let options = || SubOpts::new().set_qos(Qos::AtLeastOnce);
    let entries: Result<Vec<_>, _> = filters
        .iter()
        .map(|filter| SubEntry::new(filter.as_str(), options()))
        .collect();
    Ok(match version {
        Version::V5 => subscribed!(v5_0::Subscribe::builder(), packet, entries?),
        Version::V3 => subscribed!(v3_1_1::Subscribe::builder(), packet, entries?),
    })
}

/// PUBLISH; with QoS 1 where it has an identifier.
///
/// # Errors
/// A topic or property that cannot be sent.
pub(super) fn publish(
    version: Version,
    packet: Option<u16>,
    publication: &Publication,
) -> Result<Vec<u8>, MqttError> {
    Ok(match version {
        Version::V5 => {
            let mut properties = Vec::new();
            if let Some(data) = &publication.correlation {
                let data = CorrelationData::new(data.clone())?;
                properties.push(Property::CorrelationData(data));
            }
            for (name, value) in &publication.properties {
                let pair = UserProperty::new(*name, value.as_str())?;
                properties.push(Property::UserProperty(pair));
            }
            let publish = v5_0::Publish::builder().props(properties);
            published!(publish, packet, publication)
        }
        Version::V3 => published!(v3_1_1::Publish::builder(), packet, publication),
    })
}

/// Reads any packet but a PUBLISH.
///
/// # Errors
/// One that is malformed, or not for a client.
pub(super) fn read(version: Version, first: u8, body: &[u8]) -> Result<Incoming, MqttError> {
    match (first >> 4, version) {
        (2, _) => connack(version, body).map(Incoming::Connack),
        (4, Version::V5) => {
            let (puback, _) = v5_0::Puback::parse(body)?;
            let code = puback.reason_code();
            let refused = code.filter(PubackReasonCode::is_failure);
            Ok(Incoming::Puback {
                packet: puback.packet_id(),
                refused: refused.map(|code| code.to_string()),
            })
        }
        (4, Version::V3) => {
            let (puback, _) = v3_1_1::Puback::parse(body)?;
            Ok(Incoming::Puback {
                packet: puback.packet_id(),
                refused: None,
            })
        }
        (9, Version::V5) => {
            let codes = v5_0::Suback::parse(body)?.0.reason_codes();
            let refused = codes.iter().find(|code| code.is_failure());
            Ok(Incoming::Suback(refused.map_or(Ok(()), |code| {
                Err(format!("the subscription is refused: {code}"))
            })))
        }
        (9, Version::V3) => {
            let codes = v3_1_1::Suback::parse(body)?.0.return_codes();
            let stands = codes.iter().all(|code| code.is_success());
            Ok(Incoming::Suback(match stands {
                true => Ok(()),
                false => Err("the subscription is refused".to_owned()),
            }))
        }
        (13, _) => Ok(Incoming::Pingresp),
        (14, Version::V5) => {
            let code = v5_0::Disconnect::parse(body)?.0.reason_code();
            let code = code.map_or_else(String::new, |code| format!(": {code}"));
            Ok(Incoming::Disconnect(format!(
                "the broker ends the connection{code}"
            )))
        }
        _ => Err(MqttError::ProtocolError),
    }
}

fn connack(version: Version, body: &[u8]) -> Result<Result<Limits, Refusal>, MqttError> {
    // One that speaks 3.1.1 alone answers so, whatever it was asked.
    if version == Version::V3 || body.len() == 2 {
        let (connack, _) = v3_1_1::Connack::parse(body)?;
        return Ok(match connack.return_code() {
            ConnectReturnCode::Accepted if version == Version::V3 => Ok(Limits::default()),
            ConnectReturnCode::Accepted | ConnectReturnCode::UnacceptableProtocolVersion => {
                Err(Refusal::Version)
            }
            code => Err(Refusal::Other(format!("the broker refuses: {code}"))),
        });
    }
    let (connack, _) = v5_0::Connack::parse(body)?;
    match connack.reason_code() {
        ConnectReasonCode::Success => {}
        ConnectReasonCode::UnsupportedProtocolVersion => return Ok(Err(Refusal::Version)),
        code => return Ok(Err(Refusal::Other(format!("the broker refuses: {code}")))),
    }
    let mut limits = Limits::default();
    for property in connack.props() {
        match property {
            Property::ReceiveMaximum(most) => {
                limits.unacknowledged = most.val().min(MAX_UNACKNOWLEDGED).into();
            }
            Property::MaximumPacketSize(most) => limits.packet = size(most),
            Property::ServerKeepAlive(time) => {
                limits.keep_alive = Some(Duration::from_secs(time.val().into()));
            }
            Property::MaximumQos(qos) if qos.val() == 0 => {
                let text = "the broker takes no messages of QoS 1, which answers are";
                return Ok(Err(Refusal::Other(text.to_owned())));
            }
            Property::RetainAvailable(is_available) if is_available.val() == 0 => {
                let text = "the broker retains no messages, which the status is";
                return Ok(Err(Refusal::Other(text.to_owned())));
            }
            _ => {}
        }
    }
    Ok(Ok(limits))
}

fn size(most: &MaximumPacketSize) -> usize {
    usize::try_from(most.val()).unwrap_or(usize::MAX)
}

/// Reads the head of a PUBLISH.
///
/// # Errors
/// One that is malformed.
pub(super) fn head(version: Version, first: u8, head: Vec<u8>) -> Result<Head, MqttError> {
    let body = head.into();
    let flags = first & 0x0f;
    match version {
        Version::V5 => {
            let (publish, _) = v5_0::Publish::parse(flags, body)?;
            let mut target = Target::default();
            for property in publish.props() {
                match property {
                    Property::ResponseTopic(topic) => target.topic = Some(response(topic)),
                    Property::CorrelationData(data) => {
                        target.correlation = Some(data.val().to_vec());
                    }
                    _ => {}
                }
            }
            Ok(head_of!(publish, target))
        }
        Version::V3 => {
            let (publish, _) = v3_1_1::Publish::parse(flags, body)?;
            Ok(head_of!(publish, Target::default()))
        }
    }
}

fn response(topic: &ResponseTopic) -> String {
    topic.val().to_owned()
}

/// Whether it is sent with QoS 1.
pub(super) fn is_sure(publication: &Publication) -> bool {
    publication.surely != Surely::No
}
