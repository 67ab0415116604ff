//! Readers of the proxy's logs who stop reading, or cannot be written to: limits hold, requests are
//! answered, and what was left out is told.

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Builder, Proxy, SENTINEL, census, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::{told_pid, wait_for_load};

/// Writes more than pipes hold, then waits for ever.
const FLOODS: &str = "#!/bin/sh\necho $$ > ../begun\nhead -c 1000000 /dev/zero | tr '\\0' x\necho\nexec sleep 1000\n";

/// Where a stream of the proxy goes.
type To = fn(Builder, std::io::PipeWriter) -> Builder;

#[test]
fn a_time_limit_holds_while_nobody_reads_the_log() {
    let streams: [To; 2] = [
        |builder, to| builder.stdout(to),
        |builder, to| builder.stderr(to),
    ];
    for stream in streams {
        let (mut log, to_log) = std::io::pipe().expect("a pipe");
        let builder = Proxy::builder()
            .arg("--timeout=300ms")
            .arg("--kill-grace=100ms");
        let proxy = stream(builder, to_log).start();
        // To both, so that one script does.
        proxy.init(&FLOODS.replace("tr '\\0' x", "tr '\\0' x | tee /dev/stderr"));
        let answer = proxy.run(json!({}));
        assert_eq!(answer.status, 502);
        assert!(answer.error().contains("time limit"), "{}", answer.text());
        assert!(!census::is_alive(told_pid(&proxy, "begun")), "it runs on");
        // The next one is not held up either, and has its own time.
        assert_eq!(proxy.run(json!({})).status, 502);
        // Who reads after all finds whole lines, what is missing, and the sentinels.
        drop(proxy);
        let mut found = String::new();
        log.read_to_string(&mut found).expect("text");
        let first = found.lines().next().expect("a line");
        assert!(
            first.len() >= 4096 && first.bytes().all(|b| b == b'x'),
            "{}",
            first.len()
        );
        assert!(found.lines().all(|line| {
            line.bytes().all(|b| b == b'x') || line == SENTINEL || line.starts_with("actionproxy: ")
        }));
    }
}

#[test]
fn what_nobody_read_in_time_is_told_when_somebody_reads_again() {
    let (mut log, to_log) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder()
        .arg("--timeout=300ms")
        .arg("--kill-grace=100ms")
        .stdout(to_log)
        .start();
    proxy.init(&format!(
        "#!/bin/sh\nread x\ncase $x in *again*) echo again; echo '{{}}'; exit;; esac\n{}",
        FLOODS.trim_start_matches("#!/bin/sh\n")
    ));
    assert_eq!(proxy.run(json!({})).status, 502);
    let mut found = Vec::new();
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            read_to_second_sentinel(&mut log, &mut found);
        });
        // The first activation's come before anything of the second's.
        eventually("a run that is not cut short", || {
            (proxy.run(json!({"do": "again"})).status == 200).then_some(())
        });
        reading.join().expect("two sentinels");
    });
    let found = String::from_utf8(found).expect("text");
    let lines: Vec<_> = found.lines().collect();
    let [flood, note, first, again, second] = lines[..] else {
        panic!(
            "{:?}",
            lines
                .iter()
                .map(|l| &l[..l.len().min(99)])
                .collect::<Vec<_>>()
        );
    };
    let left_out = note
        .strip_prefix("actionproxy: ")
        .and_then(|note| {
            note.strip_suffix(" bytes for stdout are left out: nobody read them in time")
        })
        .unwrap_or_else(|| panic!("{note}"));
    let left_out: usize = left_out.parse().expect("a number");
    // The newline that was put behind the first part is not the action's.
    assert!(
        flood.len() + left_out <= 1_000_001,
        "{} {left_out}",
        flood.len()
    );
    assert!(flood.len() >= 4096 && left_out > 0);
    assert_eq!((first, again, second), (SENTINEL, "again", SENTINEL));
}

fn read_to_second_sentinel(log: &mut PipeReader, found: &mut Vec<u8>) {
    let mut chunk = vec![0; 1 << 16];
    while String::from_utf8_lossy(found).matches(SENTINEL).count() < 2 {
        let read = log.read(&mut chunk).expect("the log goes on");
        assert!(read > 0, "the log ended");
        found.extend_from_slice(&chunk[..read]);
    }
}

#[test]
fn a_deadline_holds_while_nobody_reads_the_log_though_activations_overlap() {
    let (log, to_log) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder()
        .arg("--enforce-deadline")
        .arg("--kill-grace=100ms")
        .env("__OW_ALLOW_CONCURRENT", "true")
        .stdout(to_log)
        .start();
    proxy.init(FLOODS);
    let run = |millis: u64| {
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        let deadline = now.as_millis() as u64 + millis;
        proxy.post(
            "/run",
            json!({"value": {}, "deadline": deadline.to_string()}).to_string(),
        )
    };
    thread::scope(|scope| {
        let late = scope.spawn(|| run(3_600_000));
        wait_for_load(&proxy, 1, 0);
        // One that may wait for an hour has the stream; the others' deadlines hold.
        for _ in 0..2 {
            let answer = run(300);
            assert_eq!(answer.status, 502);
            assert!(answer.error().contains("deadline"), "{}", answer.text());
        }
        drop(log);
        proxy.signal(Signal::KILL);
        let _ = late.join();
    });
}

#[test]
fn a_log_on_a_full_disk_does_not_matter() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    let proxy = Proxy::builder().stdout(full()).stderr(full()).start();
    proxy.init("#!/bin/sh\nhead -c 200000 /dev/zero\necho err >&2\necho\necho '{\"ok\":1}'\n");
    for _ in 0..3 {
        assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
    }
    assert_idle(&proxy);
}

#[test]
fn a_proxy_whose_log_is_closed_or_not_read_does_not_spin() {
    let (log, to_log) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder().stdout(to_log).start();
    proxy.init(FLOODS);
    let mut connection = proxy.connect();
    let run = actionproxy_tests::request("POST", "/run", b"{}");
    connection.send(&run).expect("the proxy takes it");
    told_pid(&proxy, "begun");
    assert_idle(&proxy);
    drop(log);
    assert_idle(&proxy);
}

/// The proxy uses next to no processor time. A loop would use all that it can get.
fn assert_idle(proxy: &Proxy) {
    // So much of our own, with which to compare on a machine that gives nobody much.
    let me = rustix::process::getpid();
    let (before, mine) = (census::ticks(proxy.pid()), census::ticks(me));
    while census::ticks(me) < mine + 20 {
        fs::metadata("/proc/self").expect("/proc is mounted");
    }
    let used = census::ticks(proxy.pid()) - before;
    assert!(used < 10, "{used} ticks beside 20 of ours");
}

#[test]
fn a_run_without_http_keeps_its_time_limit_while_nobody_reads() {
    if !are_here(&["head"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (log, to_log) = std::io::pipe().expect("a pipe");
    let file = dir.path().join("action");
    let code = FLOODS.replace("../begun", "begun");
    actionproxy_tests::proxy::write_executable(&file, code.as_bytes());
    let mut child = std::process::Command::new(actionproxy_tests::binary::proxy())
        .args(["--timeout=300ms", "--kill-grace=100ms", "run"])
        .arg(&file)
        .stdin(std::process::Stdio::null())
        .stdout(to_log)
        .stderr(File::create(dir.path().join("err")).expect("a log"))
        .spawn()
        .expect("the proxy runs");
    let status = eventually("the end", || child.try_wait().expect("our child"));
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(dir.path().join("err")).expect("a log");
    assert!(said.contains("time limit of 300 ms"), "{said}");
    drop(log);
}
