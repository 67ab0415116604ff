//! What the whole-binary tests share: a proxy started from its release binary, and raw HTTP.
//!
//! `ACTIONPROXY_BIN` names another binary to test, for instance one for another architecture that
//! an emulator runs. `ACTIONPROXY_TEST_LAUNCHER` names a program that starts proxies elsewhere, in
//! containers for instance; tests/images has one.

pub mod binary;
pub mod census;
pub mod files;
pub mod http;
pub mod mosquitto;
pub mod proxy;
pub mod readme;
pub mod root;
pub mod tools;
pub mod unread;
pub mod wait;

pub use http::{Answer, Connection, request};
pub use proxy::{Builder, Proxy};
pub use wait::eventually;

/// The line that ends the logs of an activation.
pub const SENTINEL: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";
