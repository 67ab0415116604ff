//! Flags and environment variables: one table, from which the help is made too.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use actionproxy_core::{Config, Reinit, VerifyPolicy};

/// How the server serves; how the action runs is in [`Config`].
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub host: IpAddr,
    pub port: u16,
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

impl Options {
    fn new(config: Config) -> Self {
        Options {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 8080,
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

/// One setting. A flag beats the variables; of several variables the first that is set counts.
struct Setting {
    /// Without the dashes; empty where only variables set it.
    flag: &'static str,
    /// What stands behind the flag in the help; empty for a switch.
    value: &'static str,
    variables: &'static [&'static str],
    default: &'static str,
    help: &'static str,
    apply: fn(&mut Options, &str) -> Result<(), String>,
}

const SETTINGS: &[Setting] = &[
    Setting {
        flag: "host",
        value: "ADDRESS",
        variables: &["ACTIONPROXY_HOST"],
        default: "0.0.0.0",
        help: "address to listen on",
        apply: |o, v| set(&mut o.host, v.parse().ok(), "an IP address"),
    },
    Setting {
        flag: "port",
        value: "PORT",
        variables: &["FLASK_PROXY_PORT", "PORT"],
        default: "8080",
        help: "port to listen on; 0 takes a free one, named in the first log line",
        apply: |o, v| set(&mut o.port, v.parse().ok(), "a number from 0 to 65535"),
    },
    Setting {
        flag: "action-dir",
        value: "DIR",
        variables: &["ACTION_DIR"],
        default: "/action where it exists, else a temporary directory",
        help: "where the action lives",
        apply: |o, v| {
            set(
                &mut o.action_dir,
                Some(Some(PathBuf::from(v))),
                "a directory",
            )
        },
    },
    Setting {
        flag: "timeout",
        value: "TIME",
        variables: &["ACTIONPROXY_TIMEOUT"],
        default: "off",
        help: "longest init or run; then TERM, then KILL, to the process group",
        apply: |o, v| set(&mut o.config.process.timeout, optional_time(v), TIME_OR_OFF),
    },
    Setting {
        flag: "enforce-deadline",
        value: "",
        variables: &["ACTIONPROXY_ENFORCE_DEADLINE"],
        default: "off",
        help: "end a run at the `deadline` of its message",
        apply: |o, v| set(&mut o.enforce_deadline, switch(v), SWITCH),
    },
    Setting {
        flag: "kill-grace",
        value: "TIME",
        variables: &["ACTIONPROXY_KILL_GRACE"],
        default: "1s",
        help: "from TERM to KILL",
        apply: |o, v| set(&mut o.config.process.kill_grace, time(v), TIME),
    },
    Setting {
        flag: "linger",
        value: "TIME",
        variables: &["ACTIONPROXY_LINGER"],
        default: "200ms",
        help: "after the action has exited: silence allowed to a descendant that keeps its output open, and ten times that in all; 0 waits for ever",
        apply: |o, v| {
            let linger = time(v).map(|t| (!t.is_zero()).then_some(t));
            set(&mut o.config.process.linger, linger, TIME)
        },
    },
    Setting {
        flag: "grace",
        value: "TIME",
        variables: &["ACTIONPROXY_GRACE"],
        default: "10s",
        help: "after TERM or INT to the proxy: how long a running activation may go on",
        apply: |o, v| set(&mut o.grace, time(v), TIME),
    },
    Setting {
        flag: "max-body",
        value: "SIZE",
        variables: &["ACTIONPROXY_MAX_BODY"],
        default: "100M",
        help: "largest request body; 413 above it",
        apply: |o, v| set(&mut o.max_body, size(v), SIZE),
    },
    Setting {
        flag: "max-result",
        value: "SIZE",
        variables: &["ACTIONPROXY_MAX_RESULT"],
        default: "64M",
        help: "longest result line",
        apply: |o, v| {
            let bytes = size(v).and_then(|s| usize::try_from(s).ok());
            set(&mut o.config.process.max_result, bytes, SIZE)
        },
    },
    Setting {
        flag: "max-unpacked",
        value: "SIZE",
        variables: &["ACTIONPROXY_MAX_UNPACKED"],
        default: "512M",
        help: "largest unpacked archive",
        apply: |o, v| set(&mut o.config.unpack.max_bytes, size(v), SIZE),
    },
    Setting {
        flag: "max-entries",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_ENTRIES"],
        default: "65535",
        help: "most entries of an archive",
        apply: |o, v| set(&mut o.config.unpack.max_entries, count(v), COUNT),
    },
    Setting {
        flag: "max-depth",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_DEPTH"],
        default: "64",
        help: "deepest directory of an archive",
        apply: |o, v| {
            let depth = count(v).and_then(|n| usize::try_from(n).ok());
            set(&mut o.config.unpack.max_depth, depth, COUNT)
        },
    },
    Setting {
        flag: "max-concurrent",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_CONCURRENT"],
        default: "64",
        help: "most activations at a time, where __OW_ALLOW_CONCURRENT is true",
        apply: |o, v| {
            let most = count(v).and_then(|n| usize::try_from(n).ok());
            set(&mut o.max_concurrent, most, COUNT)
        },
    },
    Setting {
        flag: "max-connections",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_CONNECTIONS"],
        default: "1024",
        help: "most connections; above it the one idle longest is closed",
        apply: |o, v| {
            let most = count(v).and_then(|n| usize::try_from(n).ok());
            set(&mut o.max_connections, most, COUNT)
        },
    },
    Setting {
        flag: "idle-timeout",
        value: "TIME",
        variables: &["ACTIONPROXY_IDLE_TIMEOUT"],
        default: "60s",
        help: "a connection that is idle, or stuck in a request, for so long is closed",
        apply: |o, v| set(&mut o.idle_timeout, time(v).filter(|t| !t.is_zero()), TIME),
    },
    Setting {
        flag: "verify",
        value: "WHAT",
        variables: &["ACTION_VERIFY"],
        default: "digest",
        help: "`digest`: an executable changed since init does not run; `permission`: it does",
        apply: |o, v| {
            let policy = match v {
                "digest" => Some(VerifyPolicy::Digest),
                "permission" => Some(VerifyPolicy::Permission),
                _ => None,
            };
            set(&mut o.config.verify, policy, "`digest` or `permission`")
        },
    },
    Setting {
        flag: "allow-reinit",
        value: "",
        variables: &["PROXY_ALLOW_REINIT"],
        default: "off",
        help: "let a second /init replace the action (the variable: 1)",
        apply: |o, v| {
            // Upstream: anything but 1 is off.
            let on = v == "1" || switch(v) == Some(true);
            o.config.reinit = if on { Reinit::Allow } else { Reinit::Refuse };
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["__OW_ALLOW_CONCURRENT"],
        default: "false",
        help: "`true`: activations may overlap",
        apply: |o, v| {
            o.allow_concurrent = v.eq_ignore_ascii_case("true");
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["__OW_RUNTIME_PLATFORM"],
        default: "openwhisk",
        help: "the platform whose contract is served; only `openwhisk` so far",
        apply: |o, v| {
            o.platform = v.to_lowercase();
            Ok(())
        },
    },
];

const TIME: &str = "a time such as 200ms, 10s or 5m";
const TIME_OR_OFF: &str = "a time such as 200ms, 10s or 5m, or `off`";
const SIZE: &str = "a size such as 4096, 64K, 100M or 1G";
const COUNT: &str = "a number from 1";
const SWITCH: &str = "`1`, `true`, `0` or `false`";

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

fn set<T>(place: &mut T, value: Option<T>, expected: &str) -> Result<(), String> {
    *place = value.ok_or(expected)?;
    Ok(())
}

fn text(value: &std::ffi::OsStr) -> Result<&str, String> {
    value
        .to_str()
        .ok_or_else(|| format!("expected UTF-8, found {value:?}"))
}

fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

fn optional_time(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        _ => time(text).map(|t| (!t.is_zero()).then_some(t)),
    }
}

fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n > 0)
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
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

    #[test]
    fn units() {
        assert_eq!(time("90"), Some(Duration::from_secs(90)));
        assert_eq!(time("5m"), Some(Duration::from_secs(300)));
        assert_eq!(time("99999999999999999999"), None);
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("20000000000G"), None);
    }
}
