//! Serving: from the options to the exit status.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use actionproxy_core::{Action, ActionRunner, InitError, Stop};
use actionproxy_platforms::{OpenWhisk, Platform};
use may_minihttp::HttpServiceFactory;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Resource;

use crate::edge::{Connections, Edge, Factory};
use crate::logs::{LogStreams, Sharing};
use crate::options::Options;
use crate::process::{self, Orphans, OwnDir};
use crate::stub;
use crate::workers::Workers;

/// Descriptors that are not connections: pipes of actions, epoll, the logs.
const SPARE_DESCRIPTORS: u64 = 64;
/// A coroutine's stack in words: it reads heads and moves bytes, no more.
const STACK_WORDS: usize = 0x2000;
/// The stack of a thread that only waits, in bytes.
const SMALL_STACK: usize = 64 << 10;
/// Coroutines made at start; more are made when they are needed.
const POOLED_COROUTINES: usize = 8;

/// Serves until a signal ends it.
///
/// # Errors
/// One line that says why it cannot: the port, the action directory.
pub(crate) fn serve(
    runner: impl ActionRunner + 'static,
    mut options: Options,
) -> Result<ExitCode, String> {
    process::bound_kept_memory();
    // Before any other thread there is: a signal must find its handler.
    let signals = Signals::register().map_err(|e| format!("failed to handle signals: {e}"))?;
    process::keep_descriptors_from_actions();
    process::adopt_orphans();
    let platform = platform(&options)?;
    let own_dir = choose_action_dir(&mut options)?;
    let stop = Stop::new().map_err(|e| format!("failed to start: {e}"))?;
    let kill_grace = options.config.process.kill_grace;
    let action = open_action(&options, runner, stop.clone())?;
    let address = free_address(&options)?;

    let (sharing, most) = match options.allow_concurrent {
        true => (Sharing::ByLine, options.max_concurrent),
        false => (Sharing::Alone, 1),
    };
    let logs = LogStreams::new(sharing, platform.end_of_logs());
    let orphans = signals.orphans.clone();
    let workers = Workers::new(Arc::clone(&platform), action, logs, most, orphans);
    let workers = Arc::new(workers);
    workers
        .start()
        .map_err(|e| format!("failed to start a thread: {e}"))?;
    let connections = Connections::watch(most_connections(&options), options.idle_timeout)
        .map_err(|e| format!("failed to start a thread: {e}"))?;
    let edge = Arc::new(Edge::new(
        platform,
        Arc::clone(&workers),
        Arc::clone(&connections),
        options.max_body,
    ));
    configure_coroutines();
    let accepting = Factory(edge)
        .start(address)
        .map_err(|e| format!("failed to listen on {address}: {e}"))?;
    // Once more, for what the library opened.
    process::keep_descriptors_from_actions();
    if own_dir.is_some() || options.port == 0 {
        // Only here: in a container these logs are the first activation's.
        let dir = options.config.action_dir.display();
        note(format_args!(
            "listening on {address}, action directory {dir}"
        ));
    }

    thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || {
            // The library ends it where it has no memory for one more connection.
            let _ = accepting.join();
            note("no more connections can be accepted");
            process::end_children();
            std::process::exit(1);
        })
        .map_err(|e| format!("failed to start a thread: {e}"))?;
    // Made now: when the end comes, there may be no thread to be had.
    let (finished, finishing) = UnixStream::pair().map_err(|e| format!("failed to start: {e}"))?;
    let (begin_end, end_begun) = mpsc::channel::<()>();
    let grace = options.grace;
    let ending = Arc::clone(&workers);
    thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || {
            let _ = end_begun.recv();
            if !ending.wait_answered(grace) {
                stop.request();
                ending.wait_answered(kill_grace + Duration::from_secs(1));
            }
            // Short answers leave with the library a moment later; there is nothing to wait on.
            if connections.count() > 0 {
                thread::sleep(Duration::from_millis(20));
            }
            drop(finishing);
        })
        .map_err(|e| format!("failed to start a thread: {e}"))?;
    let first = signals.wait(&finished);
    workers.stop();
    let _ = begin_end.send(());
    let second = signals.wait(&finished);
    process::end_children();
    drop(own_dir);
    // Not a return: the library's threads have no end, and no reason to be waited for.
    std::process::exit(match (first, second) {
        (_, Woken::Signal(number)) => 128 + number,
        _ => 0,
    })
}

fn platform(options: &Options) -> Result<Arc<dyn Platform>, String> {
    match options.platform.as_str() {
        "openwhisk" => {}
        "knative" => {
            return Err(
                "__OW_RUNTIME_PLATFORM: expected \"openwhisk\", found \"knative\", which is not \
                 served yet"
                    .to_owned(),
            );
        }
        // As upstream does.
        other => note(format_args!(
            "__OW_RUNTIME_PLATFORM: expected \"openwhisk\", found {other:?}; serving openwhisk"
        )),
    }
    Ok(Arc::new(OpenWhisk {
        enforce_deadline: options.enforce_deadline,
    }))
}

/// `--action-dir`, else `/action` where it exists, else a directory of our own.
fn choose_action_dir(options: &mut Options) -> Result<Option<OwnDir>, String> {
    let given = options.action_dir.take();
    let usual = || Some(PathBuf::from("/action")).filter(|dir| dir.is_dir());
    if let Some(dir) = given.or_else(usual) {
        // The action runs in it: a relative path would mean something else there.
        options.config.action_dir = std::path::absolute(&dir)
            .map_err(|e| format!("action directory {}: {e}", dir.display()))?;
        return Ok(None);
    }
    let own = OwnDir::create()
        .map_err(|e| format!("failed to create a temporary action directory: {e}"))?;
    options.config.action_dir = own.path().to_path_buf();
    Ok(Some(own))
}

fn open_action(
    options: &Options,
    runner: impl ActionRunner + 'static,
    stop: Stop,
) -> Result<Action, String> {
    let stub = stub::file(&process::executable());
    Action::open(options.config.clone(), runner, &stub, stop).map_err(|e| match e {
        InitError::Io { .. } => format!("the action directory cannot be used: {e}"),
        e => e.to_string(),
    })
}

/// The address to listen on, seen to be free. The library would share a port that another process
/// listens on, and each would get some of the connections.
fn free_address(options: &Options) -> Result<SocketAddr, String> {
    let address = SocketAddr::new(options.host, options.port);
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|e| format!("failed to listen on {address}: {e}"))
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
        let used = SPARE_DESCRIPTORS + for_actions as u64;
        usize::try_from(limit.saturating_sub(used)).unwrap_or(usize::MAX)
    });
    options.max_connections.min(room.max(4))
}

fn configure_coroutines() {
    may::config()
        // Coroutines only move bytes, and all else has threads of its own. With a second worker
        // every connection is handed from the one that accepts to the other.
        .set_workers(1)
        .set_stack_size(STACK_WORDS)
        .set_pool_capacity(POOLED_COROUTINES)
        // Actions inherit the affinity of the thread that starts them.
        .set_worker_pin(false);
}

fn note(line: impl std::fmt::Display) {
    let _ = io::stderr().write_all(format!("{}: {line}\n", process::name()).as_bytes());
}

/// Why the main thread woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Signal(i32),
    Finished,
}

/// The signals that the main thread waits for.
struct Signals {
    terminate: UnixStream,
    interrupt: UnixStream,
    child: UnixStream,
    orphans: Orphans,
}

impl Signals {
    fn register() -> io::Result<Self> {
        process::let_signals_in()?;
        let pipe = |signal| {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, write)?;
            io::Result::Ok(read)
        };
        let (child, orphans) = Orphans::register()?;
        Ok(Signals {
            terminate: pipe(libc::SIGTERM)?,
            interrupt: pipe(libc::SIGINT)?,
            child,
            orphans,
        })
    }

    /// Waits for a signal to end, or for `finished` to be closed; reaps orphans meanwhile.
    fn wait(&self, finished: &UnixStream) -> Woken {
        loop {
            let mut fds = [&self.terminate, &self.interrupt, &self.child, finished]
                .map(|fd| PollFd::new(fd, PollFlags::IN));
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let [terminate, interrupt, child, finished] = fds.map(|fd| !fd.revents().is_empty());
            if child {
                drain(&self.child);
                process::reap_orphans();
            }
            if terminate {
                drain(&self.terminate);
                return Woken::Signal(libc::SIGTERM);
            }
            if interrupt {
                drain(&self.interrupt);
                return Woken::Signal(libc::SIGINT);
            }
            if finished {
                return Woken::Finished;
            }
        }
    }
}

/// Takes what the handler wrote: one byte a signal.
fn drain(mut pipe: &UnixStream) {
    let mut bytes = [0; 64];
    while io::Read::read(&mut pipe, &mut bytes).is_ok_and(|read| read == bytes.len()) {}
}
