//! The proxy as a process: what an action inherits from it, and what it owes to orphans.

use std::process::Command;
use std::thread;

use actionproxy_tests::tools::{are_here, leave_out};
use actionproxy_tests::{Proxy, census, eventually};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

/// Tells what it was started with.
const INSPECTS: &str = "#!/usr/bin/perl
open S, '/proc/self/status'; my %s = map { /^(\\w+):\\s*(.*)/ } <S>; close S;
opendir D, '/proc/self/fd'; my @fd = sort { $a <=> $b } grep { /^\\d+$/ && $_ != fileno(D) } readdir D;
my $nice = getpriority(0, 0);
print qq({\"fd\":\"@fd\",\"nice\":$nice,\"group\":), getpgrp == $$ ? 'true' : 'false';
print qq(,\"$_\":\"$s{$_}\") for qw(SigBlk SigIgn SigCgt Cpus_allowed_list);
print qq(}\\n);
";

/// Checks what an action of `proxy`, which inspects, was started with.
fn assert_clean(proxy: &Proxy) {
    let found: Value = serde_json::from_str(&proxy.result(json!({}))).expect("JSON");
    let me = Pid::from_raw(std::process::id() as i32).expect("we are one");
    let cpus = census::status(me, "Cpus_allowed_list").expect("we are one");
    assert_eq!(found["fd"], "0 1 2");
    let nice = rustix::process::getpriority_process(None);
    assert_eq!(found["nice"], nice.expect("our own"));
    assert_eq!(found["group"], true);
    assert_eq!(found["Cpus_allowed_list"], cpus);
    assert_eq!(found["SigBlk"], "0000000000000000");
    // Perl itself ignores SIGFPE.
    assert_eq!(found["SigIgn"], "0000000000000080");
}

#[test]
fn an_action_starts_clean() {
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = Proxy::start();
    proxy.init(INSPECTS);
    assert_clean(&proxy);
}

#[test]
fn an_action_starts_clean_though_the_proxy_did_not() {
    if !are_here(&["perl"]) {
        return;
    }
    // Ignored and blocked: HUP, INT, QUIT, USR1, PIPE, TERM, CHLD and the first real-time signal.
    let dirty = "use POSIX; my @s = (1, 2, 3, 10, 13, 15, 17, 34);
        $SIG{$_} = 'IGNORE' for qw(HUP INT QUIT USR1 PIPE TERM CHLD);
        sigprocmask(SIG_BLOCK, POSIX::SigSet->new(@s)) or die;
        $^F = 1000; open $a, '/dev/null'; open $b, '/dev/null'; open $c, '>', '/dev/null';
        exec @ARGV";
    let mut proxy = Proxy::builder().under(["perl", "-e", dirty]).start();
    proxy.init(INSPECTS);
    assert_clean(&proxy);
    // Nor is the proxy deaf.
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn overlapping_actions_start_clean() {
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = Proxy::builder()
        .env("__OW_ALLOW_CONCURRENT", "true")
        .start();
    proxy.init(INSPECTS);
    thread::scope(|scope| {
        let clients = [(); 4].map(|()| scope.spawn(|| (0..25).for_each(|_| assert_clean(&proxy))));
        for client in clients {
            client.join().expect("a clean action");
        }
    });
}

/// Takes away `pidfd_open` and the flag of `clone` that gives the same, as an old kernel or a sandbox
/// does, and becomes the program that is named behind the numbers of `prctl` and `clone`. The filter:
/// load the number; 434: ENOSYS; `clone`: load its flags; that flag: EINVAL; else: allow.
const WITHOUT_PIDFD: &str = "
    my ($prctl, $clone) = splice @ARGV, 0, 2;
    my $filter = pack 'SCCL' x 8, 0x20, 0, 0, 0, 0x15, 4, 0, 434, 0x15, 0, 2, $clone,
        0x20, 0, 0, 16, 0x45, 2, 0, 0x1000,
        6, 0, 0, 0x7fff0000, 6, 0, 0, 0x00050026, 6, 0, 0, 0x00050016;
    syscall($prctl, 38, 1, 0, 0, 0) == 0 or die $!;
    syscall($prctl, 22, 2, pack('Sx6P', 8, $filter), 0, 0) == 0 or die $!;
    exec @ARGV";

#[test]
fn where_the_kernel_has_no_pidfd_the_exit_is_still_seen() {
    let Some([prctl, clone]) = crate::filtered_calls() else {
        return;
    };
    if !are_here(&["perl"]) {
        return;
    }
    let proxy = Proxy::builder()
        .under(["perl", "-e", WITHOUT_PIDFD, prctl, clone])
        .start();
    // Exit and end of output apart, in either order.
    proxy.init(
        "#!/usr/bin/perl\nmy $first = <STDIN> =~ /output/ ? 'output' : 'exit';
         my $pidfd = syscall(434, $$, 0);
         if ($first eq 'exit') { fork or sleep 1000 }
         $| = 1; print qq([\"$first\",$pidfd]\n);
         if ($first eq 'output') { close STDOUT; close STDERR; select undef, undef, undef, 0.05 }\n",
    );
    for first in ["exit", "output"] {
        let result = proxy.result(json!({ "first": first }));
        assert_eq!(result, format!("[\"{first}\",-1]"));
    }
}

/// Leaves ten orphans, of which some end before and some after it, and one exit status of its own.
const LEAVES_ORPHANS: &str = "#!/bin/sh
for n in 1 2 3 4 5; do
  (exec 0<&- >/dev/null 2>&1; (sleep 0.0$n; exit 7) & exit 5) &
done
wait
read x
case $x in *fail*) exit 42;; esac
echo '{}'
";

/// A thousand orphans, and every exit status the right one meanwhile.
fn orphan_a_thousand(proxy: &Proxy) {
    proxy.init(LEAVES_ORPHANS);
    thread::scope(|scope| {
        let clients = [(); 4].map(|()| {
            scope.spawn(|| {
                for n in 0..50 {
                    let answer = proxy.run(json!({ "do": if n % 2 == 0 { "" } else { "fail" } }));
                    assert_eq!(answer.status, if n % 2 == 0 { 200 } else { 502 });
                }
            })
        });
        for client in clients {
            client.join().expect("right answers");
        }
    });
    let stderr = proxy.stderr();
    assert_eq!(stderr.matches("exited with status 42").count(), 100);
    assert_eq!(stderr.matches("exited with status").count(), 100);
}

#[test]
fn orphans_come_to_the_proxy_and_are_reaped() {
    let proxy = Proxy::builder()
        .env("__OW_ALLOW_CONCURRENT", "true")
        .start();
    orphan_a_thousand(&proxy);
    eventually("the orphans to be reaped", || {
        census::children(proxy.pid()).is_empty().then_some(())
    });
}

#[test]
fn the_end_of_an_action_wakes_no_thread_but_its_own() {
    let proxy = Proxy::start();
    proxy.init("#!/bin/sh\necho '{}'\n");
    // Of the main thread, which waits for signals and orphans.
    let woken = || census::status(proxy.pid(), "voluntary_ctxt_switches").expect("it is there");
    proxy.result(json!({}));
    let before = woken();
    for _ in 0..50 {
        proxy.result(json!({}));
    }
    assert_eq!(woken(), before);
}

#[test]
fn an_orphan_is_the_proxys_child_until_it_ends() {
    if !are_here(&["setsid"]) {
        return;
    }
    let proxy = Proxy::start();
    proxy.init(
        "#!/bin/sh\n(exec >/dev/null 2>&1; setsid sh -c \
         'echo $$ > ../orphan; until [ -e ../go ]; do sleep 0.01; done; exit 9' &)\necho '{}'\n",
    );
    proxy.result(json!({}));
    let orphan = crate::told_pid(&proxy, "orphan");
    let parent = || census::process(orphan).map(|p| p.parent);
    assert_eq!(parent(), Some(proxy.pid().as_raw_nonzero().get()));
    crate::tell(&proxy, "go");
    eventually("the orphan to be reaped", || {
        parent().is_none().then_some(())
    });
}

#[test]
fn as_the_first_process_it_reaps_a_thousand_orphans_and_keeps_exit_statuses() {
    if !are_here(&["unshare"]) {
        return;
    }
    let can = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .status();
    if !can.is_ok_and(|status| status.success()) {
        leave_out("this test needs the privilege to make a process namespace");
        return;
    }
    let mut proxy = Proxy::builder()
        .under(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .env("__OW_ALLOW_CONCURRENT", "true")
        .start();
    orphan_a_thousand(&proxy);
    let first = census::children(proxy.pid());
    assert_eq!(first.len(), 1, "unshare has one child");
    let first = Pid::from_raw(first[0].pid).expect("a process id");
    let inside = census::status(first, "NSpid").expect("it is there");
    assert!(inside.ends_with("\t1"), "{inside:?} is not the first");
    eventually("the orphans to be reaped", || {
        census::children(first).is_empty().then_some(())
    });
    rustix::process::kill_process(first, Signal::TERM).expect("it is there");
    assert_eq!(proxy.wait(), 0);
}
