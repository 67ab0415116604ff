//! Temporary.
#![allow(missing_docs)]
use super::decode::Payload;
use crate::{config::UnpackLimits, error::InitError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
pub fn unpack(
    p: Payload,
    stage: &Path,
    source: &Path,
    _e: &Path,
    _l: &UnpackLimits,
) -> Result<(), InitError> {
    let path = stage.join(source);
    std::fs::write(&path, p.bytes()).map_err(InitError::io("write", &path))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .map_err(InitError::io("chmod", &path))
}
