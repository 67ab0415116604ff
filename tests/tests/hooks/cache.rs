//! What hooks build is kept, and built once for all that share a cache; nothing about it fails an init.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use actionproxy_tests::{Proxy, eventually, tools};
use serde_json::json;

use crate::{actionproxy, command, path, text};

struct Site {
    dir: tempfile::TempDir,
    build: String,
}

impl Site {
    /// Builds by making a script of the source; each build is a line in the file `builds`.
    fn new() -> Self {
        Self::building(
            r#"cp "$ACTION_SOURCE" exec; chmod 750 exec; mkdir -p lib; ln -sf ../exec lib/link"#,
        )
    }

    fn building(how: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let build = format!("sh -c 'echo x >>{}/builds; {how}'", dir.path().display());
        Site { dir, build }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn builds(&self) -> usize {
        let builds = fs::read_to_string(self.dir.path().join("builds"));
        builds.unwrap_or_default().lines().count()
    }

    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).into_iter().flatten();
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }

    fn source(&self, result: &str) -> PathBuf {
        let file = self.dir.path().join("source");
        let code = format!("#!/bin/sh\ntest -x lib/link && echo '{{\"is\":\"{result}\"}}'\n");
        fs::write(&file, code).expect("our directory");
        file
    }

    fn arguments<'a>(&'a self, cache: &'a str, file: &'a Path) -> Vec<&'a str> {
        let file = path(file);
        vec![
            "run",
            "--init",
            file,
            "--source-name=src",
            "--build",
            &self.build,
            "--build-cache",
            cache,
        ]
    }

    /// Initialises and runs; the result has to be right whatever the cache does.
    fn run_with(&self, result: &str, more: &[&str]) -> Output {
        let cache = self.cache();
        self.run_on(path(&cache), result, more)
    }

    fn run_on(&self, cache: &str, result: &str, more: &[&str]) -> Output {
        let file = self.source(result);
        let output = actionproxy(&[&self.arguments(cache, &file), more].concat());
        assert_eq!(
            text(&output.stdout),
            format!("{{\"is\":\"{result}\"}}\n"),
            "{output:?}"
        );
        output
    }

    /// Nothing was said.
    fn run(&self, result: &str) {
        assert_eq!(text(&self.run_with(result, &[]).stderr), "");
    }
}

/// They do it anew each time, as without a cache, and on top of nothing that another of them has left.
#[test]
fn what_other_commands_write_is_not_kept() {
    for (one, other) in [
        ("--verify-command=mkdir made", "--verify-command=mkdir made"),
        (
            "--env-command=sh -c 'ln -s x made && echo A=1'",
            "--env-command=mkdir made",
        ),
    ] {
        let site = Site::new();
        for more in [one, one, other] {
            let output = site.run_with("one", &[more]);
            assert_eq!(text(&output.stderr), "", "{more}");
        }
        assert_eq!(site.builds(), 1);
        let output = site.run_with("one", &["--verify-command=sh -c '! test -e made'"]);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(site.builds(), 1);
    }
}

/// So it would have to be there for the next init, with other modes.
#[test]
fn what_a_user_may_read_is_not_kept() {
    if !rustix::process::geteuid().is_root() {
        return tools::leave_out("this test needs root, to be another user");
    }
    let site = Site::building(
        r#"cp "$ACTION_SOURCE" exec; chmod 700 exec; mkdir -p lib; ln -sf ../exec lib/link"#,
    );
    site.run_with("one", &["--user=65534"]);
    let output = site.run_with("one", &["--verify-command=sh -c 'stat -c %a exec >&2'"]);
    assert_eq!(text(&output.stderr), "700\n");
    assert_eq!(site.builds(), 1);
}

#[test]
fn what_was_built_once_is_not_built_again_but_for_another_code_main_or_command() {
    let site = Site::new();
    for (result, more, builds) in [
        ("one", &[][..], 1),
        ("one", &[], 1),
        ("two", &[], 2),
        ("one", &[], 2),
        ("one", &["--main=other"], 3),
        ("one", &["--main=main"], 4),
        ("one", &["--env=CFLAGS=-O3"], 5),
        ("one", &["--env=__OW_ACTIVATION_ID=7"], 5),
        ("one", &["--epilogue", "true"], 6),
        ("one", &["--name=a"], 7),
        // These are run each time.
        (
            "one",
            &[
                "--preinit=true",
                "--verify-command=true",
                "--env-command=true",
            ],
            7,
        ),
    ] {
        let output = site.run_with(result, more);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(site.builds(), builds, "{result} {more:?}");
    }
    // Without a cache, always.
    let file = site.source("one");
    let arguments = site.arguments("off", &file);
    actionproxy(&arguments);
    assert_eq!(site.builds(), 8);
}

#[test]
fn a_served_action_comes_from_the_cache_as_it_was_built() {
    let site = Site::new();
    let cache = site.cache();
    for _ in 0..2 {
        let proxy = Proxy::builder()
            .env("ACTIONPROXY_SOURCE_NAME", "src")
            .env("ACTIONPROXY_BUILD", &site.build)
            .env("ACTIONPROXY_BUILD_CACHE", path(&cache))
            .start();
        proxy.init("#!/bin/sh\necho '{\"a\":1}'\n");
        assert_eq!(proxy.result(json!({})), "{\"a\":1}");
        let exec = fs::metadata(proxy.action_dir().join("exec")).expect("it is there");
        assert_eq!(exec.permissions().mode() & 0o777, 0o750);
        let link = fs::read_link(proxy.action_dir().join("lib/link"));
        assert_eq!(link.expect("a symlink"), Path::new("../exec"));
        assert!(proxy.action_dir().join("src").exists());
        // The executable's digest is known, as after any other init.
        fs::write(proxy.action_dir().join("exec"), "#!/bin/sh\necho '{}'\n").expect("root");
        assert_eq!(proxy.run(json!({})).status, 502);
    }
    assert_eq!(site.builds(), 1);
}

#[test]
fn a_resident_process_is_built_once_too() {
    let site = Site::new();
    let compiler = site.dir.path().join("compile");
    let script = format!(
        "#!/bin/bash\necho x >>{}/builds\n{{ echo '#!/bin/bash'; cat $2/exec; }} >$3/exec\n",
        site.dir.path().display()
    );
    actionproxy_tests::proxy::write_executable(&compiler, script.as_bytes());
    let action = site.dir.path().join("action");
    for _ in 0..2 {
        let proxy = Proxy::builder()
            .arg("--action-loop")
            .arg("--action-dir")
            .arg(path(&action))
            .env("OW_COMPILER", path(&compiler))
            .env("ACTIONPROXY_BUILD_CACHE", path(&site.cache()))
            .start();
        let code = "while read -r line; do echo '{\"a\":1}' >&3; done";
        let answer = proxy.init_with(json!({ "code": code }));
        assert_eq!(answer.text(), "{\"ok\":true}\n", "{}", proxy.stderr());
        assert_eq!(proxy.run(json!({})).text(), "{\"a\":1}\n");
        drop(proxy);
        fs::remove_dir_all(&action).expect("our own");
    }
    assert_eq!(site.builds(), 1);
}

#[test]
fn a_damaged_entry_is_built_anew_and_said_once() {
    let site = Site::new();
    site.run("one");
    let [entry] = &site.entries()[..] else {
        panic!("{:?}", site.entries());
    };
    let whole = fs::read(entry).expect("our own");
    let cut = &whole[..whole.len() / 2];
    let flipped: Vec<u8> = whole
        .iter()
        .enumerate()
        .map(|(n, b)| b ^ u8::from(n == 200))
        .collect();
    for damaged in [&b""[..], b"x", cut, &flipped] {
        let before = site.builds();
        fs::write(entry, damaged).expect("our own");
        let output = site.run_with("one", &[]);
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with("actionproxy: the build cache: `")
                && stderr.contains("the entry is damaged: ")
                && stderr.ends_with("; building anew\n")
                && stderr.lines().count() == 1,
            "{stderr}"
        );
        site.run("one");
        assert_eq!(site.builds(), before + 1);
    }
}

#[test]
fn a_cache_that_cannot_be_used_is_a_line_in_the_logs_and_no_more() {
    let site = Site::new();
    let file = site.dir.path().join("file");
    fs::write(&file, "x").expect("our directory");
    for (cache, why) in [
        // Nobody may make anything there.
        ("/proc/cache", "`/proc/cache`: "),
        (path(&file), "Not a directory"),
        (&format!("{}/deeper", path(&file)), "Not a directory"),
    ] {
        for _ in 0..2 {
            let output = site.run_on(cache, "one", &[]);
            let stderr = text(&output.stderr);
            assert!(
                stderr.contains("actionproxy: the build cache: ") && stderr.contains(why),
                "{stderr}"
            );
        }
    }
    assert_eq!(site.builds(), 6);
    // What is larger than all of it.
    let output = site.run_with("one", &["--build-cache-size=100"]);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("over the limit of the cache, 100 bytes; what was built is not kept"),
        "{stderr}"
    );
    assert!(site.entries().is_empty(), "{:?}", site.entries());
}

/// A file system of its own: read-only, then full.
#[test]
fn a_cache_that_is_read_only_is_used_and_one_that_is_full_is_not_needed() {
    if !tools::are_here(&["unshare", "mount"]) {
        return;
    }
    let can_mount = std::process::Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !can_mount {
        tools::leave_out("this test needs to mount a file system");
        return;
    }
    let site = Site::new();
    site.run("one");
    let cache = site.cache();
    let within = |set_up: &str, result: &str| {
        let file = site.source(result);
        let arguments = site.arguments(path(&cache), &file);
        let script = format!("{set_up}; exec \"$@\"");
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-ec", &script, "sh"])
            .arg(actionproxy_tests::binary::proxy())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("CACHE", &cache)
            .stdin(Stdio::null())
            .output()
            .expect("unshare runs");
        assert_eq!(
            text(&output.stdout),
            format!("{{\"is\":\"{result}\"}}\n"),
            "{output:?}"
        );
        text(&output.stderr).to_owned()
    };
    let read_only = "mount --bind $CACHE $CACHE; mount -o remount,ro,bind $CACHE";
    assert_eq!(within(read_only, "one"), "");
    assert_eq!(site.builds(), 1, "it was there");
    let said = within(read_only, "two");
    assert!(
        said.contains("Read-only file system") && said.lines().count() == 1,
        "{said}"
    );
    let full = "mount -t tmpfs -o size=64k none $CACHE; head -c 65536 /dev/zero >$CACHE/zero || :";
    let said = within(full, "one");
    assert!(
        said.contains("No space left on device") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(site.builds(), 3);
}

#[test]
fn it_stays_within_its_size_and_the_last_one_used_stays_longest() {
    let site = Site::building(
        r#"head -c 10000 /dev/zero >zeros; cp "$ACTION_SOURCE" exec; chmod +x exec; mkdir lib; ln -s ../exec lib/link"#,
    );
    let size = "--build-cache-size=35K";
    for (result, builds) in [
        ("a", 1),
        ("b", 2),
        ("c", 3),
        ("a", 3),
        ("d", 4),
        ("a", 4),
        ("b", 5),
    ] {
        site.run_with(result, &[size]);
        assert_eq!(site.builds(), builds, "{result}");
        let total: u64 = site
            .entries()
            .iter()
            .map(|e| e.metadata().expect("ours").len())
            .sum();
        assert!(total <= 35 << 10, "{total}");
    }
    assert_eq!(site.entries().len(), 3);
}

#[test]
fn a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_used_or_stays() {
    let site = Site::building(
        r#"head -c 40000000 /dev/zero >zeros; cp "$ACTION_SOURCE" exec; chmod +x exec; mkdir lib; ln -s ../exec lib/link"#,
    );
    let is_new = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".new-")
    };
    let mut caught = false;
    for attempt in 0..20 {
        let result = format!("attempt {attempt}");
        let (cache, file) = (site.cache(), site.source(&result));
        let mut child: Child = command(&site.arguments(path(&cache), &file))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy runs");
        caught = eventually("an entry to be begun", || {
            let begun = site.entries().iter().any(|path| is_new(&path));
            (begun || child.try_wait().expect("our child").is_some()).then_some(begun)
        });
        let _ = child.kill();
        let _ = child.wait();
        if caught && site.entries().iter().any(|path| is_new(&path)) {
            let before = site.builds();
            site.run(&result);
            site.run(&result);
            assert_eq!(site.builds(), before + 1, "half of it is not there");
            break;
        }
        caught = false;
    }
    assert!(caught, "it was never caught while it wrote");
    assert!(
        !site.entries().iter().any(|path| is_new(&path)),
        "{:?}",
        site.entries()
    );
}

#[test]
fn many_processes_share_one() {
    let site = Site::new();
    let cache = site.cache();
    let file = site.source("one");
    let arguments = site.arguments(path(&cache), &file);
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = command(&arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the proxy runs")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("our child");
        assert_eq!(text(&output.stdout), "{\"is\":\"one\"}\n", "{output:?}");
        assert_eq!(text(&output.stderr), "");
    }
    let before = site.builds();
    site.run("one");
    assert_eq!(site.builds(), before);
    assert_eq!(site.entries().len(), 1);
}
