//! Flags and environment variables, read by one table, from which the help is made too.

mod command;
mod go_flags;
mod help;
mod host;
mod init_flags;
mod nearest;
mod settings;
pub(crate) mod shared;
mod user;
pub mod values;
mod variables;

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actionproxy_core::{Config, Reinit};

use crate::{action_loop, hooks};

pub(crate) use command::{Argument, Command};
use go_flags::{GoFlags, Taken};
pub(crate) use help::help;
use init_flags::InitFlags;
use nearest::suggestion;
use settings::Setting;

/// How the server serves; how the action runs is in [`Config`].
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub host: IpAddr,
    pub port: u16,
    pub listen: Listen,
    /// Permissions of a Unix socket.
    pub listen_mode: u32,
    /// Where health, readiness and metrics are served, if they are.
    pub operator_port: Option<u16>,
    /// `None`: `/action` where it exists, else a directory of our own.
    pub action_dir: Option<PathBuf>,
    pub max_body: u64,
    pub max_connections: usize,
    pub idle_timeout: Duration,
    pub grace: Duration,
    pub enforce_deadline: bool,
    pub allow_concurrent: bool,
    pub max_concurrent: usize,
    pub platform: Platform,
    /// The methods taken on Knative, as they were given.
    pub http_methods: String,
    /// Whether the logs of an activation end with a sentinel, on Knative.
    pub sentinels: bool,
    pub action_loop: action_loop::Settings,
    pub hooks: hooks::Settings,
    pub config: Config,
}

/// Whose contract is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// OpenWhisk's `dockerskeleton`.
    OpenWhisk,
    /// The single entrypoint.
    Knative,
}

/// What to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The host and port of the options.
    Tcp,
    /// A socket at this path.
    Unix(PathBuf),
}

impl Options {
    /// What holds until the program of this command line is told something else.
    fn of_program(config: Config, parser: &lexopt::Parser) -> Self {
        let mut options = Options::new(config);
        options.action_loop.is_served = parser.bin_name().is_some_and(|name| {
            Path::new(name).file_name() == Some(OsStr::new(action_loop::PROGRAM))
        });
        options
    }

    fn new(config: Config) -> Self {
        Options {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 8080,
            listen: Listen::Tcp,
            listen_mode: 0o660,
            operator_port: None,
            action_dir: None,
            max_body: 100 << 20,
            max_connections: 1024,
            idle_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            enforce_deadline: false,
            allow_concurrent: false,
            max_concurrent: 64,
            platform: Platform::OpenWhisk,
            http_methods: "[post]".to_owned(),
            sentinels: true,
            action_loop: action_loop::Settings::default(),
            hooks: hooks::Settings::default(),
            config,
        }
    }
}

/// What the command line asks for, and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub command: Command,
    /// Variables that were passed over, a line each.
    pub warnings: Vec<String>,
}

impl From<Command> for Parsed {
    fn from(command: Command) -> Self {
        Parsed {
            command,
            warnings: Vec::new(),
        }
    }
}

/// Reads flags, and the variables of `config.env`, on top of `config`. A variable beside which its
/// flag is given is not looked at.
///
/// # Errors
/// One line that names the flag or variable, its value, and what was expected.
pub(crate) fn parse(
    config: Config,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Parsed, String> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut flags: Vec<(&Setting, OsString)> = Vec::new();
    let mut words: Vec<OsString> = Vec::new();
    let mut go = GoFlags::default();
    let mut init = InitFlags::default();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Help.into()),
            lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                return Ok(Command::Version.into());
            }
            lexopt::Arg::Long(flag) if InitFlags::NAMES.contains(&flag) => {
                let flag = flag.to_owned();
                init.take(&flag, &mut parser)?;
            }
            lexopt::Arg::Long(flag) => {
                let setting = settings::all()
                    .find(|setting| setting.flag == flag)
                    .ok_or_else(|| unknown_flag(flag))?;
                flags.push((
                    setting,
                    flag_value(&mut parser, setting.flag, setting.value)?,
                ));
            }
            lexopt::Arg::Short(letter) => {
                let rest = parser.optional_value().unwrap_or_default();
                let flag = format!("{letter}{}", rest.to_string_lossy());
                match go.take(&flag, &mut parser)? {
                    Taken::Yes => {}
                    Taken::Version => return Ok(Command::Version.into()),
                    Taken::No => return Err(unknown_short(letter, &rest.to_string_lossy())),
                }
            }
            lexopt::Arg::Value(word) => {
                words.push(word);
                // What stands behind the stub's name is the action's, and so are its variables.
                if words.len() == 1 && words[0] == "stub" {
                    return Ok(Command::Stub.into());
                }
            }
        }
    }
    match words.first().and_then(|word| word.to_str()) {
        Some("help") => return Ok(Command::Help.into()),
        Some("version") => return Ok(Command::Version.into()),
        _ => {}
    }

    let flagged: Vec<_> = flags.iter().map(|(setting, _)| setting.flag).collect();
    let mut warnings = Vec::new();
    let environment: Vec<_> = config
        .env
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut options = Options::of_program(config, &parser);
    variables::apply(&environment, &flagged, &mut options, &mut warnings)?;
    let known: Vec<_> = settings::all().map(|s| (s.flag, s.variables)).collect();
    warnings.extend(variables::misspelt(&environment, &known));
    for (setting, value) in flags {
        let flag = setting.flag;
        let value = text(&value).map_err(|e| format!("--{flag}: {e}"))?;
        (setting.apply)(&mut options, value)
            .map_err(|expected| format!("--{flag}: expected {expected}, found {value:?}"))?;
    }
    if options.platform == Platform::Knative && !flagged.contains(&"port") {
        // There the platform sets it, whatever an image has set for the other.
        variables::apply_general_port(&environment, &mut options)?;
    }
    if go.debugs {
        options.config.reinit = Reinit::Allow;
    }
    let command = match (go.compile, words.is_empty()) {
        (Some(main), true) => Command::Compile {
            main,
            env: go.env,
            options,
        },
        _ => command::of(words, go.env, init, options)?,
    };
    Ok(Parsed { command, warnings })
}

/// The value behind a flag; of a switch, what it stands for.
fn flag_value(parser: &mut lexopt::Parser, flag: &str, value: &str) -> Result<OsString, String> {
    if value.is_empty() {
        return Ok("1".into());
    }
    if let Some(value) = parser.optional_value() {
        return Ok(value);
    }
    let article = match value.starts_with(['A', 'E', 'I', 'O', 'U']) {
        true => "an",
        false => "a",
    };
    let needs = format!("--{flag} needs {article} {value}");
    let following = parser.value().map_err(|_| needs.clone())?;
    // No value begins so that is not joined to its flag by `=`.
    match following.to_str() {
        Some(other) if other.starts_with("--") => Err(format!("{needs}, found `{other}`")),
        _ => Ok(following),
    }
}

fn unknown_flag(flag: &str) -> String {
    let known = settings::all().map(|setting| setting.flag);
    let known = known.filter(|flag| !flag.is_empty());
    let known = known.chain(InitFlags::NAMES).chain(["help", "version"]);
    let meant = suggestion(flag, known, |f| format!("--{f}"));
    format!("unknown flag `--{flag}`{meant}{}", more(&meant))
}

/// `-port` is `--port`, with a dash too few; `-p` may be.
fn unknown_short(letter: char, rest: &str) -> String {
    let flag = format!("{letter}{rest}");
    let mut meant = settings::all().filter(|s| match rest {
        "" => s.flag.starts_with(letter),
        _ => s.flag == flag,
    });
    let meant = match (meant.next(), meant.next()) {
        (Some(only), None) => format!("; did you mean `--{}`?", only.flag),
        _ => String::new(),
    };
    format!("unknown flag `-{flag}`{meant}{}", more(&meant))
}

/// Where there is nothing to suggest, where to look.
fn more(suggestion: &str) -> &'static str {
    match suggestion {
        "" => "; `--help` lists them",
        _ => "",
    }
}

fn text(value: &std::ffi::OsStr) -> Result<&str, String> {
    value
        .to_str()
        .ok_or_else(|| format!("expected UTF-8, found {value:?}"))
}

#[cfg(test)]
mod tests;
