//! Logs: bytes unchanged, in bounded memory, whatever the reader does.

use std::fs;
use std::io::{PipeReader, Read};
use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Builder, Proxy, SENTINEL, census, eventually};
use rustix::process::Pid;
use serde_json::json;

use crate::{run_aside, told_pid};

const MIB: u64 = 1 << 20;

/// Reads to the sentinel; how many bytes stood before it.
fn count(log: &mut PipeReader) -> u64 {
    let end = format!("{SENTINEL}\n");
    let mut chunk = vec![0; 1 << 20];
    let mut tail = Vec::new();
    let mut count = 0;
    loop {
        let read = log.read(&mut chunk).expect("the log goes on");
        assert!(read > 0, "the log ended");
        count += read as u64;
        tail.extend_from_slice(&chunk[..read]);
        tail.drain(..tail.len().saturating_sub(end.len()));
        if tail == end.as_bytes() {
            return count - end.len() as u64;
        }
    }
}

/// Runs `script` (Perl) on such a proxy and checks what was logged, and that the proxy took no more than 8 MiB
/// above what it takes when idle. Returns the answer.
fn run_in_bounded_memory(
    builder: Builder,
    script: &str,
    expected: [u64; 2],
) -> actionproxy_tests::Answer {
    let [(mut out, to_out), (mut err, to_err)] =
        [(), ()].map(|()| std::io::pipe().expect("a pipe"));
    let proxy = builder.stdout(to_out).stderr(to_err).start();
    proxy.init(&format!("#!/usr/bin/perl\n{script}\n"));
    let idle = census::memory(proxy.pid());
    census::forget_peak(proxy.pid());
    let (answer, found) = thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        let counted = [&mut out, &mut err].map(|log| scope.spawn(|| count(log)));
        let counted = counted.map(|thread| thread.join().expect("a sentinel"));
        (answer.join().expect("an answer"), counted)
    });
    assert_eq!(found, expected);
    let peak = census::peak_memory(proxy.pid());
    assert!(peak < idle + 8 * MIB, "idle {idle}, at most {peak}");
    answer
}

#[test]
fn a_hundred_megabytes_of_lines_take_no_memory() {
    if !are_here(&["perl"]) {
        return;
    }
    let answer = run_in_bounded_memory(
        Proxy::builder(),
        "for (1..500000) { print 'o' x 99, \"\\n\"; print STDERR 'e' x 99, \"\\n\"; } print '{}';",
        [50_000_000, 50_000_000],
    );
    assert_eq!(answer.text(), "{}");
}

#[test]
fn a_line_of_a_hundred_megabytes_takes_no_memory() {
    if !are_here(&["perl"]) {
        return;
    }
    let script = "for (1..1000) { print STREAM 'x' x 100000 } print STREAM \"\\n\"; print '{}';";
    let answer = run_in_bounded_memory(
        Proxy::builder(),
        &script.replace("STREAM", "STDOUT"),
        [100_000_001, 0],
    );
    assert_eq!(answer.text(), "{}");
    let answer = run_in_bounded_memory(
        Proxy::builder(),
        &script.replace("STREAM", "STDERR"),
        [0, 100_000_001],
    );
    assert_eq!(answer.text(), "{}");
}

#[test]
fn a_result_over_the_limit_is_refused_and_not_held() {
    if !are_here(&["perl"]) {
        return;
    }
    let note = "actionproxy: the result line is over the limit of 1048576 bytes\n";
    let answer = run_in_bounded_memory(
        Proxy::builder().arg("--max-result=1M"),
        "print '{\"x\":\"'; for (1..1000) { print 'x' x 100000 } print '\"}';",
        [100_000_009, note.len() as u64],
    );
    assert_eq!(answer.status, 502);
    let said = "The result line is over the limit of 1048576 bytes.";
    assert_eq!(answer.error(), said);
}

#[test]
fn a_result_of_the_limit_itself_is_one() {
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = Proxy::builder().arg("--max-result=1000").start();
    proxy.init("#!/usr/bin/perl\n<STDIN> =~ /(\\d+)/; print '[', ' ' x ($1 - 2), ']';\n");
    assert_eq!(proxy.run(json!({"n": 1000})).status, 200);
    assert_eq!(proxy.run(json!({"n": 1001})).status, 502);
    assert_eq!(proxy.run(json!({"n": 1000})).status, 200);
}

#[test]
fn a_reader_that_is_slow_slows_the_action_and_nothing_grows() {
    if !are_here(&["perl"]) {
        return;
    }
    let (mut out, to_out) = std::io::pipe().expect("a pipe");
    let proxy = Proxy::builder().stdout(to_out).start();
    proxy.init(
        "#!/usr/bin/perl\nopen F, '>../main'; print F \"$$\\n\"; close F;
         for (1..1000) { syswrite STDOUT, 'x' x 9999 . \"\\n\" } print '{}';\n",
    );
    census::forget_peak(proxy.pid());
    let idle = census::memory(proxy.pid());
    thread::scope(|scope| {
        let answer = run_aside(scope, &proxy);
        let main = told_pid(&proxy, "main");
        // All pipes are full: the action, in its write, and the proxy wait for us.
        let written = eventually("the action to be held up", || {
            let blocked = fs::read_to_string(format!("/proc/{main}/wchan")).ok()?;
            let written = written(main)?;
            let proxy_waits = is_writing(proxy.pid());
            (blocked.contains("pipe_write") && proxy_waits).then_some(written)
        });
        assert!(written < 1_000_000, "{written} bytes went somewhere");
        assert_eq!(count(&mut out), 10_000_000);
        assert_eq!(answer.join().expect("an answer").text(), "{}");
    });
    assert!(census::peak_memory(proxy.pid()) < idle + 8 * MIB);
}

/// Bytes that a process has written.
fn written(pid: i32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "))?;
    line.parse().ok()
}

/// Whether a thread of a process waits in a write to a pipe.
fn is_writing(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
    tasks.flatten().any(|task| {
        let waits_in = fs::read_to_string(task.path().join("wchan"));
        waits_in.is_ok_and(|waits_in| waits_in.contains("pipe_write"))
    })
}

#[test]
fn a_log_that_nobody_reads_any_more_does_not_matter() {
    for streams in [[true, false], [false, true], [true, true]] {
        let closed = || std::io::pipe().expect("a pipe").1;
        let mut builder = Proxy::builder();
        if streams[0] {
            builder = builder.stdout(closed());
        }
        if streams[1] {
            builder = builder.stderr(closed());
        }
        let proxy = builder.start();
        proxy.init("#!/bin/sh\necho out\necho err >&2\necho '{\"ok\":1}'\n");
        for _ in 0..3 {
            assert_eq!(proxy.result(json!({})), "{\"ok\":1}");
        }
    }
}

#[test]
fn a_proxy_started_without_descriptors_works() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let shell = format!("exec \"$@\" {closed}");
        let mut proxy = Proxy::builder().under(["sh", "-c", &shell, "sh"]).start();
        proxy.init("#!/bin/sh\nread x\necho out\necho err >&2\necho \"$x\"\n");
        assert_eq!(proxy.result(json!({"a": 1})), "{\"a\":1}");
        assert_eq!(proxy.stop(), 0, "{closed}");
    }
}

#[test]
fn sentinels_stand_on_lines_of_their_own() {
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nprintf err >&2\necho '{}'\n");
    proxy.result(json!({}));
    assert_eq!(proxy.logs().stderr, "err\n");
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/sh\nprintf err >&2\nprintf out\n");
    assert_eq!(proxy.run(json!({})).status, 502);
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "out\n");
    assert!(logs.stderr.starts_with("err\nactionproxy: "), "{logs:?}");
}

#[test]
fn bytes_pass_unchanged() {
    let bytes: Vec<u8> = (0..=255).chain([b'\r', b'\n', 0, b'\n']).collect();
    let octal: String = bytes.iter().map(|b| format!("\\{b:03o}")).collect();
    let proxy = Proxy::start();
    proxy.init(&format!(
        "#!/bin/sh\nprintf '{octal}'\nprintf '{octal}' >&2\necho '{{}}'\n"
    ));
    proxy.result(json!({}));
    let mut expected = bytes;
    expected.extend_from_slice(format!("{SENTINEL}\n").as_bytes());
    for name in ["stdout", "stderr"] {
        let found = fs::read(proxy.scratch().join(name)).expect("a log");
        assert_eq!(found, expected, "{name}");
    }
}
