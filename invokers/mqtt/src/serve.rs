//! From start to end.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actionproxy_core::{Config, Stop};
use actionproxy_server::shared::{self, Shutdown, Woken};

use crate::directory::Directory;
use crate::invoker::{self, Invoker};
use crate::link::{self, Login, Outbox, Receiver, Settings, Tls};
use crate::options::{self, Command, Options};
use crate::say;

/// What the last answers take, when nothing runs any more and the broker is there.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs the command line of this process. Exit status 0 after a signal, 2 where it cannot do what it
/// is asked.
///
/// # Errors
/// One line that says why.
pub(crate) fn main() -> Result<ExitCode, String> {
    let config = Config {
        env: std::env::vars_os().collect(),
        ..Config::default()
    };
    let mut options = match options::read(config, std::env::args_os())? {
        Command::Serve(options) => *options,
        Command::Show(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
    };
    for warning in &options.common.warnings {
        say(warning);
    }
    // What this program is told about the broker is no action's business.
    let own = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("ACTIONPROXY_");
    let env = &mut options.common.config.env;
    let names: Vec<_> = env.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| own(name)) {
        env.remove(name);
    }
    serve(options)
}

fn serve(options: Options) -> Result<ExitCode, String> {
    let failed = |e: io::Error| format!("failed to start: {e}");
    shared::survive_limits();
    let directory = Directory::open(&options.dir, options.common.config.durability)?;
    let tls = match options.broker.is_encrypted {
        true => {
            let own = options.certificate.as_ref().zip(options.key.as_ref());
            Some(Tls::read(options.ca.as_deref(), own)?)
        }
        false => None,
    };
    shared::keep_descriptors_from_actions();
    // Before there is another thread.
    let shutdown = Shutdown::register().map_err(failed)?;
    let stop = Stop::new().map_err(failed)?;
    let outbox = Arc::new(Outbox::new().map_err(failed)?);
    let settings = settings(&options, tls);
    let (grace, kill_grace) = (
        options.common.grace,
        options.common.config.process.kill_grace,
    );
    let orphans = shutdown.orphans();
    let invoker = Invoker::start(
        options,
        directory,
        Arc::clone(&outbox),
        stop.clone(),
        orphans,
    )
    .map_err(failed)?;

    let (never, _held) = shared::finish_line().map_err(failed)?;
    let (finished, finishing) = shared::finish_line().map_err(failed)?;
    let receiver: Arc<dyn Receiver> = Arc::clone(&invoker) as Arc<dyn Receiver>;
    let linked = Arc::clone(&outbox);
    thread::Builder::new()
        .name("link".into())
        .spawn(move || {
            link::serve(&settings, &linked, &receiver);
            drop(finishing);
        })
        .map_err(failed)?;

    while let Woken::Finished = shutdown.wait(&never) {}
    invoker.stop();
    let ending = Arc::clone(&outbox);
    thread::Builder::new()
        .name("ending".into())
        .spawn(move || {
            if !invoker.wait_quiet(grace) {
                stop.request();
                // What runs is ended, and a process that is asked no more.
                invoker.wait_quiet(2 * kill_grace + LAST_ANSWERS);
            }
            invoker.say_goodbye();
            ending.finish(false);
            thread::sleep(kill_grace + LAST_ANSWERS);
            // The broker does not take it. What was run and not acknowledged comes again.
            ending.finish(true);
        })
        .map_err(failed)?;
    let woken = shutdown.wait(&finished);
    shared::end_children();
    let status = match woken {
        Woken::Finished => ExitCode::SUCCESS,
        Woken::Signal(signal) => shared::exit_status(signal),
    };
    Ok(status)
}

fn settings(options: &Options, tls: Option<Tls>) -> Settings {
    let common = &options.common;
    // As many as can wait and run, and as many as are refused while answers are under way.
    let most = options.max_queue + options.max_actions * common.most_at_once;
    Settings {
        broker: options.broker.clone(),
        version: options.version,
        login: Login {
            client_id: options.client_id.clone(),
            user: options.user.clone(),
            password: options.password.clone(),
            keep_alive: options.keep_alive,
            session_expiry: options.session_expiry,
            receive_maximum: u16::try_from(most).unwrap_or(u16::MAX).max(64),
            will: invoker::offline(&options.topics),
        },
        tls,
        subscriptions: options.topics.subscriptions(),
        max_payload: usize::try_from(common.max_body).unwrap_or(usize::MAX),
        longest_pause: options.longest_pause,
    }
}
