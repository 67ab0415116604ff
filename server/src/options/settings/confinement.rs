//! The settings of what is taken from an action's processes.

use actionproxy_core::confinement::{CoreDumps, Privileges, View};

use super::super::user::{USER, user};
use super::super::values::{
    COUNT_OR_OFF, SIZE_OR_OFF, SWITCH, TIME_OR_OFF, optional_count, optional_size, optional_time,
    switch,
};
use super::{Setting, Unknown, set};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        flag: "limit-address-space",
        value: "SIZE",
        variables: &["ACTIONPROXY_LIMIT_ADDRESS_SPACE"],
        default: "off",
        help: "most address space of a process of the action (ulimit -v)",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let place = &mut o.config.confinement.address_space;
            set(place, optional_size(v), SIZE_OR_OFF)
        },
    },
    Setting {
        flag: "limit-cpu-time",
        value: "TIME",
        variables: &["ACTIONPROXY_LIMIT_CPU_TIME"],
        default: "off",
        help: "most processor time of a process of the action, in whole seconds (ulimit -t)",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let place = &mut o.config.confinement.processor_time;
            set(place, optional_time(v), TIME_OR_OFF)
        },
    },
    Setting {
        flag: "limit-file-size",
        value: "SIZE",
        variables: &["ACTIONPROXY_LIMIT_FILE_SIZE"],
        default: "off",
        help: "largest file that the action may write (ulimit -f)",
        unknown: Unknown::Refused,
        apply: |o, v| {
            set(
                &mut o.config.confinement.file_size,
                optional_size(v),
                SIZE_OR_OFF,
            )
        },
    },
    Setting {
        flag: "limit-open-files",
        value: "COUNT",
        variables: &["ACTIONPROXY_LIMIT_OPEN_FILES"],
        default: "off",
        help: "most open files of a process of the action (ulimit -n)",
        unknown: Unknown::Refused,
        apply: |o, v| {
            set(
                &mut o.config.confinement.open_files,
                optional_count(v),
                COUNT_OR_OFF,
            )
        },
    },
    Setting {
        flag: "limit-processes",
        value: "COUNT",
        variables: &["ACTIONPROXY_LIMIT_PROCESSES"],
        default: "off",
        help: "most processes and threads of the action's user, on the whole machine (ulimit -u); not for root",
        unknown: Unknown::Refused,
        apply: |o, v| {
            set(
                &mut o.config.confinement.processes,
                optional_count(v),
                COUNT_OR_OFF,
            )
        },
    },
    Setting {
        flag: "no-core-dumps",
        value: "",
        variables: &["ACTIONPROXY_NO_CORE_DUMPS"],
        default: "off",
        help: "an action that crashes leaves no core file",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let core_dumps = switch(v).map(|off| match off {
                true => CoreDumps::Off,
                false => CoreDumps::Inherited,
            });
            set(&mut o.config.confinement.core_dumps, core_dumps, SWITCH)
        },
    },
    Setting {
        flag: "no-new-privs",
        value: "",
        variables: &["ACTIONPROXY_NO_NEW_PRIVS"],
        default: "off",
        help: "no setuid program gives the action more than it has",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let privileges = switch(v).map(|none| match none {
                true => Privileges::NoNew,
                false => Privileges::Inherited,
            });
            set(&mut o.config.confinement.privileges, privileges, SWITCH)
        },
    },
    Setting {
        flag: "user",
        value: "USER",
        variables: &["ACTIONPROXY_USER"],
        default: "off",
        help: "run actions as USER or USER:GROUP, names or numbers, where the proxy is root's; they can read what an init brings",
        unknown: Unknown::Refused,
        apply: |o, v| set(&mut o.config.confinement.user, user(v), USER),
    },
    Setting {
        flag: "read-only",
        value: "",
        variables: &["ACTIONPROXY_READ_ONLY"],
        default: "off",
        help: "the action changes no file but in its directory, where TMPDIR is too (Landlock, Linux 6.2)",
        unknown: Unknown::Refused,
        apply: |o, v| {
            let view = switch(v).map(|on| match on {
                true => View::ReadOnly,
                false => View::Whole,
            });
            set(&mut o.config.confinement.view, view, SWITCH)
        },
    },
];
