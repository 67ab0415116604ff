//! The contract that is served, and the code of a runtime that is dedicated to one function.

use std::fs;
use std::sync::Arc;

use actionproxy_core::{Code, InitRequest, RawValue};
use actionproxy_platforms::knative::{Argument, Dedication, METHODS};
use actionproxy_platforms::{Contract, EndOfLogs, Knative, OpenWhisk};

use crate::action_loop;
use crate::options::{Options, Platform};

/// What is served.
pub(crate) struct Served {
    pub contract: Arc<dyn Contract>,
    /// The init to be done before the first request.
    pub prepared: Option<InitRequest>,
    /// What there is to say about it, a line each.
    pub warnings: Vec<String>,
}

/// Chooses by the options, and by the variables of the environment that Knative's contract names.
/// The code among them goes out of the environment: it is not every activation's to carry.
///
/// # Errors
/// One line that says why the code cannot be had.
pub(crate) fn choose(options: &mut Options) -> Result<Served, String> {
    let is_loop = options.action_loop.is_served;
    let mut warnings = Vec::new();
    let (contract, prepared): (Arc<dyn Contract>, _) = match options.platform {
        Platform::OpenWhisk if is_loop => (Arc::new(action_loop::contract(options)), None),
        Platform::OpenWhisk => {
            let contract = OpenWhisk {
                enforce_deadline: options.enforce_deadline,
            };
            (Arc::new(contract), None)
        }
        Platform::Knative => {
            let prepared = dedicated(options)?;
            let contract = Knative {
                methods: methods(&options.http_methods, &mut warnings),
                namespace: variable(options, "__OW_NAMESPACE").unwrap_or_default(),
                code: match prepared {
                    None => Dedication::StemCell,
                    Some(_) => Dedication::Dedicated,
                },
                argument: match is_loop {
                    true => Argument::Message,
                    false => Argument::Value,
                },
                end_of_logs: match options.sentinels {
                    true => EndOfLogs::Sentinel,
                    false => EndOfLogs::Nothing,
                },
            };
            (Arc::new(contract), prepared)
        }
    };
    Ok(Served {
        contract,
        prepared,
        warnings,
    })
}

/// The methods of a list such as `[get, post]`; POST where there is none that is known.
fn methods(list: &str, warnings: &mut Vec<String>) -> Vec<&'static str> {
    let mut methods = Vec::new();
    let names = list.trim().trim_start_matches('[').trim_end_matches(']');
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let known = METHODS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        match known {
            Some(method) if !methods.contains(method) => methods.push(*method),
            Some(_) => {}
            None => warnings.push(format!(
                "__OW_HTTP_METHODS: ignored {name:?}; expected some of {}",
                METHODS.join(", ")
            )),
        }
    }
    match methods.is_empty() {
        true => vec!["POST"],
        false => methods,
    }
}

/// The init that `__OW_ACTION_CODE` and its like stand for, if they are set.
fn dedicated(options: &mut Options) -> Result<Option<InitRequest>, String> {
    let file = variable(options, "__OW_ACTION_CODE_FILE");
    let code = match (variable(options, "__OW_ACTION_CODE"), file) {
        (Some(_), Some(_)) => {
            return Err(
                "expected one of __OW_ACTION_CODE and __OW_ACTION_CODE_FILE, found both".to_owned(),
            );
        }
        (Some(code), None) => code.into_bytes(),
        (None, Some(file)) => {
            fs::read(&file).map_err(|e| format!("__OW_ACTION_CODE_FILE: {file}: {e}"))?
        }
        (None, None) => return Ok(None),
    };
    let mut init = InitRequest {
        name: variable(options, "__OW_ACTION_NAME"),
        main: variable(options, "__OW_ACTION_MAIN"),
        code: Some(match switch(options, "__OW_ACTION_BINARY")? {
            true => Code::Base64(code),
            false => Code::Text(code),
        }),
        ..InitRequest::default()
    };
    if switch(options, "__OW_ACTION_RAW")?
        && let Ok(raw) = RawValue::from_string("true".to_owned())
    {
        init.fields.insert("raw".to_owned(), raw);
    }
    options.config.env.remove("__OW_ACTION_CODE");
    Ok(Some(init))
}

/// A variable that is set, and not to nothing.
fn variable(options: &Options, name: &str) -> Option<String> {
    let value = options.config.env.value(name)?.to_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn switch(options: &Options, name: &str) -> Result<bool, String> {
    match variable(options, name) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(format!(
            "{name}: expected `true` or `false`, found {value:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_a_list_with_or_without_brackets() {
        let of = |list| {
            let mut warnings = Vec::new();
            (methods(list, &mut warnings), warnings.len())
        };
        assert_eq!(of("[post]"), (vec!["POST"], 0));
        assert_eq!(of("[get, Post,get]"), (vec!["GET", "POST"], 0));
        assert_eq!(of("put"), (vec!["PUT"], 0));
        assert_eq!(of("[brew]"), (vec!["POST"], 1));
        assert_eq!(of("[]"), (vec!["POST"], 0));
    }
}
