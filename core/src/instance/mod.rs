//! What runs the activations: a process for each, or one resident process for all.

mod resident;

pub use resident::Rest;
pub(crate) use resident::{Launch, Resident, Respondent, Start, sleep};

/// What an action has to run its activations with.
pub(crate) enum Instance {
    /// A process for each, started when it is needed.
    Process,
    /// One for all. `None`: no init has succeeded.
    Resident(Option<Box<Resident>>),
}
