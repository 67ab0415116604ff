//! What killed an action is named: the signal, and the limit that was reached.

use std::fs;

use actionproxy_tests::Proxy;
use actionproxy_tests::tools::{are_here, leave_out};
use serde_json::json;

use crate::{fail, reinitialised};

/// Runs each script of this shell and looks for the words on the proxy's line.
fn assert_told(shell: &str, cases: &[(&str, &str)]) {
    let mut proxy = reinitialised();
    for (script, words) in cases {
        proxy.init(&format!("#!/bin/{shell}\n{script}\n"));
        let logs = fail(&mut proxy, json!({}));
        let line = logs.stderr.lines().last().unwrap_or_default();
        assert!(line.contains(words), "{script}: {}", logs.stderr);
    }
}

#[test]
fn a_limit_of_processor_time_is_named_be_it_told_by_sigxcpu_or_sigkill() {
    if !are_here(&["bash"]) {
        return;
    }
    assert_told(
        "bash",
        &[
            (
                // The soft limit alone.
                "ulimit -St 1; while :; do :; done",
                "killed by SIGXCPU: it used up its processor time of 1 s (`ulimit -t`)",
            ),
            (
                // Both limits at once: there is no SIGXCPU.
                "ulimit -t 1; while :; do :; done",
                "killed by SIGKILL: it used up its processor time of 1 s (`ulimit -t`)",
            ),
            (
                // Of a program that a launcher waits for.
                "ulimit -t 1; bash -c 'while :; do :; done'; exit $?",
                "status 137, by which a shell tells that a program was killed by SIGKILL; \
                 it used up its processor time of 1 s (`ulimit -t`)",
            ),
        ],
    );
}

#[test]
fn a_limit_of_file_size_is_named() {
    if !are_here(&["bash"]) {
        return;
    }
    assert_told(
        "bash",
        &[
            (
                "ulimit -f 8; exec head -c 1000000 /dev/zero > ../big",
                "killed by SIGXFSZ: it wrote a file larger than 8192 bytes, its limit (`ulimit -f`)",
            ),
            (
                "ulimit -f 8; head -c 1000000 /dev/zero > ../big; exit $?",
                "killed by SIGXFSZ; it wrote a file larger than 8192 bytes, its limit (`ulimit -f`)",
            ),
        ],
    );
}

#[test]
fn what_commonly_sends_a_signal_is_told_where_no_limit_was_reached() {
    assert_told(
        "sh",
        &[
            ("kill -KILL $$", "killed by SIGKILL: "),
            ("kill -KILL $$", "`kill -9`"),
            ("sh -c 'kill -KILL $$'; exit $?", "`kill -9`"),
            // Nobody has used up anything.
            (
                "kill -XCPU $$",
                "killed by SIGXCPU: commonly a limit of processor time",
            ),
            (
                "kill -SYS $$",
                "killed by SIGSYS: it made a system call that is forbidden here",
            ),
            ("kill -ILL $$", "killed by SIGILL: commonly an instruction"),
            ("kill -SEGV $$", "killed by SIGSEGV\n".trim_end()),
        ],
    );
}

#[test]
fn a_signal_after_the_result_is_named_with_its_limit() {
    if !are_here(&["bash"]) {
        return;
    }
    let mut proxy = Proxy::start();
    proxy.init("#!/bin/bash\necho '{}'\nulimit -t 1; while :; do :; done\n");
    assert_eq!(proxy.result(json!({})), "{}");
    let said = "actionproxy: the action was killed by SIGKILL: it used up its processor time of 1 s (`ulimit -t`)\n";
    assert_eq!(proxy.logs().stderr, said);
}

/// A proxy that takes files of the test for those of its control group. To have the kernel run out
/// of memory would take a group, with a limit, of the machine's own.
fn in_a_group(version: u8, flags: &[&str]) -> Option<Proxy> {
    if !are_here(&["unshare", "mount"]) {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        leave_out("this test needs root, to lay files over those of /proc");
        return None;
    }
    let [groups, mount, counts, limit] = match version {
        1 => [
            "4:memory:/docker/x",
            "9 8 0:7 /docker/x $d rw - cgroup cgroup rw,memory",
            "memory.oom_control",
            "memory.limit_in_bytes",
        ],
        _ => [
            "0::/",
            "9 8 0:7 / $d rw - cgroup2 cgroup2 rw",
            "memory.events",
            "memory.max",
        ],
    };
    let shell = format!(
        "d=$(dirname \"$7\") && cd \"$d\" && echo 'oom_kill 3' > {counts} && ln -s {counts} counts && \
         echo 67108864 > {limit} && echo '{groups}' > groups && echo \"{mount}\" > mounts && \
         mount --bind groups /proc/$$/cgroup && mount --bind mounts /proc/$$/mountinfo && \
         exec \"$@\""
    );
    let builder = Proxy::builder().under(["unshare", "-m", "sh", "-c", &shell, "sh"]);
    let proxy = flags
        .iter()
        .fold(builder, |builder, flag| builder.arg(flag))
        .start();
    assert!(fs::exists(proxy.scratch().join("counts")).expect("our own directory"));
    Some(proxy)
}

#[test]
fn memory_that_ran_out_is_named_with_the_limit_and_only_then() {
    for version in [1, 2] {
        let Some(mut proxy) = in_a_group(version, &[]) else {
            return;
        };
        proxy.init(
            "#!/bin/sh\nread x\ncase $x in *out*) echo 'oom_kill 4' > ../counts;; esac\nkill -KILL $$\n",
        );
        let logs = fail(&mut proxy, json!({ "memory": "runs out" }));
        let said = "killed by SIGKILL: memory ran out, its cgroup's limit is 64 MiB\n";
        assert!(logs.stderr.ends_with(said), "{version}: {logs:?}");
        // What was counted before does not count again.
        let logs = fail(&mut proxy, json!({}));
        assert!(
            logs.stderr.contains("SIGKILL: memory did not run out"),
            "{version}: {logs:?}"
        );
    }
}

#[test]
fn a_process_of_many_activations_that_memory_ran_out_for_is_told_so_at_each_later_one() {
    for version in [1, 2] {
        let Some(mut proxy) = in_a_group(version, &["--action-loop"]) else {
            return;
        };
        let code = "#!/bin/sh\nwhile read -r x; do\ncase $x in *out*) echo 'oom_kill 4' > $COUNTS; kill -KILL $$;; esac\n\
                    echo '{}' >&3\ndone\n";
        let counts = proxy.scratch().join("counts");
        let env = json!({ "COUNTS": counts });
        let answer = proxy.init_with(json!({ "code": code, "env": env }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(proxy.run(json!({})).status, 200);
        proxy.logs();
        let said = "killed by SIGKILL: memory ran out, its cgroup's limit is 64 MiB, ";
        for status in [400, 500, 500] {
            let answer = proxy.run(json!({ "memory": "runs out" }));
            assert_eq!(
                (answer.status, answer.error().as_str()),
                (status, "command exited")
            );
            let logs = proxy.logs();
            assert!(logs.stderr.contains(said), "{version}: {logs:?}");
        }
    }
}
