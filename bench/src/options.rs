//! The command line.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::figures::Figure;
use crate::report::Format;
use crate::subject::{How, Subject};

pub(crate) const HELP: &str = "\
Measures actionproxy, beside the bare process and beside other proxies.

usage: actionproxy-bench [OPTION]... [FIGURE]...

figures (all of them where none is named):
  run       /run against the bare process, by kind of action and size of argument
  action-loop
            /run in front of one process for all activations; its init and memory
  overhead  the same without the executable: HTTP, hand-over, platform
  start     start of the process to the first connection and to the first answered /init
  memory    resident memory: idle, after activations, with idle connections
  logs      log throughput against `action | cat`
  init      init of text and archives, time by stage, peak memory, against unzip
  build-cache
            init of a C source that a hook compiles: each time, and from the cache
  growth    cost as connections, arguments and logs grow
  size      the binary by its parts

options:
  --json                     JSON lines instead of a table
  --case TEXT                only the cases of `run` and `action-loop` whose heading has this text
  --runs PERCENT             this part of the usual number of runs (default 100)
  --bin PATH                 measure this binary instead of building one
  --baseline PATH            another binary of this project beside it
  --command [NAME=]COMMAND   another proxy beside it, started by a shell; PORT has its port
  --address [NAME=]HOST:PORT another proxy beside it that runs already and takes /init repeatedly
";

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub figures: Vec<Figure>,
    pub format: Format,
    pub percent: usize,
    pub case: String,
    pub bin: Option<PathBuf>,
    pub baseline: Option<PathBuf>,
    pub peers: Vec<Subject>,
}

/// `None` where help was asked for.
///
/// # Errors
/// One line that says what was expected.
pub(crate) fn parse() -> Result<Option<Options>, String> {
    let mut options = Options {
        figures: Vec::new(),
        format: Format::Table,
        percent: 100,
        case: String::new(),
        bin: None,
        baseline: None,
        peers: Vec::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("json") => options.format = Format::JsonLines,
            Long("runs") => {
                let text = value(&mut parser)?;
                options.percent = text
                    .parse()
                    .map_err(|_| format!("--runs: expected a number, found {text:?}"))?;
            }
            Long("case") => options.case = value(&mut parser)?,
            Long("bin") => options.bin = Some(value(&mut parser)?.into()),
            Long("baseline") => options.baseline = Some(value(&mut parser)?.into()),
            Long("command") => {
                let text = value(&mut parser)?;
                let (name, line) = named(&text, "command");
                options.peers.push(peer(name, How::Command(line)));
            }
            Long("address") => {
                let text = value(&mut parser)?;
                let (name, address) = named(&text, "address");
                let address = address
                    .to_socket_addrs()
                    .ok()
                    .and_then(|mut found| found.next())
                    .ok_or_else(|| format!("--address: expected HOST:PORT, found {address:?}"))?;
                options.peers.push(peer(name, How::Address(address)));
            }
            Value(name) => {
                let found = Figure::ALL.into_iter().find(|f| name == f.name());
                let figure = found.ok_or_else(|| format!("{name:?} is no figure; see --help"))?;
                options.figures.push(figure);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    if options.figures.is_empty() {
        options.figures = Figure::ALL.to_vec();
    }
    Ok(Some(options))
}

fn value(parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = parser.value().map_err(|e| e.to_string())?;
    value.into_string().map_err(|e| format!("{e:?}: not UTF-8"))
}

fn peer(name: String, how: How) -> Subject {
    Subject::new(name, how)
}

/// `NAME=REST`, where the name is one word; else all of it is the rest.
fn named(text: &str, default: &str) -> (String, String) {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            (name.to_owned(), rest.to_owned())
        }
        _ => (default.to_owned(), text.to_owned()),
    }
}
