//! What one activation is to do, what it must be answered, and what it must log.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dice::Dice;

/// What an activation does, and how often one is sent.
pub(crate) const KINDS: [(&str, u64); 19] = [
    ("good", 30),
    ("noisy", 5),
    ("deaf", 5),
    ("large", 5),
    ("slow", 5),
    ("silent", 5),
    ("wrong", 5),
    ("killed", 8),
    ("late", 4),
    ("holder", 5),
    ("chatty", 3),
    ("escaped", 1),
    ("orphans", 5),
    ("background", 3),
    ("shut", 3),
    ("overdue", 3),
    ("stubborn", 2),
    ("huge", 2),
    ("nonsense", 6),
];

/// Above this, `--max-result`, a result is refused.
pub(crate) const MAX_RESULT: usize = 1 << 20;
/// What an activation that never ends is given, in milliseconds.
const DEADLINE: u64 = 400;

const SIGNALS: [(Signal, &str); 5] = [
    (Signal::SEGV, "SIGSEGV"),
    (Signal::KILL, "SIGKILL"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::TERM, "SIGTERM"),
    (Signal::BUS, "SIGBUS"),
];

/// One activation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub id: u64,
    pub what: &'static str,
    /// Lines on stdout, on stderr, and their width.
    pub out: u64,
    pub err: u64,
    pub width: usize,
    /// Whether the last line of stderr has its newline.
    pub whole: bool,
    /// Bytes of padding in the argument.
    pad: usize,
}

impl Plan {
    /// A random one.
    pub(crate) fn random(id: u64, dice: &mut Dice) -> Self {
        let what = dice.weighted(&KINDS);
        let (out, err, width) = match what {
            // Many lines, or few that are very long.
            "noisy" if dice.below(2) == 0 => (1 + dice.below(8), 1 + dice.below(8), 700_000),
            "noisy" => (1 + dice.below(4000), 1 + dice.below(4000), 300),
            _ => (
                1 + dice.below(4),
                1 + dice.below(4),
                dice.below(200) as usize,
            ),
        };
        Plan {
            id,
            what,
            out,
            err,
            width,
            // What its descendant says begins a line of its own.
            whole: what == "chatty" || dice.below(2) == 0,
            pad: match what {
                "large" => 200_000 + dice.below(700_000) as usize,
                "huge" => MAX_RESULT + dice.below(1_000_000) as usize,
                _ => dice.below(2000) as usize,
            },
        }
    }

    /// The plan that an action was given.
    pub(crate) fn from_argument(value: &Value) -> Self {
        let number = |name: &str| value[name].as_u64().expect("a number");
        let known = KINDS.iter().find(|(what, _)| value["what"] == *what);
        Plan {
            id: number("id"),
            what: known.expect("a known behaviour").0,
            out: number("out"),
            err: number("err"),
            width: number("width") as usize,
            whole: value["whole"] == true,
            pad: 0,
        }
    }

    /// The argument that says so.
    pub(crate) fn argument(&self) -> Value {
        json!({
            "id": self.id, "what": self.what, "out": self.out, "err": self.err,
            "width": self.width, "whole": self.whole, "pad": "p".repeat(self.pad),
        })
    }

    /// The body of the request, at `now`, milliseconds since 1970.
    pub(crate) fn body(&self, now: u64) -> String {
        match self.what {
            "nonsense" => match self.id % 3 {
                0 => json!({ "value": 42 }).to_string(),
                1 => "{\"value\":".to_owned(),
                _ => "[]".to_owned(),
            },
            "overdue" | "stubborn" => {
                json!({ "value": self.argument(), "deadline": (now + DEADLINE).to_string() })
                    .to_string()
            }
            _ => json!({ "value": self.argument(), "activation_id": self.id }).to_string(),
        }
    }

    /// The last line of stdout, as the action writes it.
    pub(crate) fn result(&self, value: &Value) -> Vec<u8> {
        let result = match self.what {
            "large" | "huge" => json!({ "id": self.id, "pad": value["pad"] }),
            _ => json!({ "id": self.id }),
        };
        format!("{result}\n").into_bytes()
    }

    pub(crate) fn signal(&self) -> Signal {
        SIGNALS[(self.id % SIGNALS.len() as u64) as usize].0
    }

    /// What the proxy's own line in the logs must say, where there must be one.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        match self.what {
            "killed" | "late" => Some(SIGNALS[(self.id % SIGNALS.len() as u64) as usize].1),
            "silent" => Some("status 3"),
            "wrong" => Some("no JSON object"),
            "huge" => Some("over the limit"),
            _ => None,
        }
    }

    /// Lines of its own that must be on stdout.
    pub(crate) fn lines_out(&self) -> u64 {
        self.out + u64::from(self.what == "wrong")
    }

    /// Whether it is known to run to the end of its lines.
    pub(crate) fn is_in_time(&self) -> bool {
        !matches!(self.what, "overdue" | "stubborn")
    }

    /// Whether the answer is the right one.
    ///
    /// # Errors
    /// What it should have been.
    pub(crate) fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        let as_expected = match self.what {
            "silent" | "wrong" | "killed" => {
                status == 502 && text.contains("did not return a dictionary")
            }
            // The one that its message has or, where that came too late, the proxy's.
            "overdue" | "stubborn" => {
                status == 502 && (text.contains("deadline") || text.contains("time limit"))
            }
            "huge" => status == 502 && text.contains("over the limit"),
            "nonsense" => status == if self.id % 3 == 1 { 400 } else { 404 },
            _ => {
                let result = self.result(&self.argument());
                status == 200 && body == result.trim_ascii_end()
            }
        };
        if as_expected {
            return Ok(());
        }
        let body: String = text.chars().take(200).collect();
        Err(format!(
            "activation {} ({}) was answered {status} {body}",
            self.id, self.what
        ))
    }
}
