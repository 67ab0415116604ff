//! The table of this program's own settings, and the names of those that it has in common with the
//! proxy.

use std::path::PathBuf;
use std::time::Duration;

use actionproxy_core::Durability;
use actionproxy_server::shared::values::{COUNT, SWITCH, TIME, count, switch, time};
use actionproxy_server::shared::{Own, Program};

use super::{Given, Logs};
use crate::link::{Broker, Version};
use crate::topics::{PREFIX, Topics};

pub(super) const PROGRAM: Program<Given> = Program {
    what: "runs OpenWhisk actions for an MQTT broker",
    usage: "--broker URL --prefix PREFIX --action-dir DIR [FLAGS]",
    own: OWN,
    common: &[
        "action-dir",
        "timeout",
        "enforce-deadline",
        "kill-grace",
        "linger",
        "late-result",
        "grace",
        "max-body",
        "max-result",
        "max-unpacked",
        "max-entries",
        "max-depth",
        "max-concurrent",
        "verify",
        "action-loop",
        "start-wait",
        "OW_COMPILER",
        "OW_WAIT_FOR_ACK",
        "OW_LOG_INIT_ERROR",
        "OW_EXECUTION_ENV",
        "OW_SAVE_JAR",
        "source-name",
        "preinit",
        "epilogue",
        "build",
        "verify-command",
        "env-command",
        "build-cache",
        "build-cache-size",
        "limit-address-space",
        "limit-cpu-time",
        "limit-file-size",
        "limit-open-files",
        "limit-processes",
        "no-core-dumps",
        "no-new-privs",
        "user",
        "read-only",
        "__OW_ALLOW_CONCURRENT",
    ],
    otherwise: &[
        (
            "action-dir",
            "none",
            "where the actions live, each in a directory of its own",
        ),
        (
            "max-body",
            "100M",
            "largest message; a larger one is refused",
        ),
        (
            "grace",
            "10s",
            "after TERM or INT to the invoker: how long running activations may go on",
        ),
    ],
};

pub(super) const OWN: &[Own<Given>] = &[
    Own {
        flag: "broker",
        value: "URL",
        variables: &["ACTIONPROXY_BROKER"],
        default: "none",
        help: "the broker: mqtt://HOST or mqtts://HOST for TLS, with :PORT unless it is 1883 or 8883",
        apply: |o, v| {
            o.broker = Some(Broker::parse(v)?);
            Ok(())
        },
    },
    Own {
        flag: "prefix",
        value: "PREFIX",
        variables: &["ACTIONPROXY_PREFIX"],
        default: "none",
        help: "what all topics of this invoker begin with; another invoker needs another",
        apply: |o, v| put(&mut o.topics, Topics::new(v).map(Some), PREFIX),
    },
    Own {
        flag: "client-id",
        value: "ID",
        variables: &["ACTIONPROXY_CLIENT_ID"],
        default: "actionproxy- and the prefix",
        help: "what the broker knows this invoker's session by",
        apply: |o, v| {
            // By none, the broker makes one up each time, and keeps nothing for it.
            let id = Some(v).filter(|v| !v.is_empty()).map(str::to_owned);
            put(&mut o.client_id, id.map(Some), "a name")
        },
    },
    Own {
        flag: "session-expiry",
        value: "TIME",
        variables: &["ACTIONPROXY_SESSION_EXPIRY"],
        default: "168h",
        help: "MQTT 5: how long the broker keeps what comes while this invoker is away",
        apply: |o, v| put(&mut o.session_expiry, time(v), TIME),
    },
    Own {
        flag: "keep-alive",
        value: "TIME",
        variables: &["ACTIONPROXY_KEEP_ALIVE"],
        default: "60s",
        help: "a connection that is silent for so long, and half as long again, is taken for lost",
        apply: |o, v| {
            let fits = |t: &Duration| (1..=u64::from(u16::MAX)).contains(&t.as_secs());
            put(
                &mut o.keep_alive,
                time(v).filter(fits),
                "a time from 1s to 18h",
            )
        },
    },
    Own {
        flag: "reconnect-pause",
        value: "TIME",
        variables: &["ACTIONPROXY_RECONNECT_PAUSE"],
        default: "30s",
        help: "the longest pause between two tries to connect; the first is a fifth of a second, each next twice as long",
        apply: |o, v| put(&mut o.longest_pause, time(v).filter(|t| !t.is_zero()), TIME),
    },
    Own {
        flag: "mqtt",
        value: "VERSION",
        variables: &["ACTIONPROXY_MQTT"],
        default: "auto",
        help: "`5`, `3.1.1`, or `auto`: 5, and 3.1.1 where the broker refuses that",
        apply: |o, v| {
            let version = match v {
                "auto" => Some(None),
                "5" => Some(Some(Version::V5)),
                "3.1.1" => Some(Some(Version::V3)),
                _ => None,
            };
            put(&mut o.version, version, "`5`, `3.1.1` or `auto`")
        },
    },
    Own {
        flag: "broker-user",
        value: "NAME",
        variables: &["ACTIONPROXY_BROKER_USER"],
        default: "none",
        help: "who this invoker is to the broker",
        apply: |o, v| {
            o.user = Some(v.to_owned());
            Ok(())
        },
    },
    Own {
        flag: "broker-password-file",
        value: "FILE",
        variables: &["ACTIONPROXY_BROKER_PASSWORD_FILE"],
        default: "none",
        help: "a file that holds the user's password; a newline at its end is none of it",
        apply: |o, v| path(&mut o.password_file, v),
    },
    Own {
        flag: "ca",
        value: "FILE",
        variables: &["ACTIONPROXY_CA"],
        default: "/etc/ssl/certs/ca-certificates.crt",
        help: "TLS: the authorities, in PEM, one of which has to have signed the broker's certificate",
        apply: |o, v| path(&mut o.ca, v),
    },
    Own {
        flag: "certificate",
        value: "FILE",
        variables: &["ACTIONPROXY_CERTIFICATE"],
        default: "none",
        help: "TLS: a certificate of this invoker's own, with its chain, in PEM",
        apply: |o, v| path(&mut o.certificate, v),
    },
    Own {
        flag: "key",
        value: "FILE",
        variables: &["ACTIONPROXY_KEY"],
        default: "none",
        help: "TLS: the key of that certificate, in PEM",
        apply: |o, v| path(&mut o.key, v),
    },
    Own {
        flag: "logs",
        value: "HOW",
        variables: &["ACTIONPROXY_LOGS"],
        default: "on",
        help: "`on`: a message for each line an activation writes; `batched`: many lines in one; `off`: none",
        apply: |o, v| {
            let logs = match v {
                "off" => Some(Logs::Off),
                "on" => Some(Logs::Lines),
                "batched" => Some(Logs::Batched),
                _ => None,
            };
            put(&mut o.logs, logs, "`off`, `on` or `batched`")
        },
    },
    Own {
        flag: "max-queue",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_QUEUE"],
        default: "64",
        help: "most runs that wait; one more is refused, and so is one that would make them more than twice --max-body",
        apply: |o, v| counted(&mut o.max_queue, v),
    },
    Own {
        flag: "max-actions",
        value: "COUNT",
        variables: &["ACTIONPROXY_MAX_ACTIONS"],
        default: "64",
        help: "most actions; the init of one more is refused",
        apply: |o, v| counted(&mut o.max_actions, v),
    },
    Own {
        flag: "init-wait",
        value: "TIME",
        variables: &["ACTIONPROXY_INIT_WAIT"],
        default: "10s",
        help: "how long a run waits for the init of an action that is not there",
        apply: |o, v| put(&mut o.init_wait, time(v), TIME),
    },
    Own {
        flag: "remember",
        value: "COUNT",
        variables: &["ACTIONPROXY_REMEMBER"],
        default: "1024",
        help: "most runs whose answers are kept for when they come again, as far as --max-result holds them",
        apply: |o, v| counted(&mut o.remember, v),
    },
    Own {
        flag: "no-durable",
        value: "",
        variables: &["ACTIONPROXY_NO_DURABLE"],
        default: "off",
        help: "do not sync inits to disk: a loss of power may leave an action that does not run",
        apply: |o, v| {
            let durability = switch(v).map(|off| match off {
                true => Durability::Process,
                false => Durability::PowerLoss,
            });
            put(&mut o.durability, durability, SWITCH)
        },
    },
];

fn put<T>(place: &mut T, value: Option<T>, expected: &str) -> Result<(), String> {
    *place = value.ok_or(expected)?;
    Ok(())
}

fn counted(place: &mut usize, text: &str) -> Result<(), String> {
    let number = count(text).and_then(|n| usize::try_from(n).ok());
    put(place, number, COUNT)
}

fn path(place: &mut Option<PathBuf>, text: &str) -> Result<(), String> {
    *place = Some(text.into());
    Ok(())
}
