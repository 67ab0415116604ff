//! How a proxy fared from round to round: what it took at rest, and how fast it had answered.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::growth;

/// What a proxy at rest takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census {
    pub descriptors: usize,
    pub threads: usize,
    /// Children, zombies among them.
    pub children: usize,
    /// Resident, in bytes.
    pub memory: u64,
    /// In its temporary directory and beside the action.
    pub files: Vec<PathBuf>,
}

/// A round of load and the rest behind it.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// From the start of the load to the end of this round.
    pub elapsed: Duration,
    /// In this round.
    pub answered: u64,
    /// Of the activations that do nothing odd, beside those that do.
    pub times: Times,
    /// The most resident memory in this round, in bytes.
    pub peak: u64,
    pub rest: Census,
}

/// How long answers took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub median: Duration,
    /// One of a hundred took longer.
    pub slow: Duration,
    pub longest: Duration,
}

impl Times {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |hundredth: usize| {
            let index = (all.len() * hundredth / 100).min(all.len().saturating_sub(1));
            all.get(index).copied().unwrap_or_default()
        };
        Times {
            median: at(50),
            slow: at(99),
            longest: at(100),
        }
    }
}

/// What is not as it was after the first round, memory aside, and whether that grows.
pub(crate) fn faults(rounds: &[Round]) -> Vec<String> {
    let Some((first, later)) = rounds.split_first() else {
        return vec!["there was no round".to_owned()];
    };
    let mut faults = Vec::new();
    let before = &first.rest;
    for round in rounds.iter().filter(|round| round.rest.children > 0) {
        faults.push(format!("children at rest: {:?}", round.rest));
    }
    for Round { rest: after, .. } in later {
        if (before.descriptors, before.threads, &before.files)
            != (after.descriptors, after.threads, &after.files)
        {
            faults.push(format!("left behind: before {before:?}, after {after:?}"));
        }
    }
    faults.extend(growth::faults(later));
    faults
}

/// The rounds as a table in Markdown.
pub(crate) fn table(title: &str, rounds: &[Round]) -> String {
    let mut table = format!(
        "| {title} | answered | descriptors | threads | children | files | resident, KiB | peak, KiB \
         | median, ms | 99 %, ms | longest, ms |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for round in rounds {
        let Round { rest, times, .. } = round;
        let _ = writeln!(
            table,
            "| {} s | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} |",
            round.elapsed.as_secs(),
            round.answered,
            rest.descriptors,
            rest.threads,
            rest.children,
            rest.files.len(),
            rest.memory >> 10,
            round.peak >> 10,
            milliseconds(times.median),
            milliseconds(times.slow),
            milliseconds(times.longest),
        );
    }
    table
}

/// For axes and tables.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: f64 = 1024.0;

    /// What a proxy takes after so many minutes, beside what varies.
    fn healthy(_: f64) -> f64 {
        3_950.0 * KIB
    }

    /// Rounds as a soak of so many minutes has them, whose memory follows `memory`: 60 KiB up and
    /// down, and after every fourth round what the allocator keeps of large messages.
    fn soak(minutes: f64, memory: impl Fn(f64) -> f64) -> Vec<Round> {
        let round = |number: u32| {
            let minute = 1.0 + minutes * f64::from(number) / 20.0;
            let kept = if number % 4 == 2 { 6_000.0 } else { 0.0 };
            let varies = f64::from(number * 23 % 61) - 30.0;
            Round {
                elapsed: Duration::from_secs_f64(minute * 60.0),
                answered: 13_000,
                times: Times::default(),
                peak: 20 << 20,
                rest: Census {
                    descriptors: 20,
                    threads: 6,
                    children: 0,
                    memory: (memory(minute) + (kept + varies) * KIB) as u64,
                    files: vec!["/action/exec".into()],
                },
            }
        };
        (0..=20).map(round).collect()
    }

    /// What is found where the rest of every round is changed, which has its minute.
    fn found(change: impl Fn(f64, &mut Census)) -> String {
        let mut rounds = soak(60.0, healthy);
        for round in &mut rounds {
            change(round.elapsed.as_secs_f64() / 60.0, &mut round.rest);
        }
        faults(&rounds).join("\n")
    }

    #[test]
    fn a_healthy_soak_passes_however_long() {
        for minutes in [0.2, 1.0, 6.0, 20.0, 60.0] {
            let none: [&str; 0] = [];
            assert_eq!(faults(&soak(minutes, healthy)), none, "{minutes} minutes");
        }
    }

    #[test]
    fn a_proxy_that_comes_to_its_level_in_the_first_quarter_passes() {
        let rounds = soak(60.0, |minute| {
            healthy(minute) - 400.0 * KIB * (1.0 - minute / 15.0).max(0.0)
        });
        assert!(faults(&rounds).is_empty(), "{:?}", faults(&rounds));
    }

    #[test]
    fn a_steady_leak_of_half_a_mebibyte_an_hour_is_found() {
        for leak in [512.0, 1024.0, 7.0 * 1024.0] {
            let rounds = soak(60.0, |minute| healthy(minute) + leak * KIB * minute / 60.0);
            let found = faults(&rounds).join("\n");
            let steady = format!("rises by {leak:.0} KiB an hour");
            // As near as the noise lets it come.
            let told = found.split("rises by ").nth(1).expect(&steady);
            let told: f64 = told
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .expect(&steady);
            assert!((told - leak).abs() < 100.0, "{steady}: {found}");
        }
    }

    #[test]
    fn a_leak_of_two_mebibytes_an_hour_is_found_in_twenty_minutes() {
        let rounds = soak(20.0, |minute| {
            healthy(minute) + 2048.0 * KIB * minute / 60.0
        });
        assert!(faults(&rounds).join("").contains("rises by "));
    }

    #[test]
    fn a_step_is_found_wherever_it_is_but_in_the_last_two_rounds() {
        for minute in [10.0, 31.0, 41.0, 50.0] {
            let rounds = soak(60.0, |now| {
                healthy(now) + if now > minute { 1024.0 * KIB } else { 0.0 }
            });
            let found = faults(&rounds).join("\n");
            assert!(found.contains("resident at rest"), "at {minute}: {found}");
        }
    }

    #[test]
    fn a_short_soak_may_still_be_coming_to_its_level() {
        let rounds = |rise: f64| {
            soak(1.0, move |minute| {
                healthy(minute) + rise * KIB * (minute - 1.0)
            })
        };
        assert!(faults(&rounds(2048.0)).is_empty());
        let found = faults(&rounds(20.0 * 1024.0)).join("");
        assert!(found.contains("in the second half"), "{found}");
    }

    #[test]
    fn a_descriptor_every_five_minutes_is_found() {
        let found = found(|minute, rest| rest.descriptors += (minute / 5.0) as usize);
        assert!(found.contains("left behind"), "{found}");
        assert!(found.contains("descriptors: 21"), "{found}");
    }

    #[test]
    fn a_descriptor_that_is_left_by_the_last_round_is_found() {
        let found = found(|minute, rest| rest.descriptors += usize::from(minute > 60.0));
        assert_eq!(found.matches("left behind").count(), 1, "{found}");
    }

    #[test]
    fn a_zombie_is_found_even_if_it_was_there_from_the_start() {
        let found = found(|_, rest| rest.children = 1);
        assert_eq!(found.matches("children at rest").count(), 21, "{found}");
    }

    #[test]
    fn threads_and_temporary_files_that_stay_are_found() {
        let more = found(|minute, rest| rest.threads += usize::from(minute > 45.0));
        assert!(more.contains("threads: 7"), "{more}");
        let files = found(|minute, rest| {
            if minute > 55.0 {
                rest.files.push("/tmp/left".into());
            }
        });
        assert!(files.contains("/tmp/left"), "{files}");
    }

    #[test]
    fn a_soak_without_a_round_is_none() {
        assert_eq!(faults(&[]).len(), 1);
    }
}
