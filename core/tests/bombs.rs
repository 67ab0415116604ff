//! Three gigabytes in three megabytes: refused at the limit, in little memory and disk.
//!
//! One test in a binary of its own, so that its peak of memory is nobody else's.

mod makers;

use std::fs;
use std::io::Write;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, tar, zip};

const SIZE: u64 = 3 << 30;

/// `head` and [`SIZE`] zeros as a deflate stream. A full flush ends a block at a byte and forgets
/// what came before, so one compressed mebibyte can be repeated.
fn deflated(head: &[u8]) -> Vec<u8> {
    let mut head_stream = compress(head);
    let piece = compress(&vec![0; 1 << 20]);
    for _ in 0..SIZE >> 20 {
        head_stream.extend_from_slice(&piece);
    }
    // A final empty block.
    head_stream.extend_from_slice(&[3, 0]);
    head_stream
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut stream = flate2::Compress::new(flate2::Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() + 1024);
    stream
        .compress_vec(bytes, &mut out, flate2::FlushCompress::Full)
        .unwrap();
    assert_eq!(stream.total_in(), bytes.len() as u64);
    out
}

fn gzip(head: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.write_all(&deflated(head)).unwrap();
    // No checksum: nothing gets that far.
    bytes
}

#[test]
fn bombs_are_refused_at_the_limit() {
    let limits = UnpackLimits {
        max_bytes: 8 << 20,
        max_entries: 100,
        ..UnpackLimits::default()
    };
    let over = "the archive unpacks to more than the limit of 8388608 bytes";
    let whole = "failed to unpack the archive: not a valid tar.gz";
    let zipped = Entry {
        data: deflated(b""),
        size: SIZE,
        ..Entry::deflated("zeros", 0o100644, b"")
    };
    // Without its directory, and with the size behind: it has to be inflated to be passed over.
    let streamed = zip::of(&[Entry {
        descriptor: true,
        ..zipped.clone()
    }]);
    let length = streamed.len() - (46 + "zeros".len()) - 22;
    let bombs = [
        (
            Form::Zip,
            streamed[..length].to_vec(),
            format!(
                "failed to unpack the archive: the zip is damaged with no entry whole, at byte 0 \
                 of {length} (not a valid zip: Could not find EOCD)"
            ),
        ),
        (
            Form::Zip,
            zip::of(&[zipped]),
            format!("failed to unpack `zeros`: {over}"),
        ),
        (
            Form::TarGz,
            gzip(&tar::claiming("zeros", b'0', 0o644, "", SIZE, b"")),
            format!("failed to unpack `zeros`: {over}"),
        ),
        // As a header, which has to be read before the entry is known.
        (
            Form::TarGz,
            gzip(&tar::claiming("pax", b'x', 0o644, "", SIZE, b"")),
            format!("{whole}: the headers of an entry take more than 1048576 bytes"),
        ),
        // As the content of an entry that is passed over.
        (
            Form::TarGz,
            gzip(&tar::claiming("pax", b'g', 0o644, "", SIZE, b"")),
            "failed to unpack `pax`: the archive unpacks to more than 9846784 bytes with all headers"
                .to_owned(),
        ),
        // Behind the end of the archive.
        (
            Form::TarGz,
            gzip(&[0; 1024]),
            format!("{whole}: the archive unpacks to more than 9846784 bytes with all headers"),
        ),
    ];
    let before = peak_memory();
    for (form, archive, expected) in &bombs {
        assert!(archive.len() < 4 << 20, "{} bytes", archive.len());
        assert_eq!(Place::new().refuses(*form, archive, &limits), *expected);
    }
    // One copy of an archive, the windows of the decompressors, and what was mapped anew.
    let grown = peak_memory() - before;
    assert!(grown < 12 << 20, "{grown} bytes");
}

/// The highest resident memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}
