//! Whether the memory that a proxy takes at rest grows.
//!
//! The allocator keeps what large messages took after some rounds and not after others; what leaks
//! never goes. So levels are the least of several rounds, and the line through the rounds is the one
//! whose slope half of all pairs of rounds exceed (Theil and Sen): up to a quarter of them may be
//! anything.

use std::time::Duration;

use crate::history::Round;

/// What has run for less has not come to its level yet: its memory is held to [`SHORT_RISE`] alone.
const LONG: Duration = Duration::from_secs(300);
/// By how many bytes the level may rise from the first half of a short soak to the second.
const SHORT_RISE: u64 = 4 << 20;
/// By how many bytes the level may rise from the first third of a long soak to the last.
const LEVEL_RISE: u64 = 512 << 10;
/// By how many bytes the line through the last two thirds may rise, and the last [`END`] rounds be
/// above the others of them. Over an hour a healthy proxy varies by 60 KiB there.
const LATE_RISE: u64 = 256 << 10;
/// Rounds that are looked at for what begins late.
const END: usize = 3;

/// What grows, in words. `rounds` are those behind the first.
pub(crate) fn faults(rounds: &[Round]) -> Vec<String> {
    let Some(last) = rounds.last() else {
        return Vec::new();
    };
    if last.elapsed < LONG || rounds.len() < 4 * END {
        let (early, late) = rounds.split_at(rounds.len().div_ceil(2));
        return rise("in the second half", early, late, SHORT_RISE)
            .into_iter()
            .collect();
    }
    let third = rounds.len() / 3;
    let settled = &rounds[third..];
    let (before, end) = settled.split_at(settled.len() - END);
    let (first, last) = (&rounds[..third], &rounds[rounds.len() - third..]);
    let faults = [
        rise("in the last third", first, last, LEVEL_RISE),
        rise("in the last rounds", before, end, LATE_RISE),
        steady_rise(settled),
    ];
    faults.into_iter().flatten().collect()
}

/// The least memory at rest, in bytes; nothing of no round.
fn level(rounds: &[Round]) -> Option<u64> {
    rounds.iter().map(|round| round.rest.memory).min()
}

fn rise(when: &str, before: &[Round], after: &[Round], allowed: u64) -> Option<String> {
    let (before, after) = (level(before)?, level(after)?);
    (after > before + allowed).then(|| {
        format!(
            "resident at rest: at least {} KiB {when}, {} KiB before; at most {} KiB more were expected",
            after >> 10,
            before >> 10,
            allowed >> 10
        )
    })
}

fn steady_rise(rounds: &[Round]) -> Option<String> {
    let span = rounds.last()?.elapsed - rounds.first()?.elapsed;
    let slope = slope(rounds)?;
    let rise = slope * span.as_secs_f64();
    (rise > LATE_RISE as f64).then(|| {
        format!(
            "resident at rest: rises by {:.0} KiB an hour in the last two thirds",
            slope * 3600.0 / 1024.0
        )
    })
}

/// In bytes a second: the median of the slopes between any two rounds.
fn slope(rounds: &[Round]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (at, from) in rounds.iter().enumerate() {
        for to in &rounds[at + 1..] {
            let time = (to.elapsed - from.elapsed).as_secs_f64();
            slopes.push((to.rest.memory as f64 - from.rest.memory as f64) / time);
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}
