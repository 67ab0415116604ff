//! What the command line asks for: its words, and the flags that belong to some of them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::init_flags::InitFlags;
use super::nearest::suggestion;
use super::{Options, text};
use crate::source::Naming;
use crate::trial::{Then, Trial};

/// The words that are commands.
const COMMANDS: [&str; 7] = [
    "run", "init", "pack", "compile", "health", "help", "version",
];

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Options),
    /// One executable, once, without HTTP.
    Once {
        file: PathBuf,
        argument: Argument,
        options: Options,
    },
    /// An init, and perhaps one activation, without HTTP.
    Try {
        trial: Trial,
        options: Options,
    },
    /// The init message for these files, on stdout.
    Pack {
        files: Vec<PathBuf>,
        naming: Naming,
        options: Options,
    },
    /// Makes a source into an archive that needs no compiler: from stdin to stdout.
    Compile {
        main: String,
        /// Variables for the compiler, as a JSON object.
        env: Option<String>,
        options: Options,
    },
    /// Is the proxy of this machine alive?
    Health(Options),
    /// Behave as the built-in stub, on the argument given.
    Stub,
    Help,
    Version,
}

/// Where the argument of a `run` is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// On the command line.
    Given(String),
    /// On stdin: it was asked for, by `-`.
    Stdin,
    /// Not on the command line: on stdin, if somebody put anything there.
    NotGiven,
}

/// Reads the words that are left of a command line without its flags.
///
/// # Errors
/// One line that says what was expected.
pub(super) fn of(
    words: Vec<OsString>,
    env: Option<String>,
    init: InitFlags,
    options: Options,
) -> Result<Command, String> {
    let mut words = words.into_iter();
    let Some(name) = words.next() else {
        init.refuse()?;
        return Ok(Command::Serve(options));
    };
    let command = match name.to_str() {
        Some("health") => {
            init.refuse()?;
            Command::Health(options)
        }
        Some("run") => match init.file {
            None => {
                init.refuse()?;
                Command::Once {
                    file: words
                        .next()
                        .ok_or("run needs a FILE: `actionproxy run FILE [JSON]`")?
                        .into(),
                    argument: argument(words.next())?,
                    options,
                }
            }
            Some(file) => Command::Try {
                trial: Trial {
                    file,
                    naming: init.naming,
                    then: Then::Run(argument(words.next())?),
                },
                options,
            },
        },
        Some("init") => {
            let naming = init.without_file("init")?;
            let file = words.next();
            let file = file.ok_or("init needs a FILE: `actionproxy init FILE`")?;
            Command::Try {
                trial: Trial {
                    file: file.into(),
                    naming,
                    then: Then::Nothing,
                },
                options,
            }
        }
        Some("pack") => {
            let naming = init.without_file("pack")?;
            let files: Vec<_> = words.by_ref().map(PathBuf::from).collect();
            if files.is_empty() {
                return Err("pack needs a FILE: `actionproxy pack FILE…`".to_owned());
            }
            Command::Pack {
                files,
                naming,
                options,
            }
        }
        Some("compile") => {
            init.refuse()?;
            Command::Compile {
                main: match words.next() {
                    None => {
                        return Err("compile needs a MAIN: `actionproxy compile MAIN`".to_owned());
                    }
                    Some(main) => text(&main).map_err(|e| format!("compile: {e}"))?.to_owned(),
                },
                env,
                options,
            }
        }
        other => {
            let meant = suggestion(other.unwrap_or_default(), COMMANDS, str::to_owned);
            let known = COMMANDS.map(|known| format!("`{known}`"));
            let (last, others) = known.split_last().ok_or("there is no command")?;
            return Err(format!(
                "unknown command {name:?}; expected {} or {last}{meant}",
                others.join(", ")
            ));
        }
    };
    match words.next() {
        None => Ok(command),
        Some(extra) => Err(format!("unexpected argument {extra:?}")),
    }
}

fn argument(word: Option<OsString>) -> Result<Argument, String> {
    Ok(match word {
        None => Argument::NotGiven,
        Some(word) if word == "-" => Argument::Stdin,
        Some(json) => Argument::Given(text(&json).map_err(|e| format!("run: {e}"))?.to_owned()),
    })
}
