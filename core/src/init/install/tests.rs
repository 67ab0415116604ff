//! Commits, leftovers, and processes that are killed half-way.

use super::*;

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// What a tree holds: `path -> mode and content, target or nothing`.
fn snapshot(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                format!("{mode:o}/")
            } else {
                format!("{mode:o} {}", fs::read_to_string(&path).unwrap())
            };
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.insert(name, what);
        }
    }
    found
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// An action with everything that a commit has to deal with.
fn old_action(dir: &Path) {
    write(
        dir,
        &[
            ("exec", "old"),
            ("exec.sha256", "old"),
            ("lib/kept", "old"),
            ("lib/kept.sha256", "old"),
            ("lib/replaced", "old"),
            ("lib/replaced.sha256", "old"),
            ("file-then-directory", "old"),
            ("directory-then-file/a/b", "old"),
        ],
    );
    symlink("lib", dir.join("link-then-file")).unwrap();
    symlink("lib", dir.join("link-then-directory")).unwrap();
}

fn new_action(dir: &Path) {
    write(
        dir,
        &[
            ("exec", "new"),
            ("lib/replaced", "new"),
            ("lib/replaced.sha256", "new"),
            ("lib/added/x", "new"),
            ("file-then-directory/x", "new"),
            ("directory-then-file", "new"),
            ("link-then-file", "new"),
            ("link-then-directory/replaced", "new"),
        ],
    );
    symlink("exec", dir.join("link")).unwrap();
    fs::set_permissions(dir.join("lib"), fs::Permissions::from_mode(0o711)).unwrap();
}

fn merged() -> BTreeMap<String, String> {
    [
        ("directory-then-file", "755 new"),
        ("exec", "755 new"),
        ("file-then-directory", "755/"),
        ("file-then-directory/x", "755 new"),
        ("lib", "711/"),
        ("lib/added", "755/"),
        ("lib/added/x", "755 new"),
        ("lib/kept", "755 old"),
        ("lib/kept.sha256", "755 old"),
        ("lib/replaced", "755 new"),
        ("lib/replaced.sha256", "755 new"),
        ("link", "-> exec"),
        ("link-then-directory", "755/"),
        ("link-then-directory/replaced", "755 new"),
        ("link-then-file", "755 new"),
    ]
    .map(|(name, what)| (name.to_owned(), what.to_owned()))
    .into()
}

#[test]
fn a_commit_replaces_files_and_merges_directories() {
    let dir = tempfile::tempdir().unwrap();
    old_action(dir.path());
    let stage = Stage::create(dir.path(), Durability::Process).unwrap();
    new_action(stage.dir());
    stage.commit().unwrap();
    assert_eq!(snapshot(dir.path()), merged());
}

#[test]
fn a_dropped_stage_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let action = dir.path().join("not/yet/there");
    let stage = Stage::create(&action, Durability::Process).unwrap();
    new_action(stage.dir());
    let shut = stage.dir().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    drop(stage);
    assert_eq!(snapshot(&action), BTreeMap::new());
}

#[test]
fn a_name_of_the_proxy_is_refused_before_anything_changes() {
    let dir = tempfile::tempdir().unwrap();
    old_action(dir.path());
    let before = snapshot(dir.path());
    let stage = Stage::create(dir.path(), Durability::Process).unwrap();
    new_action(stage.dir());
    fs::create_dir(stage.dir().join(".actionproxy-commit-1-1")).unwrap();
    let error = stage.commit().unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to unpack `.actionproxy-commit-1-1`: names that begin with `.actionproxy-` are reserved"
    );
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn recovery_leaves_live_stages_and_foreign_names_alone() {
    let dir = tempfile::tempdir().unwrap();
    let live = Stage::create(dir.path(), Durability::Process).unwrap();
    write(live.dir(), &[("exec", "new")]);
    write(
        dir.path(),
        &[(".actionproxy-stage-file", "not a directory")],
    );
    symlink("/", dir.path().join(".actionproxy-commit-link")).unwrap();
    let before = snapshot(dir.path());
    recover(dir.path(), Durability::Process).unwrap();
    assert_eq!(snapshot(dir.path()), before);
    recover(&dir.path().join("missing"), Durability::Process).unwrap();
    live.commit().unwrap();
}

#[test]
fn recovery_removes_the_stage_of_a_dead_process() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("exec", "old"), (".actionproxy-stage-9-9/exec", "new")],
    );
    recover(dir.path(), Durability::Process).unwrap();
    let left: Vec<String> = snapshot(dir.path()).into_keys().collect();
    assert_eq!(left, ["exec"]);
}

#[test]
fn a_new_stage_first_completes_a_commit_that_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("exec", "old"), (".actionproxy-commit-9-9/exec", "new")],
    );
    drop(Stage::create(dir.path(), Durability::Process).unwrap());
    let expected = [("exec".to_owned(), "755 new".to_owned())];
    assert_eq!(snapshot(dir.path()), expected.into());
}

/// Set in the process that [`killed_at_any_step`] starts: the directory and the step to die at.
const CRASH: &str = "ACTIONPROXY_TEST_CRASH";

#[test]
fn killed_at_any_step_leaves_the_old_action_or_completes_the_new() {
    if let Ok(order) = env::var(CRASH) {
        let (step, dir) = order.split_once(' ').unwrap();
        commit_and_die(Path::new(dir), step.parse().unwrap());
    }
    let (mut kept, mut completed) = (0, 0);
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        old_action(dir.path());
        let before = snapshot(dir.path());
        let name = "killed_at_any_step_leaves_the_old_action_or_completes_the_new";
        let status = Command::new(env::current_exe().unwrap())
            .arg(format!("init::install::tests::{name}"))
            .arg("--exact")
            .env(CRASH, format!("{step} {}", dir.path().display()))
            .output()
            .unwrap()
            .status;
        if status.success() {
            assert_eq!(snapshot(dir.path()), merged(), "not killed at {step}");
            break;
        }
        assert_eq!(status.signal(), Some(9), "at step {step}");
        recover(dir.path(), Durability::Process).unwrap();
        let after = snapshot(dir.path());
        if after == before {
            kept += 1;
        } else {
            assert_eq!(after, merged(), "at step {step}");
            completed += 1;
        }
    }
    assert_eq!(kept, 1, "only before the commit point");
    assert!(completed > 10, "{completed}");
}

fn commit_and_die(dir: &Path, step: u32) -> ! {
    let stage = Stage::create(dir, Durability::Process).unwrap();
    new_action(stage.dir());
    let mut left = step;
    stage
        .commit_watched(&mut || {
            if left == 0 {
                let me = rustix::process::getpid();
                rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
            }
            left -= 1;
        })
        .unwrap();
    process::exit(0)
}
