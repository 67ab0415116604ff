//! The single entrypoint of OpenWhisk's runtimes on Knative: every request goes to `/`, and says in
//! its body whether it initialises, runs, or both. As apache/openwhisk-runtime-docker and
//! apache/openwhisk-runtime-nodejs define it.

use actionproxy_core::{Code, Fault, InitError, InitRequest, Outcome, RunError, RunRequest};

use crate::invoker;
use crate::message::{self, Body, Fields};
use crate::reply::{EndOfLogs, LogLine, Reply};
use crate::{Asked, Context, Contract, Done, Endpoint, Moment, Purpose, Request, Task};

mod answer;
mod value;
mod web;

use answer::Answer;

/// The methods that a service may take.
pub const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"];

/// The single entrypoint.
#[derive(Debug, Clone)]
pub struct Knative {
    /// The methods taken at `/`, of [`METHODS`]. Default: POST.
    pub methods: Vec<&'static str>,
    /// What `__ow_user` is where the activation names no namespace. Default: nothing.
    pub namespace: String,
    /// Where code comes from. Default: from requests.
    pub code: Dedication,
    /// What a process is given. Default: the value alone.
    pub argument: Argument,
    /// Whether the logs of an activation end with a sentinel. Default: yes.
    pub end_of_logs: EndOfLogs,
}

impl Default for Knative {
    fn default() -> Self {
        Knative {
            methods: vec!["POST"],
            namespace: String::new(),
            code: Dedication::StemCell,
            argument: Argument::Value,
            end_of_logs: EndOfLogs::Sentinel,
        }
    }
}

/// Where the code of a runtime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedication {
    /// From a request.
    StemCell,
    /// It was given when the proxy started, and no request may bring other code.
    Dedicated,
}

/// What a process is given as its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// The value of the message: for a process per activation.
    Value,
    /// A message with the value and what is known of the activation, as OpenWhisk sends it: for a
    /// process that serves all.
    Message,
}

impl Contract for Knative {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![Endpoint {
            path: "/",
            methods: self.methods.clone(),
            purpose: Purpose::Either,
        }]
    }

    fn decode(&self, request: Request, moment: Moment) -> Result<Asked, Reply> {
        let context = Context {
            allow_headers: header(&request, "access-control-request-headers").map(str::to_owned),
        };
        self.asked(&request, moment)
            .map_err(|answer| {
                let mut reply = self.reply(answer);
                web::allow(&mut reply, context.allow_headers.as_deref());
                reply
            })
            .map(|(task, logged)| Asked {
                task,
                logged,
                context,
            })
    }

    fn encode(&self, done: Done, context: &Context) -> Reply {
        let allow_headers = context.allow_headers.as_deref();
        match done {
            Done::Init(result) => self.init_reply(result),
            Done::Run(result) => self.run_reply(result, allow_headers),
            Done::Failed(text) => self.reply(Answer::HostFailed(text)),
            Done::ShuttingDown => self.reply(Answer::ShuttingDown),
        }
    }

    fn end_of_logs(&self) -> &'static str {
        invoker::SENTINEL
    }
}

impl Knative {
    fn asked(&self, request: &Request, moment: Moment) -> Result<(Task, Vec<LogLine>), Answer> {
        let message = match message::parse(&request.body) {
            Ok(Body::Object(message)) => message,
            // What comes is the action's to read.
            Ok(Body::Other(_)) | Err(_) if moment.raw => Fields::default(),
            Ok(Body::Other(found)) => {
                let text = format!("The body: expected an object, found {found}.");
                return Err(Answer::BadRequest(text));
            }
            Err(text) => return Err(Answer::BadRequest(text)),
        };
        let init = message.object("init").map_err(Answer::BadRequest)?;
        let runs = message.value("value").is_some() || message.value("activation").is_some();
        let Some(init) = init else {
            if !moment.initialized {
                return Err(match self.code {
                    Dedication::StemCell => Answer::NotInitialized,
                    // It was tried when the proxy started, and the logs say why it failed.
                    Dedication::Dedicated => Answer::InitFailed,
                });
            }
            let run = self.run(request, &message, None, moment.raw)?;
            return Ok((Task::Run(run), Vec::new()));
        };
        if self.code == Dedication::Dedicated {
            return Err(Answer::Dedicated);
        }
        let raw = init.boolean("raw").map_err(Answer::BadRequest)?;
        let init_request = invoker::init_request_from(&init).map_err(Answer::BadRequest)?;
        if init_request.code.as_ref().is_none_or(Code::is_empty) {
            return Err(Answer::NoCode);
        }
        if !runs {
            return Ok((Task::Init(init_request), Vec::new()));
        }
        let name = init_request.name.clone();
        let run = self.run(request, &message, name.as_deref(), raw.unwrap_or(false))?;
        Ok((Task::InitThenRun(init_request, run), Vec::new()))
    }

    /// The run that a message asks for. `name` is the action's, where the activation names none.
    fn run(
        &self,
        request: &Request,
        message: &Fields<'_>,
        name: Option<&str>,
        raw: bool,
    ) -> Result<RunRequest, Answer> {
        let activation = message.object("activation").map_err(Answer::BadRequest)?;
        let activation = activation.unwrap_or_default();
        let mut run = RunRequest::default();
        for (key, value) in activation.iter() {
            if let Some(value) = message::variable(value) {
                run.env.set(format!("__OW_{}", key.to_uppercase()), value);
            }
        }
        let named = activation.string("action_name").ok().flatten();
        if let Some(name) = name.filter(|_| named.is_none_or(|named| named.is_empty())) {
            run.env.set("__OW_ACTION_NAME", name);
        }
        let namespace = activation.string("namespace").ok().flatten();
        let http = value::Http {
            method: &request.method,
            query: request.query.as_deref().unwrap_or_default(),
            headers: &request.headers,
            user: namespace.as_deref().unwrap_or(&self.namespace),
        };
        let value = message.value("value");
        let value = match raw {
            true => {
                let body = value::Entity::of(value, message, &request.body);
                value::raw(&http, &body)
            }
            false => value::with_context(&http, value).map_err(Answer::BadRequest)?,
        };
        run.argument = match self.argument {
            Argument::Value => value,
            Argument::Message => value::message(&value, &activation),
        };
        Ok(run)
    }

    fn init_reply(&self, result: Result<(), InitError>) -> Reply {
        let error = match result {
            Ok(()) => return self.reply(Answer::Initialized),
            Err(error) => error,
        };
        let answer = match &error {
            InitError::AlreadyInitialized => Answer::AlreadyInitialized,
            InitError::TimedOut { limit, .. } => Answer::InitStopped(format!(
                "The initialization was stopped: it passed its time limit of {} ms.",
                limit.as_millis()
            )),
            error if error.fault() == Fault::Host => {
                Answer::HostFailed(invoker::sentence(invoker::init_text(error)))
            }
            _ => Answer::InitFailed,
        };
        let mut reply = self.reply(answer);
        reply.logged.push(LogLine::Note(invoker::init_text(&error)));
        reply
    }

    fn run_reply(&self, result: Result<Outcome, RunError>, allow_headers: Option<&str>) -> Reply {
        let (answer, line) = match result {
            Ok(Outcome { result, .. }) => match web::reply(result, allow_headers) {
                Ok(mut reply) => {
                    reply.end_of_logs = self.end_of_logs;
                    return reply;
                }
                Err(web::BadStatus(text)) => (Answer::BadResult(text.clone()), text),
            },
            Err(error) => {
                let answer = match &error {
                    RunError::Verify(_) => Answer::NoBinary,
                    RunError::TimedOut { .. }
                    | RunError::Stopped
                    | RunError::ResultTooLarge { .. } => {
                        Answer::RunStopped(invoker::sentence(invoker::run_text(&error)))
                    }
                    error if error.fault() == Fault::Host => {
                        Answer::HostFailed(invoker::sentence(invoker::run_text(error)))
                    }
                    _ => Answer::NoResult,
                };
                (answer, invoker::run_text(&error))
            }
        };
        let mut reply = self.reply(answer);
        reply.logged.push(LogLine::Note(line));
        web::allow(&mut reply, allow_headers);
        reply
    }

    fn reply(&self, answer: Answer) -> Reply {
        let mut reply = Reply::from(answer);
        if self.end_of_logs == EndOfLogs::Nothing {
            reply.end_of_logs = EndOfLogs::Nothing;
        }
        reply
    }
}

/// The init of a runtime whose code is given when the proxy starts.
#[derive(Debug, Clone, Default)]
pub struct Dedicated {
    /// Text, or base64 of an archive.
    pub code: Vec<u8>,
    /// Whether it is base64.
    pub binary: bool,
    /// The entry point.
    pub main: Option<String>,
    /// The action's name.
    pub name: Option<String>,
}

impl Dedicated {
    /// The init that it stands for.
    pub fn into_init(self) -> InitRequest {
        InitRequest {
            name: self.name,
            main: self.main,
            code: Some(match self.binary {
                true => Code::Base64(self.code),
                false => Code::Text(self.code),
            }),
            ..InitRequest::default()
        }
    }
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let found = request
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}
