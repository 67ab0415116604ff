//! Measures actionproxy: `cargo run --release -p actionproxy-bench`. See the README beside it.
//!
//! No figure is asserted. What is compared is measured in one run, in turns; each figure is a
//! median with its spread.

mod alternate;
mod bare;
mod bare_loop;
mod client;
mod figures;
mod memory;
mod options;
mod processor;
mod programs;
mod report;
mod stats;
mod subject;

use std::process::ExitCode;

use figures::Bench;
use options::Options;
use programs::Actions;
use report::Report;
use subject::Subject;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first.to_str() == Some(bare_loop::ARGUMENT))
    {
        return match bare_loop::serve(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => failed(1, &e),
        };
    }
    let options = match options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(e) => return failed(2, &e),
    };
    match measure(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(1, &e),
    }
}

fn failed(status: u8, text: &str) -> ExitCode {
    eprintln!("actionproxy-bench: {text}");
    ExitCode::from(status)
}

fn measure(options: Options) -> Result<(), String> {
    raise_descriptors();
    let mut report = Report::new(options.format);
    let built = programs::proxies()?;
    let proxy = options.bin.unwrap_or(built.proxy);
    let mut subjects = vec![Subject::binary("proxy", &proxy)];
    if let Some(path) = &options.baseline {
        subjects.push(Subject::binary("baseline", path));
    }
    subjects.extend(options.peers);
    let bench = Bench {
        actions: Actions::build()?,
        instant: Subject::binary("proxy", &built.instant),
        proxy,
        subjects,
        percent: options.percent,
        case: options.case,
    };
    report.group(format!("the proxy: {}, {}", built.how, machine()));
    for figure in options.figures {
        figure.measure(&bench, &mut report)?;
    }
    Ok(())
}

/// As many as there may be: a thousand connections have two ends.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer, the figure that needs them says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Processor, their number, and kernel.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or(std::env::consts::ARCH, |(_, model)| model);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processors} x {model}, Linux {}", kernel.trim())
}
