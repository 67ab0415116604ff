//! The connection to the broker, and its thread: it connects, connects again, and carries messages
//! both ways. It knows nothing of actions.

mod broker;
mod connection;
mod frames;
mod outbox;
mod packets;
mod socket;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use broker::Broker;
pub(crate) use outbox::{Outbox, Taken};
pub(crate) use packets::{Login, Version};
pub(crate) use socket::Tls;

use crate::message::{Delivery, Receipt};
use crate::say;
use connection::{Connection, End};

/// The pause after the first connection that fails or is lost.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Who is told what comes from the broker. Called on the link's thread: nobody may wait in it.
pub(crate) trait Receiver: Send + Sync {
    /// The subscriptions stand.
    fn subscribed(&self);

    /// A message came.
    fn deliver(&self, delivery: Delivery);

    /// The broker has the answer of this run: what it may be told now.
    fn answered(&self, run: u64) -> Vec<Receipt>;

    /// Does what has become due, and says when something else will.
    fn tend(&self, now: Instant) -> Option<Instant>;
}

/// How to connect.
pub(crate) struct Settings {
    pub(crate) broker: Broker,
    /// The version to speak; without one 5, until a broker refuses it.
    pub(crate) version: Option<Version>,
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
    pub(crate) subscriptions: [String; 2],
    /// The largest payload that is taken in, in bytes.
    pub(crate) max_payload: usize,
    pub(crate) longest_pause: Duration,
}

/// Serves until the outbox is finished. Blocks.
pub(crate) fn serve(settings: &Settings, outbox: &Arc<Outbox>, receiver: &Arc<dyn Receiver>) {
    let mut version = settings.version.unwrap_or(Version::V5);
    let mut pause = FIRST_PAUSE;
    for number in 1.. {
        let connected = Connection::open(settings, version, number, outbox, receiver);
        let end = match connected {
            Ok(mut connection) => {
                let end = connection.serve();
                if connection.was_subscribed() {
                    pause = FIRST_PAUSE;
                }
                outbox.lost(connection.into_unacknowledged());
                end
            }
            Err(end) => end,
        };
        match end {
            End::Finished => return,
            End::OtherVersion if settings.version.is_none() && version == Version::V5 => {
                say(&"the broker does not speak MQTT 5: going on with 3.1.1");
                version = Version::V3;
                continue;
            }
            End::OtherVersion => say(&format!("the broker does not speak MQTT {version}")),
            End::Lost(why) => say(&format!("{}: {why}", settings.broker)),
        }
        if !wait(jittered(pause), outbox, receiver) {
            return;
        }
        pause = (pause * 2).min(settings.longest_pause);
    }
}

/// Up to a quarter less, so that devices that lost their broker together do not all return at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause - pause.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64 / 4.0)
}

/// Waits, and has the receiver tended meanwhile. Whether there is to be another try.
fn wait(pause: Duration, outbox: &Outbox, receiver: &Arc<dyn Receiver>) -> bool {
    let until = Instant::now() + pause;
    loop {
        if outbox.is_over() {
            return false;
        }
        let now = Instant::now();
        let next = receiver.tend(now);
        let Some(left) = until.checked_duration_since(now).filter(|t| !t.is_zero()) else {
            return true;
        };
        let left = next.map_or(left, |next| left.min(next.saturating_duration_since(now)));
        let mut fds = [PollFd::new(outbox.wake(), PollFlags::IN)];
        if poll(&mut fds, Timespec::try_from(left).ok().as_ref()).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        outbox.wake().clear();
    }
}
