//! What shows that a resident process has started, and that it is the right one.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::config::ResidentConfig;
use crate::error::StartError;

/// The longest line that is read for an ack, in bytes.
pub(super) const MAX_LINE: usize = 64 << 10;

/// A first line on descriptor 3.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ack {
    Good,
    Bad { reason: String },
}

/// The peer's words for an ack that is a denial.
const NOT_OK: &str = "The action did not initialize properly.";

impl Ack {
    pub(super) fn read(line: &[u8]) -> Self {
        let bad = |problem: String| {
            let shown = String::from_utf8_lossy(line);
            let shown: String = shown.chars().take(100).collect();
            Ack::Bad {
                reason: format!("expected {{\"ok\": true}}, found {shown:?}{problem}"),
            }
        };
        match serde_json::from_slice(line) {
            Ok(Value::Object(said)) => match said.get("ok") {
                Some(Value::Bool(true)) => Ack::Good,
                Some(Value::Bool(false)) | None => Ack::Bad {
                    reason: NOT_OK.to_owned(),
                },
                Some(_) => bad(String::new()),
            },
            // The peer takes it for an object without anything in it.
            Ok(Value::Null) => Ack::Bad {
                reason: NOT_OK.to_owned(),
            },
            Ok(_) => bad(String::new()),
            Err(e) => bad(format!(": {e}")),
        }
    }
}

/// Whether `<executable>.env` holds what the settings ask for.
pub(super) fn check_environment(
    executable: &Path,
    settings: &ResidentConfig,
) -> Result<(), StartError> {
    let Some(expected) = &settings.execution_env else {
        return Ok(());
    };
    let mut name = executable.file_name().unwrap_or_default().to_os_string();
    name.push(".env");
    let path = executable.with_file_name(name);
    let found = fs::read(&path)
        .ok()
        .map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned());
    if found.as_deref() == Some(expected.trim()) {
        return Ok(());
    }
    Err(StartError::OtherEnvironment {
        path,
        expected: expected.clone(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_an_object_that_says_ok() {
        for line in ["{\"ok\":true}", " { \"ok\": true, \"x\": [1] }\r"] {
            assert_eq!(Ack::read(line.as_bytes()), Ack::Good, "{line}");
        }
        for line in ["{\"ok\":false}", "{}", "null"] {
            let reason = NOT_OK.to_owned();
            assert_eq!(Ack::read(line.as_bytes()), Ack::Bad { reason }, "{line}");
        }
        for line in ["", "ok", "{\"ok\":1}", "\u{fffd}"] {
            let Ack::Bad { reason } = Ack::read(line.as_bytes()) else {
                panic!("{line} is no ack");
            };
            assert!(
                reason.starts_with("expected {\"ok\": true}, found"),
                "{reason}"
            );
        }
    }
}
