//! The commands in a text: a document, a program's documentation, a script's comment, a help text.

use std::collections::BTreeSet;

/// What commands begin with; in the middle of a sentence only such words make one.
const PROGRAMS: &[&str] = &[
    "cargo ",
    "bash ",
    "scripts/",
    "tests/images/",
    "tests/debian/",
    "bench/weigh",
    ".ci/",
    "docker ",
    "python ",
    "python3 ",
    "curl ",
    "actionproxy ",
    "actionproxy-mqtt ",
    "tests/clients/",
    "invokers/capi/install",
];

/// The commands of a document: each line of its shell blocks that begins one, and what stands
/// between backquotes and begins with a program.
pub(crate) fn of_document(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_shell = None;
    let mut until: Option<&str> = None;
    let mut prose = String::new();
    for line in text.lines() {
        match (line.strip_prefix("```"), is_shell) {
            (Some(language), None) => {
                is_shell = Some(matches!(language, "sh" | "bash" | "console"))
            }
            (Some(_), Some(_)) => is_shell = None,
            (None, Some(true)) => {
                if let Some(end) = until {
                    if line == end {
                        until = None;
                    }
                } else if !line.trim().is_empty() && !line.starts_with('#') {
                    found.insert(line.trim().to_owned());
                    until = line.contains("<<'END'").then_some("END");
                }
            }
            (None, Some(false)) => {}
            (None, None) => {
                prose.push_str(line);
                prose.push(' ');
            }
        }
    }
    found.extend(quoted(&prose));
    found
}

/// What stands between backquotes and begins with a program and has a word behind it, or is a
/// script.
fn quoted(prose: &str) -> Vec<String> {
    let spans = prose.split('`').skip(1).step_by(2);
    let commands = spans.filter(|span| PROGRAMS.iter().any(|program| span.starts_with(program)));
    // A path of a directory or of a file that is read is none.
    let commands = commands.filter(|span| !span.ends_with('/') && !span.ends_with(".sh"));
    commands.map(str::to_owned).collect()
}

/// The commands in the documentation of a program: between backquotes, or as lines of a text block.
pub(crate) fn of_source(text: &str) -> BTreeSet<String> {
    let doc: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    let lines = doc.iter().map(|line| line.trim());
    let lines = lines.filter(|line| PROGRAMS.iter().any(|p| line.starts_with(p)));
    lines
        .map(str::to_owned)
        .chain(quoted(&doc.join(" ")))
        .collect()
}

/// The commands in the first comment of a script: lines that are set in from its text.
pub(crate) fn of_script(text: &str) -> BTreeSet<String> {
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    of_lines(comment.filter_map(|line| line.strip_prefix("#   ")))
}

/// The commands in a help text, behind `usage:`.
pub(crate) fn of_help(text: &str) -> BTreeSet<String> {
    let usage = text.lines().skip_while(|line| !line.starts_with("usage: "));
    let usage = usage.take_while(|line| !line.is_empty());
    of_lines(usage.map(|line| line.trim_start_matches("usage: ")))
}

fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    lines
        .map(str::trim)
        .filter(|line| PROGRAMS.iter().any(|program| line.starts_with(program)))
        // A word that the text behind it explains.
        .filter(|line| {
            !line.contains("   ") || line.starts_with("scripts/") || line.starts_with("actionproxy")
        })
        .map(|line| line.split("  ").next().unwrap_or_default().to_owned())
        .collect()
}
