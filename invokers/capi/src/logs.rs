//! What an action writes, on its way to the host's callbacks.

use std::ffi::{c_char, c_void};

use actionproxy_core::{Lines, LogSink, Stream};

use crate::border;
use crate::last_error::Failure;
use crate::pipe_signal::PipeSignal;

/// The two streams of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_stream {
    /// What the action wrote to stdout, without the result.
    ACTIONPROXY_STDOUT = 1,
    /// What it wrote to stderr, and the library's own remarks, each a line.
    ACTIONPROXY_STDERR = 2,
}

/// In which pieces a callback is given a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_form {
    /// As it comes: of any length, and cut anywhere.
    ACTIONPROXY_CHUNKS = 0,
    /// Line by line, without the newline. A line over 64 KiB comes in pieces of that; a last one
    /// without a newline comes when the call ends.
    ACTIONPROXY_LINES = 1,
}

/// Is given what an action wrote: `length` bytes, which end in no NUL and may hold some, and which are
/// valid until it returns. `stream` is an `actionproxy_stream`.
///
/// It is called on the thread, and while, a function runs that was given the action; the action waits
/// for it to return. It must return: neither `longjmp` nor a C++ exception may leave it. From it, only
/// `actionproxy_cancel` may be called, and what reads: versions, errors, results. Every other function is
/// refused there with ACTIONPROXY_MISUSE.
#[allow(non_camel_case_types)]
pub type actionproxy_log = Option<
    unsafe extern "C" fn(user: *mut c_void, stream: i32, bytes: *const c_char, length: usize),
>;

/// One stream's callback, and what the host wants to be given with it.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    stream: actionproxy_stream,
    form: actionproxy_form,
    call: unsafe extern "C" fn(*mut c_void, i32, *const c_char, usize),
    user: *mut c_void,
}

// SAFETY: `user` is never read here. That what it points to may be used on whichever thread is
// given the action is the host's promise, and in the header.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

/// The callbacks of both streams.
#[derive(Clone, Copy, Default)]
pub(crate) struct Callbacks {
    pub stdout: Option<Callback>,
    pub stderr: Option<Callback>,
}

impl Callbacks {
    /// Takes the callback of one stream as the host gives it; NULL takes it away.
    pub(crate) fn set(
        &mut self,
        stream: i32,
        form: i32,
        call: actionproxy_log,
        user: *mut c_void,
    ) -> Result<(), Failure> {
        use actionproxy_form::*;
        use actionproxy_stream::*;
        let (place, stream) = match stream {
            1 => (&mut self.stdout, ACTIONPROXY_STDOUT),
            2 => (&mut self.stderr, ACTIONPROXY_STDERR),
            other => {
                return Err(Failure::bad_value(format_args!(
                    "`stream` is {other}; expected ACTIONPROXY_STDOUT or ACTIONPROXY_STDERR"
                )));
            }
        };
        let form = match form {
            0 => ACTIONPROXY_CHUNKS,
            1 => ACTIONPROXY_LINES,
            other => {
                return Err(Failure::bad_value(format_args!(
                    "`form` is {other}; expected ACTIONPROXY_CHUNKS or ACTIONPROXY_LINES"
                )));
            }
        };
        *place = call.map(|call| Callback {
            stream,
            form,
            call,
            user,
        });
        Ok(())
    }

    fn of(&self, stream: Stream) -> Option<Callback> {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }

    /// Where none is set, that of `other`.
    pub(crate) fn or(self, other: Callbacks) -> Callbacks {
        Callbacks {
            stdout: self.stdout.or(other.stdout),
            stderr: self.stderr.or(other.stderr),
        }
    }
}

impl Callback {
    fn give(&self, signal: &PipeSignal, bytes: &[u8]) {
        border::in_callback(|| {
            signal.lifted(|| {
                // SAFETY: the host has promised that the function and what it is given can be used
                // until the call has ended, and the bytes live until it returns.
                unsafe {
                    (self.call)(
                        self.user,
                        self.stream as i32,
                        bytes.as_ptr().cast(),
                        bytes.len(),
                    );
                }
            });
        });
    }
}

/// Both streams, each to its callback, if it has one.
pub(crate) struct Sinks<'a, F: FnMut(Stream, &[u8])> {
    callbacks: Callbacks,
    signal: &'a PipeSignal,
    /// Of the streams that are asked for line by line.
    lines: Lines<F>,
}

/// The streams go to the callbacks, with the signals as the host has them.
pub(crate) fn sinks(
    callbacks: Callbacks,
    signal: &PipeSignal,
) -> Sinks<'_, impl FnMut(Stream, &[u8])> {
    let lines = Lines::new(move |stream, line: &[u8]| {
        if let Some(callback) = callbacks.of(stream) {
            callback.give(signal, line);
        }
    });
    Sinks {
        callbacks,
        signal,
        lines,
    }
}

impl<F: FnMut(Stream, &[u8])> LogSink for Sinks<'_, F> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        use actionproxy_form::*;
        match self.callbacks.of(stream) {
            None => {}
            Some(callback) if callback.form == ACTIONPROXY_LINES => self.lines.write(stream, bytes),
            Some(_) if bytes.is_empty() => {}
            Some(callback) => callback.give(self.signal, bytes),
        }
    }
}
