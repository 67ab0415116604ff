//! The operator's port: health, readiness and metrics, away from the port of activations.
//!
//! Served by `may_minihttp`. It takes at most sixteen headers, knows no bodies without a length and
//! has no limits of time, which is why it does not serve activations; probes and scrapers need
//! none of that. This port is for them alone.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::net::Shutdown;
use rustix::process::Resource;

use crate::http::Server;
use crate::metrics::{Metrics, Present};
use crate::workers::Workers;

/// More than probes and scrapers need; the library itself has no limit.
const MAX_CONNECTIONS: usize = 64;
/// The part of the process's descriptors that connections to this port may take: one in so many.
const SHARE: u64 = 8;
/// How long accepting waits where there are too many, for those that were told to end to be gone.
const PAUSE: Duration = Duration::from_millis(1);

/// The most connections to this port, as far as descriptors go. Without a descriptor the library
/// would try to accept for ever, and let nothing else have its turn.
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
    /// Serves on `address`.
    ///
    /// # Errors
    /// The port is in use, or not for this user.
    pub(crate) fn start(self, address: SocketAddr) -> io::Result<()> {
        // The library shares its port with whoever asks for that too, so it is seen to be free
        // first. Port 0 is left to it; nobody could be told which it took.
        drop(TcpListener::bind(address)?);
        let factory = Factory {
            operator: Arc::new(self),
            open: Arc::default(),
            most: most_connections(),
        };
        factory.start(address).map(drop)
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

    fn answer(&self, method: &str, path: &str) -> Answer {
        let path = path.split('?').next().unwrap_or(path);
        let known = ["/healthz", "/readyz", "/metrics"];
        if !known.contains(&path) {
            let text = format!(
                "There is nothing at {path:?}; expected {}.",
                known.join(", ")
            );
            return Answer::error(404, "Not Found", &text);
        }
        if method != "GET" {
            let text = format!("{path} does not take {method:?}; expected GET.");
            return Answer::error(405, "Method Not Allowed", &text);
        }
        match path {
            "/healthz" => Answer::json(200, "OK", self.workers.health()),
            "/readyz" => match self.is_not_ready() {
                None => Answer::json(200, "OK", "{\"status\":\"ready\"}".to_owned()),
                Some(why) => Answer::error(503, "Service Unavailable", &why),
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

    fn error(code: usize, phrase: &'static str, text: &str) -> Self {
        Answer::json(
            code,
            phrase,
            serde_json::json!({ "error": text }).to_string(),
        )
    }
}

struct Factory {
    operator: Arc<Operator>,
    open: Arc<AtomicUsize>,
    most: usize,
}

impl HttpServiceFactory for Factory {
    type Service = Connection;

    fn new_service(&self, id: usize) -> Connection {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            // JUSTIFICATION: the library keeps the stream to itself and hands out its number.
            // SAFETY: it calls this before it lets go of the stream whose number it is.
            let socket = unsafe { BorrowedFd::borrow_raw(id as i32) };
            // The library then sees the connection's end. This is the coroutine that accepts: a burst
            // must not use up the descriptors before that.
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
            may::coroutine::sleep(PAUSE);
        }
        Connection {
            operator: Arc::clone(&self.operator),
            open: Arc::clone(&self.open),
        }
    }
}

struct Connection {
    operator: Arc<Operator>,
    open: Arc<AtomicUsize>,
}

impl HttpService for Connection {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        let answer = self.operator.answer(request.method(), request.path());
        response.status_code(answer.code, answer.phrase);
        response.header(answer.media);
        response.body_vec(answer.body.into_bytes());
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
