//! OpenWhisk's ActionLoop: `POST /init` and `POST /run` as the Go proxy of the language runtimes
//! (apache/openwhisk-runtime-go) has them, in front of one process for all activations.
//!
//! The messages are those of the invoker. A run is not taken apart: its whole message is what the
//! process is asked.

use actionproxy_core::{
    Fault, Greeting, InitError, Outcome, RawValue, RunError, RunRequest, StartError, VerifyError,
    When,
};

use crate::invoker::{self, TooLate, init_request, init_text, keep_one_line, run_text, sentence};
use crate::message::{self, Body};
use crate::reply::{EndOfLogs, LogLine, Reply};
use crate::{Asked, Context, Contract, Done, Endpoint, Moment, Purpose, Request, Task};

mod answer;

use answer::Answer;

/// The ActionLoop contract.
#[derive(Debug, Clone, Copy)]
pub struct ActionLoop {
    /// Where the reason of a failed init goes.
    pub init_errors: InitErrors,
    /// Whether a run is ended at the `deadline` of its message.
    pub enforce_deadline: bool,
}

/// Where the reason of a failed init goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitErrors {
    /// Into the answer; no sentinels.
    InAnswer,
    /// To stderr, with one sentinel on each stream; the answer says so (`OW_LOG_INIT_ERROR`).
    InLogs,
}

impl Contract for ActionLoop {
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
            Purpose::Init => {
                let mut init = init_request(request.body, variable).map_err(|text| {
                    Answer::BadInit(format!("Error unmarshaling request: {text}"))
                })?;
                // Nothing that could be run, whatever it is called.
                init.code = init.code.filter(|code| !code.is_empty());
                Ok(Asked {
                    task: Task::Init(init),
                    logged: Vec::new(),
                    context: Context::default(),
                })
            }
            Purpose::Run | Purpose::Either => self.run_request(request.body, moment),
        }
    }

    fn encode(&self, done: Done, _: &Context) -> Reply {
        match done {
            Done::Init(Ok(())) => Answer::Initialized.into(),
            Done::Init(Err(error)) => self.failed_init(&error),
            Done::Run(Ok(Outcome { result, .. })) => Answer::Result(result).into(),
            Done::Run(Err(error)) => failed_run(&error),
            Done::Failed(text) => Answer::HostFailed(text).into(),
            Done::ShuttingDown => Answer::ShuttingDown.into(),
        }
    }

    fn end_of_logs(&self) -> &'static str {
        invoker::SENTINEL
    }
}

impl ActionLoop {
    /// The message is what is asked: it keeps its buffer, and is read only to know that it is one, and
    /// for its deadline.
    fn run_request(&self, mut body: Vec<u8>, moment: Moment) -> Result<Asked, Reply> {
        let message = match message::parse(&body).map_err(Answer::BadRun)? {
            Body::Object(message) => message,
            Body::Other(found) => {
                let text = format!("The body: expected an object, found {found}.");
                return Err(Answer::BadRun(text).into());
            }
        };
        let mut logged = Vec::new();
        let mut run = RunRequest::default();
        if self.enforce_deadline {
            run.time_limit =
                invoker::deadline(&message, moment, &mut logged).map_err(|TooLate| {
                    let answer = Answer::RunStopped(TooLate::TEXT.to_owned());
                    with_log(answer, [LogLine::Note(TooLate::TEXT.to_owned())])
                })?;
        }
        // Before the brace only white space and a byte order mark can stand; a body without one counts
        // as an empty object.
        run.argument = match memchr::memchr(b'{', &body) {
            None => b"{}".to_vec(),
            Some(start) => {
                let range = start..body.len();
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

    fn failed_init(&self, error: &InitError) -> Reply {
        let note = || LogLine::Note(init_text(error));
        match error {
            InitError::AlreadyInitialized => {
                let line = LogLine::Stderr(Answer::AlreadyInitialized.to_string());
                with_log(Answer::AlreadyInitialized, [line])
            }
            InitError::NoCode => Answer::NoCode.into(),
            InitError::TimedOut { limit, .. } => {
                let answer = Answer::InitStopped(format!(
                    "The initialization was stopped: it passed its time limit of {} ms.",
                    limit.as_millis()
                ));
                self.ended(with_log(answer, [note()]))
            }
            InitError::Decode { reason } => {
                Answer::BadInit(format!("cannot decode the request: {reason}")).into()
            }
            InitError::Hook { source, .. } => self.not_built(source.to_string()),
            error if error.fault() == Fault::Host => self.ended(with_log(
                Answer::HostFailed(sentence(init_text(error))),
                [note()],
            )),
            InitError::Start(e) => self.not_started(start_reason(e), note()),
            InitError::NoExecutable { .. } | InitError::Verify(VerifyError::Missing { .. }) => {
                self.not_started("command exited".to_owned(), note())
            }
            error => self.not_built(init_text(error)),
        }
    }

    fn not_built(&self, reason: String) -> Reply {
        match self.init_errors {
            InitErrors::InAnswer => Answer::NotBuilt(reason).into(),
            InitErrors::InLogs => with_log(Answer::NotBuiltSeeLogs, [LogLine::Stderr(reason)]),
        }
    }

    /// The reason has the peer's words; `detail` says more, in the logs.
    fn not_started(&self, reason: String, detail: LogLine) -> Reply {
        match self.init_errors {
            InitErrors::InAnswer => with_log(Answer::NotStarted(reason), [detail]),
            InitErrors::InLogs => {
                with_log(Answer::NotStartedSeeLogs, [LogLine::Stderr(reason), detail])
            }
        }
    }

    /// With sentinels, where the logs are where reasons are looked for.
    fn ended(&self, mut reply: Reply) -> Reply {
        if self.init_errors == InitErrors::InLogs {
            reply.end_of_logs = EndOfLogs::Sentinel;
        }
        reply
    }
}

/// Strings as they are, everything else as JSON, null too.
fn variable(raw: &RawValue) -> Option<String> {
    message::variable(raw).or_else(|| Some(raw.get().to_owned()))
}

fn start_reason(error: &StartError) -> String {
    match error {
        StartError::OtherEnvironment { .. } => {
            "Execution environment version mismatch. See logs for details.".to_owned()
        }
        StartError::Ended {
            greeting: Greeting::Ack,
            ..
        } => "Command exited abruptly during initialization.".to_owned(),
        StartError::BadAck { reason } => reason.clone(),
        _ => "command exited".to_owned(),
    }
}

fn failed_run(error: &RunError) -> Reply {
    let answer = match error {
        RunError::NotInitialized => return Answer::NoAction.into(),
        RunError::Ended {
            when: When::Now, ..
        } => Answer::Exited,
        RunError::Ended {
            when: When::Earlier,
            ..
        } => Answer::ExitedBefore,
        RunError::TimedOut { .. } | RunError::Stopped | RunError::ResultTooLarge { .. } => {
            Answer::RunStopped(sentence(run_text(error)))
        }
        RunError::BadLine { .. } | RunError::NoResult { .. } => Answer::NoResult,
        error => Answer::HostFailed(sentence(run_text(error))),
    };
    with_log(answer, [LogLine::Note(run_text(error))])
}

fn with_log<const N: usize>(answer: Answer, lines: [LogLine; N]) -> Reply {
    let mut reply = Reply::from(answer);
    reply.logged.extend(lines);
    reply
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use actionproxy_core::{Code, Ended, HookError, InitRequest};

    use super::*;

    fn decode(purpose: Purpose, body: &str) -> Result<Task, Reply> {
        let request = Request {
            purpose,
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers: Vec::new(),
            body: body.into(),
        };
        let moment = Moment {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(6),
            waited: Duration::from_secs(2),
            initialized: true,
            raw: false,
        };
        strict(InitErrors::InAnswer)
            .decode(request, moment)
            .map(|asked| asked.task)
    }

    fn strict(init_errors: InitErrors) -> ActionLoop {
        ActionLoop {
            init_errors,
            enforce_deadline: true,
        }
    }

    fn init(body: &str) -> InitRequest {
        match decode(Purpose::Init, body) {
            Ok(Task::Init(init)) => init,
            other => panic!("not an init: {other:?}"),
        }
    }

    fn run(body: &str) -> RunRequest {
        match decode(Purpose::Run, body) {
            Ok(Task::Run(run)) => run,
            other => panic!("not a run: {other:?}"),
        }
    }

    fn told(reply: &Reply) -> (u16, EndOfLogs, &str) {
        let body = std::str::from_utf8(&reply.body).expect("text");
        (reply.status, reply.end_of_logs, body)
    }

    #[test]
    fn the_question_is_the_message_in_one_line() {
        let body = "\u{feff} {\"value\":\r\n {\"a\": \"ü\\n\"},\n \"n\": 1}";
        assert_eq!(
            run(body).argument,
            "{\"value\": {\"a\": \"ü\\n\"}, \"n\": 1}".as_bytes()
        );
        for nothing in ["", " ", "null", "{}"] {
            assert_eq!(run(nothing).argument, b"{}", "{nothing:?}");
        }
        assert_eq!(
            run("{\"deadline\":\"9000\"}")
                .time_limit
                .map(|l| l.duration()),
            Some(Duration::from_secs(3))
        );
        let late = decode(Purpose::Run, "{\"deadline\":\"5000\"}").expect_err("too late");
        assert_eq!((late.status, late.end_of_logs), (502, EndOfLogs::Sentinel));
    }

    #[test]
    fn empty_code_is_none() {
        for body in ["", "{}", "{\"value\":{\"code\":\"\"}}"] {
            assert_eq!(init(body).code, None, "{body}");
        }
        let body = "{\"value\":{\"code\":\"eA==\",\"binary\":true}}";
        assert_eq!(init(body).code, Some(Code::Base64(b"eA==".to_vec())));
    }

    #[test]
    fn answers_have_the_peers_statuses_texts_and_newlines() {
        use EndOfLogs::{Nothing, Sentinel};
        let contract = strict(InitErrors::InAnswer);
        let encode = |done| contract.encode(done, &Context::default());
        let reply = encode(Done::Init(Ok(())));
        assert_eq!(told(&reply), (200, Nothing, "{\"ok\":true}\n"));
        let reply = encode(Done::Init(Err(InitError::NoCode)));
        let text = "{\"error\":\"Missing main/no code to execute.\"}\n";
        assert_eq!(told(&reply), (403, Nothing, text));
        let reply = encode(Done::Run(Err(RunError::NotInitialized)));
        let text = "{\"error\":\"no action defined yet\"}\n";
        assert_eq!(told(&reply), (500, Sentinel, text));
        for (when, status) in [(When::Now, 400), (When::Earlier, 500)] {
            let reply = encode(Done::Run(Err(RunError::Ended {
                when,
                ended: Ended::Exited(3),
                reason: None,
            })));
            assert_eq!(
                told(&reply),
                (status, Sentinel, "{\"error\":\"command exited\"}\n")
            );
        }
        let reply = encode(Done::ShuttingDown);
        assert_eq!((reply.status, reply.end_of_logs), (503, Nothing));
    }

    #[test]
    fn the_reason_of_a_failed_init_is_in_the_answer_or_in_the_logs() {
        let error = || InitError::Hook {
            hook: "build",
            source: HookError::from("line 3\n"),
        };
        let encode = |to, error| strict(to).encode(Done::Init(Err(error)), &Context::default());
        let reply = encode(InitErrors::InAnswer, error());
        let text = "{\"error\":\"line 3\\n\"}\n";
        assert_eq!(told(&reply), (502, EndOfLogs::Nothing, text));
        assert_eq!(reply.logged, []);
        let reply = encode(InitErrors::InLogs, error());
        assert_eq!(
            (reply.status, reply.end_of_logs),
            (502, EndOfLogs::Sentinel)
        );
        assert_eq!(reply.logged, [LogLine::Stderr("line 3\n".to_owned())]);
        let error = || {
            InitError::Start(StartError::Ended {
                greeting: Greeting::Ack,
                ended: Ended::Exited(3),
            })
        };
        let reply = encode(InitErrors::InAnswer, error());
        let text =
            "{\"error\":\"cannot start action: Command exited abruptly during initialization.\"}\n";
        assert_eq!(told(&reply), (502, EndOfLogs::Nothing, text));
        let reply = encode(InitErrors::InLogs, error());
        let text = "{\"error\":\"Cannot start action. Check logs for details.\"}\n";
        assert_eq!(told(&reply), (502, EndOfLogs::Sentinel, text));
        assert_eq!(reply.logged.len(), 2);
    }
}
