//! Waiting for events, with a limit that only a broken program reaches.

use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything takes on a slow, busy or emulated machine.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Waits until `probe` gives something.
///
/// # Panics
/// After [`LIMIT`], with `what` was waited for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < until, "waited {LIMIT:?} for {what}");
        thread::sleep(Duration::from_millis(3));
    }
}
