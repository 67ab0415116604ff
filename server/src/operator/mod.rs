//! The operator's port: health, readiness and metrics, away from the port of activations.
//!
//! ```text
//! client <─> http: head, limits, time ─> Port ─> thread ─> Library (may_minihttp) ─> Operator
//! ```
//! Clients meet the same server as on the port of activations, with its limits and refusals. What
//! it lets through, a path that is known and GET, is answered by `may_minihttp` (see [`library`]): by
//! one thread, one after the other, since an answer is made from what is in memory.

mod library;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use may_minihttp::{HttpService, Request, Response};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::Resource;

use crate::http::{self, Exchange, Head, Limits, Listener, Refusal, Reply, Route, Server, Service};
use crate::metrics::{Metrics, Present};
use crate::process;
use crate::workers::Workers;
use library::Library;

/// The paths, as routes have them.
const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// More than probes and scrapers need.
const MAX_CONNECTIONS: usize = 64;
/// The part of the process's descriptors that connections to this port may take: one in so many.
const SHARE: u64 = 8;
/// The longest body in bytes; none means anything.
const MAX_BODY: u64 = 64 << 10;
/// The stack of the thread that asks the library, in bytes.
const SMALL_STACK: usize = 64 << 10;

/// The most connections to this port, as far as descriptors go: the port of activations must not be
/// short of them.
pub(crate) fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let share = limit.map_or(u64::MAX, |limit| limit / SHARE);
    usize::try_from(share).map_or(MAX_CONNECTIONS, |share| share.clamp(1, MAX_CONNECTIONS))
}

/// What the port tells of.
pub(crate) struct Operator {
    pub workers: Arc<Workers>,
    pub server: Arc<Server>,
    pub metrics: Arc<Metrics>,
    pub action_dir: PathBuf,
}

impl Operator {
    /// Makes ready to serve on `listener`. It accepts once the server that comes back is opened.
    ///
    /// # Errors
    /// There is no thread, descriptor, memory or loopback device for it.
    pub(crate) fn start(self, listener: Listener, idle: Duration) -> io::Result<Arc<Server>> {
        let mut library = Library::open(Answers(Arc::new(self)))?;
        let (ask, asked) = mpsc::channel::<Question>();
        thread::Builder::new()
            .name("operator".into())
            .stack_size(SMALL_STACK)
            .spawn(move || {
                for Question { path, exchange } in asked {
                    let answer = library.ask(path);
                    exchange.reply(answer.unwrap_or_else(|_| Refusal::Failed.into()));
                }
            })?;
        let limits = Limits {
            max_body: MAX_BODY,
            max_connections: most_connections(),
            idle,
        };
        let server = Server::new(vec![listener], Arc::new(Port::new(ask)), limits)?;
        server.look_by_itself()?;
        Ok(server)
    }

    /// Why the proxy is not ready for activations, if it is not.
    fn is_not_ready(&self) -> Option<String> {
        if self.workers.is_stopping() {
            return Some("stopping".to_owned());
        }
        if let Some(why) = self.workers.is_unprepared() {
            return Some(why.to_owned());
        }
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, &self.action_dir, needed, AtFlags::EACCESS)
            .err()
            .map(|e| format!("action directory {}: {e}", self.action_dir.display()))
    }

    fn answer(&self, path: &str) -> Answer {
        match path {
            "/healthz" => Answer::json(200, "OK", self.workers.health()),
            "/readyz" => match self.is_not_ready() {
                None => Answer::json(200, "OK", "{\"status\":\"ready\"}".to_owned()),
                Some(why) => {
                    let body = serde_json::json!({ "error": why }).to_string();
                    Answer::json(503, "Service Unavailable", body)
                }
            },
            _ => {
                let (waiting, running) = self.workers.load();
                let present = Present {
                    waiting,
                    running,
                    connections: self.server.connections(),
                };
                Answer {
                    code: 200,
                    phrase: "OK",
                    media: "Content-Type: text/plain; version=0.0.4; charset=utf-8",
                    body: self.metrics.page(present),
                }
            }
        }
    }
}

struct Answer {
    code: usize,
    phrase: &'static str,
    media: &'static str,
    body: String,
}

impl Answer {
    fn json(code: usize, phrase: &'static str, body: String) -> Self {
        Answer {
            code,
            phrase,
            media: "Content-Type: application/json",
            body,
        }
    }
}

/// The operator as a service of the library, which is asked for [`PATHS`] only.
#[derive(Clone)]
struct Answers(Arc<Operator>);

impl HttpService for Answers {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        let answer = self.0.answer(request.path());
        response.status_code(answer.code, answer.phrase);
        response.header(answer.media);
        response.body_vec(answer.body.into_bytes());
        Ok(())
    }
}

/// What the library is asked, and where the answer goes.
struct Question {
    path: &'static str,
    exchange: Exchange,
}

/// The service of clients.
struct Port {
    routes: Vec<Route>,
    ask: Mutex<Sender<Question>>,
}

impl Port {
    fn new(ask: Sender<Question>) -> Self {
        let route = |path| Route {
            path,
            methods: vec!["GET"],
        };
        Port {
            routes: PATHS.map(route).into(),
            ask: Mutex::new(ask),
        }
    }
}

impl Service for Port {
    fn routes(&self) -> &[Route] {
        &self.routes
    }

    fn admit(&self, _route: usize, _head: &Head) -> Result<(), Reply> {
        Ok(())
    }

    fn serve(&self, route: usize, _request: http::Request, exchange: Exchange) {
        if let Some(&path) = PATHS.get(route) {
            let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner);
            // Without a thread that takes it, the exchange says that it failed.
            let _ = ask.send(Question { path, exchange });
        }
    }

    fn fail(&self, why: &str) {
        process::end_in_order(why);
    }
}
