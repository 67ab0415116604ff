//! What a process starts with when the one that starts it is odd: it ignores signals, has them
//! blocked, has no stdin, stdout and stderr. One test, for it is odd for the whole process.

use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use actionproxy_core::{Action, Config, Logs, NativeRunner, RunRequest, VerifyPolicy};

/// Runs `file`, which exists, and gives what it wrote to stdout.
fn written_by(file: &str, argument: &[u8]) -> String {
    let file = Path::new(file);
    let mut config = Config::new(file.parent().expect("a directory"));
    config.executable = file.file_name().expect("a name").into();
    config.verify = VerifyPolicy::Permission;
    let action = Action::existing(config, NativeRunner).expect("it can be found");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    let request = RunRequest {
        argument: argument.to_vec(),
        ..RunRequest::default()
    };
    let outcome = action.run(request, &mut logs);
    stdout.extend(outcome.map(|outcome| outcome.result).unwrap_or_default());
    String::from_utf8(stdout).expect("text")
}

/// As the kernel has it: the C library neither sets nor blocks the signals that it uses itself.
fn ignore_and_block_all() {
    for signal in 1..=64_i64 {
        let ignore = [libc::SIG_IGN, 0, 0, 0];
        // SAFETY: the kernel reads no more than the first four words, of which the first is the
        // handler, and which are valid as a `struct sigaction`. KILL and STOP are refused.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal as libc::c_long,
                ignore.as_ptr(),
                ptr::null_mut::<usize>(),
                8_usize,
            );
        }
    }
    let all = u64::MAX;
    // SAFETY: the kernel reads 8 bytes of a live number, and writes nothing.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::c_long::from(libc::SIG_BLOCK),
            &raw const all,
            ptr::null_mut::<u64>(),
            8_usize,
        );
    }
}

/// Has `act` done while 0, 1 and 2 are closed.
fn without_stdio<T>(act: impl FnOnce() -> T) -> T {
    let kept = [0, 1, 2].map(|fd| {
        // SAFETY: dup takes any number; what it gives is nobody else's. Nothing in this process
        // reads or writes while `act` runs: the test harness has one test and waits for it.
        unsafe {
            let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10);
            assert!(copy >= 10, "descriptor {fd} is open");
            libc::close(fd);
            OwnedFd::from_raw_fd(copy)
        }
    });
    let done = act();
    for (copy, fd) in kept.iter().zip(0..) {
        // SAFETY: `copy` is open, and `fd` was free before.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(copy), fd) };
    }
    done
}

#[test]
fn a_process_starts_clean_whatever_started_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let reads_status = dir.path().join("reads_status");
    // Not a shell: that may reset what it finds.
    std::fs::write(&reads_status, "#!/bin/cat /proc/self/status\n").expect("our own");
    let copies = dir.path().join("copies");
    std::fs::write(&copies, "#!/bin/sh\necho log\ncat\n").expect("our own");
    for file in [&reads_status, &copies] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("our own");
    }
    // Two runs, for the first child of a parent may be started in another way than the others.
    let copies = copies.to_str().expect("text");
    let copied = without_stdio(|| [(); 2].map(|()| written_by(copies, b"{\"a\":1}")));
    assert_eq!(copied, ["log\n{\"a\":1}"; 2]);

    ignore_and_block_all();
    let status = written_by(reads_status.to_str().expect("text"), b"{}");
    for set in ["SigBlk", "SigIgn", "SigPnd", "ShdPnd"] {
        let line = format!("{set}:\t0000000000000000\n");
        assert!(status.contains(&line), "{set}: {status}");
    }
}
