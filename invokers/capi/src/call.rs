//! What belongs to one init or one run: its settings, its logs, its end before its time.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actionproxy_core::{Digest, Environment, RawValue, Stop, TimeLimit};

use crate::border::{enter, enter_anywhere};
use crate::foreign;
use crate::handle::{self, Handled};
use crate::last_error::{Failure, actionproxy_status};
use crate::logs::{Callbacks, actionproxy_log};

/// One init or one run: its settings, and the means to cancel it. It is used once.
#[allow(non_camel_case_types)]
pub struct actionproxy_call {
    _private: (),
}

pub(crate) struct Call {
    pub stop: Stop,
    state: Mutex<State>,
}

impl Handled for Call {
    const NAME: &'static str = "a call";
    type Opaque = actionproxy_call;
}

enum State {
    /// It can be set.
    Prepared(Box<Settings>),
    /// An init or a run goes on.
    Running,
    Ended,
}

/// Everything but the code or the argument.
#[derive(Default)]
pub(crate) struct Settings {
    pub logs: Callbacks,
    pub env: Environment,
    pub time_limit: Option<TimeLimit>,
    pub name: Option<String>,
    pub main: Option<String>,
    pub sha256: Option<Digest>,
    pub fields: BTreeMap<String, Box<RawValue>>,
}

impl Call {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(
        self: Arc<Self>,
        fits: impl FnOnce(&Settings) -> Result<(), Failure>,
    ) -> Result<(Settings, Begun), Failure> {
        let mut state = self.state();
        match &mut *state {
            State::Prepared(settings) => {
                fits(settings)?;
                let settings = std::mem::take(&mut **settings);
                *state = State::Running;
                drop(state);
                Ok((settings, Begun(self)))
            }
            other => Err(other.is_over()),
        }
    }
}

impl State {
    /// Why nothing can be set any more.
    fn is_over(&self) -> Failure {
        Failure::misuse(match self {
            State::Running => "the call goes on",
            State::Prepared(_) | State::Ended => {
                "the call has been used; each init and run needs one of its own"
            }
        })
    }
}

/// A call that goes on.
pub(crate) struct Begun(Arc<Call>);

/// What ends it.
pub(crate) fn stop(begun: Option<&Begun>) -> Stop {
    begun.map(|begun| begun.0.stop.clone()).unwrap_or_default()
}

impl Drop for Begun {
    fn drop(&mut self) {
        *self.0.state() = State::Ended;
    }
}

/// Takes the settings: from here on the call goes on, until what is returned is dropped. Where there is
/// no call, the settings are the defaults. Settings that do not fit leave the call as it is.
pub(crate) fn begin(
    call: Option<Arc<Call>>,
    fits: impl FnOnce(&Settings) -> Result<(), Failure>,
) -> Result<(Settings, Option<Begun>), Failure> {
    match call {
        None => Ok((Settings::default(), None)),
        Some(call) => call
            .begin(fits)
            .map(|(settings, begun)| (settings, Some(begun))),
    }
}

impl Settings {
    /// Refuses what an init would not look at.
    pub(crate) fn are_for_init(&self) -> Result<(), Failure> {
        match self.time_limit {
            None => Ok(()),
            Some(_) => Err(Failure::misuse(
                "an init has the time limit of the configuration; that of the call is for a run",
            )),
        }
    }

    /// Refuses what a run would not look at.
    pub(crate) fn are_for_run(&self) -> Result<(), Failure> {
        let set = [
            ("name", self.name.is_some()),
            ("main", self.main.is_some()),
            ("sha256", self.sha256.is_some()),
            ("field", !self.fields.is_empty()),
        ];
        match set.iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((what, _)) => Err(Failure::misuse(format_args!(
                "the call has a `{what}`, which is for an init"
            ))),
        }
    }
}

fn set(
    call: *mut actionproxy_call,
    change: impl FnOnce(&mut Settings) -> Result<(), Failure>,
) -> actionproxy_status {
    enter(|| {
        let call: Arc<Call> = handle::find(call)?;
        let mut state = call.state();
        match &mut *state {
            State::Prepared(settings) => change(settings),
            other => Err(other.is_over()),
        }
    })
}

/// Makes a call: `*call` is its handle, and NULL where this fails.
///
/// # Errors
/// ACTIONPROXY_HOST where the system has no descriptor to spare.
///
/// Threads: any, several at once.
///
/// # Safety
/// `call` is NULL, which is refused, or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_new(
    call: *mut *mut actionproxy_call,
) -> actionproxy_status {
    enter(|| {
        foreign::has_place("call", call)?;
        // SAFETY: promised by the host.
        unsafe { foreign::put(call, std::ptr::null_mut()) };
        let stop = Stop::new().map_err(|e| {
            Failure::host(format_args!(
                "failed to make a descriptor to cancel by: {e}"
            ))
        })?;
        let made = handle::make(Call {
            stop,
            state: Mutex::new(State::Prepared(Box::default())),
        });
        // SAFETY: promised by the host.
        unsafe { foreign::put(call, made) };
        Ok(())
    })
}

/// Who is given the logs of one stream of this call: instead of the configuration's callback, if that
/// has one. `stream` is an `actionproxy_stream`, `form` an `actionproxy_form`, and `user` is passed on
/// to `log`. A `log` of NULL leaves it to the configuration's.
///
/// Threads: any, before the call is used. `log` is called on the thread that inits or runs.
///
/// # Safety
/// `log` and `user` can be used until the call has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_set_log(
    call: *mut actionproxy_call,
    stream: i32,
    form: i32,
    log: actionproxy_log,
    user: *mut c_void,
) -> actionproxy_status {
    set(call, |settings| settings.logs.set(stream, form, log, user))
}

/// Adds a variable to the environment: in an init for every later run, in a run for this one alone. A
/// name that is empty or holds `=` is skipped, with a line in the log. A resident process has the
/// environment of its init; a run's is ignored.
///
/// Threads: any, before the call is used.
///
/// # Safety
/// `name` and `value` are NULL, which is refused, or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_add_env(
    call: *mut actionproxy_call,
    name: *const c_char,
    value: *const c_char,
) -> actionproxy_status {
    set(call, |settings| {
        // SAFETY: promised by the host.
        let name = unsafe { foreign::os_text("name", name) }?;
        // SAFETY: promised by the host.
        let value = unsafe { foreign::os_text("value", value) }?;
        settings.env.set(name, value);
        Ok(())
    })
}

/// For a run: how long it may take, in milliseconds from its start, beside the configuration's
/// `timeout`; the shorter one holds. Default: none.
///
/// Threads: any, before the call is used.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_call_set_time_limit(
    call: *mut actionproxy_call,
    milliseconds: u64,
) -> actionproxy_status {
    set(call, |settings| {
        settings.time_limit = Some(TimeLimit::Timeout(Duration::from_millis(milliseconds)));
        Ok(())
    })
}

/// The same, told as a deadline in the error's text: the platform's for this activation, as
/// milliseconds from the start of the run. The last of the two that is set holds.
///
/// Threads: any, before the call is used.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_call_set_deadline(
    call: *mut actionproxy_call,
    milliseconds: u64,
) -> actionproxy_status {
    set(call, |settings| {
        settings.time_limit = Some(TimeLimit::Deadline(Duration::from_millis(milliseconds)));
        Ok(())
    })
}

/// For an init: the action's name, for hooks. UTF-8. Default: none.
///
/// Threads: any, before the call is used.
///
/// # Safety
/// `name` is NULL, which is refused, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_set_name(
    call: *mut actionproxy_call,
    name: *const c_char,
) -> actionproxy_status {
    set(call, |settings| {
        // SAFETY: promised by the host.
        settings.name = Some(unsafe { foreign::text("name", name) }?);
        Ok(())
    })
}

/// For an init: the entry point, for hooks and compile scripts. UTF-8. Default: none.
///
/// Threads: any, before the call is used.
///
/// # Safety
/// `main` is NULL, which is refused, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_set_main(
    call: *mut actionproxy_call,
    main: *const c_char,
) -> actionproxy_status {
    set(call, |settings| {
        // SAFETY: promised by the host.
        settings.main = Some(unsafe { foreign::text("main", main) }?);
        Ok(())
    })
}

/// For an init: the SHA-256 that the decoded code must have, as 64 hexadecimal digits. Code that has
/// another is refused before anything is written. Default: none is asked for.
///
/// Threads: any, before the call is used.
///
/// # Safety
/// `sha256` is NULL, which is refused, or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_set_sha256(
    call: *mut actionproxy_call,
    sha256: *const c_char,
) -> actionproxy_status {
    set(call, |settings| {
        // SAFETY: promised by the host.
        let text = unsafe { foreign::text("sha256", sha256) }?;
        let digest = Digest::parse(&text)
            .map_err(|e| Failure::bad_value(format_args!("`sha256` is {text:?}: {e}")))?;
        settings.sha256 = Some(digest);
        Ok(())
    })
}

/// For an init: another field of its message, for hooks that know more: its name and its value as
/// JSON, both in UTF-8. One of the same name is replaced.
///
/// Threads: any, before the call is used.
///
/// # Safety
/// `name` and `json` are NULL, which is refused, or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn actionproxy_call_add_field(
    call: *mut actionproxy_call,
    name: *const c_char,
    json: *const c_char,
) -> actionproxy_status {
    set(call, |settings| {
        // SAFETY: promised by the host.
        let (name, json) = unsafe { (foreign::text("name", name)?, foreign::text("json", json)?) };
        let value = RawValue::from_string(json)
            .map_err(|e| Failure::bad_value(format_args!("the field `{name}` is no JSON: {e}")))?;
        settings.fields.insert(name, value);
        Ok(())
    })
}

/// Ends the init or run that the call is used for: the processes of the action that it has started
/// get TERM, then KILL, and the function returns with ACTIONPROXY_REASON_CANCELLED. The action can
/// be used further. A call that is not used yet ends as soon as it is.
///
/// # Errors
/// ACTIONPROXY_MISUSE where the call has ended; nothing is cancelled then.
///
/// Threads: any, in a log callback too. Not in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_cancel(call: *mut actionproxy_call) -> actionproxy_status {
    enter_anywhere(|| {
        let call: Arc<Call> = handle::find(call)?;
        let state = call.state();
        match *state {
            State::Ended => Err(Failure::misuse("the call has ended")),
            State::Prepared(_) | State::Running => {
                call.stop.request();
                Ok(())
            }
        }
    })
}

/// Frees a call. NULL is nothing to free.
///
/// # Errors
/// ACTIONPROXY_MISUSE while it goes on: cancel it, and wait for the function to return.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn actionproxy_call_free(call: *mut actionproxy_call) -> actionproxy_status {
    enter(|| {
        if call.is_null() {
            return Ok(());
        }
        handle::free::<Call>(call, |call| match *call.state() {
            State::Running => Err(Failure::misuse("the call goes on")),
            State::Prepared(_) | State::Ended => Ok(()),
        })
        .map(drop)
    })
}
