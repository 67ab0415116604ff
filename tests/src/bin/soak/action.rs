//! The action under load: it behaves as its argument says. It is this very program, run again.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process, setsid};
use serde_json::Value;

use crate::lines;
use crate::plan::Plan;

/// How long a process of the group sleeps that is to be ended by the proxy.
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// One activation.
pub(crate) fn main() -> ExitCode {
    let argument = std::env::args().nth(3);
    let mut input = Vec::new();
    let reads = argument.as_ref().is_none_or(|a| !a.contains("\"deaf\""));
    if reads {
        io::stdin().read_to_end(&mut input).expect("stdin");
    } else {
        input = argument.unwrap_or_default().into_bytes();
    }
    let value: Value = serde_json::from_slice(&input).expect("the argument is JSON");
    let plan = Plan::from_argument(&value);
    let mut found = open_descriptors();
    found.retain(|fd| *fd > 2);
    assert!(found.is_empty(), "inherited descriptors {found:?}");

    lines::write(&mut io::stdout(), plan.id, 0..plan.out, plan.width, true);
    lines::write(
        &mut io::stderr(),
        plan.id,
        0..plan.err,
        plan.width,
        plan.whole,
    );
    behave(&plan, &value)
}

fn behave(plan: &Plan, value: &Value) -> ExitCode {
    let result = plan.result(value);
    match plan.what {
        "good" | "noisy" | "deaf" | "large" => {}
        "slow" => thread::sleep(Duration::from_millis(plan.id % 200)),
        "silent" => return ExitCode::from(3),
        "wrong" => {
            lines::write(
                &mut io::stdout(),
                plan.id,
                plan.out..plan.out + 1,
                10,
                false,
            );
            return ExitCode::SUCCESS;
        }
        "killed" => end_by(plan.signal()),
        "late" => {
            print(&result);
            end_by(plan.signal());
        }
        "holder" => again(&["hold"], Stdio::inherit),
        "chatty" => again(&["chat", &plan.id.to_string()], Stdio::inherit),
        "escaped" => again(&["escape"], Stdio::inherit),
        "orphans" => (0..5).for_each(|_| again(&["nothing"], Stdio::null)),
        "background" => again(&["nap"], Stdio::null),
        "shut" => {
            print(&result);
            // Its output ends long before it does.
            close_output();
            thread::sleep(Duration::from_millis(plan.id % 100));
            return ExitCode::from(7);
        }
        "overdue" => thread::sleep(FOR_EVER),
        "stubborn" => {
            let failed = Command::new("sh")
                .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
                .exec();
            panic!("sh: {failed}");
        }
        "huge" => {}
        other => panic!("no such behaviour: {other}"),
    }
    print(&result);
    ExitCode::SUCCESS
}

/// A descendant of an activation.
pub(crate) fn descendant(words: &[String]) -> ExitCode {
    match words[0].as_str() {
        "hold" => thread::sleep(FOR_EVER),
        "chat" => loop {
            let said = io::stderr().write_all(format!("~{}\n", words[1]).as_bytes());
            if said.is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        },
        "escape" => {
            setsid().expect("it leads no group");
            thread::sleep(Duration::from_secs(2));
        }
        "nap" => thread::sleep(Duration::from_millis(500)),
        _ => {}
    }
    ExitCode::SUCCESS
}

/// Starts this program again, and does not wait for it.
fn again(words: &[&str], output: fn() -> Stdio) {
    let me = std::env::current_exe().expect("/proc is mounted");
    let child = Command::new(me)
        .arg("descendant")
        .args(words)
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .spawn();
    drop(child.expect("a process can be started"));
}

fn end_by(signal: Signal) -> ! {
    loop {
        // More than once: Rust's own handler takes the first SEGV or BUS for a stack overflow that
        // was none, and puts the default back.
        kill_process(getpid(), signal).expect("our own process");
    }
}

fn print(result: &[u8]) {
    let mut stdout = io::stdout();
    let written = stdout.write_all(result).and_then(|()| stdout.flush());
    written.expect("the proxy reads");
}

fn close_output() {
    let null = std::fs::File::options().write(true).open("/dev/null");
    let null = null.expect("/dev/null");
    rustix::stdio::dup2_stdout(&null).expect("a descriptor");
    rustix::stdio::dup2_stderr(&null).expect("a descriptor");
}

fn open_descriptors() -> Vec<i32> {
    let dir = Path::new("/proc/self/fd");
    let listed = std::fs::read_dir(dir).expect("/proc is mounted");
    let numbers: Vec<i32> = listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // The one that listed them is closed again.
    numbers
        .into_iter()
        .filter(|fd| dir.join(fd.to_string()).symlink_metadata().is_ok())
        .collect()
}
