//! Bytes of an action as they are shown in a message: one line of text, whatever they are.

/// How much is shown, in characters.
const SHOWN: usize = 40;

/// In backquotes, its end left out where it is long, in one line whatever it holds.
pub(super) fn shown(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]);
    let start: String = head.chars().take(SHOWN).collect();
    let is_all = start.len() == head.len() && bytes.len() <= 4 * SHOWN;
    let more = if is_all { "" } else { "…" };
    let mut shown = String::from("`");
    for c in start.chars() {
        match c {
            // As they are: they are no danger to a line of text, and it is JSON that is shown.
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown + more + "`"
}

/// `65,536`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The control character at the beginning of `bytes`.
pub(super) fn control(bytes: &[u8]) -> String {
    match bytes {
        [0, ..] => "a NUL byte".to_owned(),
        [b'\t', ..] => "a tab".to_owned(),
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
            let code = &bytes[..end.map_or(2, |end| end + 3).min(16)];
            format!(
                "a terminal's colour code, `{}`: turn colours off where stdout is no terminal",
                code.escape_ascii()
            )
        }
        [byte, ..] => format!("the control character 0x{byte:02x}"),
        [] => "nothing".to_owned(),
    }
}
