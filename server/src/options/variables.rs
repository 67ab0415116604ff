//! The environment: variables of ours, those that only look like ours, and those that were meant to
//! be ours.

use std::ffi::{OsStr, OsString};

use super::nearest::{distance, nearest};
use super::settings::{self, Setting, Unknown};
use super::{Options, text};

/// What all variables begin with whose name is not somebody else's.
const PREFIX: &str = "ACTIONPROXY_";
/// Shorter names are one slip away from too many others.
const MIN_LENGTH_TO_GUESS: usize = 10;

type Environment = [(OsString, OsString)];

/// Applies the variables of every setting that is not in `flagged`. What is passed over goes to
/// `warnings`, a line each.
///
/// # Errors
/// One line that names the variable, its value and what was expected.
pub(super) fn apply(
    environment: &Environment,
    flagged: &[&str],
    options: &mut Options,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for setting in settings::all() {
        if !setting.flag.is_empty() && flagged.contains(&setting.flag) {
            continue;
        }
        apply_setting(setting, environment, options, warnings)?;
    }
    Ok(())
}

/// Applies the first variable of `setting` that is set.
///
/// # Errors
/// One line that names the variable, its value and what was expected.
pub(super) fn apply_setting(
    setting: &Setting,
    environment: &Environment,
    options: &mut Options,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for &name in setting.variables {
        let Some(value) = set(environment, name)? else {
            continue;
        };
        if is_service_link(value) {
            warnings.push(format!(
                "{name}: ignored {value:?}, which a cluster sets for a service of that name"
            ));
            continue;
        }
        return apply_one(setting, name, value, options, warnings);
    }
    Ok(())
}

/// What `name` holds, if anything.
///
/// # Errors
/// It is no UTF-8.
pub(super) fn set<'a>(environment: &'a Environment, name: &str) -> Result<Option<&'a str>, String> {
    let value = value(environment, name).filter(|value| !value.is_empty());
    value
        .map(|value| text(value).map_err(|e| format!("{name}: {e}")))
        .transpose()
}

/// Applies `PORT` over `FLASK_PROXY_PORT`, if it is set to a port.
///
/// # Errors
/// One line that names the variable, its value and what was expected.
pub(super) fn apply_general_port(
    environment: &Environment,
    options: &mut Options,
) -> Result<(), String> {
    let setting = settings::all().find(|setting| setting.flag == "port");
    let found = value(environment, "PORT").filter(|value| !value.is_empty());
    let (Some(setting), Some(value)) = (setting, found) else {
        return Ok(());
    };
    let value = text(value).map_err(|e| format!("PORT: {e}"))?;
    match is_service_link(value) {
        // It has been named already, unless the other came first.
        true => Ok(()),
        false => apply_one(setting, "PORT", value, options, &mut Vec::new()),
    }
}

fn apply_one(
    setting: &Setting,
    name: &str,
    value: &str,
    options: &mut Options,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    let Err(expected) = (setting.apply)(options, value) else {
        return Ok(());
    };
    let said = format!("{name}: expected {expected}, found {value:?}");
    match setting.unknown {
        Unknown::Refused => Err(said),
        Unknown::TakenAs(word) => {
            warnings.push(format!("{said}, which counts as `{word}`"));
            (setting.apply)(options, word)
        }
    }
}

/// A setting's flag, empty where it has none, and its variables.
pub(super) type Names = (&'static str, &'static [&'static str]);

/// A line for each variable that was meant to be one of `known`, and is not.
pub(super) fn misspelt(environment: &Environment, known: &[Names]) -> Vec<String> {
    let ours = || known.iter().flat_map(|(_, variables)| *variables).copied();
    let mut lines = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| ours().all(|our| our != *name)) else {
            continue;
        };
        let upper = name.to_ascii_uppercase();
        let meant = match upper.strip_prefix(PREFIX) {
            Some(_) if is_of_a_service(&upper, value) => continue,
            Some(rest) => meant(&upper, rest, known),
            // Somebody else's for all we know, if it is not all but the same.
            None => match ours()
                .find(|our| our.len() >= MIN_LENGTH_TO_GUESS && distance(our, &upper, 1).is_some())
            {
                Some(our) => vec![our],
                None => continue,
            },
        };
        lines.push(match meant.as_slice() {
            [] => format!("{name}: no such variable; `--help` lists them"),
            meant => {
                let meant: Vec<_> = meant.iter().map(|name| format!("`{name}`")).collect();
                format!(
                    "{name}: no such variable; did you mean {}?",
                    meant.join(" or ")
                )
            }
        });
    }
    lines
}

/// What `name`, which is [`PREFIX`] and `rest`, was meant to be: the variables of the flag that
/// `rest` is, else the nearest.
fn meant(name: &str, rest: &str, known: &[Names]) -> Vec<&'static str> {
    let wanted = rest.to_ascii_lowercase().replace('_', "-");
    if let Some((_, variables)) = known.iter().find(|(flag, _)| *flag == wanted) {
        return variables.to_vec();
    }
    let all = || known.iter().flat_map(|(_, variables)| *variables).copied();
    let rests = all().filter_map(|known| known.strip_prefix(PREFIX));
    let near = nearest(rest, rests).map(|found| format!("{PREFIX}{found}"));
    all()
        .find(|known| near.as_deref() == Some(*known))
        .or_else(|| nearest(name, all()))
        .into_iter()
        .collect()
}

fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a OsStr> {
    let mut found = environment.iter().filter(|(known, _)| known == name);
    found.next().map(|(_, value)| value.as_os_str())
}

/// Whether `value` is what Kubernetes and Docker put into `NAME_PORT` for a service `name`.
fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme))
}

/// Whether a variable beginning with [`PREFIX`] is one of those that a cluster sets for a service
/// that has the proxy's name: `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT_HTTP`, `NAME_PORT_80_TCP_ADDR`
/// and so on.
fn is_of_a_service(name: &str, value: &OsStr) -> bool {
    let mut parts = name.split('_').skip_while(|part| *part != "PORT").skip(1);
    let numbered = parts.next().is_some_and(|n| n.parse::<u16>().is_ok())
        && parts
            .next()
            .is_some_and(|p| ["TCP", "UDP", "SCTP"].contains(&p));
    numbered
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || value.to_str().is_some_and(is_service_link)
}
