//! The key: everything that a build is made from, as far as it can be known.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::command::{CommandLine, main_of, value_without_code};
use crate::config::{Config, InstanceKind};
use crate::digest::{Digest, Hasher};
use crate::message::{InitRequest, Received};
use crate::run::env::Environment;
use crate::run::spawn::file_of;

/// Changes when what is kept, or the key, means something else.
const VERSION: &[u8] = b"actionproxy build 1";

/// What variables of one activation begin with. The first activation's come with an init: they must not
/// make a build of its own.
const OF_ACTIVATION: &[u8] = b"__OW_";

/// The parts of a key.
pub(in crate::init) struct Key<'a> {
    /// The machine that is built for.
    pub architecture: &'a str,
    pub code: Digest,
    pub received: Received,
    pub request: &'a InitRequest,
    pub config: &'a Config,
    pub commands: &'a [CommandLine],
    /// Where their programs are searched.
    pub environment: &'a Environment,
    /// Where the commands run.
    pub stage: &'a Path,
}

/// The machine that this program was made for.
pub(in crate::init) fn this_architecture() -> String {
    let endian = match cfg!(target_endian = "big") {
        true => "big",
        false => "little",
    };
    format!("{} {endian} {}", std::env::consts::ARCH, usize::BITS)
}

impl Key<'_> {
    /// The key, unless a program of the commands is not to be found: it may be in the code, or nowhere.
    pub(in crate::init) fn digest(&self) -> Option<Digest> {
        let mut parts = Parts::default();
        parts.add(VERSION);
        parts.add(self.architecture.as_bytes());
        parts.add(self.code.bytes());
        parts.add(main_of(self.request).as_bytes());
        // All that the commands are told, but for the variables.
        let told = InitRequest {
            name: self.request.name.clone(),
            main: self.request.main.clone(),
            fields: self.request.fields.clone(),
            ..InitRequest::default()
        };
        parts.add(&value_without_code(&told, self.received));
        let variables = self.request.env.iter();
        let is_of_all = |name: &OsStr| !name.as_bytes().starts_with(OF_ACTIVATION);
        for (name, value) in variables.filter(|(name, _)| is_of_all(name)) {
            parts.add(name.as_bytes());
            parts.add(value.as_bytes());
        }
        parts.add(b"layout");
        self.add_layout(&mut parts);
        for command in self.commands {
            self.add_command(&mut parts, command)?;
        }
        Some(parts.0.finish())
    }

    fn add_layout(&self, parts: &mut Parts) {
        let limits = &self.config.unpack;
        parts.add(&limits.max_bytes.to_le_bytes());
        parts.add(&limits.max_entries.to_le_bytes());
        parts.add(&(limits.max_depth as u64).to_le_bytes());
        match &self.config.instance {
            InstanceKind::Process => {
                parts.add(self.config.source.as_os_str().as_bytes());
                parts.add(self.config.executable.as_os_str().as_bytes());
            }
            InstanceKind::Resident(resident) => {
                let jar = resident.keep_jar.as_deref().unwrap_or(Path::new("/"));
                parts.add(jar.as_os_str().as_bytes());
                // It is not moved any more: what was built may hold this path.
                parts.add(self.stage.as_os_str().as_bytes());
            }
        }
    }

    fn add_command(&self, parts: &mut Parts, command: &CommandLine) -> Option<()> {
        parts.add(b"command");
        let program = Path::new(command.program());
        parts.add(program.as_os_str().as_bytes());
        let file = file_of(program, self.environment, self.stage)?;
        parts.add(Digest::of_file(&file).ok()?.bytes());
        for argument in command.arguments() {
            parts.add(argument.as_bytes());
            let path = Path::new(argument);
            if path.is_absolute() && path.is_file() {
                // A script for the program, most likely.
                parts.add(Digest::of_file(path).ok()?.bytes());
            }
        }
        Some(())
    }
}

/// Hashes parts, each behind its length.
#[derive(Default)]
struct Parts(Hasher);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }
}
