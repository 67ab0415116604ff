//! An action: opened, initialised, run, tended, closed.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use actionproxy_core::{Action, Code, InitRequest, Logs, Rest, RunRequest};

use crate::argument;
use crate::border::enter;
use crate::call::{self, Call, Settings, actionproxy_call};
use crate::config::{ACTIONPROXY_NO_LIMIT, Configuration, actionproxy_config};
use crate::foreign;
use crate::handle::{self, Handled};
use crate::last_error::{Failure, actionproxy_status};
use crate::logs::{Callbacks, sinks};
use crate::pipe_signal::PipeSignal;
use crate::result::{Given, actionproxy_result};
use crate::turns::Turns;

/// An action in its directory.
#[allow(non_camel_case_types)]
pub struct actionproxy_action {
    _private: (),
}

/// In which form code is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[allow(non_camel_case_types)]
pub enum actionproxy_code {
    /// There is none: what stands in the action directory stays.
    ACTIONPROXY_CODE_NONE = 0,
    /// The text of a program.
    ACTIONPROXY_CODE_TEXT = 1,
    /// Base64 of what ACTIONPROXY_CODE_BYTES has.
    ACTIONPROXY_CODE_BASE64 = 2,
    /// A zip, a tar.gz, an ELF executable or a `#!` script.
    ACTIONPROXY_CODE_BYTES = 3,
}

/// What an action handle stands for.
pub(crate) struct Opened {
    /// Runs take it together, an init alone.
    action: RwLock<Action>,
    turns: Turns,
    logs: Callbacks,
}

impl Handled for Opened {
    const NAME: &'static str = "an action";
    type Opaque = actionproxy_action;
}

impl Opened {
    // After a panic in an init, core's action is what it was before or what the init made of it.
    fn read(&self) -> RwLockReadGuard<'_, Action> {
        self.action.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Action> {
        self.action.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives `work` the logs that the callbacks are given.
fn with_logs<T>(callbacks: Callbacks, work: impl FnOnce(&mut Logs<'_>) -> T) -> T {
    let signal = PipeSignal::blocked();
    work(&mut Logs::to(&mut sinks(callbacks, &signal)))
}

/// Opens an action: makes its directory where it is missing, and completes or clears what a crash in
/// an earlier init left. What an init of an earlier process installed can be run at once, if it has not
/// changed. `*action` is the handle, and NULL where this fails. It has a copy of the configuration.
///
/// Its processes start with every signal at its default and none blocked.
///
/// # Errors
/// ACTIONPROXY_HOST where the directory cannot be used.
///
/// Threads: any, several at once. Not two of one directory.
///
/// # Safety
/// `action` is NULL, which is refused, or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_open(
    config: *const actionproxy_config,
    action: *mut *mut actionproxy_action,
) -> actionproxy_status {
    enter(|| {
        foreign::has_place("action", action)?;
        // SAFETY: promised by the host.
        unsafe { foreign::put(action, ptr::null_mut()) };
        let settings: Arc<Configuration> = handle::find(config)?;
        let set = settings.copy();
        let runner = set.runner();
        let turns = Turns::new()?;
        let opened = Action::open(set.config, runner)?;
        let made = handle::make(Opened {
            action: RwLock::new(opened),
            turns,
            logs: set.logs,
        });
        // SAFETY: promised by the host.
        unsafe { foreign::put(action, made) };
        Ok(())
    })
}

/// Whether an init has succeeded in this process: 1 or 0. Waits for an init that goes on. -1 where
/// `action` is no action.
///
/// Threads: any, several at once.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_is_initialized(action: *const actionproxy_action) -> i32 {
    let mut answer = -1;
    enter(|| {
        let opened: Arc<Opened> = handle::find(action)?;
        let _turn = opened.turns.take()?;
        answer = i32::from(opened.read().is_initialized());
        Ok(())
    });
    answer
}

/// Initialises an action with `length` bytes of code, in the form that `form` says, an
/// `actionproxy_code`. Waits for runs that go on, and keeps later ones waiting. `call` has the rest of
/// the request, and can be NULL.
///
/// # Errors
/// By kind and reason; the action is then what it was before. What tools printed is in the logs.
///
/// Threads: any. The calling one works until it is done, and runs the callbacks.
///
/// # Safety
/// `code` points to `length` bytes, or is NULL and `length` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_init(
    action: *mut actionproxy_action,
    call: *mut actionproxy_call,
    form: i32,
    code: *const c_void,
    length: usize,
) -> actionproxy_status {
    enter(|| {
        let opened: Arc<Opened> = handle::find(action)?;
        let call = handle::find_optional::<Call>(call)?;
        // SAFETY: promised by the host.
        let code = unsafe { foreign::bytes("code", code, length) }?;
        let code = match form {
            0 if code.is_empty() => None,
            1 => Some(Code::Text(code)),
            2 => Some(Code::Base64(code)),
            3 => Some(Code::Bytes(code)),
            0 => {
                return Err(Failure::bad_value(format_args!(
                    "`form` is ACTIONPROXY_CODE_NONE, and `length` is {length}"
                )));
            }
            other => {
                return Err(Failure::bad_value(format_args!(
                    "`form` is {other}; expected 0 to 3"
                )));
            }
        };
        let turn = opened.turns.take()?;
        let (settings, begun) = call::begin(call, Settings::are_for_init)?;
        let request = InitRequest {
            name: settings.name,
            main: settings.main,
            code,
            sha256: settings.sha256,
            env: settings.env,
            fields: settings.fields,
            stop: call::stop(begun.as_ref()),
        };
        let done = with_logs(settings.logs.or(opened.logs), |logs| {
            opened.write().init(request, logs)
        });
        drop((begun, turn));
        Ok(done?)
    })
}

/// Runs one activation: gives the action `length` bytes of `argument`, a JSON object or array in
/// UTF-8, and waits for its result. With a `length` of 0, the argument is `{}`. `call` has the rest of
/// the request, and can be NULL. `*result` is what the action gave, to be freed with
/// `actionproxy_result_free`, and NULL where this fails.
///
/// The argument reaches the action on stdin, as one line, and, where it is no longer than 131071 bytes,
/// on the command line too.
///
/// # Errors
/// By kind and reason. ACTIONPROXY_CALLER with ACTIONPROXY_REASON_BAD_VALUE where the argument is no
/// JSON object or array. The next run is not touched by it.
///
/// Threads: any, several at once: each run has a process of its own, or waits for the resident one. The
/// calling one works until it is done, and runs the callbacks.
///
/// # Safety
/// `argument` points to `length` bytes, or is NULL and `length` is 0; `result` is NULL, which is
/// refused, or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_run(
    action: *const actionproxy_action,
    call: *mut actionproxy_call,
    argument: *const c_char,
    length: usize,
    result: *mut *mut actionproxy_result,
) -> actionproxy_status {
    enter(|| {
        foreign::has_place("result", result)?;
        // SAFETY: promised by the host.
        unsafe { foreign::put(result, ptr::null_mut()) };
        let opened: Arc<Opened> = handle::find(action)?;
        let call = handle::find_optional::<Call>(call)?;
        // SAFETY: promised by the host.
        let argument = unsafe { foreign::bytes("argument", argument.cast(), length) }?;
        let argument = argument::line(argument)?;
        let turn = opened.turns.take()?;
        let (settings, begun) = call::begin(call, Settings::are_for_run)?;
        let request = RunRequest {
            argument,
            env: settings.env,
            time_limit: settings.time_limit,
            stop: call::stop(begun.as_ref()),
        };
        let done = with_logs(settings.logs.or(opened.logs), |logs| {
            opened.read().run(request, logs)
        });
        drop((begun, turn));
        let made = handle::make(Given::new(done?));
        // SAFETY: promised by the host.
        unsafe { foreign::put(result, made) };
        Ok(())
    })
}

/// Hands on what a resident process writes while no run goes on, to the configuration's callbacks,
/// until so many milliseconds are over (ACTIONPROXY_NO_LIMIT: for ever), or another thread inits, runs
/// or closes the action. While they do so, it waits. Without a resident process it only waits.
///
/// A resident process whose output nobody reads stands still when a pipe is full. So have a thread that does
/// nothing else:
///
///     while (!done) actionproxy_tend(action, 1000);
///
/// or call it with 0 now and then, from a loop of your own.
///
/// # Errors
/// ACTIONPROXY_HOST where the machine does not let it wait. ACTIONPROXY_MISUSE where another thread
/// tends the action.
///
/// Threads: any, one at a time. The calling one runs the callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_tend(
    action: *const actionproxy_action,
    milliseconds: u64,
) -> actionproxy_status {
    enter(|| {
        let opened: Arc<Opened> = handle::find(action)?;
        let longest = Duration::from_millis(milliseconds);
        // A time that is over in no lifetime is none.
        let until = match milliseconds {
            ACTIONPROXY_NO_LIMIT => None,
            _ => Instant::now().checked_add(longest),
        };
        let Some(tending) = opened.turns.tend(until)? else {
            return Ok(());
        };
        with_logs(opened.logs, |logs| {
            let action = opened.read();
            loop {
                let longest = until.map(|until| until.saturating_duration_since(Instant::now()));
                let rested = action.rest(&[tending.wake()], longest)?;
                if rested == Rest::Untended {
                    action.tend(logs)?;
                }
                // Whoever writes all the time must not keep the others waiting.
                let is_over = until.is_some_and(|until| until <= Instant::now());
                if is_over || tending.is_called_away() {
                    return Ok(());
                }
            }
        })
    })
}

/// Ends the resident process of an action and its group: TERM, then KILL. Waits for runs that go on.
/// What is run afterwards is refused, until another init. Without such a process it does nothing.
///
/// Threads: any. The calling one runs the callbacks, with what the process still wrote.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_end(action: *mut actionproxy_action) -> actionproxy_status {
    enter(|| {
        let opened: Arc<Opened> = handle::find(action)?;
        let _turn = opened.turns.take()?;
        with_logs(opened.logs, |logs| opened.write().end(logs));
        Ok(())
    })
}

/// Closes an action: ends its resident process, if it has one, and frees the handle. What was installed
/// stays in its directory. NULL is nothing to close.
///
/// # Errors
/// ACTIONPROXY_MISUSE while another thread inits, runs or ends it: nothing is closed then. Cancel those
/// calls, and wait for the functions to return. A thread that tends it is woken, and need not be waited
/// for.
///
/// Threads: any. The calling one runs the callbacks, with what a resident process still wrote.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_close(action: *mut actionproxy_action) -> actionproxy_status {
    enter(|| {
        if action.is_null() {
            return Ok(());
        }
        let opened = handle::free::<Opened>(action, |opened| opened.turns.close())?;
        with_logs(opened.logs, |logs| opened.write().end(logs));
        Ok(())
    })
}
