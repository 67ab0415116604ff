//! Checksums: the SHA-256 of code and executables.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, of either case.
    ///
    /// # Errors
    /// A sentence that names what was expected and what was found.
    pub fn parse(hex: &str) -> Result<Self, String> {
        let mut digest = [0; 32];
        if hex.chars().count() != 64 {
            return Err(format!(
                "expected 64 hexadecimal digits, found {} characters",
                hex.chars().count()
            ));
        }
        let digits: Vec<u32> = hex
            .chars()
            .map(|c| {
                c.to_digit(16)
                    .ok_or_else(|| format!("expected 64 hexadecimal digits, found {c:?}"))
            })
            .collect::<Result<_, _>>()?;
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(Digest(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
impl Digest {
    /// Temporary.
    pub fn of_file(p: &std::path::Path) -> std::io::Result<Self> {
        Ok(Digest::of(&std::fs::read(p)?))
    }
}
/// Temporary.
pub fn read_checksum_file(
    _: &std::path::Path,
    _: &str,
) -> Result<Option<Digest>, crate::error::VerifyError> {
    Ok(None)
}
