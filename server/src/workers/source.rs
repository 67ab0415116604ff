//! Where requests come from, as far as a worker looks there itself.
//!
//! To hand a request from the thread that reads it to one that works on it costs more than all else
//! that the proxy does for a short run. So a worker without a job looks for requests, and the thread
//! that reads one works on it. While it does, or does anything else that may take long, others look.

use std::os::fd::BorrowedFd;

/// Where requests come from. Others look there, as long as no worker has taken that over.
pub(crate) trait Source: Send + Sync {
    /// Readable while there is something to look at.
    fn something(&self) -> BorrowedFd<'_>;

    /// From now on the caller looks whenever there is something.
    fn take(&self);

    /// Others look again.
    fn leave(&self);

    /// Deals with what has come, and waits no longer than a moment. Requests that are whole are
    /// submitted.
    fn look(&self);
}

/// A worker's turn to look.
#[derive(Default)]
pub(super) struct Lookout<'s>(Option<&'s dyn Source>);

impl<'s> Lookout<'s> {
    pub(super) fn take(&mut self, source: Option<&'s dyn Source>) {
        if self.0.is_none()
            && let Some(source) = source
        {
            source.take();
            self.0 = Some(source);
        }
    }

    /// Before anything that may take long.
    pub(super) fn leave(&mut self) {
        if let Some(source) = self.0.take() {
            source.leave();
        }
    }

    pub(super) fn something(&self) -> Option<BorrowedFd<'s>> {
        self.0.map(Source::something)
    }

    pub(super) fn look(&self) {
        if let Some(source) = self.0 {
            source.look();
        }
    }
}
