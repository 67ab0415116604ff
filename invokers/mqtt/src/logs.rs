//! Where the output of an activation goes: to a topic, in lines.

use std::cell::Cell;
use std::mem;

use actionproxy_core::{Lines, LogSink, Stream};

use crate::link::Outbox;
use crate::message::{Publication, Surely};
use crate::options::Logs;

/// A line that is longer comes in pieces.
const MAX_LINE: usize = 64 << 10;
/// A batch is sent when it has so many bytes, and at the end.
const MAX_BATCH: usize = 16 << 10;

/// The logs of one activation.
pub(crate) struct Log<'o> {
    outbox: &'o Outbox,
    topic: String,
    how: Logs,
    left_out: Cell<usize>,
}

impl<'o> Log<'o> {
    pub(crate) fn new(outbox: &'o Outbox, topic: String, how: Logs) -> Self {
        Log {
            outbox,
            topic,
            how,
            left_out: Cell::new(0),
        }
    }

    /// What takes them.
    pub(crate) fn sink(&self) -> Box<dyn LogSink + '_> {
        match self.how {
            Logs::Off => Box::new(|_: Stream, _: &[u8]| {}),
            Logs::Lines => {
                let lines = Lines::new(|stream, line: &[u8]| self.send(stream, line.to_vec()));
                Box::new(Marked(lines))
            }
            Logs::Batched => Box::new(Marked(Batches {
                log: self,
                kept: [Vec::new(), Vec::new()],
            })),
        }
    }

    /// Tells how much is left out, if anything. To be called when the sink is gone.
    pub(crate) fn end(self) {
        let left_out = self.left_out.get();
        if left_out > 0 {
            let text = format!(
                "actionproxy: {left_out} bytes are left out: the broker was not there, or did not take them"
            );
            self.send(Stream::Stderr, text.into_bytes());
        }
    }

    fn send(&self, stream: Stream, bytes: Vec<u8>) {
        let length = bytes.len();
        let publication = Publication {
            surely: Surely::No,
            properties: vec![("stream", stream.to_string())],
            ..Publication::new(self.topic.clone(), bytes)
        };
        if !self.outbox.log(publication) {
            self.left_out.set(self.left_out.get() + length);
        }
    }
}

/// Has lines that are not the action's begin so that they are told apart.
struct Marked<S>(S);

impl<S: LogSink> LogSink for Marked<S> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.write(stream, bytes);
    }

    fn note(&mut self, line: &str) {
        self.0
            .write(Stream::Stderr, format!("actionproxy: {line}\n").as_bytes());
    }
}

/// Sends many lines in one message.
struct Batches<'l, 'o> {
    log: &'l Log<'o>,
    /// Of each stream, what has not been sent.
    kept: [Vec<u8>; 2],
}

impl LogSink for Batches<'_, '_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let kept = &mut self.kept[stream as usize];
        // However large the piece is that comes, no more is kept than a line and a batch.
        for piece in bytes.chunks(MAX_BATCH) {
            kept.extend_from_slice(piece);
            if kept.len() < MAX_BATCH {
                continue;
            }
            let rest = match kept.iter().rposition(|b| *b == b'\n') {
                Some(end) => kept.split_off(end + 1),
                None if kept.len() < MAX_LINE => continue,
                None => Vec::new(),
            };
            self.log.send(stream, mem::replace(kept, rest));
        }
    }
}

impl Drop for Batches<'_, '_> {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let kept = mem::take(&mut self.kept[stream as usize]);
            if !kept.is_empty() {
                self.log.send(stream, kept);
            }
        }
    }
}
