//! Whatever the thread that runs activations waits for, others are answered.

use std::thread;

use actionproxy_tests::census::is_alive;
use actionproxy_tests::{Proxy, eventually};
use rustix::io::ioctl_fionread;
use serde_json::json;

use crate::{ECHO, begin, builder, result, tell, told_pid};

fn assert_healthy(proxy: &Proxy) {
    // More than one: the first may be met by whoever had nothing to do when it came.
    for _ in 0..3 {
        assert_eq!(proxy.get("/healthz").status, 200);
    }
}

#[test]
fn a_request_that_comes_together_with_a_run_does_not_wait_for_it() {
    let proxy = builder().start();
    begin(
        &proxy,
        "#!/bin/bash\nwhile read -r line; do read -r < $SCRATCH/go; echo '{}' >&3; done\n",
    );
    let go = proxy.scratch().join("go");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &go,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("our own directory");
    // As close as can be: the one comes while the other is read, or a little before or after.
    for _ in 0..300 {
        thread::scope(|scope| {
            let running = scope.spawn(|| proxy.run(json!({})));
            assert_eq!(proxy.get("/healthz").status, 200);
            std::fs::write(&go, "\n").expect("a reader");
            assert_eq!(running.join().expect("an answer").status, 200);
        });
    }
}

#[test]
fn a_run_in_two_pieces_is_run() {
    let proxy = builder().start();
    begin(&proxy, ECHO);
    let body = b"{\"value\":{\"n\":1}}";
    let whole = actionproxy_tests::request("POST", "/run", body);
    // Cut in the head, between head and body, and in the body.
    let cuts = [10, whole.len() - body.len(), whole.len() - 5];
    for cut in cuts {
        let mut connection = proxy.connect();
        connection.send(&whole[..cut]).expect("it takes them");
        assert_healthy(&proxy);
        connection.send(&whole[cut..]).expect("it takes them");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.text(), "{\"value\":{\"n\":1}}\n");
        // And the next on the same connection.
        connection.send(&whole).expect("it takes them");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
}

#[test]
fn a_log_that_nobody_reads_between_activations_keeps_nobody_from_an_answer() {
    let (log, to_log) = std::io::pipe().expect("a pipe");
    let proxy = builder().stdout(to_log).start();
    begin(
        &proxy,
        "#!/bin/bash\nread -r line; echo '{}' >&3\nuntil [ -e $SCRATCH/go ]; do sleep 0.01; done\n\
         head -c 1000000 /dev/zero\nread -r line\n",
    );
    result(&proxy, json!({}));
    tell(&proxy, "go");
    eventually("the beginning of it", || {
        (ioctl_fionread(&log).expect("a pipe") > 4096).then_some(())
    });
    // Until the pipe is full: nothing more comes, however often others are answered.
    let (mut stands, mut since) = (0, 0);
    while since < 100 {
        assert_healthy(&proxy);
        let now = ioctl_fionread(&log).expect("a pipe");
        since = if now == stands { since + 1 } else { 0 };
        stands = now;
    }
}

#[test]
fn the_end_of_a_loop_between_activations_keeps_nobody_from_an_answer() {
    let mut proxy = builder().arg("--linger=0").start();
    // What it leaves behind has its stdout, and is in another group.
    begin(
        &proxy,
        "#!/bin/bash\necho $$ > $SCRATCH/pid\n\
         setsid bash -c 'until [ -e $SCRATCH/free ]; do sleep 0.01; done' 3>&- &\n\
         read -r line; echo '{}' >&3\nuntil [ -e $SCRATCH/go ]; do sleep 0.01; done\n",
    );
    result(&proxy, json!({}));
    let pid = told_pid(&proxy, "pid");
    tell(&proxy, "go");
    eventually("its end", || (!is_alive(pid)).then_some(()));
    assert_healthy(&proxy);
    tell(&proxy, "free");
    assert_eq!(proxy.run(json!({})).status, 500);
    assert_eq!(proxy.stop(), 0);
}
