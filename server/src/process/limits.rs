//! Living under the limits that the proxy was started with: of memory, of its stack, of its time.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::options::Options;

/// What the proxy's threads take once they are all there: stacks, and what the allocator keeps.
const OWN_MEMORY: u64 = 12 << 20;
/// A body or a result and its copies, and as much again for another beside it.
const COPIES: u64 = 6;
/// With less than this for one body there is no point in starting.
const LEAST: u64 = 64 << 10;
/// A coroutine's stack, which the library does not make larger than the main thread's may be.
const LEAST_STACK: u64 = 128 << 10;

/// Lowers the limits of bodies and results to what there is memory for: running out of address
/// space would end the proxy. What is lowered comes back as a line.
///
/// To be called at the start, when the proxy has but one thread.
///
/// # Errors
/// There is no memory for as much as a small body.
pub(crate) fn fit_into_memory(options: &mut Options) -> Result<Option<String>, String> {
    let Some((limit, option, left)) = least_memory() else {
        return Ok(None);
    };
    let most = left.saturating_sub(OWN_MEMORY) / COPIES;
    if most < LEAST {
        let least = limit - left + OWN_MEMORY + LEAST * COPIES;
        return Err(format!(
            "the limit of memory is {limit} bytes (ulimit -{option}); expected at least {least}"
        ));
    }
    let max_result = &mut options.config.process.max_result;
    if options.max_body <= most && *max_result as u64 <= most {
        return Ok(None);
    }
    options.max_body = options.max_body.min(most);
    *max_result = usize::try_from(most).map_or(*max_result, |most| most.min(*max_result));
    Ok(Some(format!(
        "--max-body and --max-result are lowered to {} and {max_result} bytes: the limit of memory \
         is {limit} bytes (ulimit -{option})",
        options.max_body
    )))
}

/// The limit of memory that leaves least, how the shell sets it, and what it leaves.
fn least_memory() -> Option<(u64, char, u64)> {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut fields = statm
        .split_ascii_whitespace()
        .map(|n| n.parse().unwrap_or(0));
    let pages = |field: Option<u64>| field.unwrap_or(0) * rustix::param::page_size() as u64;
    // All of the address space, and the part of it that is data and stack: proc(5).
    let (all, data) = (pages(fields.next()), pages(fields.nth(4)));
    [(Resource::As, 'v', all), (Resource::Data, 'd', data)]
        .into_iter()
        .filter_map(|(resource, option, used)| {
            let limit = getrlimit(resource).current?;
            Some((limit, option, limit.saturating_sub(used)))
        })
        .min_by_key(|(_, _, left)| *left)
}

/// A line on the limit that nothing can be done about, where there is one.
pub(crate) fn warning_of_time() -> Option<String> {
    let seconds = getrlimit(Resource::Cpu).maximum?;
    Some(format!(
        "the proxy itself will be ended when it has used {seconds} s of processor time: that is the \
         limit (ulimit -t)"
    ))
}

/// Whether coroutines can have the stacks that they are given.
///
/// # Errors
/// They cannot.
pub(crate) fn check_stack() -> Result<(), String> {
    match getrlimit(Resource::Stack).current {
        Some(bytes) if bytes < LEAST_STACK => Err(format!(
            "the limit of a stack is {bytes} bytes (ulimit -s); expected at least {LEAST_STACK}"
        )),
        _ => Ok(()),
    }
}
