//! An invoker on a Unix socket: several actions, each with a directory of its own, as many runs at once
//! as are asked for, and each of them can be cancelled.
//!
//! One JSON message a line, one answer a line, in the order in which they are done; `id` is the client's.
//!
//! ```text
//! {"id":1,"init":{"action":"greet","code":"#!/bin/sh\n…"}}   ->  {"id":1,"ok":true}
//! {"id":2,"run":{"action":"greet","value":{"n":1}}}          ->  {"id":2,"stream":"stderr","line":"…"}
//!                                                                {"id":2,"result":{…}}
//! {"id":3,"cancel":2}                                        ->  {"id":3,"ok":true}
//!                                                                {"id":2,"error":"the action was stopped"}
//! ```
//! What a client that goes away has begun is ended.
//!
//! `cargo run -p actionproxy-core --example socket_invoker SOCKET DIRECTORY`

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;

use actionproxy_core::{
    Action, Code, Config, InitRequest, Lines, Logs, NativeRunner, Reinit, RunRequest, Stop, Stream,
};
use serde_json::{Value, json};

type Answer = Result<Value, Box<dyn Error>>;
type Named<T> = Mutex<HashMap<String, T>>;

/// The actions. A run shares its action with others; an init has it alone.
struct Invoker {
    dir: PathBuf,
    actions: Named<Arc<RwLock<Action>>>,
}

/// One client.
struct Client {
    stream: Mutex<UnixStream>,
    /// By the text of their `id`.
    running: Named<Stop>,
    /// The parent of them all.
    gone: Stop,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(socket), Some(dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: socket_invoker SOCKET DIRECTORY".into());
    };
    let invoker = Invoker {
        dir: dir.into(),
        actions: Mutex::default(),
    };
    let listener = UnixListener::bind(&socket)?;
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let invoker = &invoker;
            scope.spawn(move || {
                if let Err(e) = stream.map_err(Into::into).and_then(|s| invoker.serve(s)) {
                    eprintln!("a client was lost: {e}");
                }
            });
        }
    });
    Ok(())
}

impl Invoker {
    fn serve(&self, stream: UnixStream) -> Result<(), Box<dyn Error>> {
        let client = Client {
            stream: Mutex::new(stream.try_clone()?),
            running: Mutex::default(),
            gone: Stop::new()?,
        };
        thread::scope(|scope| {
            let read = BufReader::new(stream).lines().try_for_each(|line| {
                let (client, message) = (&client, parse(&line?));
                let id = message["id"].clone();
                if !message["cancel"].is_null() {
                    client.cancel(&message["cancel"]);
                    return client.tell(&json!({"id": id, "ok": true}));
                }
                // Before the thread, so that a cancel that follows at once finds it.
                let stop = client.begin(&id)?;
                scope.spawn(move || {
                    let done = self.perform(&message, stop, client);
                    client.end(&id);
                    let _ = client.tell(&match done {
                        Ok(answer) => answer,
                        Err(e) => json!({"id": id, "error": e.to_string()}),
                    });
                });
                Ok(())
            });
            client.gone.request();
            read.map_err(Into::into)
        })
    }

    fn perform(&self, message: &Value, stop: Stop, client: &Client) -> Answer {
        let id = &message["id"];
        let mut lines = Lines::new(|stream: Stream, line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let _ = client.tell(&json!({"id": id, "stream": stream.to_string(), "line": line}));
        });
        let mut logs = Logs::to(&mut lines);
        match (&message["init"], &message["run"]) {
            (init @ Value::Object(_), Value::Null) => {
                let code = init["code"].as_str().ok_or("expected `code`, a text")?;
                let mut request = InitRequest::new(match init["binary"] {
                    Value::Bool(true) => Code::Base64(code.into()),
                    _ => Code::Text(code.into()),
                });
                request.stop = stop;
                let action = self.action(&init["action"])?;
                // A panic of an init leaves the action as it was.
                let mut action = action.write().unwrap_or_else(|e| e.into_inner());
                action.init(request, &mut logs)?;
                Ok(json!({"id": id, "ok": true}))
            }
            (Value::Null, run @ Value::Object(_)) => {
                let mut request = RunRequest::new(run["value"].to_string());
                request.stop = stop;
                let action = self.action(&run["action"])?;
                let action = action.read().unwrap_or_else(|e| e.into_inner());
                let outcome = action.run(request, &mut logs)?;
                let result: Value = serde_json::from_slice(&outcome.result)?;
                Ok(json!({"id": id, "result": result}))
            }
            _ => Err("expected one of `init`, `run` and `cancel`".into()),
        }
    }

    /// The action of this name, in a directory of that name.
    fn action(&self, name: &Value) -> Result<Arc<RwLock<Action>>, Box<dyn Error>> {
        let name = name.as_str().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(format!(
                "expected letters, digits, `-` and `_` as `action`, found {name:?}"
            )
            .into());
        }
        let mut actions = self.actions.lock().map_err(|_| "an action was lost")?;
        if let Some(action) = actions.get(name) {
            return Ok(Arc::clone(action));
        }
        let mut config = Config::new(self.dir.join(name));
        config.env = std::env::vars_os().collect();
        config.reinit = Reinit::Allow;
        let action = Arc::new(RwLock::new(Action::open(config, NativeRunner)?));
        actions.insert(name.to_owned(), Arc::clone(&action));
        Ok(action)
    }
}

impl Client {
    fn tell(&self, answer: &Value) -> io::Result<()> {
        let mut stream = self.stream.lock().map_err(|_| io::ErrorKind::BrokenPipe)?;
        stream.write_all(format!("{answer}\n").as_bytes())
    }

    fn begin(&self, id: &Value) -> io::Result<Stop> {
        let stop = self.gone.child()?;
        self.running().insert(id.to_string(), stop.clone());
        Ok(stop)
    }

    fn cancel(&self, id: &Value) {
        if let Some(stop) = self.running().get(&id.to_string()) {
            stop.request();
        }
    }

    fn end(&self, id: &Value) {
        self.running().remove(&id.to_string());
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Stop>> {
        self.running.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Anything but JSON is a message without an `id` that asks for nothing.
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}
