//! Temporary.
#![allow(missing_docs)]
use crate::error::InitError;
use crate::message::Code;
pub enum Payload {
    Text(Vec<u8>),
}
impl Payload {
    pub fn bytes(&self) -> &[u8] {
        let Payload::Text(t) = self;
        t
    }
}
pub fn decode(code: Code) -> Result<Payload, InitError> {
    match code {
        Code::Text(t) => Ok(Payload::Text(t)),
        Code::Base64(_) => Err(InitError::Decode {
            reason: "not yet".into(),
        }),
    }
}
