//! Apache OpenWhisk: `POST /init` and `POST /run`, as `dockerskeleton`'s `actionproxy.py` defines
//! them and the invoker expects them.

use actionproxy_core::{Ended, Fault, InitError, Outcome, RunError, RunRequest};

use crate::invoker::{self, TooLate, init_request, init_text, keep_one_line, run_text, sentence};
use crate::message::{self, Body};
use crate::reply::{LogLine, Reply};
use crate::{Asked, Context, Contract, Done, Endpoint, Moment, Purpose, Request, Task};

mod answer;

use answer::Answer;

/// The OpenWhisk platform.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenWhisk {
    /// Whether a run is ended at the `deadline` of its message. Default: no, as upstream: the
    /// invoker ends it by removing the container.
    pub enforce_deadline: bool,
}

impl Contract for OpenWhisk {
    fn endpoints(&self) -> Vec<Endpoint> {
        [("/init", Purpose::Init), ("/run", Purpose::Run)]
            .map(|(path, purpose)| Endpoint {
                path,
                methods: vec!["POST"],
                purpose,
            })
            .to_vec()
    }

    fn decode(&self, request: Request, moment: Moment) -> Result<Asked, Reply> {
        match request.purpose {
            Purpose::Init => Ok(Asked {
                task: Task::Init(
                    init_request(request.body, message::variable).map_err(Answer::BadInit)?,
                ),
                logged: Vec::new(),
                context: Context::default(),
            }),
            Purpose::Run | Purpose::Either => self.run_request(request.body, moment),
        }
    }

    fn encode(&self, done: Done, _: &Context) -> Reply {
        match done {
            Done::Init(result) => init_reply(result),
            Done::Run(result) => run_reply(result),
            Done::Failed(text) => Answer::HostFailed(text).into(),
            Done::ShuttingDown => Answer::ShuttingDown.into(),
        }
    }

    fn end_of_logs(&self) -> &'static str {
        invoker::SENTINEL
    }
}

/// The id that a run message gives its activation, where it gives one and can be read.
pub fn activation_id(body: &[u8]) -> Option<String> {
    let Ok(Body::Object(message)) = message::parse(body) else {
        return None;
    };
    let fields = match message.value("activation") {
        None => message,
        Some(_) => message.object("activation").ok()??,
    };
    fields.value("activation_id").and_then(message::variable)
}

fn init_reply(result: Result<(), InitError>) -> Reply {
    let error = match result {
        Ok(()) => return Answer::Initialized.into(),
        Err(error) => error,
    };
    let answer = match &error {
        // Upstream's own words, where users look for them.
        InitError::AlreadyInitialized => {
            let line = LogLine::Stderr(Answer::AlreadyInitialized.to_string());
            return with_log(Answer::AlreadyInitialized, line);
        }
        InitError::TimedOut { limit, .. } => Answer::InitStopped(format!(
            "The initialization was stopped: it passed its time limit of {} ms.",
            limit.as_millis()
        )),
        error => match error.fault() {
            Fault::Host => Answer::HostFailed(sentence(init_text(error))),
            Fault::Action | Fault::Caller => Answer::InitFailed,
        },
    };
    with_log(answer, LogLine::Note(init_text(&error)))
}

fn run_reply(result: Result<Outcome, RunError>) -> Reply {
    let error = match result {
        Ok(Outcome { result, ended }) => {
            let mut reply = Reply::from(Answer::Result(result));
            if let Ended::Signaled(_) = ended {
                reply.logged.push(LogLine::Note(ended.to_string()));
            }
            return reply;
        }
        Err(error) => error,
    };
    let answer = match &error {
        RunError::Verify(_) => Answer::NoBinary,
        RunError::TimedOut { .. } | RunError::Stopped | RunError::ResultTooLarge { .. } => {
            Answer::RunStopped(sentence(run_text(&error)))
        }
        error => match error.fault() {
            Fault::Host => Answer::HostFailed(sentence(run_text(error))),
            Fault::Action | Fault::Caller => Answer::NoResult,
        },
    };
    with_log(answer, LogLine::Note(run_text(&error)))
}

fn with_log(answer: Answer, line: LogLine) -> Reply {
    let mut reply = Reply::from(answer);
    reply.logged.push(line);
    reply
}

impl OpenWhisk {
    /// Reads a run body. The argument keeps the body's buffer.
    fn run_request(&self, mut body: Vec<u8>, moment: Moment) -> Result<Asked, Reply> {
        let message = match message::parse(&body).map_err(Answer::BadRun)? {
            Body::Object(message) => message,
            Body::Other(_) => return Err(Answer::BadArgument.into()),
        };
        let argument = match message.value("value") {
            None => None,
            Some(value) => match message::kind(value) {
                "an object" | "an array" => Some(message::place(&body, value)),
                _ => return Err(Answer::BadArgument.into()),
            },
        };
        let (metadata, skip) = match message.value("activation") {
            None => (message, "value"),
            Some(_) => {
                let inner = message.object("activation").map_err(Answer::BadRun)?;
                (inner.unwrap_or_default(), "")
            }
        };
        let mut run = RunRequest::default();
        for (name, raw) in metadata.iter().filter(|(name, _)| *name != skip) {
            if let Some(value) = message::variable(raw) {
                run.env.set(format!("__OW_{}", name.to_uppercase()), value);
            }
        }
        let mut logged = Vec::new();
        if self.enforce_deadline {
            run.time_limit =
                invoker::deadline(&metadata, moment, &mut logged).map_err(|TooLate| {
                    let line = LogLine::Note(TooLate::TEXT.to_owned());
                    with_log(Answer::RunStopped(TooLate::TEXT.to_owned()), line)
                })?;
        }
        run.argument = match argument {
            None => b"{}".to_vec(),
            Some(range) => {
                keep_one_line(&mut body, range);
                body
            }
        };
        Ok(Asked {
            task: Task::Run(run),
            logged,
            context: Context::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use actionproxy_core::TimeLimit;

    use super::*;
    use crate::EndOfLogs;

    fn request(purpose: Purpose, body: &str) -> Request {
        Request {
            purpose,
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn at(seconds: u64, waited: u64) -> Moment {
        Moment {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            waited: Duration::from_secs(waited),
            initialized: true,
            raw: false,
        }
    }

    fn run(platform: OpenWhisk, body: &str, moment: Moment) -> Result<(RunRequest, usize), Reply> {
        let asked = platform.decode(request(Purpose::Run, body), moment)?;
        match asked.task {
            Task::Run(run) => Ok((run, asked.logged.len())),
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn a_run_is_its_argument_and_its_variables() {
        let body = "{\"value\": {\"a\":\n 1}, \"deadline\": \"5\", \"n\": 2, \"x\": null}";
        let (run, _) = run(OpenWhisk::default(), body, at(1, 0)).expect("a run");
        assert_eq!(run.argument, b"{\"a\": 1}");
        assert_eq!(run.env, [("__OW_DEADLINE", "5"), ("__OW_N", "2")].into());
        assert_eq!(run.time_limit, None);
    }

    #[test]
    fn a_deadline_counts_from_now_and_one_past_while_waiting_is_refused() {
        let strict = OpenWhisk {
            enforce_deadline: true,
        };
        let body = "{\"deadline\": \"5000\"}";
        let (found, _) = run(strict, body, at(3, 1)).expect("a run");
        assert_eq!(
            found.time_limit,
            Some(TimeLimit::Deadline(Duration::from_secs(2)))
        );
        let reply = run(strict, body, at(6, 2)).expect_err("too late");
        assert_eq!(
            (reply.status, reply.end_of_logs),
            (502, EndOfLogs::Sentinel)
        );
        assert_eq!(reply.logged.len(), 1);
        // Past when it came: the clocks differ.
        let (found, _) = run(strict, body, at(9, 1)).expect("a run");
        assert_eq!(found.time_limit, None);
        let (_, noted) = run(strict, "{\"deadline\": \"soon\"}", at(1, 0)).expect("a run");
        assert_eq!(noted, 1);
    }

    #[test]
    fn replies_have_the_statuses_of_the_contract() {
        let platform = OpenWhisk::default();
        let told = |done| {
            let reply = platform.encode(done, &Context::default());
            let body = String::from_utf8(reply.body).expect("text");
            (reply.status, reply.end_of_logs, body)
        };
        let ok = (200, EndOfLogs::Nothing, "OK".to_owned());
        assert_eq!(told(Done::Init(Ok(()))), ok);
        let outcome = Outcome {
            result: b"{\"r\":1}".to_vec(),
            ended: Ended::Exited(3),
        };
        let result = (200, EndOfLogs::Sentinel, "{\"r\":1}".to_owned());
        assert_eq!(told(Done::Run(Ok(outcome))), result);
        let (status, end, body) = told(Done::Init(Err(InitError::AlreadyInitialized)));
        assert_eq!((status, end), (403, EndOfLogs::Nothing));
        assert!(body.contains("more than once"), "{body}");
        let (status, end, _) = told(Done::ShuttingDown);
        assert_eq!((status, end), (503, EndOfLogs::Nothing));
        let (status, end, body) = told(Done::Failed("It broke.".to_owned()));
        assert_eq!((status, end), (500, EndOfLogs::Sentinel));
        assert_eq!(body, "{\"error\":\"It broke.\"}");
    }

    #[test]
    fn only_the_end_of_the_proxy_stops_what_it_began() {
        let platform = OpenWhisk::default();
        let reply = |done| platform.encode(done, &Context::default());
        let stopped = reply(Done::Run(Err(RunError::Stopped)));
        assert_eq!(
            (stopped.status, stopped.end_of_logs),
            (502, EndOfLogs::Sentinel)
        );
        let text = "{\"error\":\"The action was stopped: the proxy is shutting down.\"}";
        assert_eq!(String::from_utf8_lossy(&stopped.body), text);
        let line = "the action was stopped: the proxy is shutting down".to_owned();
        assert_eq!(stopped.logged, [LogLine::Note(line)]);
        let stopped = reply(Done::Init(Err(InitError::Stopped)));
        assert_eq!(
            (stopped.status, stopped.end_of_logs),
            (502, EndOfLogs::Sentinel)
        );
        let line = "init was stopped: the proxy is shutting down".to_owned();
        assert_eq!(stopped.logged, [LogLine::Note(line)]);
    }
}
