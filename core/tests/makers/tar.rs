//! Tar archives (POSIX ustar and pax, GNU), not yet compressed.

/// One header and its data. The name goes into the header as it is, so it may be up to 100 bytes.
pub fn entry(name: impl AsRef<[u8]>, kind: u8, mode: u32, link: &str, data: &[u8]) -> Vec<u8> {
    claiming(name, kind, mode, link, data.len() as u64, data)
}

/// An entry whose header claims `size`.
pub fn claiming(
    name: impl AsRef<[u8]>,
    kind: u8,
    mode: u32,
    link: &str,
    size: u64,
    data: &[u8],
) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |offset: usize, bytes: &[u8]| {
        header[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, name.as_ref());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub fn file(name: impl AsRef<[u8]>, mode: u32, data: &[u8]) -> Vec<u8> {
    entry(name, b'0', mode, "", data)
}

/// A pax record of the next entry.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let tail = format!(" {key}={value}\n");
    let mut length = tail.len() + 1;
    while length != tail.len() + length.to_string().len() {
        length = tail.len() + length.to_string().len();
    }
    entry("pax", b'x', 0o644, "", format!("{length}{tail}").as_bytes())
}

/// The archive, compressed.
pub fn of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    super::gzip(&bytes)
}
