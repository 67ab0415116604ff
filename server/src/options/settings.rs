//! The table of settings: flag, variables, default, help, and where the value goes.

mod confinement;
mod hooks;

use std::path::PathBuf;

use actionproxy_core::{Durability, Reinit, VerifyPolicy};
use actionproxy_platforms::InitErrors;

use super::host::{HOST, host};
use super::values::{
    COUNT, MODE, SIZE, SWITCH, TIME, TIME_OR_OFF, count, mode, optional_time, size, switch, time,
};
use super::{Listen, Options, Platform};

/// One setting. A flag beats the variables; of several variables the first that is set counts.
pub(super) struct Setting {
    /// Without the dashes; empty where only variables set it.
    pub(super) flag: &'static str,
    /// What stands behind the flag in the help; empty for a switch.
    pub(super) value: &'static str,
    pub(super) variables: &'static [&'static str],
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    pub(super) unknown: Unknown,
    pub(super) apply: fn(&mut Options, &str) -> Result<(), String>,
}

/// What becomes of a variable whose value is none of those that are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The proxy does not start: it would not do what it was asked.
    Refused,
    /// Upstream takes every other word for this one, and so do we, with a warning.
    TakenAs(&'static str),
}

/// All of them, in the order of the help.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    [GENERAL, hooks::SETTINGS, confinement::SETTINGS]
        .into_iter()
        .flatten()
}

const GENERAL: &[Setting] = &[
    Setting {
        flag: "host",
        value: "ADDRESS",
        variables: &["ACTIONPROXY_HOST"],
        default: "0.0.0.0",
        help: "address to listen on, or a name that has one",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.host, host(v), HOST),
    },
    Setting {
        flag: "port",
        value: "PORT",
        variables: &["FLASK_PROXY_PORT", "PORT"],
        default: "8080",
        help: "port to listen on; 0 takes a free one, named in the first log line",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.port, v.parse().ok(), "a number from 0 to 65535"),
    },
    Setting {
        flag: "listen",
        value: "WHERE",
        variables: &["ACTIONPROXY_LISTEN"],
        default: "tcp",
        help: "`tcp`: on host and port; `unix:PATH`: on a Unix socket instead",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let unix = v.strip_prefix("unix:").filter(|path| !path.is_empty());
            let listen = match v {
                "tcp" => Some(Listen::Tcp),
                _ => unix.map(|path| Listen::Unix(PathBuf::from(path))),
            };
            set(&mut o.listen, listen, "`tcp` or `unix:PATH`")
        },
    },
    Setting {
        flag: "listen-mode",
        value: "MODE",
        variables: &["ACTIONPROXY_LISTEN_MODE"],
        default: "0660",
        help: "permissions of a Unix socket, in octal",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.listen_mode, mode(v), MODE),
    },
    Setting {
        flag: "operator-port",
        value: "PORT",
        variables: &["ACTIONPROXY_OPERATOR_PORT"],
        default: "off",
        help: "port for GET /healthz, /readyz and /metrics, beside the one for activations",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let port = match v {
                "off" => Some(None),
                _ => v.parse().ok().filter(|port| *port > 0).map(Some),
            };
            set(
                &mut o.operator_port,
                port,
                "a number from 1 to 65535, or `off`",
            )
        },
    },
    Setting {
        flag: "action-dir",
        value: "DIR",
        variables: &["ACTION_DIR"],
        default: "/action where it exists, else a temporary directory",
        help: "where the action lives",
        unknown: Unknown::Refused,
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
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.config.process.timeout, optional_time(v), TIME_OR_OFF),
    },
    Setting {
        flag: "enforce-deadline",
        value: "",
        variables: &["ACTIONPROXY_ENFORCE_DEADLINE"],
        default: "off",
        help: "end a run at the `deadline` of its message",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.enforce_deadline, switch(v), SWITCH),
    },
    Setting {
        flag: "kill-grace",
        value: "TIME",
        variables: &["ACTIONPROXY_KILL_GRACE"],
        default: "1s",
        help: "from TERM to KILL",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.config.process.kill_grace, time(v), TIME),
    },
    Setting {
        flag: "linger",
        value: "TIME",
        variables: &["ACTIONPROXY_LINGER"],
        default: "200ms",
        help: "after the action has exited, while a descendant keeps its output open: the wait ends after so long without output, or ten times as long in all; 0 waits for ever",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let linger = time(v).map(|t| (!t.is_zero()).then_some(t));
            set(&mut o.config.process.linger, linger, TIME)
        },
    },
    Setting {
        flag: "late-result",
        value: "TIME",
        variables: &["ACTIONPROXY_LATE_RESULT"],
        default: "10s",
        help: "in place of --linger while there is no result line yet, for a descendant that writes it late; 0 waits for ever",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let late = time(v).map(|t| (!t.is_zero()).then_some(t));
            set(&mut o.config.process.late_result, late, TIME)
        },
    },
    Setting {
        flag: "grace",
        value: "TIME",
        variables: &["ACTIONPROXY_GRACE"],
        default: "10s",
        help: "after TERM or INT to the proxy: how long a running activation may go on",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.grace, time(v), TIME),
    },
    Setting {
        flag: "max-body",
        value: "SIZE",
        variables: &["ACTIONPROXY_MAX_BODY"],
        default: "100M",
        help: "largest request body; 413 above it",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.max_body, size(v), SIZE),
    },
    Setting {
        flag: "max-result",
        value: "SIZE",
        variables: &["ACTIONPROXY_MAX_RESULT"],
        default: "64M",
        help: "longest result line",
        unknown: Unknown::Refused,
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
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.config.unpack.max_bytes, size(v), SIZE),
    },
    Setting {
        flag: "max-entries",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_ENTRIES"],
        default: "65535",
        help: "most entries of an archive",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.config.unpack.max_entries, count(v), COUNT),
    },
    Setting {
        flag: "max-depth",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_DEPTH"],
        default: "64",
        help: "deepest directory of an archive",
        unknown: Unknown::Refused,
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
        unknown: Unknown::Refused,
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
        unknown: Unknown::Refused,
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
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.idle_timeout, time(v).filter(|t| !t.is_zero()), TIME),
    },
    Setting {
        flag: "verify",
        value: "WHAT",
        variables: &["ACTION_VERIFY"],
        default: "digest",
        help: "`digest`: an executable changed since init does not run; `permission`: it does",
        unknown: Unknown::Refused,
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
        unknown: Unknown::TakenAs("off"),
        apply: |o, v| {
            let reinit = switch(v).map(|on| match on {
                true => Reinit::Allow,
                false => Reinit::Refuse,
            });
            set(&mut o.config.reinit, reinit, SWITCH)
        },
    },
    Setting {
        flag: "durable",
        value: "",
        variables: &["ACTIONPROXY_DURABLE"],
        default: "off",
        help: "sync every init to disk: it outlives a loss of power, or the one before it does",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let durability = switch(v).map(|on| match on {
                true => Durability::PowerLoss,
                false => Durability::Process,
            });
            set(&mut o.config.durability, durability, SWITCH)
        },
    },
    Setting {
        flag: "action-loop",
        value: "",
        variables: &["ACTIONPROXY_ACTION_LOOP"],
        default: "off",
        help: "serve the ActionLoop contract, in place of the Go proxy; on where the program is called `proxy`",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.action_loop.is_served, switch(v), SWITCH),
    },
    Setting {
        flag: "start-wait",
        value: "TIME",
        variables: &["ACTIONPROXY_START_WAIT"],
        default: "5ms",
        help: "ActionLoop without ack: how long an action has to live for its init to succeed",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.action_loop.start_wait, time(v), TIME),
    },
    Setting {
        flag: "",
        value: "",
        variables: &["OW_COMPILER"],
        default: "none",
        help: "ActionLoop: the program that makes sources into an executable: OW_COMPILER MAIN SRC BIN",
        unknown: Unknown::Refused,
        apply: |o, v| {
            o.action_loop.compiler = Some(v.into());
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["OW_WAIT_FOR_ACK"],
        default: "off",
        help: "ActionLoop, any value: an action has started when it says so on descriptor 3",
        unknown: Unknown::Refused,
        apply: |o, v| {
            o.action_loop.wait_for_ack = Some(v.to_owned());
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["OW_LOG_INIT_ERROR"],
        default: "off",
        help: "ActionLoop, any value: why an init failed goes to stderr and not into the answer",
        unknown: Unknown::Refused,
        apply: |o, _| {
            o.action_loop.init_errors = InitErrors::InLogs;
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["OW_EXECUTION_ENV"],
        default: "none",
        help: "ActionLoop: what `exec.env` beside the executable has to hold",
        unknown: Unknown::Refused,
        apply: |o, v| {
            o.action_loop.execution_env = Some(v.to_owned());
            Ok(())
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["OW_SAVE_JAR"],
        default: "none",
        help: "ActionLoop: the name under which a jar is kept whole",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let name = Some(v).filter(|v| !v.contains('/') && !matches!(*v, "." | ".."));
            let name = name.map(|v| Some(PathBuf::from(v)));
            set(&mut o.action_loop.save_jar, name, "the name of a file")
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["__OW_ALLOW_CONCURRENT"],
        default: "false",
        help: "`true`: activations may overlap",
        unknown: Unknown::TakenAs("false"),
        apply: |o, v| {
            let on = match v.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            };
            set(&mut o.allow_concurrent, on, "`true` or `false`")
        },
    },
    Setting {
        flag: "platform",
        value: "NAME",
        variables: &["__OW_RUNTIME_PLATFORM"],
        default: "openwhisk",
        help: "whose contract is served: `openwhisk`, or `knative` for the single entrypoint",
        unknown: Unknown::TakenAs("openwhisk"),
        apply: |o, v| {
            let platform = match v.to_ascii_lowercase().as_str() {
                "openwhisk" => Some(Platform::OpenWhisk),
                "knative" => Some(Platform::Knative),
                _ => None,
            };
            set(&mut o.platform, platform, "`openwhisk` or `knative`")
        },
    },
    Setting {
        flag: "",
        value: "",
        variables: &["__OW_HTTP_METHODS"],
        default: "[post]",
        help: "on knative: the methods taken, of get, post, put, delete, options, patch and head",
        unknown: Unknown::Refused,
        apply: |o, v| {
            o.http_methods = v.to_owned();
            Ok(())
        },
    },
    Setting {
        flag: "no-sentinels",
        value: "",
        variables: &["ACTIONPROXY_NO_SENTINELS"],
        default: "off",
        help: "on knative: no line that ends the logs of an activation",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.sentinels, switch(v).map(|off| !off), SWITCH),
    },
];

fn set<T>(place: &mut T, value: Option<T>, expected: &str) -> Result<(), String> {
    *place = value.ok_or(expected)?;
    Ok(())
}
