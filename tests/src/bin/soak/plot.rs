//! The rounds of both proxies as curves, in SVG.

use std::fmt::Write;

use crate::history::{Round, milliseconds};
use crate::site::Overlap;

const WIDTH: f64 = 640.0;
/// Of one panel, its title and its axis included.
const HEIGHT: f64 = 150.0;
/// Left of the axis, and above and below the curves.
const MARGIN: f64 = 60.0;
const TITLE: f64 = 24.0;
const COLOURS: [&str; 2] = ["#1f6fb2", "#c2571a"];

type Value = fn(&Round) -> f64;

/// What is drawn: a curve that does not rise is what a soak is to show.
const PANELS: [(&str, Value); 6] = [
    ("resident memory at rest, KiB", |r| {
        (r.rest.memory >> 10) as f64
    }),
    ("most resident memory, KiB", |r| (r.peak >> 10) as f64),
    ("descriptors at rest", |r| r.rest.descriptors as f64),
    ("files at rest", |r| r.rest.files.len() as f64),
    ("median answer time, ms", |r| milliseconds(r.times.median)),
    ("99 % of answers within, ms", |r| milliseconds(r.times.slow)),
];

/// One panel a figure, one curve a proxy; every axis begins at zero.
pub(crate) fn plot(histories: &[(Overlap, Vec<Round>)]) -> String {
    let height = HEIGHT * PANELS.len() as f64 + TITLE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{height}\" \
         fill=\"white\"/>\n"
    );
    for ((overlap, _), (colour, x)) in histories.iter().zip(COLOURS.iter().zip([MARGIN, 200.0])) {
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"16\" fill=\"{colour}\">{overlap}</text>"
        );
    }
    for (panel, (title, value)) in PANELS.iter().enumerate() {
        let top = TITLE + HEIGHT * panel as f64;
        draw(&mut svg, top, title, *value, histories);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(
    svg: &mut String,
    top: f64,
    title: &str,
    value: Value,
    histories: &[(Overlap, Vec<Round>)],
) {
    let rounds = || histories.iter().flat_map(|(_, rounds)| rounds);
    let most = rounds().map(value).fold(1.0, f64::max) * 1.1;
    let end = rounds()
        .map(|round| round.elapsed.as_secs_f64())
        .fold(1.0, f64::max);
    let (upper, lower) = (top + TITLE, top + HEIGHT - TITLE);
    let right = WIDTH - TITLE;
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{:.0}\" font-weight=\"bold\">{title}</text>\n\
         <path d=\"M{MARGIN} {upper} V{lower} H{right}\" fill=\"none\" stroke=\"#888\"/>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.0}</text>\n\
         <text x=\"{:.0}\" y=\"{lower}\" text-anchor=\"end\">0</text>\n\
         <text x=\"{right}\" y=\"{:.0}\" text-anchor=\"end\">{end:.0} s</text>",
        upper - 8.0,
        MARGIN - 6.0,
        upper + 8.0,
        MARGIN - 6.0,
        lower + 14.0,
    );
    for ((_, rounds), colour) in histories.iter().zip(COLOURS) {
        let points: Vec<String> = rounds
            .iter()
            .map(|round| {
                let x = MARGIN + (right - MARGIN) * round.elapsed.as_secs_f64() / end;
                let y = lower - (lower - upper) * value(round) / most;
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
    }
}
