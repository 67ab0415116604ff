//! A running proxy of a test's own: its own port, action directory and logs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Answer, Connection, request};
use crate::wait::eventually;
use crate::{SENTINEL, binary, census};

/// How a proxy is to be started.
#[derive(Debug, Default)]
pub struct Builder {
    program: Option<PathBuf>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    executable: Option<Vec<u8>>,
    under: Vec<OsString>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Builder {
    /// Started by another program, which is given the proxy's command line behind `command` and
    /// becomes the proxy: `setpriv`, or a shell that changes something and then `exec "$@"`.
    #[must_use]
    pub fn under<S: Into<OsString>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.under = command.into_iter().map(Into::into).collect();
        self
    }

    /// Its stdout goes there, and not where [`Proxy::logs`] looks.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<OwnedFd>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// Its stderr goes there, and not where [`Proxy::logs`] looks.
    #[must_use]
    pub fn stderr(mut self, to: impl Into<OwnedFd>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// Another program than the proxy: a derived runtime.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// A flag, or a flag's value. Not where proxies are started by a launcher.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable of the proxy's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An executable that stands in the action directory from the start.
    #[must_use]
    pub fn baked_in(mut self, executable: &[u8]) -> Self {
        self.executable = Some(executable.to_vec());
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Proxy {
        for _ in 0..5 {
            let mut proxy = match std::env::var_os("ACTIONPROXY_TEST_LAUNCHER") {
                Some(launcher) => self.launch(launcher.into()),
                None => self.spawn(),
            };
            let answers = eventually("the proxy to answer", || {
                if proxy.try_get("/healthz").is_ok_and(|a| a.status == 200) {
                    return Some(true);
                }
                proxy.has_exited().then_some(false)
            });
            if answers {
                proxy.settle();
                return proxy;
            }
            // Another process may have taken the port since it was chosen.
            let said = proxy.stderr();
            assert!(said.contains("failed to listen"), "the proxy ended: {said}");
        }
        panic!("no port stays free");
    }

    fn spawn(&self) -> Proxy {
        let address = free_address();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let action_dir = dir.path().join("action");
        fs::create_dir(&action_dir).expect("an action directory");
        if let Some(executable) = &self.executable {
            write_executable(&action_dir.join("exec"), executable);
        }
        let log = |name, other: &Option<OwnedFd>| {
            let file = File::create(dir.path().join(name)).expect("a log file");
            let other = other.as_ref().map(|fd| fd.try_clone().expect("a copy"));
            other.map_or_else(|| Stdio::from(file), Stdio::from)
        };
        let program = self.program.clone().unwrap_or_else(binary::proxy);
        let mut words = self.under.clone();
        words.push(program.clone().into());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .arg("--action-dir")
            .arg(&action_dir)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log("stdout", &self.stdout))
            .stderr(log("stderr", &self.stderr))
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        Proxy {
            address,
            running: Running::Here(child),
            dir,
            seen: [0; 2],
        }
    }

    fn launch(&self, launcher: PathBuf) -> Proxy {
        assert!(
            self.arguments.is_empty(),
            "a launcher takes variables, not flags"
        );
        assert!(
            self.program.is_none(),
            "a launcher starts what it is made for"
        );
        assert!(
            self.executable.is_none(),
            "a launcher's image has its own executable"
        );
        let address = free_address();
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let id = told(
            Command::new(&launcher)
                .arg("start")
                .arg(address.port().to_string())
                .args(variables),
        );
        Proxy {
            address,
            running: Running::Elsewhere { launcher, id },
            dir: tempfile::tempdir().expect("a temporary directory"),
            seen: [0; 2],
        }
    }
}

/// A proxy. It is killed when the test lets go of it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    running: Running,
    dir: TempDir,
    /// How much of each log stream tests have been given.
    seen: [usize; 2],
}

#[derive(Debug)]
enum Running {
    Here(Child),
    Elsewhere { launcher: PathBuf, id: String },
}

/// What an activation wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Logs {
    /// On stdout, its sentinel left out.
    pub stdout: String,
    /// On stderr, its sentinel left out.
    pub stderr: String,
}

impl Proxy {
    /// One with every default.
    pub fn start() -> Self {
        Builder::default().start()
    }

    /// One on an action directory that outlives it.
    pub fn start_on(action_dir: &Path) -> Self {
        let path = action_dir.to_str().expect("a path in UTF-8");
        Self::builder().arg("--action-dir").arg(path).start()
    }

    /// How to start one otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its action directory.
    pub fn action_dir(&self) -> PathBuf {
        self.dir.path().join("action")
    }

    /// A directory of the test's own, which goes with the proxy.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Its process id. Only of one that runs on this machine.
    pub fn pid(&self) -> Pid {
        match &self.running {
            Running::Here(child) => Pid::from_child(child),
            Running::Elsewhere { .. } => panic!("this test needs a proxy on this machine"),
        }
    }

    /// It answers before everything is ready that it will ever need; who counts descriptors, threads or
    /// memory counts from here.
    fn settle(&self) {
        if let Running::Here(child) = &self.running {
            let pid = Pid::from_child(child);
            eventually("the proxy to have started", || {
                census::is_at_rest(pid).then_some(())
            });
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the proxy takes connections")
    }

    /// One request on a connection of its own, as the invoker sends it.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect();
        connection
            .send(&request("POST", path, body.as_ref()))
            .expect("the proxy takes the request");
        connection.answer().expect("the proxy answers")
    }

    /// A GET on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).expect("the proxy answers")
    }

    /// A GET that may fail.
    pub fn try_get(&self, path: &str) -> io::Result<Answer> {
        let mut connection = Connection::open(self.address)?;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: proxy\r\n\r\n").as_bytes())?;
        connection.answer()
    }

    /// Initialises text code; it must succeed.
    pub fn init(&self, code: &str) {
        let answer = self.init_with(json!({ "code": code }));
        assert_eq!(
            (answer.status, answer.text()),
            (200, "OK"),
            "{}",
            self.stderr()
        );
    }

    /// Initialises with this value.
    pub fn init_with(&self, value: Value) -> Answer {
        self.post("/init", json!({ "value": value }).to_string())
    }

    /// Initialises a binary; it must succeed.
    pub fn init_binary(&self, bytes: &[u8]) {
        use base64::Engine as _;
        let code = base64::engine::general_purpose::STANDARD.encode(bytes);
        let answer = self.init_with(json!({ "code": code, "binary": true }));
        assert_eq!(
            (answer.status, answer.text()),
            (200, "OK"),
            "{}",
            self.stderr()
        );
    }

    /// Runs with this argument.
    pub fn run(&self, value: Value) -> Answer {
        self.post("/run", json!({ "value": value }).to_string())
    }

    /// Runs with this argument; it must succeed. The result, as the action wrote it.
    pub fn result(&self, value: Value) -> String {
        let answer = self.run(value);
        assert_eq!(answer.status, 200, "{}: {}", answer.text(), self.stderr());
        answer.text().to_owned()
    }

    /// What has been logged up to the next sentinel on each stream. Waits for both.
    pub fn logs(&mut self) -> Logs {
        let line = format!("{SENTINEL}\n");
        let [stdout, stderr] = eventually("a sentinel on each stream", || {
            let streams = self.streams();
            let ends: Vec<_> = (0..2)
                .filter_map(|n| Some(self.seen[n] + streams[n].get(self.seen[n]..)?.find(&line)?))
                .collect();
            let ends: [usize; 2] = ends.try_into().ok()?;
            let parts = [0, 1].map(|n| streams[n][self.seen[n]..ends[n]].to_owned());
            self.seen = ends.map(|end| end + line.len());
            Some(parts)
        });
        Logs { stdout, stderr }
    }

    /// What stands behind the last sentinel that [`logs`](Self::logs) gave.
    pub fn unread(&self) -> Logs {
        let [stdout, stderr] = self.streams();
        Logs {
            stdout: stdout[self.seen[0]..].to_owned(),
            stderr: stderr[self.seen[1]..].to_owned(),
        }
    }

    /// All of stderr so far.
    pub fn stderr(&self) -> String {
        let [_, stderr] = self.streams();
        stderr
    }

    fn streams(&self) -> [String; 2] {
        match &self.running {
            Running::Here(_) => ["stdout", "stderr"].map(|name| {
                let bytes = fs::read(self.dir.path().join(name)).expect("a log file");
                String::from_utf8_lossy(&bytes).into_owned()
            }),
            Running::Elsewhere { launcher, id } => {
                let output = Command::new(launcher)
                    .args(["logs", id])
                    .output()
                    .expect("the launcher runs");
                assert!(output.status.success(), "{output:?}");
                [output.stdout, output.stderr]
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the proxy is there");
    }

    /// Tells it to end, waits, and returns its exit status as a shell would see it.
    pub fn stop(&mut self) -> i32 {
        if let Running::Elsewhere { launcher, id } = &self.running {
            let status = told(Command::new(launcher).args(["stop", id]));
            return status.parse().expect("the launcher tells the exit status");
        }
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end and returns its exit status as a shell would see it.
    pub fn wait(&mut self) -> i32 {
        eventually("the proxy to end", || self.try_wait())
            .code()
            .unwrap_or(-1)
    }

    fn has_exited(&mut self) -> bool {
        self.try_wait().is_some()
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        match &mut self.running {
            Running::Here(child) => child.try_wait().expect("the proxy is our child"),
            Running::Elsewhere { .. } => None,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Here(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Elsewhere { launcher, id } => {
                let _ = Command::new(launcher).args(["kill", id]).output();
            }
        }
    }
}

/// Writes a file that may be executed.
pub fn write_executable(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, bytes).expect("a writable directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// A port that is free now.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}

fn told(command: &mut Command) -> String {
    let output = command.output().expect("the launcher runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
