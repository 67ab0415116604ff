//! Zip archives (PKWARE APPNOTE 6.3).

/// One entry; the fields are what its headers say, true or not.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    /// The system it was made on: 3 is Unix, 0 DOS and Windows.
    pub system: u16,
    /// The whole Unix mode, with the file type; 0 is none.
    pub mode: u32,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub size: u64,
    /// What is stored, compressed already.
    pub data: Vec<u8>,
    pub extra: Vec<u8>,
    /// Sizes in a zip64 field, and a data descriptor behind the data.
    pub zip64: bool,
    pub descriptor: bool,
}

pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;
pub const ENCRYPTED: u16 = 1;
pub const UTF8: u16 = 1 << 11;

impl Entry {
    /// A stored file.
    pub fn file(name: impl AsRef<[u8]>, mode: u32, content: &[u8]) -> Entry {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Entry {
            name: name.as_ref().to_vec(),
            system: 3,
            mode,
            flags: 0,
            method: STORED,
            crc: crc.sum(),
            size: content.len() as u64,
            data: content.to_vec(),
            extra: Vec::new(),
            zip64: false,
            descriptor: false,
        }
    }

    pub fn deflated(name: impl AsRef<[u8]>, mode: u32, content: &[u8]) -> Entry {
        Entry {
            method: DEFLATED,
            data: super::deflate(content),
            ..Entry::file(name, mode, content)
        }
    }

    pub fn symlink(name: impl AsRef<[u8]>, target: &str) -> Entry {
        Entry::file(name, 0o120777, target.as_bytes())
    }

    pub fn directory(name: impl AsRef<[u8]>, mode: u32) -> Entry {
        Entry::file(name, mode, b"")
    }
}

/// The archive, with `prefix` before its first entry and `comment` at its end.
pub fn archive(prefix: &[u8], entries: &[Entry], comment: &[u8]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = bytes.len() - prefix.len();
        local(&mut bytes, entry);
        central(&mut directory, entry, offset as u32);
    }
    let start = bytes.len() - prefix.len();
    bytes.extend_from_slice(&directory);
    end(&mut bytes, entries.len(), directory.len(), start, comment);
    bytes
}

pub fn of(entries: &[Entry]) -> Vec<u8> {
    archive(b"", entries, b"")
}

fn flags(entry: &Entry) -> u16 {
    entry.flags | if entry.descriptor { 1 << 3 } else { 0 }
}

fn local(bytes: &mut Vec<u8>, entry: &Entry) {
    let (crc, stored, size) = if entry.descriptor {
        (0, 0, 0)
    } else {
        (entry.crc, entry.data.len() as u64, entry.size)
    };
    let extra = extra(entry, stored, size);
    put(bytes, &[b"PK\x03\x04"]);
    put16(bytes, &[45, flags(entry), entry.method, 0, 0]);
    put32(bytes, &[crc, narrow(entry, stored), narrow(entry, size)]);
    put16(bytes, &[entry.name.len() as u16, extra.len() as u16]);
    put(bytes, &[&entry.name, &extra, &entry.data]);
    if entry.descriptor {
        put(bytes, &[b"PK\x07\x08"]);
        put32(bytes, &[entry.crc]);
        if entry.zip64 {
            put64(bytes, &[entry.data.len() as u64, entry.size]);
        } else {
            put32(bytes, &[entry.data.len() as u32, entry.size as u32]);
        }
    }
}

fn central(bytes: &mut Vec<u8>, entry: &Entry, offset: u32) {
    let stored = entry.data.len() as u64;
    let extra = extra(entry, stored, entry.size);
    put(bytes, &[b"PK\x01\x02"]);
    let made_by = entry.system << 8 | 45;
    put16(bytes, &[made_by, 45, flags(entry), entry.method, 0, 0]);
    put32(
        bytes,
        &[entry.crc, narrow(entry, stored), narrow(entry, entry.size)],
    );
    put16(
        bytes,
        &[entry.name.len() as u16, extra.len() as u16, 0, 0, 0],
    );
    put32(bytes, &[entry.mode << 16, offset]);
    put(bytes, &[&entry.name, &extra]);
}

pub fn end(bytes: &mut Vec<u8>, count: usize, size: usize, start: usize, comment: &[u8]) {
    put(bytes, &[b"PK\x05\x06"]);
    put16(bytes, &[0, 0, count as u16, count as u16]);
    put32(bytes, &[size as u32, start as u32]);
    put16(bytes, &[comment.len() as u16]);
    put(bytes, &[comment]);
}

fn narrow(entry: &Entry, size: u64) -> u32 {
    if entry.zip64 { u32::MAX } else { size as u32 }
}

fn extra(entry: &Entry, stored: u64, size: u64) -> Vec<u8> {
    let mut extra = Vec::new();
    if entry.zip64 {
        put16(&mut extra, &[1, 16]);
        put64(&mut extra, &[size, stored]);
    }
    extra.extend_from_slice(&entry.extra);
    extra
}

fn put(bytes: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
}

fn put16(bytes: &mut Vec<u8>, values: &[u16]) {
    values
        .iter()
        .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}

fn put32(bytes: &mut Vec<u8>, values: &[u32]) {
    values
        .iter()
        .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}

fn put64(bytes: &mut Vec<u8>, values: &[u64]) {
    values
        .iter()
        .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
}
