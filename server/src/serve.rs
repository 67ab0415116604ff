//! Serving: from the options to the exit status.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actionproxy_core::limits::explained;
use actionproxy_core::{Action, ActionRunner, InitError, Stop};
use actionproxy_platforms::Contract;
use rustix::process::Resource;

use crate::action_loop;
use crate::action_port::{ActionPort, Arrivals};
use crate::contract::{self, Served};
use crate::http::{self, Limits, Listener, Server};
use crate::logs::{LogStreams, Sharing};
use crate::metrics::Metrics;
use crate::operator::{self, Operator};
use crate::options::{Listen, Options};
use crate::process::{self, OwnDir};
use crate::shutdown::{self, Shutdown, Woken};
use crate::stub;
use crate::workers::{End, Workers};

/// Descriptors that are not connections: pipes of actions, epoll, the logs.
const SPARE_DESCRIPTORS: u64 = 64;
/// After KILL, how long replies and the action's end are waited for.
const LAST_REPLIES: Duration = Duration::from_secs(1);
/// The stack of a thread that only waits, in bytes.
const SMALL_STACK: usize = 64 << 10;

/// Serves until a signal ends it.
///
/// # Errors
/// One line that says why it cannot: the port, the action directory.
pub(crate) fn serve(
    runner: impl ActionRunner + 'static,
    mut options: Options,
) -> Result<ExitCode, String> {
    // First of all: who connects from now on waits, and is not refused.
    let listeners = listen(&options)?;
    let operator_listener = listen_for_operator(&options)?;
    process::keep_descriptors_from_actions();
    // Before there is another thread: a signal must find its handler.
    let shutdown =
        Shutdown::register().map_err(|e| format!("failed to handle signals: {}", explained(&e)))?;
    let coroutines = http::prepare_coroutines()
        .map_err(|e| format!("failed to start a thread: {}", explained(&e)))?;
    let Served {
        contract,
        prepared,
        warnings,
    } = contract::choose(&mut options)?;
    warnings.iter().for_each(note);
    let own_dir = choose_action_dir(&mut options)?;
    let stop = Stop::new().map_err(|e| format!("failed to start: {}", explained(&e)))?;
    let action = open_action(&options, runner)?;
    let places = announcement(&options, &listeners, own_dir.as_ref());
    let metrics = options.operator_port.map(|_| Arc::<Metrics>::default());
    let end = End {
        stop: stop.clone(),
        orphans: shutdown.orphans(),
    };
    let workers = start_workers(&options, &contract, action, end, metrics.clone())?;
    if let Some(init) = prepared {
        workers.prepare(init);
    }
    let port = ActionPort::new(&*contract, Arc::clone(&workers));
    let server = Server::new(listeners, Arc::new(port), limits(&options))
        .map_err(|e| format!("failed to start: {}", explained(&e)))?;
    workers.look_at(Box::new(Arrivals(Arc::clone(&server))));
    let mut servers = vec![Arc::clone(&server)];
    if let (Some(listener), Some(metrics)) = (operator_listener, metrics) {
        let operator = Operator {
            workers: Arc::clone(&workers),
            server: Arc::clone(&server),
            metrics,
            action_dir: options.config.action_dir.clone(),
        };
        servers.push(start_operator(operator, listener, &options)?);
    }
    let open = || servers.iter().for_each(|server| server.open());
    // The thread that is to work looks for requests already. What is not ready yet is needed when that
    // works, or when the end comes. Only a line that says where it listens has to come before any log.
    if places.is_empty() {
        open();
    }
    let ending = look_and_end(coroutines, &options, &server, &workers, stop)
        .inspect_err(|_| server.remove_paths())?;
    // From here on nothing fails that a start needs.
    places.iter().for_each(note);
    open();

    let first = shutdown.wait(&ending.finished);
    // In this order: the reply to a run that waits is the last of its connection.
    server.close_connections();
    workers.stop();
    let _ = ending.begin.send(());
    let second = shutdown.wait(&ending.finished);
    process::end_children();
    server.remove_paths();
    drop(own_dir);
    let status = match (first, second) {
        (_, Woken::Signal(signal)) => 128 + signal,
        _ if servers.iter().any(|server| server.has_failed()) => 2,
        _ => 0,
    };
    // Not a return: the threads have no end, and no reason to be waited for.
    std::process::exit(status)
}

/// Has the server look by itself once there can be coroutines, and prepares its end.
fn look_and_end(
    coroutines: JoinHandle<io::Result<()>>,
    options: &Options,
    server: &Arc<Server>,
    workers: &Arc<Workers>,
    stop: Stop,
) -> Result<Ending, String> {
    let failed = |e| format!("failed to start: {}", explained(&e));
    let prepared = coroutines.join();
    prepared
        .unwrap_or_else(|_| Err(io::Error::other("the library of coroutines panicked")))
        .and_then(|()| server.look_by_itself())
        .map_err(failed)?;
    let ending = Ending::prepare(options, server, workers, stop)?;
    process::check_descriptors().map_err(failed)?;
    Ok(ending)
}

/// What a service manager handed over, else the socket or port that is asked for.
fn listen(options: &Options) -> Result<Vec<Listener>, String> {
    let inherited = Listener::inherited(|name| std::env::var_os(name))?;
    if !inherited.is_empty() {
        return Ok(inherited);
    }
    let address = SocketAddr::new(options.host, options.port);
    let listener = match &options.listen {
        Listen::Tcp => Listener::tcp(address)
            .map_err(|e| format!("failed to listen on {address}: {}", explained(&e))),
        Listen::Unix(path) => Listener::unix(path, options.listen_mode)
            .map_err(|e| format!("failed to listen on unix:{}: {e}", path.display())),
    };
    listener.map(|listener| vec![listener])
}

/// The operator's port, where one is asked for.
fn listen_for_operator(options: &Options) -> Result<Option<Listener>, String> {
    let Some(port) = options.operator_port else {
        return Ok(None);
    };
    let address = SocketAddr::new(options.host, port);
    let listener = Listener::tcp(address).map_err(|e| {
        let e = explained(&e);
        format!("failed to listen on {address}, the operator's port: {e}")
    })?;
    Ok(Some(listener))
}

/// What is said of where it listens. Only where that cannot be known otherwise, and to a person: in a
/// container these logs are the first activation's.
fn announcement(
    options: &Options,
    listeners: &[Listener],
    own_dir: Option<&OwnDir>,
) -> Vec<String> {
    let is_chosen_here = own_dir.is_some() || (options.port == 0 && options.listen == Listen::Tcp);
    if !is_chosen_here && !io::stderr().is_terminal() {
        return Vec::new();
    }
    let dir = options.config.action_dir.display();
    let line = |listener| format!("listening on {listener}, action directory {dir}");
    listeners.iter().map(line).collect()
}

fn start_workers(
    options: &Options,
    contract: &Arc<dyn Contract>,
    action: Action,
    end: End,
    metrics: Option<Arc<Metrics>>,
) -> Result<Arc<Workers>, String> {
    // One process answers one question after the other, whatever is allowed.
    let overlaps = options.allow_concurrent && !options.action_loop.is_served;
    let (sharing, most) = match overlaps {
        true => (Sharing::ByLine, options.max_concurrent),
        false => (Sharing::Alone, 1),
    };
    let limit = options.config.process.timeout;
    let logs = LogStreams::new(sharing, contract.end_of_logs(), limit, metrics.clone());
    Workers::start(Arc::clone(contract), action, logs, most, end, metrics)
        .map_err(|e| format!("failed to start a thread: {}", explained(&e)))
}

fn start_operator(
    operator: Operator,
    listener: Listener,
    options: &Options,
) -> Result<Arc<Server>, String> {
    let server = operator
        .start(listener, options.idle_timeout)
        .map_err(|e| format!("failed to serve the operator's port: {}", explained(&e)))?;
    // Once more, for what the library opened.
    process::keep_descriptors_from_actions();
    Ok(server)
}

fn limits(options: &Options) -> Limits {
    Limits {
        max_body: options.max_body,
        max_connections: most_connections(options),
        idle: options.idle_timeout,
    }
}

/// The thread that waits for the last replies. It is made at the start: when the end comes, there
/// may be no thread to be had.
struct Ending {
    begin: mpsc::Sender<()>,
    finished: OwnedFd,
}

impl Ending {
    fn prepare(
        options: &Options,
        server: &Arc<Server>,
        workers: &Arc<Workers>,
        stop: Stop,
    ) -> Result<Self, String> {
        let (finished, finishing) =
            shutdown::finish_line().map_err(|e| format!("failed to start: {}", explained(&e)))?;
        let (begin, begun) = mpsc::channel();
        let (server, workers) = (Arc::clone(server), Arc::clone(workers));
        let (grace, kill_grace) = (options.grace, options.config.process.kill_grace);
        thread::Builder::new()
            .name("ending".into())
            .stack_size(SMALL_STACK)
            .spawn(move || {
                let _ = begun.recv();
                if !server.wait_replied(grace) {
                    stop.request();
                    server.wait_replied(kill_grace + LAST_REPLIES);
                }
                workers.end(kill_grace + LAST_REPLIES);
                drop(finishing);
            })
            .map_err(|e| format!("failed to start a thread: {}", explained(&e)))?;
        Ok(Ending { begin, finished })
    }
}

/// `--action-dir`, else `/action` where it exists, else a directory of our own.
fn choose_action_dir(options: &mut Options) -> Result<Option<OwnDir>, String> {
    let given = options.action_dir.take();
    let usual = || match options.action_loop.is_served {
        true => Some(PathBuf::from(action_loop::ACTION_DIR)),
        false => Some(PathBuf::from("/action")).filter(|dir| dir.is_dir()),
    };
    if let Some(dir) = given.or_else(usual) {
        // The action runs in it: a relative path would mean something else there.
        options.config.action_dir = std::path::absolute(&dir)
            .map_err(|e| format!("action directory {}: {e}", dir.display()))?;
        return Ok(None);
    }
    let own = OwnDir::create().map_err(|e| {
        format!(
            "failed to create a temporary action directory: {}",
            explained(&e)
        )
    })?;
    options.config.action_dir = own.path().to_path_buf();
    Ok(Some(own))
}

fn open_action(options: &Options, runner: impl ActionRunner + 'static) -> Result<Action, String> {
    let mut config = options.config.clone();
    config.stub = Some(stub::file(&process::executable()));
    Action::open(config, runner).map_err(|e| match e {
        InitError::Io { .. } => format!("the action directory cannot be used: {e}"),
        e => e.to_string(),
    })
}

/// As many as wanted, as far as descriptors go: without one, accepting would spin.
fn most_connections(options: &Options) -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let for_actions = 5 * if options.allow_concurrent {
        options.max_concurrent
    } else {
        1
    };
    let room = limit.map_or(usize::MAX, |limit| {
        // Each port its own.
        let for_operator = options
            .operator_port
            .map_or(0, |_| operator::most_connections());
        let used = SPARE_DESCRIPTORS + (for_actions + for_operator) as u64;
        usize::try_from(limit.saturating_sub(used)).unwrap_or(usize::MAX)
    });
    options.max_connections.min(room.max(4))
}

fn note(line: impl std::fmt::Display) {
    let _ = io::stderr().write_all(format!("{}: {line}\n", process::name()).as_bytes());
}
