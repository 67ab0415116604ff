//! The text of `--help`, made from the table of settings.

use std::fmt::Write as _;

use super::settings;

/// The text, for a program of this name.
pub(crate) fn help(name: &str) -> String {
    let mut help = format!(
        "{name} {version}: turns an executable into an OpenWhisk action\n\n\
         usage: {name} [FLAGS]                  serve POST /init, POST /run, GET /healthz\n\
         \x20      {name} [FLAGS] run FILE [JSON]  run one executable once, without HTTP;\n\
         \x20                                     where JSON is `-`, or stdin is a pipe or a file\n\
         \x20                                     and JSON is left out, it comes from stdin\n\
         \x20      {name} [FLAGS] run --init FILE [JSON]  the same of a source or an archive, initialised first\n\
         \x20      {name} [FLAGS] init FILE        only the init; FILE may be `-`, stdin\n\
         \x20      {name} [FLAGS] pack FILE...     the init message on stdout; of several files, or a\n\
         \x20                                     directory, a zip. For init messages of these three:\n\
         \x20                                     --main NAME, --name NAME, --env NAME=VALUE\n\
         \x20      {name} [FLAGS] compile MAIN     source or archive on stdin, on stdout a zip that needs no\n\
         \x20                                     compiler; `-compile MAIN -env JSON` is the same\n\
         \x20      {name} [FLAGS] health           exit 0 if the proxy on this port is alive\n\
         \x20      {name} help | version\n\n\
         Flags, the variables that stand for them, and their defaults:\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    for setting in settings::all() {
        let flag = flag(setting.flag, setting.value);
        // Writing to a string cannot fail.
        let _ = writeln!(
            help,
            "  {flag}[{}] (default: {})\n      {}",
            setting.variables.join(", "),
            setting.default,
            setting.help
        );
    }
    help.push_str(END);
    help
}

/// A flag with its value and the space behind it; nothing for none.
pub(super) fn flag(flag: &str, value: &str) -> String {
    match (flag, value) {
        ("", _) => String::new(),
        (flag, "") => format!("--{flag} "),
        (flag, value) => format!("--{flag} {value} "),
    }
}

/// What stands behind the settings.
pub(super) const END: &str = "  --help, --version\n\n\
    Times: 200ms, 10s, 5m, 1h; a bare number is seconds. Sizes: bytes, or with K, M, G.\n";
