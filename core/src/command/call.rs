//! One call of a hook's command: what it is told, and what becomes of what it prints.

use std::path::Path;

use super::{CommandLine, Hook, variables};
use crate::error::HookError;
use crate::message::{InitRequest, Received};
use crate::run::Logs;
use crate::run::env::Environment;
use crate::run::logs::{LogSink, Stream};
use crate::tool::{self, Kept, Tools, Unheld};

/// The entry point of an init that names none.
pub(crate) const MAIN: &str = "main";

/// The most that `env` may print: more than an environment holds.
const MAX_PRINTED: usize = 4 << 20;

/// A command that is to be run.
pub(crate) struct Call<'a> {
    pub hook: Hook,
    pub line: &'a CommandLine,
    /// Its working directory is the stage.
    pub tools: Tools<'a>,
    pub request: &'a InitRequest,
    pub received: Received,
    /// Empty where it is not known yet.
    pub source: &'a Path,
    /// The same.
    pub executable: &'a Path,
}

impl Call<'_> {
    /// Runs it, with its output in the logs.
    ///
    /// # Errors
    /// It could not be started, did not exit with status 0, or passed the limit.
    pub(crate) fn run(&self, logs: &mut Logs<'_>) -> Result<(), HookError> {
        let environment = self.environment();
        let tools = Tools {
            environment: &environment,
            ..self.tools
        };
        tools.run_logged(&self.line.words(), &self.told(), logs)
    }

    /// Runs it for the variables that it prints. Only where it fails what it printed is log.
    ///
    /// # Errors
    /// The same, and what it printed are no variables.
    pub(crate) fn variables(&self, logs: &mut Logs<'_>) -> Result<Environment, HookError> {
        let environment = self.environment();
        let tools = Tools {
            environment: &environment,
            ..self.tools
        };
        let mut kept = Printed {
            stdout: Kept {
                printed: Vec::new(),
                max_bytes: MAX_PRINTED + 1,
            },
            logs,
        };
        let mut unheld = Unheld::default();
        let ran = tools.run(
            &self.line.words(),
            &self.told(),
            &mut unheld,
            &mut Logs::to(&mut kept),
        );
        let printed = kept.stdout.printed;
        let read = ran
            .and_then(|(ended, cause)| tool::judge(self.line.program(), ended, cause))
            .and_then(|()| match printed.len() {
                ..=MAX_PRINTED => variables::parse(&printed),
                _ => Err(format!("it printed more than {MAX_PRINTED} bytes").into()),
            });
        if read.is_err() {
            logs.write(Stream::Stdout, &printed);
            unheld.end_line(logs);
        }
        read
    }

    fn environment(&self) -> Environment {
        let mut environment = self.tools.environment.clone();
        let mut tell = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            environment.set(name, value);
        };
        tell("ACTION_HOOK", &self.hook.name());
        tell("ACTION_STAGE", &self.tools.working_dir);
        tell("ACTION_SOURCE", &self.source);
        tell("ACTION_EXECUTABLE", &self.executable);
        tell("ACTION_MAIN", &main_of(self.request));
        tell("ACTION_NAME", &self.request.name.as_deref().unwrap_or(""));
        tell("ACTION_FORM", &self.received.word());
        environment
    }

    /// The value of the init message, in one line, its newline included.
    fn told(&self) -> Vec<u8> {
        let mut told = value_without_code(self.request, self.received);
        told.push(b'\n');
        told
    }
}

/// Keeps stdout, and hands the rest on.
struct Printed<'a, 'l> {
    stdout: Kept,
    logs: &'a mut Logs<'l>,
}

impl LogSink for Printed<'_, '_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.write(stream, bytes),
            Stream::Stderr => self.logs.write(stream, bytes),
        }
    }

    fn note(&mut self, line: &str) {
        self.logs.note(line);
    }
}

/// The entry point that a request names, or the usual one.
pub(crate) fn main_of(request: &InitRequest) -> &str {
    let main = request.main.as_deref().filter(|main| !main.is_empty());
    main.unwrap_or(MAIN)
}

/// The value of an init message as one line of JSON, without `code`.
pub(crate) fn value_without_code(request: &InitRequest, received: Received) -> Vec<u8> {
    let mut json = String::from("{");
    let mut field = |name: &str, value: &str| {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&quoted(name));
        json.push(':');
        json.push_str(value);
    };
    if let Some(name) = &request.name {
        field("name", &quoted(name));
    }
    if let Some(main) = &request.main {
        field("main", &quoted(main));
    }
    match received {
        Received::Nothing => {}
        Received::Text => field("binary", "false"),
        Received::Binary => field("binary", "true"),
    }
    if let Some(digest) = &request.sha256 {
        field("sha256", &quoted(&digest.to_string()));
    }
    let pairs = request.env.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| [name, value].map(|text| quoted(&text.to_string_lossy())))
        .map(|[name, value]| format!("{name}:{value}"))
        .collect();
    if !pairs.is_empty() {
        field("env", &format!("{{{}}}", pairs.join(",")));
    }
    for (name, value) in &request.fields {
        field(name, value.get());
    }
    json.push('}');
    // Between tokens only: inside a JSON string a line break cannot stand.
    json.retain(|character| !matches!(character, '\n' | '\r'));
    json.into_bytes()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn the_value_is_one_line_without_the_code() {
        let mut request = InitRequest {
            name: Some("a\n\"b\"".to_owned()),
            env: [("K", "v")].into(),
            ..InitRequest::default()
        };
        let raw = RawValue::from_string("[1,\n 1.00]".to_owned()).unwrap();
        request.fields.insert("annotations".to_owned(), raw);
        let line = value_without_code(&request, Received::Text);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            r#"{"name":"a\n\"b\"","binary":false,"env":{"K":"v"},"annotations":[1, 1.00]}"#
        );
        let nothing = value_without_code(&InitRequest::default(), Received::Nothing);
        assert_eq!(nothing, b"{}");
    }
}
