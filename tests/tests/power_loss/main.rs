//! Loss of power: with `--durable`, an init that was answered is there afterwards, and one that
//! was not leaves the action before it whole.

mod device;
mod disk;
mod recording;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use actionproxy_core::{Action, Config, NativeRunner, Stub};
use actionproxy_tests::files::shell;
use actionproxy_tests::{Proxy, tools};
use serde_json::json;
use tempfile::TempDir;

use disk::{Change, Crash, Damage, Disk, Event, Set, Tree};
use recording::Recorder;

const OLD: &str = "#!/bin/sh\necho '{\"is\":\"old\"}'\n";
const NEW: &str = "#!/bin/sh\necho '{\"is\":\"new\"}'\n";

/// What a start of the proxy makes of what the disk held.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Old,
    New,
    Neither(Tree),
}

/// Opens crashed disks as a start of the proxy does, and compares.
struct Judge {
    stub: Stub,
    old: Tree,
    new: Tree,
    /// By what was found, and by the key of the crash.
    opened: HashMap<Tree, Verdict>,
    known: HashMap<(Set, Set, Damage), Verdict>,
}

impl Judge {
    /// `old` and `new` are what the proxy leaves without a crash.
    fn new(old: &Tree, new: &Tree) -> Self {
        let proxy = Proxy::start();
        let stub = fs::read_to_string(proxy.action_dir().join("exec")).expect("the stub");
        let mut judge = Judge {
            stub: Stub(stub),
            old: Tree::new(),
            new: new.clone(),
            opened: HashMap::new(),
            known: HashMap::new(),
        };
        judge.old = judge.open(old);
        assert_ne!(judge.old, judge.new);
        judge
    }

    fn open(&self, found: &Tree) -> Tree {
        // In memory, where there is such a place: there are thousands.
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let root = root.expect("a directory");
        disk::write(found, root.path());
        let mut config = Config::new(root.path().join("action"));
        config.stub = Some(self.stub.clone());
        Action::open(config, NativeRunner).expect("the directory can be used");
        disk::read(root.path())
    }

    fn verdict(&mut self, crash: &Crash<'_>) -> Verdict {
        if let Some(verdict) = self.known.get(&crash.key) {
            return verdict.clone();
        }
        let found = crash.tree();
        let opened = self.opened.get(&found).cloned();
        let verdict = opened.unwrap_or_else(|| match self.open(&found) {
            opened if opened == self.new => Verdict::New,
            opened if opened == self.old => Verdict::Old,
            opened => Verdict::Neither(opened),
        });
        self.opened.insert(found, verdict.clone());
        self.known.insert(crash.key, verdict.clone());
        verdict
    }

    /// What is wrong with what was found, if anything is.
    fn objection(&mut self, crash: &Crash<'_>) -> Option<String> {
        match self.verdict(crash) {
            Verdict::New => None,
            Verdict::Old if !crash.answered => None,
            Verdict::Old => Some(format!("answered, and lost: {:#?}", crash.tree())),
            Verdict::Neither(opened) => {
                Some(format!("{:#?}\nis opened as\n{opened:#?}", crash.tree()))
            }
        }
    }

    /// Every crash of `disk` must leave old or new. How many leave either.
    fn check(&mut self, disk: &Disk) -> (usize, usize) {
        self.known.clear();
        let (mut old, mut new) = (0, 0);
        let objection = disk.crashes(None, |crash| {
            match self.verdict(crash) {
                Verdict::Old => old += 1,
                Verdict::New => new += 1,
                Verdict::Neither(_) => {}
            }
            self.objection(crash)
        });
        assert_eq!(
            objection,
            None,
            "{}",
            objection.as_deref().unwrap_or_default()
        );
        (old, new)
    }

    /// [`Judge::check`]s it; and without any one of its syncs but `spare`, by what they sync, some
    /// crash must leave something else.
    fn judge(&mut self, disk: &Disk, spare: &[&str]) {
        let (old, new) = self.check(disk);
        assert!(old > 0 && new > 0, "{old} old and {new} new");
        let mut needed = 0;
        let mut not_needed = Vec::new();
        for (index, event) in disk.events.iter().enumerate() {
            let Event::Sync(_, name) = event else {
                continue;
            };
            match disk.crashes(Some(index), |crash| self.objection(crash)) {
                Some(_) => needed += 1,
                None => not_needed.push(name.as_str()),
            }
        }
        println!("{old} crashes leave the old action, {new} the new; {needed} syncs are needed");
        assert_eq!(not_needed, spare);
    }
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// An archive, made by tar.
fn archive(fill: impl FnOnce(&Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).expect("a directory");
    fill(&tree);
    shell(dir.path(), "tar -C tree -czf archive .", &[]);
    fs::read(dir.path().join("archive")).expect("an archive")
}

/// An action with everything that an install has to deal with.
fn old_action(dir: &Path) {
    write(dir, &[("exec", OLD)]);
    shell(dir, "sha256sum exec > exec.sha256", &[]);
    write(
        dir,
        &[
            ("lib/kept", "old"),
            ("lib/kept.sha256", "old"),
            ("lib/replaced", "old"),
            ("lib/replaced.sha256", "old"),
            ("lib/stale", "old"),
            ("lib/stale.sha256", "old"),
            ("file-then-directory", "old"),
            ("directory-then-file/a/b", "old"),
        ],
    );
    symlink("lib", dir.join("link-then-file")).expect("a symlink");
}

fn new_action(dir: &Path) {
    write(
        dir,
        &[
            ("exec", NEW),
            ("lib/replaced", "new"),
            ("lib/replaced.sha256", "new"),
            ("lib/stale", "new"),
            ("lib/added/x", "new"),
            ("file-then-directory/x", "new"),
            ("directory-then-file", "new"),
            ("link-then-file", "new"),
        ],
    );
    symlink("exec", dir.join("link")).expect("a symlink");
    fs::set_permissions(dir.join("lib"), fs::Permissions::from_mode(0o711)).expect("a mode");
}

/// The old action as an init of an earlier process left it, below `root`.
fn install_old(root: &Path) {
    let action_dir = root.join("action");
    Proxy::start_on(&action_dir).init_binary(&archive(old_action));
}

fn answers(disk: &Disk) -> usize {
    disk.events
        .iter()
        .filter(|event| matches!(event, Event::Answered))
        .count()
}

/// One test's directory, its disk, and where strace writes.
struct Site {
    _dir: TempDir,
    root: PathBuf,
    trace: PathBuf,
    /// What the root held before it was recorded.
    old: Tree,
    disk: Disk,
}

impl Site {
    /// One on which `prepare` has put what there is before.
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        // As the kernel names it, and so strace.
        let path = dir.path().canonicalize().expect("a path");
        let root = path.join("root");
        fs::create_dir(&root).expect("a directory");
        prepare(&root);
        let old = disk::read(&root);
        Site {
            _dir: dir,
            trace: path.join("trace"),
            disk: Disk::holding(&old),
            old,
            root,
        }
    }

    fn start(&self) -> Recorder {
        Recorder::start(&self.root, &self.trace)
    }

    /// Judges what was recorded; the proxy has left the new action.
    fn judge(&self, spare: &[&str]) {
        Judge::new(&self.old, &disk::read(&self.root)).judge(&self.disk, spare);
    }
}

#[test]
fn an_archive_over_an_action_is_there_whole_or_not_at_all() {
    if !tools::are_here(&["strace", "tar", "sha256sum"]) {
        return;
    }
    let mut site = Site::new(install_old);
    let recorder = site.start();
    assert_eq!(recorder.proxy.result(json!({})), r#"{"is":"old"}"#);
    recorder.proxy.init_binary(&archive(new_action));
    assert_eq!(recorder.proxy.result(json!({})), r#"{"is":"new"}"#);
    recorder.finish(&mut site.disk);
    assert_eq!(answers(&site.disk), 1);
    // The name of the action directory, which stood there before.
    site.judge(&[""]);
}

#[test]
fn text_in_a_directory_that_the_proxy_makes_is_there_whole_or_not_at_all() {
    if !tools::are_here(&["strace"]) {
        return;
    }
    let mut site = Site::new(|_| {});
    let recorder = site.start();
    recorder.proxy.init(NEW);
    recorder.finish(&mut site.disk);
    assert_eq!(answers(&site.disk), 1);
    site.judge(&[]);
}

#[test]
fn power_that_goes_while_a_killed_init_is_completed_leaves_it_whole_or_not_at_all() {
    if !tools::are_here(&["strace", "tar", "sha256sum"]) {
        return;
    }
    // What is killed is the process alone: nothing of what it did is lost, nor synced by it.
    let mut site = Site::new(install_old);
    let recorder = site.start();
    recorder.proxy.init_binary(&archive(new_action));
    recorder.finish(&mut site.disk);
    let mut judge = Judge::new(&site.old, &disk::read(&site.root));
    let is_commit = |event: &Event| match event {
        Event::Change(Change::Rename(_, (_, to), _)) => to.starts_with(".actionproxy-commit-"),
        _ => false,
    };
    for mut disk in site.disk.moments(is_commit) {
        let site = Site::new(|root| disk::write(&disk.tree(), root));
        let recorder = site.start();
        assert_eq!(recorder.proxy.result(json!({})), r#"{"is":"new"}"#);
        recorder.finish(&mut disk);
        let (old, new) = judge.check(&disk);
        println!("{old} crashes leave the old action, {new} the new");
    }
}
