//! Damaged archives, and headers that lie: refused with one line, the action directory as it was.

mod makers;

use std::fs;
use std::process::Command;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, good, good_tar, refused_tar, refused_zip, tar, zip};

#[test]
fn damaged_content() {
    let wrong_crc = Entry {
        crc: 1,
        ..Entry::file("a", 0o100644, b"content")
    };
    assert_eq!(
        refused_zip(&[good(), wrong_crc]),
        "failed to unpack `a`: its content is damaged: Invalid checksum"
    );
    let cut = Entry {
        data: makers::deflate(&[7; 10_000])[..5].to_vec(),
        ..Entry::deflated("a", 0o100644, &[7; 10_000])
    };
    let line = refused_zip(&[good(), cut]);
    assert!(line.starts_with("failed to unpack `a`: "), "{line}");
    let noise = Entry {
        data: vec![0xff; 100],
        ..Entry::deflated("a", 0o100644, b"content")
    };
    let line = refused_zip(&[good(), noise]);
    assert!(line.starts_with("failed to unpack `a`: "), "{line}");
}

#[test]
fn archives_cut_anywhere() {
    let limits = UnpackLimits::default();
    let place = Place::new();
    let whole = zip::of(&[good(), Entry::deflated("lib/a", 0o100644, &[7; 5000])]);
    for length in (0..whole.len()).step_by(7) {
        place.refuses(Form::Zip, &whole[..length], &limits);
    }
    let noise: Vec<u8> = (0..3000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole = tar::of(&[good_tar(), tar::file("lib/a", 0o644, &noise)]);
    for length in (0..whole.len()).step_by(7) {
        let line = place.refuses(Form::TarGz, &whole[..length], &limits);
        assert!(line.starts_with("failed to unpack "), "{line}");
    }
}

#[test]
fn a_gzip_whose_checksum_is_wrong_or_that_more_follows() {
    let mut wrong = tar::of(&[good_tar()]);
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    let limits = UnpackLimits::default();
    let line = Place::new().refuses(Form::TarGz, &wrong, &limits);
    let expected = format!(
        "failed to unpack the archive: the tar.gz is damaged in one of its entries or at its end, \
         byte {}: corrupt gzip stream does not have a matching checksum",
        wrong.len()
    );
    assert_eq!(line, expected);
    let followed_by = |trailing: &[u8]| [&tar::of(&[good_tar()]), trailing].concat();
    let line = Place::new().refuses(Form::TarGz, &followed_by(b"trailing"), &limits);
    assert_eq!(
        line,
        "failed to unpack the archive: not a valid tar.gz: 8 bytes follow that are no gzip"
    );
    // What tapes, editors and forms put there.
    for fill in [&b"\n"[..], b"\r\n", &[0; 512]] {
        Place::new()
            .install(Form::TarGz, &followed_by(fill), &limits)
            .unwrap();
    }
    let line = Place::new().refuses(Form::TarGz, &makers::gzip(&[7; 600]), &limits);
    assert!(
        line.starts_with("failed to unpack the archive: not a valid tar.gz: "),
        "{line}"
    );
}

/// Three files and a directory, archived by `script` to `made`, in the order `exec`, `lib/a`,
/// `lib/b`: noise, so that each takes its size in the archive.
fn made_by(script: &str) -> Vec<u8> {
    let work = tempfile::tempdir().unwrap();
    fs::create_dir(work.path().join("lib")).unwrap();
    for (name, seed) in [("exec", 1), ("lib/a", 2), ("lib/b", 3)] {
        fs::write(work.path().join(name), noise(20_000, seed)).unwrap();
    }
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(&work)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    fs::read(work.path().join("made")).unwrap()
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    // Knuth's linear congruential generator (MMIX).
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

/// Where the bytes `what` are for the `nth` time, counted from 0.
fn find(archive: &[u8], what: &[u8], nth: usize) -> usize {
    let places = archive.windows(what.len()).enumerate();
    let mut places = places.filter(|(_, window)| *window == what);
    places.nth(nth).expect("it is in there").0
}

fn refused(form: Form, archive: &[u8]) -> String {
    Place::new().refuses(form, archive, &UnpackLimits::default())
}

/// How these tools write a zip: with sizes in front, as a stream with sizes behind, or with both
/// kinds of sizes in 64 bits.
const ZIPS: [(&str, &str); 6] = [
    (
        "zip",
        "zip -q made.zip exec lib/a lib/b && mv made.zip made",
    ),
    (
        "zip",
        "zip -q -0 made.zip exec lib/a lib/b && mv made.zip made",
    ),
    ("zip", "zip -q -fd - exec lib/a lib/b | cat > made"),
    (
        "bsdtar",
        "bsdtar --format=zip -cf - exec lib/a lib/b | cat > made",
    ),
    (
        "7z",
        "7z a -tzip made.zip exec lib/a lib/b > out && mv made.zip made",
    ),
    (
        "python3",
        "python3 - <<'END'
import zipfile
class Stream:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
with open('made', 'wb') as f, zipfile.ZipFile(Stream(f), 'w', zipfile.ZIP_DEFLATED) as z:
    for name in 'exec', 'lib/a', 'lib/b':
        with z.open(name, 'w', force_zip64=True) as entry:
            entry.write(open(name, 'rb').read())
END",
    ),
];

#[test]
fn a_zip_whose_upload_was_cut_off_says_at_which_entry() {
    for (tool, script) in ZIPS {
        if !makers::is_here(tool) {
            continue;
        }
        let whole = made_by(script);
        let b = find(&whole, b"lib/b", 0) - 30;
        let directory = find(&whole, b"PK\x01\x02", 0);
        let last = find(&whole, b"PK\x01\x02", 2);
        let cut = |at: usize| refused(Form::Zip, &whole[..at]);
        for at in [b + 100, b + 15_000] {
            assert_eq!(
                cut(at),
                format!(
                    "failed to unpack `lib/b`: the zip ends within it, {} bytes behind its beginning and after the whole `lib/a`: it was cut off at {at} bytes",
                    at - b
                ),
                "{script}"
            );
        }
        for at in [b + 4, b + 31] {
            assert_eq!(
                cut(at),
                format!(
                    "failed to unpack the archive: the zip ends within the header of an entry, after the whole `lib/a`: it was cut off at {at} bytes"
                ),
                "{script}"
            );
        }
        assert_eq!(
            cut(directory),
            format!(
                "failed to unpack the archive: the zip ends after the whole `lib/b`, without its directory of entries: it was cut off at {directory} bytes"
            ),
            "{script}"
        );
        // bsdtar fills the last block of a pipe.
        let end = find(&whole, b"PK\x05\x06", 0) + 22;
        for at in [last, last + 20, end - 1] {
            assert!(
                cut(at).starts_with(&format!(
                    "failed to unpack the archive: the zip ends within its directory of entries, after the whole `lib/b`, its last: it was cut off at {at} bytes, or is damaged ("
                )),
                "{script}: {}",
                cut(at)
            );
        }
        let first = cut(100);
        assert!(
            first.starts_with("failed to unpack `exec`: the zip ends within it")
                && first.contains("with no entry whole"),
            "{first}"
        );
    }
}

#[test]
fn a_zip_cut_off_behind_a_zip_inside_it_is_not_taken_for_that() {
    let inner = zip::of(&[good()]);
    let whole = zip::of(&[
        Entry::file("lib/a.jar", 0o100644, &inner),
        Entry::file("lib/b", 0o100644, &[7; 5000]),
    ]);
    let at = find(&whole, b"lib/b", 0) + 100;
    let line = refused(Form::Zip, &whole[..at]);
    assert!(
        line.starts_with("failed to unpack `lib/b`: the zip ends within it, 130 bytes"),
        "{line}"
    );
}

#[test]
fn a_zip_that_lost_bytes_on_its_way_says_at_which_entry() {
    for (tool, script) in ZIPS {
        if !makers::is_here(tool) {
            continue;
        }
        let whole = made_by(script);
        let a = find(&whole, b"lib/a", 0) - 30;
        let mut flipped = whole.clone();
        flipped[a + 10_000] ^= 0x10;
        let line = refused(Form::Zip, &flipped);
        assert!(
            line.starts_with("failed to unpack `lib/a`: its content is damaged: "),
            "{script}: {line}"
        );
        // A piece is missing: everything behind it has moved.
        let missing = [&whole[..a + 5000], &whole[a + 7000..]].concat();
        let line = refused(Form::Zip, &missing);
        assert!(
            line.contains("`exec`") || line.contains("`lib/a`"),
            "{script}: {line}"
        );
        let mut directory = whole.clone();
        let second = find(&whole, b"PK\x01\x02", 1);
        directory[second] = 0;
        assert_eq!(
            refused(Form::Zip, &directory),
            "failed to unpack the archive: its directory of entries is damaged after `exec`: not a valid zip: Invalid Central Directory header",
            "{script}"
        );
    }
}

#[test]
fn a_tar_gz_whose_upload_was_cut_off_says_at_which_entry() {
    for (tool, script) in [
        ("tar", "tar -czf made exec lib/a lib/b"),
        ("tar", "tar --format=pax -czf made exec lib/a lib/b"),
        ("bsdtar", "bsdtar -czf made exec lib/a lib/b"),
    ] {
        if !makers::is_here(tool) {
            continue;
        }
        let whole = made_by(script);
        // 20,000 bytes of each are noise, which gzip does not shrink.
        for (at, name) in [(1000, "exec"), (30_000, "lib/a"), (50_000, "lib/b")] {
            let line = refused(Form::TarGz, &whole[..at]);
            let start = format!("failed to unpack `{name}`: the tar.gz ends within it, at byte ");
            let end = format!(" of the tar, {at} of the tar.gz: it was cut off");
            assert!(
                line.starts_with(&start) && line.ends_with(&end),
                "{script}: {line}"
            );
        }
        let at = whole.len() - 20;
        let line = refused(Form::TarGz, &whole[..at]);
        let start = "failed to unpack the archive: the tar.gz ends after `lib/b`, at byte ";
        let end = format!("{at} of the tar.gz: it was cut off");
        assert!(
            line.starts_with(start) && line.ends_with(&end),
            "{script}: {line}"
        );
        let line = refused(Form::TarGz, &whole[..15]);
        assert!(
            line.starts_with("failed to unpack the archive: the tar.gz ends before its first entry, at byte 0 of the tar, "),
            "{script}: {line}"
        );
    }
}

#[test]
fn a_tar_cut_off_before_it_was_compressed_says_at_which_entry() {
    if !makers::is_here("tar") {
        return;
    }
    let script = "tar -cf whole exec lib/a lib/b; head -c 30000 whole | gzip > made";
    assert_eq!(
        refused(Form::TarGz, &made_by(script)),
        "failed to unpack `lib/a`: the tar ends within it: it was cut off"
    );
    // `exec` takes 512 bytes and 20,000, padded to 20,480: the header of `lib/a` is cut.
    let script = "tar -cf whole exec lib/a lib/b; head -c 21200 whole | gzip > made";
    assert_eq!(
        refused(Form::TarGz, &made_by(script)),
        "failed to unpack the archive: the tar ends after `exec`, at its byte 21200: it was cut off"
    );
}

#[test]
fn a_tar_gz_that_was_damaged_on_its_way_says_at_which_entry() {
    // Where wrong bits stand for other letters, only the checksum finds them, which is at the end.
    let content = |seed| -> Vec<u8> {
        let bytes = noise(20_000, seed).into_iter();
        bytes
            .flat_map(|byte| format!("{byte} is {}\n", byte / 7).into_bytes())
            .collect()
    };
    let entries = [
        good_tar(),
        tar::file("lib/a", 0o644, &content(1)),
        tar::file("lib/b", 0o644, &content(2)),
    ];
    let whole = tar::of(&entries);
    let mut found = 0;
    for at in (whole.len() / 8..whole.len() / 3).step_by(200) {
        let mut damaged = whole.clone();
        damaged[at..at + 40].fill(0xff);
        let line = refused(Form::TarGz, &damaged);
        let within = "failed to unpack `lib/a`: the tar.gz is damaged within it, near byte ";
        let behind = "failed to unpack the archive: the tar.gz is damaged in one of its entries or at its end, byte ";
        let between = "failed to unpack the archive: not a valid tar.gz: after `lib/a`, at byte ";
        found += usize::from(line.starts_with(within));
        assert!(
            [within, behind, between]
                .iter()
                .any(|start| line.starts_with(start)),
            "{line}"
        );
    }
    assert!(found > 0, "a deflate stream that takes any bits");
    // A header that does not add up.
    let tar = [
        good_tar(),
        tar::file("lib/a", 0o644, b"x"),
        tar::file("lib/b", 0o644, b"x"),
    ];
    let mut bytes = tar.concat();
    bytes[2 * 1024 + 1] ^= 1;
    bytes.resize(bytes.len() + 1024, 0);
    let line = refused(Form::TarGz, &makers::gzip(&bytes));
    assert!(
        line.starts_with("failed to unpack the archive: not a valid tar.gz: after `lib/a`, at byte 2560 of the tar, "),
        "{line}"
    );
}

#[test]
fn a_sparse_file_in_the_pax_format() {
    assert_eq!(
        refused_tar(&[
            good_tar(),
            tar::pax("GNU.sparse.major", "1"),
            tar::file("a", 0o644, b"x")
        ]),
        "failed to unpack `a`: sparse files in the pax format are not supported: use `--format=gnu`"
    );
}

#[test]
fn an_entry_that_lies_about_its_size() {
    let limits = UnpackLimits {
        max_bytes: 1000,
        ..UnpackLimits::default()
    };
    let honest = Entry::deflated("a", 0o100644, &[0; 100_000]);
    for size in [0, 10, 1 << 31] {
        let lying = Entry {
            size,
            ..honest.clone()
        };
        let line = Place::new().refuses(Form::Zip, &zip::of(&[lying]), &limits);
        assert!(line.starts_with("failed to unpack `a`: "), "{line}");
    }
    // A tar entry that claims more than the archive holds.
    let lying = tar::claiming("a", b'0', 0o644, "", 1 << 32, b"x");
    let line = Place::new().refuses(Form::TarGz, &tar::of(&[lying]), &UnpackLimits::default());
    assert!(line.contains("failed to unpack"), "{line}");
}

#[test]
fn a_directory_of_entries_that_is_not_there() {
    // The end record claims 65,535 entries of an archive that has none.
    let mut bytes = b"PK\x03\x04".to_vec();
    zip::end(&mut bytes, 65_535, 0, 4, b"");
    let line = Place::new().refuses(Form::Zip, &bytes, &UnpackLimits::default());
    assert!(line.starts_with("failed to unpack the archive: "), "{line}");
}

#[test]
fn entries_that_the_end_record_does_not_count() {
    let whole = zip::of(&[good(), Entry::file("a", 0o100644, b"x")]);
    let end = whole.len() - 22;
    for count in [0, 1] {
        let mut bytes = whole.clone();
        bytes[end + 8] = count;
        bytes[end + 10] = count;
        let line = Place::new().refuses(Form::Zip, &bytes, &UnpackLimits::default());
        let expected = format!(
            "failed to unpack the archive: it has more entries than the {count} that its end record tells of"
        );
        assert_eq!(line, expected);
    }
}

#[test]
fn headers_of_unbounded_length() {
    // 2 MiB of one pax record, and of one GNU long name.
    let record = tar::pax("comment", &"x".repeat(2 << 20));
    let long = tar::entry("././@LongLink", b'L', 0o644, "", &vec![b'x'; 2 << 20]);
    for headers in [record, long] {
        assert_eq!(
            refused_tar(&[good_tar(), headers, tar::file("a", 0o644, b"")]),
            "failed to unpack the archive: not a valid tar.gz: the headers of an entry take more than 1048576 bytes"
        );
    }
}
