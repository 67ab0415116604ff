//! File systems on loop devices: the image is copied while the proxy's work is only in the
//! kernel's memory, as a loss of power leaves the disk, and mounted again.
//!
//! The copy has what the file system itself has written by then: nothing of what it may keep back,
//! or, when another program synced a file of its own, what that took along. Both are looked at.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actionproxy_tests::files::base64;
use actionproxy_tests::wait::LIMIT;
use actionproxy_tests::{Proxy, eventually, request, tools};
use rustix::process::Signal;
use serde_json::json;
use tempfile::NamedTempFile;

use super::disk::{self, Tree};
use super::{NEW, OLD, archive, write};

/// Calls before each of which a proxy is killed, one after the other.
const STEPS: &str = "?mkdir,mkdirat,?open,openat,?chmod,fchmod,?rename,?renameat,renameat2,?unlink,\
    unlinkat,?rmdir,fsync";

/// A kind of file system, how it is made, mounted so that it keeps back what it may, and how large.
struct FileSystem {
    name: &'static str,
    make: &'static [&'static str],
    options: &'static str,
    /// How a copy of it is mounted beside it.
    copy_options: &'static str,
    megabytes: u64,
}

const EXT4: FileSystem = FileSystem {
    name: "ext4",
    make: &["mkfs.ext4", "-q"],
    options: "loop,commit=300",
    copy_options: "loop",
    megabytes: 64,
};

const XFS: FileSystem = FileSystem {
    name: "xfs",
    make: &["mkfs.xfs", "-q"],
    options: "loop",
    copy_options: "loop,nouuid",
    megabytes: 320,
};

const BTRFS: FileSystem = FileSystem {
    name: "btrfs",
    make: &["mkfs.btrfs", "-q"],
    options: "loop,commit=300",
    copy_options: "loop",
    megabytes: 128,
};

/// A mounted image. It is unmounted when the test lets go of it.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).expect("a directory");
        let status = Command::new("mount")
            .args(["-o", options])
            .arg(image)
            .arg(at)
            .status();
        let mounted = status.is_ok_and(|status| status.success());
        assert!(mounted, "{} cannot be mounted", image.display());
        Mounted(at.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = |how: &str| {
            let status = Command::new("umount").arg(how).arg(&self.0).status();
            status.is_ok_and(|status| status.success())
        };
        // A process that another test is just starting has copies of our descriptors until it
        // becomes its program.
        let until = Instant::now() + LIMIT;
        while !unmount("-q") {
            if Instant::now() > until {
                // What is still busy then goes when it ends.
                unmount("-l");
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Whether this process may do it all. In CI it must.
fn may_mount(kind: &FileSystem) -> bool {
    if !tools::are_here(&["strace", "tar", "mount", "umount", "cp", kind.make[0]]) {
        return false;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let image = make(kind, dir.path());
    let at = dir.path().join("at");
    fs::create_dir(&at).expect("a directory");
    let tried = Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(&at)
        .output();
    let tried = tried.expect("mount runs");
    if tried.status.success() {
        drop(Mounted(at));
        return true;
    }
    let told = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    tools::leave_out(&format!(
        "this test needs to mount {} on a loop device: {told}",
        kind.name
    ));
    false
}

fn make(kind: &FileSystem, dir: &Path) -> PathBuf {
    let image = dir.join("image");
    let file = File::create(&image).expect("a file");
    file.set_len(kind.megabytes << 20).expect("a sparse file");
    let output = Command::new(kind.make[0])
        .args(&kind.make[1..])
        .arg(&image)
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    image
}

/// A copy of what is on the disk at one moment. A file of its own each time: a loop device that is
/// not released yet is taken again for a file that it has, with what it remembers of that.
fn copy(image: &Path, scratch: &Path) -> NamedTempFile {
    eventually("the disk to be still while it is copied", || {
        let written = || {
            let metadata = fs::metadata(image).expect("the image");
            (metadata.mtime(), metadata.mtime_nsec(), metadata.blocks())
        };
        let before = written();
        let to = NamedTempFile::new_in(scratch).expect("a file");
        let mut cp = Command::new("cp");
        let copied = cp.arg("--sparse=always").arg(image).arg(to.path()).status();
        assert!(copied.expect("cp runs").success());
        (written() == before).then_some(to)
    })
}

/// What became of an init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    Answered,
    /// Killed at this step.
    Killed,
}

fn old_action(dir: &Path) {
    write(
        dir,
        &[("exec", OLD), ("lib/kept", "old"), ("lib/replaced", "old")],
    );
    write(
        dir,
        &[
            ("lib/replaced.sha256", "old"),
            ("directory-then-file/x", "old"),
        ],
    );
}

fn new_action() -> Vec<u8> {
    archive(|dir| {
        write(
            dir,
            &[
                ("exec", NEW),
                ("lib/replaced", "new"),
                ("lib/added/x", "new"),
            ],
        );
        write(dir, &[("directory-then-file", "new")]);
    })
}

/// One init on `action_dir`, by a proxy that is killed before its call number `step`, or after the
/// answer.
fn init(action_dir: &Path, flags: &[&str], step: usize, code: &[u8], scratch: &Path) -> Init {
    let mut builder = Proxy::builder().arg("--action-dir");
    builder = builder.arg(action_dir.to_str().expect("UTF-8"));
    for flag in flags {
        builder = builder.arg(flag);
    }
    let mut proxy = builder.start();
    let pid = proxy.pid().as_raw_nonzero();
    let mut strace = Command::new("strace")
        .args(["-f", "-q", "-p", &pid.to_string(), "-o"])
        .arg(scratch.join("trace"))
        .args(["-e", &format!("trace={STEPS}")])
        .args(["-e", &format!("inject={STEPS}:signal=KILL:when={step}")])
        .spawn()
        .expect("strace runs");
    eventually("strace to watch every thread", || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("Linux");
        let mut statuses = threads.map(|thread| {
            fs::read_to_string(thread.expect("a thread").path().join("status"))
                .expect("a thread that stays")
        });
        let tracer = format!("TracerPid:\t{}\n", strace.id());
        statuses
            .all(|status| status.contains(&tracer))
            .then_some(())
    });
    let body = json!({"value": {"binary": true, "code": base64(code)}}).to_string();
    let mut connection = proxy.connect();
    let sent = connection.send(&request("POST", "/init", body.as_bytes()));
    let answered = sent.and_then(|()| connection.answer());
    let outcome = match answered {
        Ok(answer) => {
            assert_eq!(
                (answer.status, answer.text()),
                (200, "OK"),
                "{}",
                proxy.stderr()
            );
            proxy.signal(Signal::KILL);
            Init::Answered
        }
        Err(_) => Init::Killed,
    };
    proxy.wait();
    assert!(strace.wait().is_ok(), "strace ends with the proxy");
    outcome
}

/// What a proxy finds on a copy of the image: the tree that it leaves, and what runs.
fn found(kind: &FileSystem, copy: &NamedTempFile, name: &str, scratch: &Path) -> (Tree, String) {
    let mounted = Mounted::new(copy.path(), &scratch.join("crashed"), kind.copy_options);
    let action_dir = mounted.0.join(name);
    let mut proxy = Proxy::start_on(&action_dir);
    let result = proxy.result(json!({}));
    assert_eq!(proxy.stop(), 0, "{}", proxy.stderr());
    (disk::read(&action_dir), result)
}

fn outlives_a_loss_of_power_at_every_step(kind: &FileSystem) {
    // mount(8) takes whatever loop device was free when it looked, and so does the next.
    static LOOP_DEVICES: Mutex<()> = Mutex::new(());
    let _alone = LOOP_DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    if !may_mount(kind) {
        return;
    }
    let scratch = tempfile::tempdir().expect("a directory");
    let scratch = scratch.path();
    let code = new_action();
    let old_code = archive(old_action);
    let reference = scratch.join("reference");
    Proxy::start_on(&reference).init_binary(&old_code);
    let old = (disk::read(&reference), r#"{"is":"old"}"#.to_owned());
    Proxy::start_on(&reference).init_binary(&code);
    let new = (disk::read(&reference), r#"{"is":"new"}"#.to_owned());

    let image = make(kind, scratch);
    let mounted = Mounted::new(&image, &scratch.join("mounted"), kind.options);
    let prepare = |name: &str| {
        let action_dir = mounted.0.join(name);
        Proxy::start_on(&action_dir).init_binary(&old_code);
        rustix::fs::syncfs(File::open(&mounted.0).expect("a directory")).expect("a sync");
        action_dir
    };
    let (mut kept, mut there) = (0, 0);
    for step in 1.. {
        let name = format!("step-{step}");
        let action_dir = prepare(&name);
        let outcome = init(&action_dir, &["--durable"], step, &code, scratch);
        for synced_by_another in [false, true] {
            if synced_by_another {
                let mut file = File::create(mounted.0.join("other")).expect("a file");
                file.write_all(name.as_bytes()).expect("room");
                file.sync_all().expect("a sync");
            }
            let found = found(kind, &copy(&image, scratch), &name, scratch);
            let at = format!("at step {step}, {outcome:?}, another's sync {synced_by_another}");
            if found == new {
                there += 1;
            } else {
                assert_eq!(found, old, "{at}");
                assert_eq!(outcome, Init::Killed, "{at}: lost");
                kept += 1;
            }
        }
        if outcome == Init::Answered {
            break;
        }
        fs::remove_dir_all(&action_dir).expect("our directory");
    }
    println!(
        "{}: {kept} crashes left the old action, {there} the new",
        kind.name
    );
    assert!(kept > 20 && there > 5, "{kept} and {there}");

    // Without the flag the same crash loses it: these copies do hold nothing but what was synced.
    // It may have been written for another reason just then.
    let lost = (0..5).any(|n| {
        let name = format!("not-durable-{n}");
        let outcome = init(&prepare(&name), &[], usize::MAX >> 48, &code, scratch);
        assert_eq!(outcome, Init::Answered);
        found(kind, &copy(&image, scratch), &name, scratch) != new
    });
    assert!(
        lost,
        "a crash loses nothing here, so that this test shows nothing"
    );
    drop(mounted);
}

#[test]
fn on_ext4_an_init_outlives_a_loss_of_power_at_every_step() {
    outlives_a_loss_of_power_at_every_step(&EXT4);
}

#[test]
fn on_xfs_an_init_outlives_a_loss_of_power_at_every_step() {
    outlives_a_loss_of_power_at_every_step(&XFS);
}

#[test]
fn on_btrfs_an_init_outlives_a_loss_of_power_at_every_step() {
    outlives_a_loss_of_power_at_every_step(&BTRFS);
}
