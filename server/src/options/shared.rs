//! The proxy's settings for another program of this project, with settings of its own beside them:
//! the same flags, variables, words and defaults.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use actionproxy_core::{ActionRunner, CommandRunner, CompilerRunner, Config, NativeRunner};
use actionproxy_platforms::{ActionLoop, Contract, InitErrors, OpenWhisk};

use super::nearest::suggestion;
use super::settings::{self, Setting};
use super::{Options, text, variables};
use crate::{action_loop, hooks, process};

/// A program, by what it can be told.
pub struct Program<O: 'static> {
    /// What it does, in the first line of its help.
    pub what: &'static str,
    /// What stands behind its name in the help, to have it do so.
    pub usage: &'static str,
    /// Its settings.
    pub own: &'static [Own<O>],
    /// The flags of those that it has in common with the proxy; of those without a flag, their
    /// variable.
    pub common: &'static [&'static str],
    /// Of those, the ones of which the help says something else: flag, default and what it is for.
    pub otherwise: &'static [(&'static str, &'static str, &'static str)],
}

/// A setting of the other program alone.
pub struct Own<O> {
    /// Without the dashes.
    pub flag: &'static str,
    /// What stands behind the flag in the help; empty for a switch.
    pub value: &'static str,
    /// The variables that stand for it; the first that is set counts.
    pub variables: &'static [&'static str],
    /// The default, as the help shows it.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Puts the value in its place; the error says what was expected.
    pub apply: fn(&mut O, &str) -> Result<(), String>,
}

/// What the settings in common amount to.
#[derive(Debug, Clone)]
pub struct Common {
    /// Where actions live, if that was said.
    pub action_dir: Option<PathBuf>,
    /// The largest message, in bytes.
    pub max_body: u64,
    /// How long activations may go on after the end was asked for.
    pub grace: Duration,
    /// How many activations of an action may overlap; 1 unless that was allowed, and where one process
    /// serves all of them.
    pub most_at_once: usize,
    /// Core's settings.
    pub config: Config,
    /// What is to be said before anything else, a line each.
    pub warnings: Vec<String>,
    enforce_deadline: bool,
    way: Way,
}

/// How code becomes something to run, and by which contract that is asked.
#[derive(Debug, Clone)]
enum Way {
    /// OpenWhisk's: a process for each activation.
    Process(CommandRunner<NativeRunner>),
    /// ActionLoop's: one for all of them.
    Resident(CompilerRunner<CommandRunner<NativeRunner>>, InitErrors),
}

impl Way {
    /// What the settings ask for. What core needs of it goes into its configuration.
    fn of(options: &mut Options) -> Result<Self, String> {
        let runner = hooks::runner(NativeRunner, options)?;
        if !options.action_loop.is_served {
            return Ok(Way::Process(runner));
        }
        let runner = action_loop::runner(runner, &options.action_loop)?;
        action_loop::configure(options);
        Ok(Way::Resident(runner, options.action_loop.init_errors))
    }
}

impl Common {
    /// The runner of one action: hooks that are commands, and ActionLoop's compiler.
    pub fn runner(&self) -> Box<dyn ActionRunner> {
        match &self.way {
            Way::Process(runner) => Box::new(runner.clone()),
            Way::Resident(runner, _) => Box::new(runner.clone()),
        }
    }

    /// The contract of the messages.
    pub fn contract(&self) -> Box<dyn Contract> {
        let enforce_deadline = self.enforce_deadline;
        match self.way {
            Way::Process(_) => Box::new(OpenWhisk { enforce_deadline }),
            Way::Resident(_, init_errors) => Box::new(ActionLoop {
                init_errors,
                enforce_deadline,
            }),
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To serve.
    Serve(Box<Common>),
    /// To show this text, and end.
    Show(String),
}

/// Reads flags, and the variables of `config.env`, on top of `config` and `own`. A variable beside
/// which its flag is given is not looked at. What is larger than the memory that this process may
/// use is lowered.
///
/// # Errors
/// One line that names the flag or variable, its value, and what was expected.
pub fn read<O>(
    program: &Program<O>,
    own: &mut O,
    config: Config,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut given: Vec<(Row<O>, OsString)> = Vec::new();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                return Ok(Asked::Show(program.help()));
            }
            lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                let version = format!("{} {}\n", process::name(), env!("CARGO_PKG_VERSION"));
                return Ok(Asked::Show(version));
            }
            lexopt::Arg::Long(flag) => {
                let found = program.rows().find(|row| row.flag() == flag);
                let row = found.ok_or_else(|| program.unknown(flag))?;
                let value = super::flag_value(&mut parser, row.flag(), row.value())?;
                given.push((row, value));
            }
            lexopt::Arg::Short(letter) => {
                return Err(format!("unknown flag `-{letter}`; `--help` lists them"));
            }
            lexopt::Arg::Value(word) => return Err(format!("unexpected argument {word:?}")),
        }
    }
    let flagged: Vec<_> = given.iter().map(|(row, _)| row.flag()).collect();
    let environment: Vec<_> = config
        .env
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut options = Options::of_program(config, &parser);
    let mut warnings = Vec::new();
    for row in program.rows() {
        if !row.flag().is_empty() && flagged.contains(&row.flag()) {
            continue;
        }
        match row {
            Row::Common(setting) => {
                variables::apply_setting(setting, &environment, &mut options, &mut warnings)?;
            }
            Row::Own(setting) => apply_own(setting, &environment, own)?,
        }
    }
    let known: Vec<_> = program
        .rows()
        .map(|row| (row.flag(), row.variables()))
        .collect();
    warnings.extend(variables::misspelt(&environment, &known));
    for (row, value) in given {
        let flag = row.flag();
        let value = text(&value).map_err(|e| format!("--{flag}: {e}"))?;
        match row {
            Row::Common(setting) => (setting.apply)(&mut options, value),
            Row::Own(setting) => (setting.apply)(own, value),
        }
        .map_err(|expected| format!("--{flag}: expected {expected}, found {value:?}"))?;
    }
    warnings.extend(process::fit_into_memory(&mut options)?);
    let way = Way::of(&mut options)?;
    Ok(Asked::Serve(Box::new(Common {
        way,
        action_dir: options.action_dir,
        max_body: options.max_body,
        grace: options.grace,
        enforce_deadline: options.enforce_deadline,
        most_at_once: match options.allow_concurrent && !options.action_loop.is_served {
            true => options.max_concurrent,
            false => 1,
        },
        config: options.config,
        warnings,
    })))
}

fn apply_own<O>(
    setting: &Own<O>,
    environment: &[(OsString, OsString)],
    own: &mut O,
) -> Result<(), String> {
    for name in setting.variables {
        if let Some(value) = variables::set(environment, name)? {
            return (setting.apply)(own, value)
                .map_err(|expected| format!("{name}: expected {expected}, found {value:?}"));
        }
    }
    Ok(())
}

/// One of either kind.
enum Row<O: 'static> {
    Own(&'static Own<O>),
    Common(&'static Setting),
}

impl<O> Row<O> {
    fn flag(&self) -> &'static str {
        match self {
            Row::Own(own) => own.flag,
            Row::Common(setting) => setting.flag,
        }
    }

    fn value(&self) -> &'static str {
        match self {
            Row::Own(own) => own.value,
            Row::Common(setting) => setting.value,
        }
    }

    fn variables(&self) -> &'static [&'static str] {
        match self {
            Row::Own(own) => own.variables,
            Row::Common(setting) => setting.variables,
        }
    }
}

impl<O> Program<O> {
    fn rows(&self) -> impl Iterator<Item = Row<O>> {
        let common = settings::all().filter(|setting| {
            let name = match setting.flag {
                "" => setting.variables[0],
                flag => flag,
            };
            self.common.contains(&name)
        });
        self.own.iter().map(Row::Own).chain(common.map(Row::Common))
    }

    /// Default and what it is for, as the help shows them.
    fn told(&self, row: &Row<O>) -> (&'static str, &'static str) {
        match row {
            Row::Own(own) => (own.default, own.help),
            Row::Common(setting) => {
                let otherwise = self.otherwise.iter().find(|other| other.0 == setting.flag);
                otherwise.map_or((setting.default, setting.help), |other| (other.1, other.2))
            }
        }
    }

    fn unknown(&self, flag: &str) -> String {
        let known = self.rows().map(|row| row.flag());
        let known = known.filter(|flag| !flag.is_empty());
        let meant = suggestion(flag, known.chain(["help", "version"]), |f| format!("--{f}"));
        format!("unknown flag `--{flag}`{meant}{}", super::more(&meant))
    }

    /// A line with names and default, and one with what it is for, of each setting.
    fn help(&self) -> String {
        let mut help = format!(
            "{name} {version}: {what}\n\n\
             usage: {name} {usage}\n\
             \x20      {name} --help | --version\n\n\
             Flags, the variables that stand for them, and their defaults:\n",
            name = process::name(),
            version = env!("CARGO_PKG_VERSION"),
            what = self.what,
            usage = self.usage,
        );
        for row in self.rows() {
            let (default, what) = self.told(&row);
            let flag = super::help::flag(row.flag(), row.value());
            let variables = row.variables().join(", ");
            // Writing to a string cannot fail.
            let _ = writeln!(
                help,
                "  {flag}[{variables}] (default: {default})\n      {what}"
            );
        }
        help.push_str(super::help::END);
        help
    }
}
