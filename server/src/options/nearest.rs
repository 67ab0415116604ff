//! The known name that a misspelt one was meant to be.

/// The nearest of `known`, if `name` could be a slip for it: at most two letters left out, put in,
/// changed or swapped with the next one, and fewer than half of them.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .filter_map(|candidate| Some((distance(name, candidate, 2)?, candidate)))
        .filter(|(distance, _)| distance * 2 < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` where there is such a name, written by `show`.
pub(super) fn suggestion<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    show: impl Fn(&str) -> String,
) -> String {
    nearest(name, known).map_or_else(String::new, |meant| {
        format!("; did you mean `{}`?", show(meant))
    })
}

/// The optimal string alignment distance, unless it is over `most`. Most pairs are far apart, which is
/// seen at a glance: at each start every variable of the environment is held against every name.
pub(super) fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // No slip takes more than one letter away and puts more than one in.
    let letters = |text: &[u8]| text.iter().fold(0_u64, |all, byte| all | 1 << (byte & 63));
    let is_far = a.len().abs_diff(b.len()) > most
        || (letters(a) ^ letters(b)).count_ones() as usize > 2 * most;
    (!is_far)
        .then(|| whole_distance(a, b))
        .filter(|found| *found <= most)
}

/// The distance, however long it is. Names are short: the whole table is at hand.
fn whole_distance(a: &[u8], b: &[u8]) -> usize {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (table[i - 1][j] + 1)
                    .min(table[i][j - 1] + 1)
                    .min(table[i - 1][j - 1] + change);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(table[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_known_and_another_word_is_none() {
        let known = ["port", "host", "max-body", "max-depth", "timeout"];
        for (slip, meant) in [
            ("prot", "port"),
            ("max-bodyy", "max-body"),
            ("maxbody", "max-body"),
            ("max_body", "max-body"),
            ("timout", "timeout"),
            ("tmieuot", "timeout"),
        ] {
            assert_eq!(nearest(slip, known), Some(meant), "{slip}");
        }
        for other in ["", "p", "pt", "workers", "threads"] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }

    #[test]
    fn what_is_far_at_a_glance_is_far() {
        let mut words = vec![String::new()];
        for at in 0..40 {
            words.extend(["a", "b", "c"].map(|letter| format!("{}{letter}", words[at])));
        }
        for a in &words {
            for b in &words {
                for most in [0, 1, 2] {
                    let whole = whole_distance(a.as_bytes(), b.as_bytes());
                    let expected = Some(whole).filter(|found| *found <= most);
                    assert_eq!(distance(a, b, most), expected, "{a:?}, {b:?}, {most}");
                }
            }
        }
    }
}
