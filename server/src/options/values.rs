//! The values of settings: times, sizes, counts and switches, and what each is expected to be.

use std::time::Duration;

pub(super) const TIME: &str = "a time such as 200ms, 10s or 5m";
pub(super) const TIME_OR_OFF: &str = "a time such as 200ms, 10s or 5m, or `off`";
pub(super) const SIZE: &str = "a size such as 4096, 64K, 100M or 1G";
pub(super) const SIZE_OR_OFF: &str = "a size such as 4096, 64K, 100M or 1G, or `off`";
pub(super) const MODE: &str = "permissions in octal, from 0 to 0777";
pub(super) const COUNT: &str = "a number from 1";
pub(super) const COUNT_OR_OFF: &str = "a number from 1, or `off`";
pub(super) const SWITCH: &str = "`1`, `true`, `on`, `0`, `false` or `off`";

pub(super) fn time(text: &str) -> Option<Duration> {
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

pub(super) fn optional_time(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        _ => time(text).map(|t| (!t.is_zero()).then_some(t)),
    }
}

pub(super) fn size(text: &str) -> Option<u64> {
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

pub(super) fn optional_size(text: &str) -> Option<Option<u64>> {
    match text {
        "off" => Some(None),
        _ => size(text).filter(|size| *size > 0).map(Some),
    }
}

pub(super) fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && !text.starts_with('+'))
}

pub(super) fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n > 0)
}

pub(super) fn optional_count(text: &str) -> Option<Option<u64>> {
    match text {
        "off" => Some(None),
        _ => count(text).map(Some),
    }
}

pub(super) fn switch(text: &str) -> Option<bool> {
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
