//! A real broker of a test's own, its clients, and an invoker that serves it.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::proxy::free_address;
use crate::wait::eventually;
use crate::{binary, tools};

/// What the tests need of Debian's packages `mosquitto` and `mosquitto-clients`.
const TOOLS: [&str; 3] = ["mosquitto", "mosquitto_pub", "mosquitto_sub"];
/// A retained message that tells a subscriber that its subscriptions stand.
const READY: &str = "rig/ready";

/// mosquitto, on loopback.
pub struct Broker {
    dir: TempDir,
    port: u16,
    child: Child,
    client: Vec<String>,
}

impl Broker {
    /// Starts one that takes everybody. Nothing where it is not installed; the test returns then.
    pub fn start() -> Option<Self> {
        Self::with("allow_anonymous true\n", &[])
    }

    /// Starts one with these further lines of configuration, in which `DIR` stands for its directory,
    /// which has `files`.
    pub fn with(lines: &str, files: &[(&str, Vec<u8>)]) -> Option<Self> {
        if !tools::are_here(&TOOLS) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            fs::write(dir.path().join(name), content).expect("a file of the broker's");
        }
        let place = dir.path().to_str().expect("text");
        let lines = lines.replace("DIR", place);
        for _ in 0..5 {
            let port = free_address().port();
            // Each change is saved, so that nothing is lost with a broker that is killed.
            let config = format!(
                "listener {port} 127.0.0.1\nuser root\npersistence true\n\
                 persistence_location {place}/\nautosave_on_changes true\nautosave_interval 1\n{lines}"
            );
            fs::write(dir.path().join("mosquitto.conf"), config).expect("written");
            if let Some(child) = spawn(dir.path(), port) {
                return Some(Broker {
                    dir,
                    port,
                    child,
                    client: Vec::new(),
                });
            }
        }
        panic!("no port stays free");
    }

    /// Flags that its clients need.
    pub fn clients(&mut self, flags: &[&str]) {
        self.client = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("our child");
    }

    /// Starts it again after it was killed.
    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.port).expect("its port is free");
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-V", "mqttv5", "-q", "1"]);
        command.args(&self.client);
        command
    }

    /// Publishes by `mosquitto_pub`, which has these further arguments, and waits until the broker
    /// has it.
    pub fn publish_with(&self, topic: &str, payload: impl AsRef<[u8]>, arguments: &[&str]) {
        // It reads no empty message.
        let how = if payload.as_ref().is_empty() {
            "-n"
        } else {
            "-s"
        };
        let mut client = self
            .client("mosquitto_pub")
            .args(["-t", topic, how])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub");
        let mut stdin = client.stdin.take().expect("a pipe");
        if !payload.as_ref().is_empty() {
            stdin.write_all(payload.as_ref()).expect("it reads");
        }
        drop(stdin);
        assert!(client.wait().expect("our child").success(), "{topic}");
    }

    /// Publishes.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        self.publish_with(topic, payload, &[]);
    }

    /// Publishes each line as a message.
    pub fn publish_lines(&self, topic: &str, lines: &str) {
        let mut client = self
            .client("mosquitto_pub")
            .args(["-t", topic, "-l"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub");
        let mut stdin = client.stdin.take().expect("a pipe");
        stdin.write_all(lines.as_bytes()).expect("it reads");
        drop(stdin);
        assert!(client.wait().expect("our child").success(), "{topic}");
    }

    /// Subscribes, in a session that outlives the broker; the subscription stands.
    pub fn subscribe(&self, filter: &str) -> Subscriber {
        Subscriber::new(self, filter)
    }

    /// Has an action initialised by this source, and waits for that.
    pub fn init(&self, seen: &Subscriber, name: &str, code: &str) {
        let status = format!("device/action/{name}/status");
        let before = seen.count(&status);
        let message = serde_json::json!({ "value": { "code": code } }).to_string();
        self.publish_with(&format!("device/action/{name}/init"), message, &["-r"]);
        let told = seen.nth(&status, before);
        assert_eq!(told.json()["ok"], true, "{told:?}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker that listens, unless another process has taken the port.
fn spawn(dir: &Path, port: u16) -> Option<Child> {
    let log = File::create(dir.join("mosquitto.log")).expect("a log file");
    let mut child = Command::new("mosquitto")
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .stdout(log.try_clone().expect("a copy"))
        .stderr(log)
        .spawn()
        .expect("mosquitto");
    let listens = eventually("mosquitto to listen", || {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(true);
        }
        child.try_wait().expect("our child").map(|_| false)
    });
    listens.then_some(child)
}

/// A message that a subscriber has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Whether the broker had retained it.
    pub is_retained: bool,
    /// MQTT 5: the user properties, as `name:value`.
    pub properties: Vec<String>,
    /// MQTT 5: the correlation data.
    pub correlation: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("text")
    }

    /// The payload as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|e| panic!("{}: {e}", self.text()))
    }

    fn read(line: &str) -> Self {
        let mut parts = line.split('|');
        let mut next = || parts.next().unwrap_or_else(|| panic!("{line}"));
        let topic = next().to_owned();
        let is_retained = next() == "1";
        let properties = next().split_whitespace().map(str::to_owned).collect();
        let correlation = next().to_owned();
        let hex = next();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        Message {
            topic,
            is_retained,
            properties,
            correlation,
            payload: (0..hex.len()).step_by(2).map(byte).collect(),
        }
    }
}

/// mosquitto_sub, and what it has got.
pub struct Subscriber {
    child: Child,
    dir: TempDir,
}

impl Subscriber {
    fn new(broker: &Broker, filter: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let id = format!("subscriber-{}", dir.path().display());
        broker.publish_with(READY, "ready", &["-r"]);
        let child = broker
            .client("mosquitto_sub")
            .args(["-c", "-i", &id, "-x", "3600", "-t", filter, "-t", READY])
            .args(["-F", "%t|%r|%P|%D|%x"])
            .stdout(File::create(dir.path().join("messages")).expect("a file"))
            .spawn()
            .expect("mosquitto_sub");
        let subscriber = Subscriber { child, dir };
        subscriber.wait("the subscription", |m| m.topic == READY);
        subscriber
    }

    /// All that has come, in its order.
    pub fn messages(&self) -> Vec<Message> {
        let text = fs::read_to_string(self.dir.path().join("messages")).expect("a file");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Message::read).collect()
    }

    /// The first message that fits.
    pub fn wait(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        eventually(what, || self.messages().into_iter().find(&fits))
    }

    /// How many have come to `topic`.
    pub fn count(&self, topic: &str) -> usize {
        let messages = self.messages();
        messages.iter().filter(|m| m.topic == topic).count()
    }

    /// Message `n` to `topic`, from 0.
    pub fn nth(&self, topic: &str, n: usize) -> Message {
        eventually(&format!("message {n} to {topic}"), || {
            let messages = self.messages().into_iter();
            messages.filter(|m| m.topic == topic).nth(n)
        })
    }

    /// The answer of the activation of this id that names no topic.
    pub fn answer(&self, id: &str) -> Message {
        self.nth(&format!("device/activation/{id}/result"), 0)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The invoker under test.
pub struct Invoker {
    child: Child,
    dir: TempDir,
}

impl Invoker {
    /// Starts it with prefix `device` and waits until it is connected.
    pub fn start(broker: &Broker, arguments: &[&str]) -> Self {
        let url = format!("mqtt://127.0.0.1:{}", broker.port());
        let dir = tempfile::tempdir().expect("a directory");
        let invoker = Self::begin(&url, dir, arguments);
        invoker.wait_connected();
        invoker
    }

    /// Starts it with the directory of one that has ended.
    pub fn again(broker: &Broker, dir: TempDir, arguments: &[&str]) -> Self {
        let url = format!("mqtt://127.0.0.1:{}", broker.port());
        let invoker = Self::begin(&url, dir, arguments);
        invoker.wait_connected();
        invoker
    }

    /// Starts it, and waits for nothing.
    pub fn begin(url: &str, dir: TempDir, arguments: &[&str]) -> Self {
        Self::begin_with(url, dir, arguments, &[])
    }

    /// The same, with these variables.
    pub fn begin_with(
        url: &str,
        dir: TempDir,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = File::create(dir.path().join("stderr")).expect("a log file");
        let child = Command::new(binary::mqtt())
            .args(["--broker", url, "--prefix", "device", "--action-dir"])
            .arg(dir.path().join("actions"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log)
            .spawn()
            .expect("the invoker");
        Invoker { child, dir }
    }

    /// Where its actions live.
    pub fn actions(&self) -> PathBuf {
        self.dir.path().join("actions")
    }

    /// A file for the actions of a test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).expect("a file")
    }

    /// Waits until it has said this.
    pub fn wait_said(&self, text: &str) {
        eventually(text, || self.said().contains(text).then_some(()));
    }

    fn wait_connected(&self) {
        self.wait_said(": connected to ");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end; its directory stays for another.
    pub fn wait(mut self) -> (ExitStatus, TempDir) {
        let status = eventually("the invoker to end", || {
            self.child.try_wait().expect("our child")
        });
        let empty = tempfile::tempdir().expect("a directory");
        (status, std::mem::replace(&mut self.dir, empty))
    }

    /// Has it end in good order.
    pub fn stop(self) -> TempDir {
        self.signal(Signal::TERM);
        let said = self.file("stderr");
        let (status, dir) = self.wait();
        assert_eq!(status.code(), Some(0), "{:?}", fs::read_to_string(said));
        dir
    }
}

impl Drop for Invoker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
