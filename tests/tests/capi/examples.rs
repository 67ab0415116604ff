//! The example programs do what they say, and leave nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use actionproxy_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};

use super::{Built, command, compiled, tools_are_here};

const ALL: [Built; 3] = [Built::ForValgrind, Built::WithSanitizer, Built::Static];

#[test]
fn the_one_shot_runner_runs_an_action_once() {
    if !tools_are_here() {
        return;
    }
    for built in ALL {
        let program = compiled("invokers/capi/examples/run_once.c", built);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let code = dir.path().join("code");
        let run = |text: &str, argument: &str| {
            fs::write(&code, text).expect("the code");
            let output = command(&program, built)
                // Another one each time: an action is not initialised by what it finds.
                .arg(dir.path().join("action"))
                .arg(&code)
                .arg(argument)
                .output()
                .expect("it runs");
            let text = |bytes| String::from_utf8(bytes).expect("text");
            (
                output.status.code(),
                text(output.stdout),
                text(output.stderr),
            )
        };
        let good = "#!/bin/sh\necho working\necho oh >&2\necho \"{\\\"got\\\":$1}\"\n";
        let (status, stdout, stderr) = run(good, "{\"n\":1}");
        assert_eq!(
            (status, &*stdout),
            (Some(0), "{\"got\":{\"n\":1}}\n"),
            "{built:?}: {stderr}"
        );
        let mut logs: Vec<_> = stderr.lines().collect();
        logs.sort_unstable();
        assert_eq!(logs, ["stderr: oh", "stdout: working"]);
        let (status, stdout, stderr) = run("#!/bin/sh\necho nothing\n", "{}");
        assert_eq!((status, &*stdout), (Some(2), ""), "{built:?}: {stderr}");
        assert!(stderr.contains("error 2: "), "{stderr}");
        let (status, _, stderr) = run(good, "7");
        assert_eq!(status, Some(1), "{built:?}: {stderr}");
        assert!(
            stderr.contains("error 1: the argument is a number"),
            "{stderr}"
        );
    }
}

struct Invoker {
    /// `None` once it has ended.
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Invoker {
    fn start(program: &Path, built: Built) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let child = command(program, built)
            .arg(dir.path().join("socket"))
            .arg(dir.path().join("actions"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        Invoker {
            child: Some(child),
            dir,
        }
    }

    fn connect(&self) -> Connection {
        let socket = self.dir.path().join("socket");
        let stream = eventually("the socket", || UnixStream::connect(&socket).ok());
        Connection(BufReader::new(stream))
    }

    fn code(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("the code");
        path.to_str().expect("text").to_owned()
    }

    /// Ends it by TERM.
    fn end(mut self) {
        let child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        assert_eq!(stderr, "");
    }
}

/// Where a test fails, nothing of it stays.
impl Drop for Invoker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Connection(BufReader<UnixStream>);

impl Connection {
    fn send(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").expect("it reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }
}

#[test]
fn the_socket_invoker_serves_several_actions_at_once() {
    if !tools_are_here() {
        return;
    }
    for built in ALL {
        let invoker = Invoker::start(
            &compiled("invokers/capi/examples/socket_invoker.c", built),
            built,
        );
        let mut one = invoker.connect();
        let mut two = invoker.connect();
        // Each waits for the file of the other.
        let meet = |mine: &str, other: &str| {
            let text = format!(
                "#!/bin/sh\n: >../met-{mine}\nwhile [ ! -e ../met-{other} ]; do sleep 0.01; done\n\
                 echo met >&2\necho \"{{\\\"{mine}\\\":$1}}\"\n"
            );
            invoker.code(mine, &text)
        };
        let (a, b) = (meet("a", "b"), meet("b", "a"));
        assert_eq!(one.ask(&format!("init a {a}")), "ok");
        assert_eq!(one.ask(&format!("init b {b}")), "ok");
        one.send("run a {\"n\": 1}");
        two.send("run b [2]");
        assert_eq!(one.line(), "stderr met");
        assert_eq!(one.line(), "result {\"a\":{\"n\": 1}}");
        assert_eq!(two.line(), "stderr met");
        assert_eq!(two.line(), "result {\"b\":[2]}");

        let endless = invoker.code("endless", "#!/bin/sh\necho begun >&2\nexec sleep 1000\n");
        assert_eq!(two.ask(&format!("init endless {endless}")), "ok");
        assert_eq!(
            one.ask("cancel endless"),
            "error caller endless does not run"
        );
        two.send("run endless {}");
        assert_eq!(two.line(), "stderr begun");
        assert_eq!(
            one.ask("run endless {}"),
            "error caller endless runs already"
        );
        assert_eq!(one.ask("cancel endless"), "ok");
        let cancelled = two.line();
        assert_eq!(cancelled, "error caller the action was stopped");

        assert_eq!(one.ask("run nobody {}"), "error caller nobody is no action");
        assert_eq!(
            one.ask("run ../x {}"),
            "error caller expected a name of small letters and digits"
        );
        // A directory.
        let unreadable = invoker.dir.path().display();
        assert_eq!(
            one.ask(&format!("init c {unreadable}")),
            format!("error caller cannot read {unreadable}")
        );
        let bad = invoker.code("bad", "no program");
        let refused = one.ask(&format!("init bad {bad}"));
        assert!(
            refused.starts_with("error action failed to decode `code`"),
            "{refused}"
        );
        assert_eq!(
            one.ask("run a {"),
            "error caller the argument is no JSON: EOF while parsing an object at line 1 column 1"
        );
        drop(one);
        // A run that goes on is cancelled by the end.
        two.send("run endless {}");
        assert_eq!(two.line(), "stderr begun");
        invoker.end();
    }
}
