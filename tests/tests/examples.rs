//! The example programs do what they say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use actionproxy_tests::{Proxy, binary, eventually};
use serde_json::{Value, json};

#[test]
fn the_c_runtime_compiles_and_runs_posted_source() {
    let mut proxy = Proxy::builder()
        .program(binary::example("actionproxy-server", "c_runtime"))
        .start();
    let broken = proxy.init_with(json!({"code": "int main(void) { return oops; }"}));
    assert_eq!(broken.status, 502);
    let logs = proxy.logs();
    assert!(
        logs.stderr.contains("oops"),
        "the compiler's words: {}",
        logs.stderr
    );
    assert!(
        logs.stderr
            .contains("build failed: `cc` exited with status 1"),
        "{}",
        logs.stderr
    );
    proxy.init(
        "#include <stdio.h>\nint main(int c, char **v) { printf(\"{\\\"got\\\":%s}\\n\", v[1]); return 0; }",
    );
    assert_eq!(proxy.result(json!({"n": 1})), r#"{"got":{"n":1}}"#);
    assert_eq!(proxy.logs().stderr, "");
}

#[test]
fn the_shell_runtime_appends_its_glue() {
    let shell = || {
        Proxy::builder()
            .program(binary::example("actionproxy-server", "shell_runtime"))
            .start()
    };
    let proxy = shell();
    proxy.init("main() { echo log; echo \"{\\\"got\\\":$1}\"; }");
    assert_eq!(proxy.result(json!({"n": 1})), r#"{"got":{"n":1}}"#);

    let proxy = shell();
    let code = "greet() { echo '{\"hello\":true}'; }";
    let answer = proxy.init_with(json!({"code": code, "main": "greet"}));
    assert_eq!(answer.status, 200, "{}", proxy.stderr());
    assert_eq!(proxy.result(json!({})), r#"{"hello":true}"#);

    let mut proxy = shell();
    assert_eq!(proxy.init_with(json!({"code": "main() { if"})).status, 502);
    assert!(
        proxy
            .logs()
            .stderr
            .contains("build failed: `sh` exited with status")
    );
    assert!(
        !proxy.action_dir().join("exec.sh").exists(),
        "nothing is left of a failed init"
    );
}

#[test]
fn the_stdin_invoker_answers_line_by_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(binary::example("actionproxy-core", "stdin_invoker"))
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let messages = [
        json!({"run": {}}),
        json!({"init": {"code": "#!/bin/sh\necho log\necho \"{\\\"got\\\":$1}\""}}),
        json!({"run": {"n": 1}}),
        json!({"init": {}}),
        json!(7),
    ];
    let mut stdin = child.stdin.take().expect("piped");
    for message in messages {
        writeln!(stdin, "{message}").expect("it reads");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let answers = String::from_utf8(output.stdout).expect("text");
    let expected = [
        r#"{"error":"no action is initialized"}"#,
        r#"{"ok":true}"#,
        r#"{"got":{"n":1}}"#,
        r#"{"error":"the action is already initialized"}"#,
        r#"{"error":"expected an object, found 7"}"#,
    ];
    assert_eq!(answers.lines().collect::<Vec<_>>(), expected);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "log\n");
}

/// The invoker on a Unix socket, ended when this is dropped.
struct SocketInvoker {
    child: Child,
    dir: tempfile::TempDir,
}

impl SocketInvoker {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let child = Command::new(binary::example("actionproxy-core", "socket_invoker"))
            .args(["socket", "actions"])
            .current_dir(dir.path())
            .spawn()
            .expect("the example runs");
        SocketInvoker { child, dir }
    }

    fn connect(&self) -> Client {
        let path = self.dir.path().join("socket");
        let stream = eventually("the socket", || UnixStream::connect(&path).ok());
        // Far longer than anything here takes.
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit");
        let answers = BufReader::new(stream.try_clone().expect("a descriptor"));
        Client { stream, answers }
    }

    fn action(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("actions").join(name)
    }
}

impl Drop for SocketInvoker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Client {
    fn ask(&mut self, message: Value) {
        writeln!(self.stream, "{message}").expect("it reads");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    fn init(&mut self, action: &str, code: &str) {
        self.ask(json!({"id": "init", "init": {"action": action, "code": code}}));
        assert_eq!(self.answer(), json!({"id": "init", "ok": true}));
    }
}

/// Runs until there is the file `go`; the file `begun` is there before.
const WAITS: &str =
    "#!/bin/sh\necho > begun\nuntil [ -e go ]; do sleep 0.01; done\necho '{\"waited\":true}'\n";

fn exists(path: &Path) -> Option<()> {
    path.exists().then_some(())
}

#[test]
fn the_socket_invoker_runs_several_actions_at_once_and_cancels_one() {
    let invoker = SocketInvoker::start();
    let mut client = invoker.connect();
    client.init("slow", WAITS);
    client.init("other", WAITS);
    client.init("quick", "#!/bin/sh\necho log\necho \"{\\\"got\\\":$1}\"\n");
    for (id, action) in [(1, "slow"), (2, "other")] {
        client.ask(json!({"id": id, "run": {"action": action, "value": {}}}));
        eventually("its start", || {
            exists(&invoker.action(action).join("begun"))
        });
    }
    client.ask(json!({"id": 3, "run": {"action": "quick", "value": {"n": 1}}}));
    let log = json!({"id": 3, "stream": "stdout", "line": "log"});
    assert_eq!(client.answer(), log);
    assert_eq!(
        client.answer(),
        json!({"id": 3, "result": {"got": {"n": 1}}})
    );

    client.ask(json!({"id": 4, "cancel": 1}));
    // The run may be over before its cancelling is answered.
    let cancelled = json!({"id": 4, "ok": true});
    let stopped = json!({"id": 1, "error": "the action was stopped"});
    let answers = [client.answer(), client.answer()];
    assert!(
        answers.contains(&cancelled) && answers.contains(&stopped),
        "{answers:?}"
    );
    // The other goes on, and so does the action of the cancelled one.
    std::fs::write(invoker.action("other").join("go"), "").expect("our own");
    assert_eq!(
        client.answer(),
        json!({"id": 2, "result": {"waited": true}})
    );
    std::fs::write(invoker.action("slow").join("go"), "").expect("our own");
    client.ask(json!({"id": 5, "run": {"action": "slow", "value": {}}}));
    assert_eq!(
        client.answer(),
        json!({"id": 5, "result": {"waited": true}})
    );
}

#[test]
fn the_socket_invoker_ends_what_a_client_leaves_and_refuses_what_it_does_not_know() {
    let invoker = SocketInvoker::start();
    let mut client = invoker.connect();
    client.ask(json!({"id": 1, "run": {"action": "../up", "value": {}}}));
    let said = client.answer()["error"].to_string();
    assert!(said.contains("found") && said.contains("../up"), "{said}");
    client.ask(json!("neither"));
    let said = client.answer()["error"].to_string();
    assert!(said.contains("`init`, `run` and `cancel`"), "{said}");
    let pid = invoker.action("slow").join("pid");
    client.init(
        "slow",
        "#!/bin/sh\necho $$ > new; mv new pid; exec sleep 1000\n",
    );
    client.ask(json!({"id": 2, "run": {"action": "slow", "value": {}}}));
    eventually("its start", || exists(&pid));
    let pid = std::fs::read_to_string(pid).expect("its number");
    drop(client);
    let process = Path::new("/proc").join(pid.trim());
    eventually("its end", || (!process.exists()).then_some(()));
}

#[test]
fn the_c_action_is_built_by_a_hook_of_core() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let act = |code: &str| -> Output {
        std::fs::write(dir.path().join("answer.c"), code).expect("our own");
        Command::new(binary::example("actionproxy-core", "c_action"))
            .args(["answer.c", "action", "{\"n\":1}"])
            .current_dir(dir.path())
            .output()
            .expect("the example runs")
    };
    let output = act(
        "#include <stdio.h>\nint main(int c, char **v) { puts(\"log\"); printf(\"{\\\"got\\\":%s}\\n\", v[1]); \
         return c - 2; }",
    );
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(told, ["{\"got\":{\"n\":1}}\n", "log\n"]);
    let output = act("int main(void) { return oops; }");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("oops"), "the compiler's words: {said}");
    assert!(said.contains("exited with status 1"), "{said}");
}
