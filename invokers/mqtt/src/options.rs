//! Flags and environment variables: those of the broker here, the others as the proxy has them.

mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use actionproxy_core::{Config, Durability, Reinit};
use actionproxy_server::shared::{self, Asked, Common};

use crate::link::{Broker, Version};
use crate::topics::Topics;
use table::PROGRAM;

/// How this program serves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) broker: Broker,
    pub(crate) topics: Topics,
    /// The directory of the actions' directories. Absolute.
    pub(crate) dir: PathBuf,
    pub(crate) client_id: String,
    pub(crate) session_expiry: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) longest_pause: Duration,
    pub(crate) version: Option<Version>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) logs: Logs,
    pub(crate) max_queue: usize,
    pub(crate) max_actions: usize,
    pub(crate) init_wait: Duration,
    pub(crate) remember: usize,
    pub(crate) common: Common,
}

/// What becomes of an activation's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    Off,
    /// A message for each line.
    Lines,
    /// Many lines in a message.
    Batched,
}

/// What has been read so far.
#[derive(Debug)]
struct Given {
    broker: Option<Broker>,
    topics: Option<Topics>,
    client_id: Option<String>,
    session_expiry: Duration,
    keep_alive: Duration,
    longest_pause: Duration,
    version: Option<Version>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    logs: Logs,
    max_queue: usize,
    max_actions: usize,
    init_wait: Duration,
    remember: usize,
    durability: Durability,
}

impl Default for Given {
    fn default() -> Self {
        Given {
            broker: None,
            topics: None,
            client_id: None,
            session_expiry: Duration::from_secs(168 * 3600),
            keep_alive: Duration::from_secs(60),
            longest_pause: Duration::from_secs(30),
            version: None,
            user: None,
            password_file: None,
            ca: None,
            certificate: None,
            key: None,
            logs: Logs::Lines,
            max_queue: 64,
            max_actions: 64,
            init_wait: Duration::from_secs(10),
            remember: 1024,
            durability: Durability::PowerLoss,
        }
    }
}

/// What the command line asks for.
pub(crate) enum Command {
    Serve(Box<Options>),
    /// To show this text.
    Show(String),
}

/// Reads the flags, and the variables of `config.env`.
///
/// # Errors
/// One line that names the flag or variable, its value, and what was expected.
pub(crate) fn read(
    config: Config,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Command, String> {
    let mut given = Given::default();
    match shared::read(&PROGRAM, &mut given, config, arguments)? {
        Asked::Show(text) => Ok(Command::Show(text)),
        Asked::Serve(common) => given.finish(*common).map(|o| Command::Serve(Box::new(o))),
    }
}

impl Given {
    fn finish(self, mut common: Common) -> Result<Options, String> {
        let needs = |what: &str| format!("expected {what}; `--help` lists all flags");
        let broker = self
            .broker
            .ok_or_else(|| needs("--broker mqtt://HOST:PORT"))?;
        let topics = self.topics.ok_or_else(|| needs("--prefix PREFIX"))?;
        let dir = common.action_dir.take();
        let dir = dir.ok_or_else(|| needs("--action-dir DIR"))?;
        let dir = std::path::absolute(&dir)
            .map_err(|e| format!("action directory {}: {e}", dir.display()))?;
        if self.certificate.is_some() != self.key.is_some() {
            return Err("--certificate and --key go together: expected both or none".to_owned());
        }
        let of_tls = [&self.ca, &self.certificate];
        if !broker.is_encrypted && of_tls.iter().any(|file| file.is_some()) {
            return Err(format!(
                "--ca and --certificate are for TLS: expected a broker mqtts://…, found {broker}"
            ));
        }
        if self.password_file.is_some() && self.user.is_none() {
            return Err("--broker-password-file needs a --broker-user NAME".to_owned());
        }
        let password = self.password_file.map(|path| {
            let mut password = std::fs::read(&path)
                .map_err(|e| format!("--broker-password-file {}: {e}", path.display()))?;
            while password.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                password.pop();
            }
            match password.len() <= usize::from(u16::MAX) {
                true => Ok(password),
                false => Err("--broker-password-file: expected at most 65535 bytes".to_owned()),
            }
        });
        let client_id = self.client_id.unwrap_or_else(|| {
            let prefix = topics.prefix().replace('/', "-");
            format!("actionproxy-{prefix}")
        });
        common.config.durability = self.durability;
        // A new init of an action is how it is brought up to date.
        common.config.reinit = Reinit::Allow;
        Ok(Options {
            broker,
            topics,
            dir,
            client_id,
            session_expiry: self.session_expiry,
            keep_alive: self.keep_alive,
            longest_pause: self.longest_pause,
            version: self.version,
            user: self.user,
            password: password.transpose()?,
            ca: self.ca,
            certificate: self.certificate,
            key: self.key,
            logs: self.logs,
            max_queue: self.max_queue,
            max_actions: self.max_actions,
            init_wait: self.init_wait,
            remember: self.remember,
            common,
        })
    }
}

#[cfg(test)]
mod tests;
