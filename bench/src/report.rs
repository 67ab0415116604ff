//! The results, as a table for people or as JSON lines for programs.

use serde_json::json;

use crate::stats::{Samples, Summary};

/// How results are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    JsonLines,
}

/// Writes results as they come.
#[derive(Debug)]
pub(crate) struct Report {
    format: Format,
    group: String,
}

/// What was measured against what: the rows of one group belong to one alternating run.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub subject: &'a str,
    pub unit: &'static str,
    pub samples: &'a Samples,
    /// What the ratio is to, and its samples.
    pub against: Option<(&'a str, &'a Samples)>,
}

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Report {
            format,
            group: String::new(),
        }
    }

    /// Begins a group of rows.
    pub(crate) fn group(&mut self, name: impl Into<String>) {
        self.group = name.into();
        if self.format == Format::Table {
            println!("\n{}", self.group);
        }
    }

    pub(crate) fn row(&mut self, row: &Row<'_>) {
        let Some(summary) = row.samples.summary() else {
            return;
        };
        let ratio = row.against.and_then(|(name, samples)| {
            let base = samples.summary()?.median;
            (base > 0.0).then_some((name, summary.median / base))
        });
        match self.format {
            Format::Table => print_row(row, &summary, ratio),
            Format::JsonLines => println!(
                "{}",
                json!({
                    "figure": self.group, "subject": row.subject, "unit": row.unit,
                    "median": summary.median, "low": summary.low, "high": summary.high,
                    "runs": summary.runs, "against": ratio.map(|r| r.0), "ratio": ratio.map(|r| r.1),
                })
            ),
        }
    }

    /// One value that has no spread.
    pub(crate) fn value(&mut self, subject: &str, unit: &'static str, value: f64) {
        let mut samples = Samples::default();
        samples.push(value);
        self.row(&Row {
            subject,
            unit,
            samples: &samples,
            against: None,
        });
    }

    /// Something to know about the rows of this group.
    pub(crate) fn note(&mut self, text: &str) {
        match self.format {
            Format::Table => println!("  ({text})"),
            Format::JsonLines => println!("{}", json!({"figure": self.group, "note": text})),
        }
    }
}

fn print_row(row: &Row<'_>, summary: &Summary, ratio: Option<(&str, f64)>) {
    let spread = match summary.runs {
        1 => String::new(),
        runs => format!(
            "{} .. {}, {runs} runs",
            short(summary.low),
            short(summary.high)
        ),
    };
    let ratio = ratio.map_or(String::new(), |(name, ratio)| {
        format!("  {ratio:.2} x {name}")
    });
    let line = format!(
        "  {:<44} {:>9} {:<5} {spread:<32}{ratio}",
        row.subject,
        short(summary.median),
        row.unit
    );
    println!("{}", line.trim_end());
}

/// Three digits that matter, no exponent.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}
