//! The port that activations come to: the platform's paths and `/healthz`, as a service of HTTP.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use actionproxy_platforms::{self as platforms, Contract, Endpoint, Purpose};

use crate::http::{Exchange, Framing, Head, Refusal, Reply, Request, Route, Server, Service};
use crate::process;
use crate::workers::{ReplyTo, Source, Workers};

/// The service of the action's port.
pub(crate) struct ActionPort {
    workers: Arc<Workers>,
    endpoints: Vec<Endpoint>,
    /// Those of the endpoints, then the health path.
    routes: Vec<Route>,
}

impl ActionPort {
    pub(crate) fn new(contract: &dyn Contract, workers: Arc<Workers>) -> Self {
        let endpoints = contract.endpoints();
        let routes = endpoints
            .iter()
            .map(|endpoint| Route {
                path: endpoint.path,
                methods: endpoint.methods.clone(),
            })
            .chain([Route {
                path: "/healthz",
                methods: vec!["GET"],
            }])
            .collect();
        ActionPort {
            workers,
            endpoints,
            routes,
        }
    }
}

impl Service for ActionPort {
    fn routes(&self) -> &[Route] {
        &self.routes
    }

    fn admit(&self, route: usize, head: &Head) -> Result<(), Reply> {
        match self.endpoints.get(route).map(|endpoint| endpoint.purpose) {
            Some(Purpose::Run | Purpose::Either) if self.workers.is_stopping() => {
                Err(wire(self.workers.shutting_down()))
            }
            // Taken for no body, an init counts; a second one, with the code, comes too late.
            Some(Purpose::Init) if head.framing == Framing::None => Err(Refusal::LengthRequired(
                "An init needs a `Content-Length`, 0 where there is no body, or a chunked \
                     body."
                    .to_owned(),
            )
            .into()),
            _ => Ok(()),
        }
    }

    fn serve(&self, route: usize, request: Request, exchange: Exchange) {
        let Some(endpoint) = self.endpoints.get(route) else {
            return exchange.reply(Reply::json(200, self.workers.health()));
        };
        let Request { head, body } = request;
        let text = |value| String::from_utf8_lossy(value).into_owned();
        let request = platforms::Request {
            purpose: endpoint.purpose,
            method: head.method().to_owned(),
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            headers: head
                .fields()
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect(),
            body,
        };
        self.workers.submit(request, Box::new(Replying(exchange)));
    }

    fn fail(&self, why: &str) {
        process::end_in_order(why);
    }
}

/// Where requests come from, as the workers know it.
pub(crate) struct Arrivals(pub(crate) Arc<Server>);

impl Source for Arrivals {
    fn something(&self) -> BorrowedFd<'_> {
        self.0.something()
    }

    fn take(&self) {
        self.0.take_watch();
    }

    fn leave(&self) {
        self.0.leave_watch();
    }

    fn look(&self) {
        self.0.look();
    }
}

/// The place for a reply, as the workers know it.
struct Replying(Exchange);

impl ReplyTo for Replying {
    fn is_abandoned(&mut self) -> bool {
        self.0.is_abandoned()
    }

    fn reply(self: Box<Self>, reply: platforms::Reply) {
        self.0.reply(wire(reply));
    }

    fn abandon(self: Box<Self>) {
        self.0.abandon();
    }
}

/// A platform's reply as HTTP has it.
fn wire(reply: platforms::Reply) -> Reply {
    Reply {
        status: reply.status,
        content_type: reply.content_type,
        headers: reply.headers,
        body: reply.body,
    }
}
