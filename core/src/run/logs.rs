//! Where logs go: two `Write`s, a callback, or a sink of the embedder's own.

use std::fmt::{self, Display};
use std::io::{self, Write};

/// Which log stream of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What it writes to stdout, without the result.
    Stdout,
    /// What it writes to stderr.
    Stderr,
}

impl Display for Stream {
    /// `stdout` or `stderr`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }
}

/// Takes the logs of one activation or init. Every `FnMut(Stream, &[u8])` is one: it is called with
/// chunks, as they come.
///
/// A sink that blocks slows the action down, and has no way to fail: a log that nobody can take any more
/// must not break the action.
pub trait LogSink {
    /// Bytes of a stream: a part of a line, or of many.
    fn write(&mut self, stream: Stream, bytes: &[u8]);

    /// A line of core's own, without its newline, about what it did or why. It comes where lines are
    /// complete. Default: goes to stderr as it is.
    fn note(&mut self, line: &str) {
        // At once, so that the line is whole even where the sink is shared.
        self.write(Stream::Stderr, format!("{line}\n").as_bytes());
    }
}

impl<F: FnMut(Stream, &[u8])> LogSink for F {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self(stream, bytes);
    }
}

/// Where the two log streams of an activation or an init go, as bytes, as they come.
///
/// ```
/// use actionproxy_core::{Lines, Logs, Stream};
///
/// // Two `Write`s.
/// let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
/// let mut logs = Logs::new(&mut stdout, &mut stderr);
/// logs.write(Stream::Stdout, b"hello\n");
///
/// // Chunks, to a callback.
/// let mut sizes = [0, 0];
/// let mut count = |stream: Stream, bytes: &[u8]| sizes[stream as usize] += bytes.len();
/// Logs::to(&mut count).write(Stream::Stderr, b"hel");
///
/// // Lines, to a callback.
/// let mut told = Vec::new();
/// let mut lines = Lines::new(|_, line: &[u8]| told.push(line.to_vec()));
/// let mut logs = Logs::to(&mut lines);
/// logs.write(Stream::Stdout, b"one\ntw");
/// logs.write(Stream::Stdout, b"o\n");
/// drop(lines);
///
/// assert_eq!(stdout, b"hello\n");
/// assert_eq!(sizes, [0, 3]);
/// assert_eq!(told, [b"one", b"two"]);
/// ```
pub struct Logs<'a>(Target<'a>);

enum Target<'a> {
    /// Errors are ignored, as every sink's are.
    Streams {
        stdout: &'a mut dyn Write,
        stderr: &'a mut dyn Write,
    },
    Sink(&'a mut dyn LogSink),
}

impl<'a> Logs<'a> {
    /// To a `Write` each. Their errors are ignored.
    pub fn new(stdout: &'a mut dyn Write, stderr: &'a mut dyn Write) -> Self {
        Logs(Target::Streams { stdout, stderr })
    }

    /// To a sink or a callback that takes both.
    pub fn to(sink: &'a mut dyn LogSink) -> Self {
        Logs(Target::Sink(sink))
    }

    /// Hands bytes on.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        match (&mut self.0, stream) {
            (Target::Streams { stdout, .. }, Stream::Stdout) => {
                let _ = stdout.write_all(bytes);
            }
            (Target::Streams { stderr, .. }, Stream::Stderr) => {
                let _ = stderr.write_all(bytes);
            }
            (Target::Sink(sink), stream) => sink.write(stream, bytes),
        }
    }

    /// One line that is not the action's, such as a hook has to say. See [`LogSink::note`].
    pub fn note(&mut self, line: impl Display) {
        let line = line.to_string();
        match &mut self.0 {
            Target::Streams { stderr, .. } => {
                let _ = stderr.write_all(format!("{line}\n").as_bytes());
            }
            Target::Sink(sink) => sink.note(&line),
        }
    }

    /// Stdout, for what writes to a `Write`.
    pub fn stdout(&mut self) -> LogStream<'_, 'a> {
        LogStream {
            logs: self,
            stream: Stream::Stdout,
        }
    }

    /// Stderr, for what writes to a `Write`.
    pub fn stderr(&mut self) -> LogStream<'_, 'a> {
        LogStream {
            logs: self,
            stream: Stream::Stderr,
        }
    }
}

impl fmt::Debug for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logs(..)")
    }
}

/// One stream of [`Logs`] as a `Write`. It never fails.
#[derive(Debug)]
pub struct LogStream<'s, 'a> {
    logs: &'s mut Logs<'a>,
    stream: Stream,
}

impl Write for LogStream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.logs.write(self.stream, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that calls `each` with every line of either stream, without its newline.
///
/// A line over [`Lines::MAX`] comes in pieces of that size, so that no action can take the memory of
/// whoever reads its logs. What is left without a newline comes when this is dropped; core itself leaves
/// nothing so.
pub struct Lines<F: FnMut(Stream, &[u8])> {
    each: F,
    /// The beginning of a line, of stdout and of stderr.
    begun: [Vec<u8>; 2],
}

impl<F: FnMut(Stream, &[u8])> Lines<F> {
    /// The longest piece, in bytes: 64 KiB.
    pub const MAX: usize = 64 << 10;

    /// A sink that calls `each`.
    pub fn new(each: F) -> Self {
        Lines {
            each,
            begun: [Vec::new(), Vec::new()],
        }
    }

    /// Takes bytes of one line.
    fn extend(&mut self, stream: Stream, mut bytes: &[u8]) {
        let begun = &mut self.begun[stream as usize];
        while begun.len() + bytes.len() > Self::MAX {
            let (piece, rest) = bytes.split_at(Self::MAX - begun.len());
            begun.extend_from_slice(piece);
            (self.each)(stream, begun);
            begun.clear();
            bytes = rest;
        }
        begun.extend_from_slice(bytes);
    }

    fn end(&mut self, stream: Stream) {
        let begun = &mut self.begun[stream as usize];
        (self.each)(stream, begun);
        begun.clear();
    }
}

impl<F: FnMut(Stream, &[u8])> LogSink for Lines<F> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        // The last part is what stands behind the last newline, and has no end.
        let rest = parts.next_back().unwrap_or_default();
        for part in parts {
            if self.begun[stream as usize].is_empty() && part.len() <= Self::MAX {
                (self.each)(stream, part);
            } else {
                self.extend(stream, part);
                self.end(stream);
            }
        }
        self.extend(stream, rest);
    }
}

impl<F: FnMut(Stream, &[u8])> Drop for Lines<F> {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.begun[stream as usize].is_empty() {
                self.end(stream);
            }
        }
    }
}

impl<F: FnMut(Stream, &[u8])> fmt::Debug for Lines<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[(Stream, &[u8])]) -> Vec<(Stream, Vec<u8>)> {
        let mut found = Vec::new();
        let mut lines = Lines::new(|stream, line: &[u8]| found.push((stream, line.to_vec())));
        for (stream, chunk) in chunks {
            lines.write(*stream, chunk);
        }
        drop(lines);
        found
    }

    #[test]
    fn lines_are_put_together_for_each_stream_by_itself() {
        use Stream::{Stderr, Stdout};
        let found = lines_of(&[
            (Stdout, b"a"),
            (Stderr, b"x\ny"),
            (Stdout, b"b\n\nc\n"),
            (Stderr, b""),
            (Stderr, b"z"),
        ]);
        let expected: [(_, &[u8]); 5] = [
            (Stderr, b"x"),
            (Stdout, b"ab"),
            (Stdout, b""),
            (Stdout, b"c"),
            (Stderr, b"yz"),
        ];
        assert_eq!(
            found,
            expected.map(|(stream, line)| (stream, line.to_vec()))
        );
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        const MAX: usize = 64 << 10;
        let chunk = vec![b'x'; 3 * MAX / 2];
        let found = lines_of(&[(Stream::Stdout, &chunk), (Stream::Stdout, b"y\n")]);
        let lengths: Vec<_> = found.iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [MAX, MAX / 2 + 1]);
        // A line of just the size is whole.
        let found = lines_of(&[(Stream::Stdout, &[b'x'; MAX]), (Stream::Stdout, b"\n")]);
        assert_eq!(found.len(), 1, "{:?}", found.len());
    }
}
