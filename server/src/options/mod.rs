//! Flags and environment variables, read by one table, from which the help is made too.

mod settings;
mod values;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use actionproxy_core::Config;

use settings::SETTINGS;

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
    pub platform: String,
    pub config: Config,
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
            platform: "openwhisk".to_owned(),
            config,
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Options),
    /// One executable, once, without HTTP.
    Once {
        file: PathBuf,
        argument: Option<String>,
        options: Options,
    },
    /// Is the proxy of this machine alive?
    Health(Options),
    /// Behave as the built-in stub, on the argument given.
    Stub,
    Help,
    Version,
}

/// Reads flags and variables on top of `config`.
///
/// # Errors
/// One line that names the flag or variable, its value, and what was expected.
pub(crate) fn parse(
    config: Config,
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, String> {
    let mut options = Options::new(config);
    for setting in SETTINGS {
        let found = setting
            .variables
            .iter()
            .find_map(|name| Some((name, variable(name).filter(|v| !v.is_empty())?)));
        if let Some((name, value)) = found {
            let value = text(&value).map_err(|e| format!("{name}: {e}"))?;
            (setting.apply)(&mut options, value)
                .map_err(|expected| format!("{name}: expected {expected}, found {value:?}"))?;
        }
    }
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut words: Vec<OsString> = Vec::new();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Help),
            lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => return Ok(Command::Version),
            lexopt::Arg::Long(flag) => {
                let flag = flag.to_owned();
                let setting = SETTINGS
                    .iter()
                    .find(|setting| setting.flag == flag)
                    .ok_or_else(|| format!("unknown flag `--{flag}`; `--help` lists them"))?;
                let value = if setting.value.is_empty() {
                    "1".into()
                } else {
                    parser
                        .value()
                        .map_err(|_| format!("--{flag}: expected {}", setting.value))?
                };
                let value = text(&value).map_err(|e| format!("--{flag}: {e}"))?;
                (setting.apply)(&mut options, value).map_err(|expected| {
                    format!("--{flag}: expected {expected}, found {value:?}")
                })?;
            }
            lexopt::Arg::Short(flag) => {
                return Err(format!("unknown flag `-{flag}`; `--help` lists them"));
            }
            lexopt::Arg::Value(word) => {
                words.push(word);
                // What stands behind the stub's name is the action's, not ours.
                if words.len() == 1 && words[0] == "stub" {
                    return Ok(Command::Stub);
                }
            }
        }
    }
    command(words, options)
}

fn command(words: Vec<OsString>, options: Options) -> Result<Command, String> {
    let mut words = words.into_iter();
    let Some(name) = words.next() else {
        return Ok(Command::Serve(options));
    };
    let command = match name.to_str() {
        Some("health") => Command::Health(options),
        Some("run") => Command::Once {
            file: words
                .next()
                .ok_or("run: expected an executable: `actionproxy run FILE [JSON]`")?
                .into(),
            argument: words
                .next()
                .map(|json| text(&json).map(str::to_owned))
                .transpose()
                .map_err(|e| format!("run: {e}"))?,
            options,
        },
        _ => {
            return Err(format!(
                "unknown command {name:?}; expected `run` or `health`"
            ));
        }
    };
    match words.next() {
        None => Ok(command),
        Some(extra) => Err(format!("unexpected argument {extra:?}")),
    }
}

/// The text of `--help`.
pub(crate) fn help(name: &str) -> String {
    let mut help = format!(
        "{name} {version}: turns an executable into an OpenWhisk action\n\n\
         usage: {name} [FLAGS]                  serve POST /init, POST /run, GET /healthz\n\
         \x20      {name} [FLAGS] run FILE [JSON]  run one executable once, without HTTP\n\
         \x20      {name} [FLAGS] health           exit 0 if the proxy on this port is alive\n\n\
         Flags, the variables that stand for them, and their defaults:\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    for setting in SETTINGS {
        let flag = match (setting.flag, setting.value) {
            ("", _) => String::new(),
            (flag, "") => format!("--{flag} "),
            (flag, value) => format!("--{flag} {value} "),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            help,
            "  {flag}[{}] (default: {})\n      {}",
            setting.variables.join(", "),
            setting.default,
            setting.help
        );
    }
    help.push_str(
        "  --help, --version\n\n\
         Times: 200ms, 10s, 5m, 1h; a bare number is seconds. Sizes: bytes, or with K, M, G.\n",
    );
    help
}

fn text(value: &std::ffi::OsStr) -> Result<&str, String> {
    value
        .to_str()
        .ok_or_else(|| format!("expected UTF-8, found {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Options, String> {
        let arguments = ["actionproxy"].iter().chain(arguments);
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        match parse(Config::default(), arguments.map(OsString::from), variable)? {
            Command::Serve(options) => Ok(options),
            other => panic!("not a request to serve: {other:?}"),
        }
    }

    #[test]
    fn a_flag_beats_the_variables_and_upstreams_variable_beats_the_general_one() {
        let both = [("PORT", "2"), ("FLASK_PROXY_PORT", "1")];
        assert_eq!(serve(&["--port", "3"], &both).map(|o| o.port), Ok(3));
        assert_eq!(serve(&[], &both).map(|o| o.port), Ok(1));
        assert_eq!(serve(&[], &both[..1]).map(|o| o.port), Ok(2));
        assert_eq!(serve(&[], &[]).map(|o| o.port), Ok(8080));
    }

    #[test]
    fn the_defaults_that_help_states_are_the_defaults() {
        let stated = serve(
            &[
                "--host=0.0.0.0",
                "--port=8080",
                "--timeout=off",
                "--kill-grace=1s",
                "--linger=200ms",
                "--late-result=10s",
                "--grace=10s",
                "--max-body=100M",
                "--max-result=64M",
                "--max-unpacked=512M",
                "--max-entries=65535",
                "--max-depth=64",
                "--max-concurrent=64",
                "--max-connections=1024",
                "--idle-timeout=60s",
                "--verify=digest",
            ],
            &[],
        );
        for setting in SETTINGS.iter().filter(|s| !s.value.is_empty()) {
            let shown = help("actionproxy");
            assert!(shown.contains(&format!("(default: {})", setting.default)));
        }
        let stated = format!("{:?}", stated.expect("valid flags"));
        assert_eq!(stated, format!("{:?}", serve(&[], &[]).expect("no flags")));
    }

    #[test]
    fn a_bad_value_is_named_with_what_was_expected() {
        let said = serve(&["--port", "http"], &[]).expect_err("no number");
        assert_eq!(
            said,
            "--port: expected a number from 0 to 65535, found \"http\""
        );
        let said = serve(&[], &[("ACTION_VERIFY", "x")]).expect_err("no policy");
        assert_eq!(
            said,
            "ACTION_VERIFY: expected `digest` or `permission`, found \"x\""
        );
        for bad in [
            &["--linger", "1y"][..],
            &["--nope"],
            &["x"],
            &["--max-body"],
            &["-x"],
        ] {
            assert!(serve(bad, &[]).is_err(), "{bad:?}");
        }
    }
}
