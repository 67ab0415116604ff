//! Unpacks decoded code into the staging directory: one file, or an archive's entries.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::UnpackLimits;
use crate::error::InitError;

use super::decode::{Form, Payload, foreign};

use self::refusal::refused;
use self::stage::StageWriter;

mod links;
mod path;
mod refusal;
mod remark;
mod stage;
mod tar;
mod zip;

pub use self::remark::Remark;

/// Writes `payload` into `stage`, an empty directory that nobody else writes to: text becomes
/// the file `source`, an ELF file or a script becomes `executable`, an archive is unpacked.
/// `executable` is made executable wherever it came from; both are relative to `stage`.
///
/// Of an archive's entries:
///
/// - Permission bits are kept, setuid, setgid and the sticky bit dropped. A file without a mode
///   gets 0644, a directory without one 0755; a directory stays accessible to its owner. Owners,
///   times and extended attributes are not restored.
/// - A relative symlink that stays in the tree is kept. One that is absolute or leaves the tree
///   by `..` is refused, and so is one whose `..` follows the name of something that the archive
///   does not hold as a directory, since where that leads cannot be known. An archive of a Python
///   virtual environment holds absolute symlinks to its interpreter: make it with
///   `python -m venv --copies`, or leave `bin/python` out and start the image's interpreter.
/// - Hard links to files unpacked before are kept; one to a symlink or a directory is refused.
/// - A name that is absolute, empty, has a `..`, a NUL or a component longer than 255 bytes, or
///   that another entry has, is refused; so are devices, fifos and sockets, encrypted entries and
///   compression other than deflate. Names that are no UTF-8 are kept as bytes in tar, and
///   read as code page 437 in a zip that does not call them UTF-8.
/// - A backslash separates directories in a zip that uses no slash, whatever system it says it was
///   made on, and in a name from Windows without a slash. Elsewhere it is a part of the name, which
///   is remarked on.
///
/// What was unpacked but may not be what was meant is returned.
///
/// # Errors
/// [`InitError::Unpack`] when the archive is refused, damaged or over a limit, with the entry;
/// [`InitError::Io`] when the machine fails, as when the disk is full. What was written by then
/// stays for the caller to remove.
pub fn unpack(
    payload: Payload,
    stage: &Path,
    source: &Path,
    executable: &Path,
    limits: &UnpackLimits,
) -> Result<Vec<Remark>, InitError> {
    let program = |path, bytes: &[u8]| write_program(&stage.join(path), bytes).map(|()| vec![]);
    let remarks = match payload {
        Payload::Text(bytes) | Payload::Unknown(bytes) => program(source, &bytes),
        Payload::Binary { form, bytes } => match form {
            Form::Elf | Form::Script => program(executable, &bytes),
            Form::Zip | Form::TarGz => unpack_archive(form, &bytes, stage, limits),
        },
    }?;
    make_executable(&stage.join(executable))?;
    Ok(remarks)
}

fn unpack_archive(
    form: Form,
    bytes: &[u8],
    stage: &Path,
    limits: &UnpackLimits,
) -> Result<Vec<Remark>, InitError> {
    let writer = StageWriter::open(stage, limits)?;
    let unpacked = match form {
        Form::TarGz => tar::unpack(bytes, writer),
        _ => zip::unpack(bytes, writer),
    };
    match unpacked {
        // Whatever was found wrong with it comes from that.
        Err(InitError::Unpack { .. }) if foreign::was_text(bytes) => {
            Err(refused(b"", foreign::read_as_text()))
        }
        unpacked => unpacked,
    }
}

fn write_program(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(InitError::io("create", parent))?;
    }
    fs::write(path, bytes).map_err(InitError::io("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(InitError::io("make executable", path))
}

/// Follows symlinks, which by now are known to stay in the tree.
pub(super) fn make_executable(path: &Path) -> Result<(), InitError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let mode = metadata.permissions().mode() & 0o777 | 0o755;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
                .map_err(InitError::io("make executable", path))
        }
        Ok(_) => Ok(()),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(e) => Err(InitError::io("look at", path)(e)),
    }
}
