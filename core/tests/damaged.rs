//! Damaged archives, and headers that lie: refused with one line, the action directory as it was.

mod makers;

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
        "failed to unpack `a`: Invalid checksum"
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
fn a_gzip_whose_checksum_is_wrong_or_whose_end_is_not_its_own() {
    let mut wrong = tar::of(&[good_tar()]);
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    let limits = UnpackLimits::default();
    let line = Place::new().refuses(Form::TarGz, &wrong, &limits);
    assert!(
        line.starts_with("failed to unpack the archive: not a valid tar.gz: "),
        "{line}"
    );
    let mut trailing = tar::of(&[good_tar()]);
    trailing.extend_from_slice(b"trailing");
    Place::new().refuses(Form::TarGz, &trailing, &limits);
    let line = Place::new().refuses(Form::TarGz, &makers::gzip(b"no tar at all"), &limits);
    assert!(
        line.starts_with("failed to unpack the archive: not a valid tar.gz: "),
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
