//! What an init or a run is answered with, and whose fault a failure is.

use std::sync::Arc;

use actionproxy_core::Fault;
use actionproxy_platforms::Reply;
use serde_json::json;

use crate::message::{Publication, Surely, Target};

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The message is not what it has to be.
    Caller,
    /// The action did not do what it has to do.
    Action,
    /// The device or this invoker could not do it.
    Host,
}

impl Kind {
    /// The word in the user property `kind`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Caller => "caller",
            Kind::Action => "action",
            Kind::Host => "host",
        }
    }
}

impl From<Fault> for Kind {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Caller => Kind::Caller,
            Fault::Action => Kind::Action,
            Fault::Host => Kind::Host,
        }
    }
}

/// An answer, wherever it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// JSON.
    pub(crate) payload: Arc<Vec<u8>>,
    /// Of a failure.
    pub(crate) kind: Option<Kind>,
}

impl Answer {
    /// What the action gave, as it gave it.
    pub(crate) fn result(payload: Vec<u8>) -> Self {
        Answer {
            payload: Arc::new(without_newline(payload)),
            kind: None,
        }
    }

    /// An object with `error`.
    pub(crate) fn error(text: &str, kind: Kind) -> Self {
        Answer {
            payload: Arc::new(json!({ "error": text }).to_string().into_bytes()),
            kind: Some(kind),
        }
    }

    /// A failure in the words that the contract has for it.
    pub(crate) fn failed(reply: Reply, kind: Kind) -> Self {
        Answer {
            payload: Arc::new(without_newline(reply.body)),
            kind: Some(kind),
        }
    }

    /// The message that brings it to `target`, or to `topic` where none is named.
    pub(crate) fn to(
        &self,
        target: &Target,
        topic: impl FnOnce() -> String,
        surely: Surely,
    ) -> Publication {
        let topic = target.topic.clone().unwrap_or_else(topic);
        let kind = self.kind.map(|kind| ("kind", kind.word().to_owned()));
        Publication {
            payload: Arc::clone(&self.payload),
            surely,
            correlation: target.correlation.clone(),
            properties: kind.into_iter().collect(),
            ..Publication::new(topic, Vec::new())
        }
    }

    /// Puts this in the place of another answer.
    pub(crate) fn replace(&self, publication: &mut Publication) {
        publication.payload = Arc::clone(&self.payload);
        publication.properties.retain(|(name, _)| *name != "kind");
        if let Some(kind) = self.kind {
            publication
                .properties
                .push(("kind", kind.word().to_owned()));
        }
    }
}

/// The newline that ends every body of ActionLoop is none of the answer.
fn without_newline(mut payload: Vec<u8>) -> Vec<u8> {
    payload.pop_if(|last| *last == b'\n');
    payload
}
