//! How long who writes waits for a reader.

use std::time::{Duration, Instant};

use crate::wake::Wake;

/// How often it is looked whether somebody calls, where that cannot be waited for.
const TICK: Duration = Duration::from_millis(100);

/// What ends the waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience<'a> {
    /// A time, or nothing.
    Until(Option<Instant>),
    /// Somebody who has something better to do for who writes.
    UntilCalled(&'a Wake),
}

impl Patience<'_> {
    /// For how long something else may be waited for before this is asked again; zero at its end.
    pub(super) fn left(self) -> Option<Duration> {
        match self {
            Patience::Until(until) => Some(until?.saturating_duration_since(Instant::now())),
            Patience::UntilCalled(wake) if wake.is_called() => Some(Duration::ZERO),
            Patience::UntilCalled(_) => Some(TICK),
        }
    }
}

impl From<Option<Instant>> for Patience<'_> {
    fn from(until: Option<Instant>) -> Self {
        Patience::Until(until)
    }
}
