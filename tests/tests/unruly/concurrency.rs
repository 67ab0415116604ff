//! `__OW_ALLOW_CONCURRENT=true`: activations overlap, their lines and sentinels do not mix.

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use actionproxy_tests::tools::are_here;
use actionproxy_tests::{Builder, Proxy, SENTINEL, census, eventually, request};
use serde_json::json;

use crate::{tell, wait_for_load};

fn concurrent() -> Builder {
    Proxy::builder().env("__OW_ALLOW_CONCURRENT", "true")
}

/// Writes `../NAME` and waits for `../go-NAME`.
const MEETS: &str = "#!/bin/sh\nread x\nname=${x#*:\\\"}\nname=${name%%\\\"*}\necho x > ../$name\n\
    echo begin $name\nuntil [ -e ../go-$name ]; do sleep 0.01; done\necho end $name\necho '{}'\n";

fn wait_for(proxy: &Proxy, name: &str) {
    crate::told(proxy, name);
}

/// How many sentinels are on each stream.
fn sentinels(proxy: &Proxy) -> [usize; 2] {
    ["stdout", "stderr"].map(|name| {
        let log = fs::read_to_string(proxy.scratch().join(name)).expect("a log");
        log.lines().filter(|line| *line == SENTINEL).count()
    })
}

#[test]
fn activations_overlap_and_sentinels_come_when_none_is_left() {
    let proxy = concurrent().start();
    proxy.init(MEETS);
    thread::scope(|scope| {
        let [a, b, c] = ["a", "b", "c"].map(|name| {
            let proxy = &proxy;
            scope.spawn(move || proxy.run(json!({ "name": name })))
        });
        // Each waits for us: that all have begun is that they overlap.
        for name in ["a", "b", "c"] {
            wait_for(&proxy, name);
        }
        for (name, run) in [("b", b), ("a", a)] {
            tell(&proxy, &format!("go-{name}"));
            assert_eq!(run.join().expect("an answer").status, 200);
            assert_eq!(sentinels(&proxy), [0, 0]);
        }
        tell(&proxy, "go-c");
        assert_eq!(c.join().expect("an answer").status, 200);
        assert_eq!(sentinels(&proxy), [3, 3]);
    });
    let all = fs::read_to_string(proxy.scratch().join("stdout")).expect("a log");
    assert!(all.ends_with(&format!("{SENTINEL}\n").repeat(3)), "{all}");
    // And again, alone.
    assert_eq!(proxy.run(json!({ "name": "a" })).status, 200);
    assert_eq!(sentinels(&proxy), [4, 4]);
}

#[test]
fn without_it_activations_take_turns() {
    let proxy = Proxy::start();
    proxy.init(MEETS);
    thread::scope(|scope| {
        let proxy = &proxy;
        let run = |name| scope.spawn(move || proxy.run(json!({ "name": name })));
        let first = run("a");
        wait_for(proxy, "a");
        let second = run("b");
        wait_for_load(proxy, 1, 1);
        assert!(!proxy.scratch().join("b").exists());
        tell(proxy, "go-a");
        tell(proxy, "go-b");
        for run in [first, second] {
            assert_eq!(run.join().expect("an answer").status, 200);
        }
    });
    let all = fs::read_to_string(proxy.scratch().join("stdout")).expect("a log");
    let expected = format!("begin a\nend a\n{SENTINEL}\nbegin b\nend b\n{SENTINEL}\n");
    assert_eq!(all, expected);
}

#[test]
fn above_the_limit_activations_wait() {
    let proxy = concurrent().arg("--max-concurrent=2").start();
    proxy.init(MEETS);
    thread::scope(|scope| {
        let proxy = &proxy;
        let run = |name| scope.spawn(move || proxy.run(json!({ "name": name })));
        let (first, second) = (run("a"), run("b"));
        wait_for(proxy, "a");
        wait_for(proxy, "b");
        let third = run("c");
        wait_for_load(proxy, 2, 1);
        assert!(!proxy.scratch().join("c").exists());
        tell(proxy, "go-b");
        assert_eq!(second.join().expect("an answer").status, 200);
        // In the place of the second, though the first still runs.
        wait_for(proxy, "c");
        tell(proxy, "go-c");
        assert_eq!(third.join().expect("an answer").status, 200);
        tell(proxy, "go-a");
        assert_eq!(first.join().expect("an answer").status, 200);
    });
    assert_eq!(sentinels(&proxy), [3, 3]);
}

/// Writes lines of one letter, in bursts that end anywhere, and its letter on stderr as well.
const WRITES: &str = "#!/usr/bin/perl
my ($l, $width, $count) = <STDIN> =~ /\"letter\":\"(.)\",.*\"width\":(\\d+),.*\"x\":(\\d+)/ or die;
my $all = ($l x $width . \"\\n\") x $count;
while (length $all) {
  my $part = substr $all, 0, 1 + int rand 20000, '';
  syswrite STDOUT, $part; syswrite STDERR, $part;
}
print '{}';
";

/// Runs four writers at the same time; every line must be of one letter, and none missing.
fn assert_whole_lines(proxy: &Proxy, width: usize, count: usize) {
    proxy.init(WRITES);
    thread::scope(|scope| {
        let runs = ["a", "b", "c", "d"].map(|letter| {
            let argument = json!({ "letter": letter, "width": width, "x": count });
            scope.spawn(move || proxy.run(argument).status)
        });
        for run in runs {
            assert_eq!(run.join().expect("an answer"), 200);
        }
    });
    for name in ["stdout", "stderr"] {
        let log = fs::read_to_string(proxy.scratch().join(name)).expect("a log");
        let mut seen = BTreeMap::new();
        for line in log.lines().filter(|line| *line != SENTINEL) {
            let letter = line.chars().next().expect("no empty line");
            assert!(
                line.len() == width && line.chars().all(|c| c == letter),
                "{name}: torn"
            );
            *seen.entry(letter).or_insert(0) += 1;
        }
        let expected = ['a', 'b', 'c', 'd'].map(|letter| (letter, count));
        assert_eq!(seen, BTreeMap::from(expected), "{name}");
    }
}

#[test]
fn lines_are_not_torn() {
    if !are_here(&["perl"]) {
        return;
    }
    assert_whole_lines(&concurrent().start(), 3000, 300);
}

#[test]
fn lines_too_long_to_be_kept_are_not_torn_either() {
    if !are_here(&["perl"]) {
        return;
    }
    assert_whole_lines(&concurrent().start(), 500_000, 4);
}

#[test]
fn two_long_lines_that_never_end_do_not_hold_each_other_up() {
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = concurrent().start();
    // Each begins a line on a stream of its own, waits for the other, and goes on to the other's.
    proxy.init(
        "#!/usr/bin/perl\nmy ($me, $other) = <STDIN> =~ /\"a\":1/ ? ('a', 'b') : ('b', 'a');
         my @streams = $me eq 'a' ? (*STDOUT, *STDERR) : (*STDERR, *STDOUT);
         syswrite $streams[0], $me x 200000;
         open F, \">../$me\"; close F; until (-e \"../$other\") { select undef, undef, undef, 0.01 }
         syswrite $streams[1], $me x 200000;
         syswrite $streams[0], \"\\n\"; syswrite $streams[1], \"\\n\"; print '{}';\n",
    );
    thread::scope(|scope| {
        let proxy = &proxy;
        let runs = [1, 2].map(|n| scope.spawn(move || proxy.run(json!({ "a": n })).status));
        for run in runs {
            assert_eq!(run.join().expect("an answer"), 200);
        }
    });
    for name in ["stdout", "stderr"] {
        let log = fs::read_to_string(proxy.scratch().join(name)).expect("a log");
        for letter in ["a", "b"] {
            assert_eq!(log.matches(letter).count(), 200_000, "{name}");
        }
        assert!(!log.contains("ab") && !log.contains("ba"), "{name}: glued");
    }
}

#[test]
fn threads_are_not_made_beyond_the_limit() {
    let proxy = concurrent().arg("--max-concurrent=2").start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    let before = census::threads(proxy.pid());
    thread::scope(|scope| {
        let runs =
            [(); 8].map(|()| scope.spawn(|| (0..10).for_each(|_| drop(proxy.run(json!({}))))));
        for run in runs {
            run.join().expect("answers");
        }
    });
    assert!(census::threads(proxy.pid()) <= before + 1);
    eventually("80 sentinels", || {
        (sentinels(&proxy) == [80, 80]).then_some(())
    });
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_health_or_the_end() {
    let (log, out) = std::io::pipe().expect("a pipe");
    let mut proxy = concurrent().arg("--grace=100ms").stdout(out).start();
    // Enough to fill the pipe to its last bytes: its sentinel does not fit any more.
    proxy.init("#!/bin/sh\nhead -c 65530 /dev/zero | tr '\\0' x; echo; echo '{}'\n");
    let mut runs: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    for run in &mut runs {
        let body = request("POST", "/run", b"{}");
        run.send(&body).expect("sent");
        // The second is sent when the first has nothing left to do but to write its sentinel.
        eventually("the log to be full", || {
            let held = rustix::io::ioctl_fionread(&log).expect("a pipe");
            (held >= 65_531).then_some(())
        });
        assert_eq!(proxy.get("/healthz").status, 200);
    }
    for _ in 0..20 {
        assert_eq!(proxy.get("/healthz").status, 200);
    }
    assert_eq!(proxy.stop(), 0);
}
