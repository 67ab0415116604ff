//! The HTTP edge: `may_minihttp`, with the holes closed that can be closed from outside.
//!
//! What runs here runs on a coroutine's small stack and must not block: heads are read, bodies
//! collected, answers sent. All else is done by [`Workers`](crate::workers::Workers), on threads.

mod answering;
mod connections;
mod head;
mod service;
mod socket;

pub(crate) use connections::Connections;
pub(crate) use service::{Edge, Factory};
