//! A proxy under measurement: one that is started here, or one that runs at an address.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use actionproxy_tests::proxy::{free_address, write_executable};
use actionproxy_tests::request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::client;

/// Far more than any start takes.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub name: String,
    pub how: How,
    /// Of a binary of this project alone.
    flags: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

/// How it is reached.
#[derive(Debug, Clone)]
pub(crate) enum How {
    /// A binary of this project, started with its flags.
    Binary(PathBuf),
    /// Any implementation of the contract, started by a shell; its port is told by the variables
    /// `PORT` and `FLASK_PROXY_PORT`.
    Command(String),
    /// Any implementation of the contract that runs already.
    Address(SocketAddr),
}

/// A running one. What was started here is killed with it.
#[derive(Debug)]
pub(crate) struct Running {
    pub address: SocketAddr,
    child: Option<Child>,
    /// When it was started.
    pub started: Instant,
    action_dir: Option<PathBuf>,
    _dir: TempDir,
}

impl Subject {
    pub(crate) fn new(name: String, how: How) -> Self {
        Subject {
            name,
            how,
            flags: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Started with this flag, if it is a binary of this project.
    pub(crate) fn with_flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Started with this variable.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(crate) fn binary(name: &str, path: &Path) -> Self {
        Self::new(name.to_owned(), How::Binary(path.to_path_buf()))
    }

    /// Starts it, and does not wait for anything.
    pub(crate) fn spawn(&self) -> io::Result<Running> {
        let dir = tempfile::tempdir()?;
        let (mut command, address, action_dir) = match &self.how {
            How::Address(address) => {
                return Ok(Running {
                    address: *address,
                    child: None,
                    started: Instant::now(),
                    action_dir: None,
                    _dir: dir,
                });
            }
            How::Binary(path) => {
                let action_dir = dir.path().join("action");
                fs::create_dir(&action_dir)?;
                let address = free_address();
                let mut command = Command::new(path);
                command
                    .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
                    .arg("--action-dir")
                    .arg(&action_dir)
                    .args(&self.flags)
                    .env_clear();
                (command, address, Some(action_dir))
            }
            How::Command(line) => {
                let address = free_address();
                let mut command = Command::new("/bin/sh");
                command
                    .args(["-c", &format!("exec {line}")])
                    .env("PORT", address.port().to_string())
                    .env("FLASK_PROXY_PORT", address.port().to_string());
                (command, address, None)
            }
        };
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PROXY_ALLOW_REINIT", "1")
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        Ok(Running {
            address,
            child: Some(command.spawn()?),
            started,
            action_dir,
            _dir: dir,
        })
    }

    /// Starts it and initialises it with `executable`: a script as text, else as a zip.
    pub(crate) fn start(&self, executable: &Path) -> Result<Running, String> {
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", self.name);
        let running = self.spawn().map_err(|e| named(&e))?;
        let code = fs::read(executable).map_err(|e| named(&e))?;
        let code = match (code.starts_with(b"#!"), running.action_dir()) {
            (true, _) => text_init(&code),
            // What stands there stays, as the executable of an image does.
            (false, Some(dir)) => {
                write_executable(&dir.join("exec"), &code);
                init(&json!({"name": "bench"}))
            }
            (false, None) => archive_init(&crate::programs::zip(&[("exec", &code)])?),
        };
        running.connect().map_err(|e| named(&e))?;
        running.init(&code).map_err(|e| named(&e))?;
        Ok(running)
    }
}

impl Running {
    /// Waits until a connection is taken.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => return Ok(stream),
                Err(e) if self.started.elapsed() > START_LIMIT => return Err(e),
                Err(_) => thread::sleep(Duration::from_micros(20)),
            }
        }
    }

    /// Sends an init, again where the connection breaks, as the invoker does.
    pub(crate) fn init(&self, request: &[u8]) -> Result<(), String> {
        let until = Instant::now() + START_LIMIT;
        loop {
            match client::exchange(self.address, request) {
                Ok(200) => return Ok(()),
                Ok(403) => return Err("it takes no second init".to_owned()),
                Ok(status) => return Err(format!("/init was answered with {status}")),
                Err(e) if Instant::now() > until => return Err(format!("/init: {e}")),
                Err(_) => thread::sleep(Duration::from_micros(20)),
            }
        }
    }

    /// Where this machine knows its process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its action directory, where it was told one.
    pub(crate) fn action_dir(&self) -> Option<&Path> {
        self.action_dir.as_deref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An init whose code is text.
pub(crate) fn text_init(code: &[u8]) -> Vec<u8> {
    let code = String::from_utf8_lossy(code);
    init(&json!({"name": "bench", "main": "main", "binary": false, "code": code}))
}

/// An init whose code is an archive.
pub(crate) fn archive_init(archive: &[u8]) -> Vec<u8> {
    init(
        &json!({"name": "bench", "main": "main", "binary": true, "code": STANDARD.encode(archive)}),
    )
}

fn init(value: &serde_json::Value) -> Vec<u8> {
    request(
        "POST",
        "/init",
        json!({ "value": value }).to_string().as_bytes(),
    )
}
