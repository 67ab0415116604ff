//! What a proxy does to its files, as strace(1) saw it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use actionproxy_tests::{Proxy, eventually};

use super::disk::{Change, Disk, Event, Kind};

/// Every call that may change a file, and those that answer a client. A question mark stands before
/// what not every architecture has.
const CALLS: &str = "?open,openat,?openat2,?creat,?mkdir,mkdirat,?rename,?renameat,renameat2,\
    ?unlink,unlinkat,?rmdir,?symlink,symlinkat,?link,linkat,?mknod,mknodat,write,pwrite64,writev,\
    pwritev,pwritev2,ftruncate,truncate,fallocate,?chmod,fchmod,fchmodat,?fchmodat2,?chown,fchown,\
    fchownat,setxattr,fsetxattr,fsync,fdatasync,sync,syncfs,sync_file_range,copy_file_range,\
    sendfile,splice,sendto,sendmsg";

/// A proxy on `root`/action that writes down what it does.
pub(crate) struct Recorder {
    root: PathBuf,
    trace: PathBuf,
    pub(crate) proxy: Proxy,
}

impl Recorder {
    /// Starts it with `--durable`.
    pub(crate) fn start(root: &Path, trace: &Path) -> Self {
        let trace_path = trace.to_str().expect("UTF-8");
        let action_dir = root.join("action");
        let builder = Proxy::builder().arg("--durable").arg("--action-dir");
        let builder = builder.arg(action_dir.to_str().expect("UTF-8"));
        // -D: the proxy is our child and not strace's.
        let calls = format!("trace={CALLS}");
        let strace = [
            "strace", "-D", "-f", "-y", "-xx", "-s", "1048576", "-o", trace_path,
        ];
        let proxy = builder
            .under(strace.into_iter().chain(["-e", &calls]))
            .start();
        Recorder {
            root: root.to_path_buf(),
            trace: trace.to_path_buf(),
            proxy,
        }
    }

    /// Ends the proxy and adds what it did to `disk`.
    pub(crate) fn finish(mut self, disk: &mut Disk) {
        let pid = self.proxy.pid().as_raw_nonzero();
        assert_eq!(self.proxy.stop(), 0, "{}", self.proxy.stderr());
        let text = eventually("strace to write the end", || {
            let text = fs::read_to_string(&self.trace).ok()?;
            text.lines()
                .any(|line| line.starts_with(&format!("{pid} ")) && line.contains("+++ exited"))
                .then_some(text)
        });
        let mut unfinished = HashMap::new();
        for line in text.lines() {
            let (pid, call) = line.split_once(' ').expect("a process id");
            let call = call.trim_start();
            if let Some(begin) = call.strip_suffix("<unfinished ...>") {
                unfinished.insert(pid, begin.trim_end().to_owned());
            } else if let Some(rest) = call.strip_prefix("<... ") {
                let begin = unfinished.remove(pid).expect("a call that began");
                let (_, rest) = rest.split_once(" resumed>").expect("the rest of it");
                record(&format!("{begin}{rest}"), &self.root, disk);
            } else if !call.starts_with(['+', '-']) {
                record(call, &self.root, disk);
            }
        }
    }
}

/// One argument of a call.
#[derive(Debug)]
enum Argument {
    /// A descriptor and its path.
    Descriptor(PathBuf),
    Text(Vec<u8>),
    Word(String),
}

fn record(line: &str, root: &Path, disk: &mut Disk) {
    let (call, rest) = line
        .split_once('(')
        .unwrap_or_else(|| panic!("no call: {line}"));
    let end = rest
        .rfind(" = ")
        .unwrap_or_else(|| panic!("no result: {line}"));
    let (arguments, result) = (rest[..end].trim_end(), &rest[end + 3..]);
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    if result.starts_with('-') || result.starts_with('?') {
        return;
    }
    let arguments = parse(arguments);
    let text = |n: usize| match &arguments[n] {
        Argument::Text(bytes) => bytes.clone(),
        other => panic!("no text: {other:?} in {line}"),
    };
    let path_of = |n: usize| PathBuf::from(String::from_utf8(text(n)).expect("UTF-8"));
    let descriptor = |n: usize| match &arguments[n] {
        Argument::Descriptor(path) => path.clone(),
        other => panic!("no descriptor: {other:?} in {line}"),
    };
    let word = |n: usize| match &arguments[n] {
        Argument::Word(word) => word.as_str(),
        other => panic!("no word: {other:?} in {line}"),
    };
    let mode = |n: usize| u32::from_str_radix(word(n), 8).expect("an octal mode");
    let at = |n: usize| descriptor(n).join(path_of(n + 1));
    // `dir/.` is `dir`.
    let inside = |path: PathBuf| {
        let inner = path.strip_prefix(root).ok()?;
        Some(inner.components().collect::<PathBuf>())
    };
    let umask = umask();
    let nodes = disk.now();
    let change = |disk: &mut Disk, change| disk.events.push(Event::Change(change));
    match call {
        "open" | "openat" => {
            let n = usize::from(call == "openat");
            let path = if n == 0 { path_of(0) } else { at(0) };
            let flags = word(n + 1);
            let Some(path) = inside(path) else { return };
            match disk.find(&nodes, &path) {
                Some(node) if flags.contains("O_TRUNC") => change(disk, Change::Truncate(node)),
                None if flags.contains("O_CREAT") => {
                    let place = disk.place(&nodes, &path).expect("its directory");
                    let made = disk.make(Kind::File(Vec::new()), mode(n + 2) & !umask);
                    change(disk, Change::Link(place, made));
                }
                _ => {}
            }
        }
        "mkdir" | "mkdirat" => {
            let n = usize::from(call == "mkdirat");
            let path = if n == 0 { path_of(0) } else { at(0) };
            let Some(path) = inside(path) else { return };
            let place = disk.place(&nodes, &path).expect("its directory");
            let made = disk.make(Kind::Directory(Default::default()), mode(n + 1) & !umask);
            change(disk, Change::Link(place, made));
        }
        "symlinkat" => {
            let Some(path) = inside(at(1)) else { return };
            let place = disk.place(&nodes, &path).expect("its directory");
            let made = disk.make(Kind::Symlink(path_of(0)), 0o777);
            change(disk, Change::Link(place, made));
        }
        "rename" | "renameat" | "renameat2" => {
            let (from, to) = match call {
                "rename" => (path_of(0), path_of(1)),
                _ => (at(0), at(2)),
            };
            let (Some(from), Some(to)) = (inside(from), inside(to)) else {
                return;
            };
            let node = disk.find(&nodes, &from).expect("what is renamed");
            let place = |path| disk.place(&nodes, path).expect("a directory");
            let renamed = Change::Rename(place(&from), place(&to), node);
            change(disk, renamed);
        }
        "unlink" | "rmdir" | "unlinkat" => {
            let path = if call == "unlinkat" {
                at(0)
            } else {
                path_of(0)
            };
            let Some(path) = inside(path) else { return };
            let node = disk.find(&nodes, &path).expect("what is removed");
            let removed = Change::Unlink(disk.place(&nodes, &path).expect("a directory"), node);
            change(disk, removed);
        }
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => {
            let (path, mode) = match call {
                "chmod" => (path_of(0), mode(1)),
                "fchmod" => (descriptor(0), mode(1)),
                _ => (at(0), mode(2)),
            };
            let Some(path) = inside(path) else { return };
            let node = disk.find(&nodes, &path).expect("what has a mode");
            change(disk, Change::Mode(node, mode));
        }
        "write" | "sendto" | "writev" | "sendmsg" => {
            // One text, or the head and the body.
            let ok = [hex(b"\r\n\r\nOK"), format!("\"{}\"", hex(b"OK"))];
            let is_ok = ok.iter().any(|ok| line.contains(ok));
            if is_ok && line.contains(&hex(b"HTTP/1.1 200")) {
                disk.events.push(Event::Answered);
            } else if let Argument::Descriptor(path) = &arguments[0]
                && let Some(path) = inside(path.clone())
            {
                assert_eq!(
                    call, "write",
                    "a way to write that the model does not know: {line}"
                );
                let written: usize = result.parse().expect("a number");
                let node = disk.find(&nodes, &path).expect("what is written");
                change(disk, Change::Append(node, text(1)[..written].to_vec()));
            }
        }
        "fsync" | "fdatasync" => {
            if let Some(path) = inside(descriptor(0)) {
                let node = disk.find(&nodes, &path);
                let node = Some(node.expect("what is synced"));
                disk.events
                    .push(Event::Sync(node, path.display().to_string()));
            }
        }
        "sync" | "syncfs" => disk.events.push(Event::Sync(None, call.to_owned())),
        _ => {
            let touches = arguments.iter().any(|argument| match argument {
                Argument::Descriptor(path) => path.starts_with(root),
                Argument::Text(bytes) => {
                    Path::new(&*String::from_utf8_lossy(bytes)).starts_with(root)
                }
                Argument::Word(_) => false,
            });
            assert!(!touches, "a call that the model does not know: {line}");
        }
    }
}

/// Arguments of one call, as `-y -xx` prints them: no comma and no quote but those between.
fn parse(arguments: &str) -> Vec<Argument> {
    let mut parsed = Vec::new();
    for argument in arguments.split(", ") {
        parsed.push(if let Some(text) = argument.strip_prefix('"') {
            let text = text
                .strip_suffix('"')
                .unwrap_or_else(|| panic!("cut: {argument:.80}"));
            Argument::Text(unhex(text))
        } else if let Some((_, path)) = argument.split_once('<') {
            let path = path.split('>').next().unwrap_or_default();
            Argument::Descriptor(String::from_utf8_lossy(&unhex(path)).into_owned().into())
        } else {
            Argument::Word(argument.to_owned())
        });
    }
    parsed
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits
        .map(|digits| u8::from_str_radix(digits, 16).expect("hexadecimal"))
        .collect()
}

fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    u32::from_str_radix(line.expect("a mask").trim(), 8).expect("octal")
}
