//! What goes into core and what comes out: requests and the outcome, free of any wire format.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::run::env::Environment;
use crate::run::status::Ended;
use crate::run::stop::Stop;

/// One initialisation.
#[derive(Debug, Default)]
pub struct InitRequest {
    /// The action's name, where the platform gives one.
    pub name: Option<String>,
    /// The entry point, where the platform gives one. Core does not use it; hooks may.
    pub main: Option<String>,
    /// The code. `None` keeps what stands in the action directory.
    pub code: Option<Code>,
    /// What the decoded code must hash to: the text's bytes, or the archive's.
    pub sha256: Option<Digest>,
    /// Environment variables for every later run.
    pub env: Environment,
    /// Every other field of the platform's message, for hooks that know more, as the JSON text
    /// that came.
    pub fields: BTreeMap<String, Box<RawValue>>,
    /// Ends this init, its hooks and their tools. Default: nobody does.
    pub stop: Stop,
}

impl InitRequest {
    /// An init with this code and nothing else.
    pub fn new(code: Code) -> Self {
        InitRequest {
            code: Some(code),
            ..InitRequest::default()
        }
    }
}

/// Code as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The text of a program, written as it is. Refused where it can be no program: see
    /// [`decode`](crate::init::decode::decode).
    Text(Vec<u8>),
    /// Base64 of either alphabet, line breaks allowed, of a zip, a tar.gz, an ELF executable or a `#!` script.
    /// It is decoded in place: the buffer is not copied.
    Base64(Vec<u8>),
    /// What base64 would hold, decoded.
    Bytes(Vec<u8>),
}

impl Code {
    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        match self {
            Code::Text(bytes) | Code::Base64(bytes) | Code::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// How code came, if any did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Nothing,
    Text,
    Binary,
}

impl Received {
    pub(crate) fn of(code: Option<&Code>) -> Self {
        match code {
            None => Received::Nothing,
            Some(Code::Text(_)) => Received::Text,
            Some(Code::Base64(_) | Code::Bytes(_)) => Received::Binary,
        }
    }

    /// As hooks are told it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Received::Nothing => "",
            Received::Text => "text",
            Received::Binary => "binary",
        }
    }
}

/// One activation.
#[derive(Debug, Default)]
pub struct RunRequest {
    /// The JSON text of the argument. Goes to stdin, and to the command line when it is short
    /// enough ([`MAX_ARGUMENT`](crate::MAX_ARGUMENT)).
    pub argument: Vec<u8>,
    /// Variables of this activation alone, on top of the configured ones and init's.
    pub env: Environment,
    /// A limit for this run, counted from its start, beside the configured one; the shorter wins.
    pub time_limit: Option<TimeLimit>,
    /// Ends this run and no other. Default: nobody does.
    pub stop: Stop,
}

impl RunRequest {
    /// A run with this argument, a JSON text, and nothing else.
    pub fn new(argument: impl Into<Vec<u8>>) -> Self {
        RunRequest {
            argument: argument.into(),
            ..RunRequest::default()
        }
    }
}

/// A limit on the time of one run or init, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// The configured limit.
    Timeout(Duration),
    /// The platform's deadline for this activation, as time from now.
    Deadline(Duration),
}

impl TimeLimit {
    /// The time from the start of the run.
    pub fn duration(self) -> Duration {
        match self {
            TimeLimit::Timeout(d) | TimeLimit::Deadline(d) => d,
        }
    }
}

/// What an activation gave: the last line of its stdout, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A JSON object or array, without the line's newline and surrounding white space.
    pub result: Vec<u8>,
    /// How the process ended. It does not touch the result.
    pub ended: Ended,
}
