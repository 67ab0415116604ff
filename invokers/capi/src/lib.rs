//! The C ABI of actionproxy-core. The header is `include/actionproxy.h`, made from this source.
//!
//! ```text
//! C ── border ──> handle ── config, call, action ──> core        pointers are read in `foreign` alone
//!   <── status ── last_error                    <── error
//!   <── callback ── logs                        <── logs
//! ```
//! - No panic leaves a function: `border` turns one into an error.
//! - A handle is a number and not an address: `handle` knows which are valid, so that one that was
//!   freed, or is of another kind, is an error and not a crash.
//! - The host's signals are its own: `pipe_signal` keeps a broken pipe to an action from it.

pub mod action;
mod argument;
mod border;
pub mod call;
pub mod config;
pub mod confinement;
mod foreign;
mod handle;
pub mod hooks;
pub mod last_error;
pub mod limits;
pub mod logs;
mod pipe_signal;
pub mod resident;
pub mod result;
mod turns;
pub mod version;
