//! What went wrong last on a thread: kind, reason and text.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt;

use actionproxy_core::{Fault, InitError, RunError, StartError};

/// How a call went, and who has to change something where it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types, clippy::upper_case_acronyms)]
pub enum actionproxy_status {
    /// It did what was asked.
    ACTIONPROXY_OK = 0,
    /// The request was wrong, or cancelled, whatever the action: its argument, a second init.
    ACTIONPROXY_CALLER = 1,
    /// The action failed: its code, its archive, its process.
    ACTIONPROXY_ACTION = 2,
    /// The machine failed: disk, memory, descriptors. So is a fault of this library told.
    ACTIONPROXY_HOST = 3,
    /// The function was used against its rules: NULL, a handle that was freed, a value out of range, a
    /// call from a log callback. Nothing was done.
    ACTIONPROXY_MISUSE = 4,
}

/// What failed, where a program has to tell it apart. The text says more. Later versions may know
/// more reasons: take one that you do not know by the status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_reason {
    /// No call has failed on this thread.
    ACTIONPROXY_REASON_NONE = 0,
    /// The function was used against its rules.
    ACTIONPROXY_REASON_MISUSE = 1,
    /// A setting or an argument has a value that it cannot have.
    ACTIONPROXY_REASON_BAD_VALUE = 2,
    /// A second init, where only one is allowed.
    ACTIONPROXY_REASON_ALREADY_INITIALIZED = 3,
    /// The code is missing, damaged, refused, or not what its checksum says.
    ACTIONPROXY_REASON_BAD_CODE = 4,
    /// A hook refused: a build that failed, for instance.
    ACTIONPROXY_REASON_HOOK = 5,
    /// There is nothing fit to run, or it could not be started.
    ACTIONPROXY_REASON_NOT_RUNNABLE = 6,
    /// A run before an init has succeeded, where nothing else stands that could be run.
    ACTIONPROXY_REASON_NOT_INITIALIZED = 7,
    /// The action ran, and gave no JSON object or array.
    ACTIONPROXY_REASON_NO_RESULT = 8,
    /// The result line is over its limit.
    ACTIONPROXY_REASON_RESULT_TOO_LARGE = 9,
    /// A time limit or the deadline passed; the action was stopped.
    ACTIONPROXY_REASON_TIMED_OUT = 10,
    /// The call was cancelled; the action was stopped.
    ACTIONPROXY_REASON_CANCELLED = 11,
    /// The machine failed.
    ACTIONPROXY_REASON_HOST = 12,
    /// A fault of this library, which it has caught. The action may be unusable.
    ACTIONPROXY_REASON_PANIC = 13,
    /// Another one, which this version has no name for.
    ACTIONPROXY_REASON_OTHER = 14,
}

use actionproxy_reason::*;
use actionproxy_status::*;

/// An error on its way to the host.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: actionproxy_status,
    pub reason: actionproxy_reason,
    pub text: String,
}

impl Failure {
    /// A function was used against its rules.
    pub(crate) fn misuse(text: impl fmt::Display) -> Self {
        Failure {
            status: ACTIONPROXY_MISUSE,
            reason: ACTIONPROXY_REASON_MISUSE,
            text: text.to_string(),
        }
    }

    /// A value that its function cannot take.
    pub(crate) fn bad_value(text: impl fmt::Display) -> Self {
        Failure {
            status: ACTIONPROXY_MISUSE,
            reason: ACTIONPROXY_REASON_BAD_VALUE,
            text: text.to_string(),
        }
    }

    /// An argument of a run that is none.
    pub(crate) fn bad_argument(text: impl fmt::Display) -> Self {
        Failure {
            status: ACTIONPROXY_CALLER,
            reason: ACTIONPROXY_REASON_BAD_VALUE,
            text: text.to_string(),
        }
    }

    /// The machine has no more of something.
    pub(crate) fn host(text: impl fmt::Display) -> Self {
        Failure {
            status: ACTIONPROXY_HOST,
            reason: ACTIONPROXY_REASON_HOST,
            text: text.to_string(),
        }
    }

    pub(crate) fn panic(text: impl fmt::Display) -> Self {
        Failure {
            status: ACTIONPROXY_HOST,
            reason: ACTIONPROXY_REASON_PANIC,
            text: text.to_string(),
        }
    }
}

fn status(fault: Fault) -> actionproxy_status {
    match fault {
        Fault::Caller => ACTIONPROXY_CALLER,
        Fault::Action => ACTIONPROXY_ACTION,
        Fault::Host => ACTIONPROXY_HOST,
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        let reason = match &error {
            InitError::AlreadyInitialized => ACTIONPROXY_REASON_ALREADY_INITIALIZED,
            InitError::Decode { .. }
            | InitError::Checksum { .. }
            | InitError::Unpack { .. }
            | InitError::NoExecutable(_)
            | InitError::NoCode => ACTIONPROXY_REASON_BAD_CODE,
            InitError::Hook { .. } => ACTIONPROXY_REASON_HOOK,
            InitError::Verify(_) => ACTIONPROXY_REASON_NOT_RUNNABLE,
            InitError::Start(error) => reason_of_start(error),
            InitError::Stopped => ACTIONPROXY_REASON_CANCELLED,
            InitError::TimedOut { .. } => ACTIONPROXY_REASON_TIMED_OUT,
            InitError::Io { .. } | InitError::Confinement(_) => ACTIONPROXY_REASON_HOST,
            _ => ACTIONPROXY_REASON_OTHER,
        };
        Failure {
            status: status(error.fault()),
            reason,
            text: error.to_string(),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure {
            status: status(error.fault()),
            reason: reason_of_run(&error),
            text: error.to_string(),
        }
    }
}

fn reason_of_run(error: &RunError) -> actionproxy_reason {
    match error {
        RunError::Verify(_) | RunError::Spawn { .. } | RunError::Refused(_) => {
            ACTIONPROXY_REASON_NOT_RUNNABLE
        }
        RunError::NoResult { .. } | RunError::BadLine { .. } | RunError::Ended { .. } => {
            ACTIONPROXY_REASON_NO_RESULT
        }
        RunError::NotInitialized => ACTIONPROXY_REASON_NOT_INITIALIZED,
        RunError::Restart(error) => reason_of_start(error),
        RunError::ResultTooLarge { .. } => ACTIONPROXY_REASON_RESULT_TOO_LARGE,
        RunError::TimedOut { .. } => ACTIONPROXY_REASON_TIMED_OUT,
        RunError::Stopped => ACTIONPROXY_REASON_CANCELLED,
        RunError::Io { .. } => ACTIONPROXY_REASON_HOST,
        _ => ACTIONPROXY_REASON_OTHER,
    }
}

fn reason_of_start(error: &StartError) -> actionproxy_reason {
    match error {
        StartError::Run(error) => reason_of_run(error),
        StartError::Stopped => ACTIONPROXY_REASON_CANCELLED,
        StartError::TimedOut => ACTIONPROXY_REASON_TIMED_OUT,
        _ => ACTIONPROXY_REASON_NOT_RUNNABLE,
    }
}

struct Last {
    reason: actionproxy_reason,
    text: CString,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::new(Last {
        reason: ACTIONPROXY_REASON_NONE,
        text: CString::default(),
    });
}

/// Keeps the error for the thread that is to ask for it.
pub(crate) fn keep(failure: Failure) -> actionproxy_status {
    let text = failure.text.replace('\0', "\u{fffd}");
    LAST.with_borrow_mut(|last| {
        last.reason = failure.reason;
        // It holds no NUL any more.
        last.text = CString::new(text).unwrap_or_default();
    });
    failure.status
}

/// What the last call that failed on this thread says of it, in one line or a few, in UTF-8, for a
/// log and not for a machine. Empty where none has failed. The text is valid until another call fails on
/// this thread, or the thread ends. A call that does what was asked leaves it as it is.
///
/// Threads: any, at any time, in a log callback too. Each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_error_text() -> *const c_char {
    LAST.with_borrow(|last| last.text.as_ptr())
}

/// What the last call that failed on this thread failed of.
///
/// Threads: any, at any time, in a log callback too. Each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_error_reason() -> actionproxy_reason {
    LAST.with_borrow(|last| last.reason)
}
