//! The forms of binary code, told by their first bytes.

/// The forms that binary code may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A zip archive, with or without bytes before its first entry.
    Zip,
    /// A tar archive compressed with gzip.
    TarGz,
    /// One ELF file: the executable itself.
    Elf,
    /// One `#!` script: the executable itself. A zip that is appended to a script or to an ELF
    /// file, as Python's zipapp makes it, is that script or ELF file and is not unpacked.
    Script,
}

impl Form {
    /// Looks at the first bytes alone.
    pub(super) fn of_start(bytes: &[u8]) -> Option<Form> {
        if bytes.starts_with(ZIP_ENTRY) || bytes.starts_with(ZIP_END) {
            Some(Form::Zip)
        } else if bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
            Some(Form::TarGz)
        } else if bytes.starts_with(b"\x7fELF") {
            Some(Form::Elf)
        } else if bytes.starts_with(b"#!") {
            Some(Form::Script)
        } else {
            None
        }
    }

    /// What a file is that begins like this.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Zip => "a zip archive",
            Form::TarGz => "a gzip file",
            Form::Elf => "an ELF executable",
            Form::Script => "a `#!` script",
        }
    }
}

/// The signature of a zip's entry.
pub(super) const ZIP_ENTRY: &[u8] = b"PK\x03\x04";

/// The signature of a zip's end record: its first bytes too when it has no entries.
pub(super) const ZIP_END: &[u8] = b"PK\x05\x06";

/// What some editors and shells put before UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
