//! The values of settings: times, sizes, counts and switches, and what each is expected to be.

use std::time::Duration;

/// What [`time`] expects.
pub const TIME: &str = "a time such as 200ms, 10s or 5m";
/// What [`optional_time`] expects.
pub const TIME_OR_OFF: &str = "a time such as 200ms, 10s or 5m, or `off`";
/// What [`size`] expects.
pub const SIZE: &str = "a size such as 4096, 64K, 100M or 1G";
/// What [`optional_size`] expects.
pub const SIZE_OR_OFF: &str = "a size such as 4096, 64K, 100M or 1G, or `off`";
/// What [`mode`] expects.
pub const MODE: &str = "permissions in octal, from 0 to 0777";
/// What [`count`] expects.
pub const COUNT: &str = "a number from 1";
/// What [`optional_count`] expects.
pub const COUNT_OR_OFF: &str = "a number from 1, or `off`";
/// What [`switch`] expects.
pub const SWITCH: &str = "`1`, `true`, `on`, `0`, `false` or `off`";

/// A time; a bare number is seconds.
pub fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// A time, or none: `off` or 0.
pub fn optional_time(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        _ => time(text).map(|t| (!t.is_zero()).then_some(t)),
    }
}

/// Bytes, or with `K`, `M` or `G` behind them.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Bytes, more than none, or none set: `off`.
pub fn optional_size(text: &str) -> Option<Option<u64>> {
    match text {
        "off" => Some(None),
        _ => size(text).filter(|size| *size > 0).map(Some),
    }
}

/// Permissions, in octal.
pub fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && !text.starts_with('+'))
}

/// A number from 1.
pub fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n > 0)
}

/// A number from 1, or none set: `off`.
pub fn optional_count(text: &str) -> Option<Option<u64>> {
    match text {
        "off" => Some(None),
        _ => count(text).map(Some),
    }
}

/// On or off.
pub fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" => Some(true),
        "0" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(time("90"), Some(Duration::from_secs(90)));
        assert_eq!(time("5m"), Some(Duration::from_secs(300)));
        assert_eq!(time("99999999999999999999"), None);
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("20000000000G"), None);
    }
}
