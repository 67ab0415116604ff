//! The settings of hooks that are commands, and of what they build.

use std::path::PathBuf;

use actionproxy_core::CommandLine;

use super::super::values::{SIZE, size};
use super::{Setting, Unknown, set};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        flag: "source-name",
        value: "NAME",
        variables: &["ACTIONPROXY_SOURCE_NAME"],
        default: "exec",
        help: "the file that text code is written to, for hooks that build `exec` from it; not with ActionLoop",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let name =
                Some(v).filter(|v| !v.is_empty() && !v.contains('/') && !matches!(*v, "." | ".."));
            set(
                &mut o.config.source,
                name.map(PathBuf::from),
                "the name of a file",
            )
        },
    },
    Setting {
        flag: "preinit",
        value: "COMMAND",
        variables: &["ACTIONPROXY_PREINIT"],
        default: "off",
        help: "hook: run first at every init",
        unknown: Unknown::Refused,
        apply: |o, v| hook(&mut o.hooks.preinit, v),
    },
    Setting {
        flag: "epilogue",
        value: "COMMAND",
        variables: &["ACTIONPROXY_EPILOGUE"],
        default: "off",
        help: "hook: may append to the source that came",
        unknown: Unknown::Refused,
        apply: |o, v| hook(&mut o.hooks.epilogue, v),
    },
    Setting {
        flag: "build",
        value: "COMMAND",
        variables: &["ACTIONPROXY_BUILD"],
        default: "off",
        help: "hook: makes the executable from the source",
        unknown: Unknown::Refused,
        apply: |o, v| hook(&mut o.hooks.build, v),
    },
    Setting {
        flag: "verify-command",
        value: "COMMAND",
        variables: &["ACTIONPROXY_VERIFY"],
        default: "off",
        help: "hook: looks at the executable before it is installed",
        unknown: Unknown::Refused,
        apply: |o, v| match v {
            "digest" | "permission" => {
                Err("a command; the policy is `--verify` or ACTION_VERIFY".to_owned())
            }
            _ => hook(&mut o.hooks.verify, v),
        },
    },
    Setting {
        flag: "env-command",
        value: "COMMAND",
        variables: &["ACTIONPROXY_ENV"],
        default: "off",
        help: "hook: prints variables for the action, `NAME=value` lines",
        unknown: Unknown::Refused,
        apply: |o, v| hook(&mut o.hooks.env, v),
    },
    Setting {
        flag: "build-cache",
        value: "DIR",
        variables: &["ACTIONPROXY_BUILD_CACHE"],
        default: "off",
        help: "where what hooks have built is kept, for the next init of the same code",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let dir = match v {
                "" => None,
                "off" => Some(None),
                _ => Some(Some(PathBuf::from(v))),
            };
            set(&mut o.hooks.cache, dir, "a directory, or `off`")
        },
    },
    Setting {
        flag: "build-cache-size",
        value: "SIZE",
        variables: &["ACTIONPROXY_BUILD_CACHE_SIZE"],
        default: "256M",
        help: "the most that it may take; what was not used for the longest time goes first",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.hooks.cache_size, size(v), SIZE),
    },
];

fn hook(place: &mut Option<CommandLine>, value: &str) -> Result<(), String> {
    *place = match value {
        "off" => None,
        _ => Some(CommandLine::parse(value)?),
    };
    Ok(())
}
