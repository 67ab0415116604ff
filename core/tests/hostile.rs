//! Archives that must be refused, each with one line that names the entry, and the action
//! directory as it was.

mod makers;

use std::fs;
use std::process::Command;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, tar, zip};

fn refused_zip(entries: &[Entry]) -> String {
    Place::new().refuses(Form::Zip, &zip::of(entries), &UnpackLimits::default())
}

fn refused_tar(entries: &[Vec<u8>]) -> String {
    Place::new().refuses(Form::TarGz, &tar::of(entries), &UnpackLimits::default())
}

/// A valid entry in front, so that something has been staged by the time of the refusal.
fn good() -> Entry {
    Entry::file("exec", 0o100755, b"#!/bin/sh\n")
}

fn good_tar() -> Vec<u8> {
    tar::file("exec", 0o755, b"#!/bin/sh\n")
}

#[test]
fn names_that_leave_the_action_directory() {
    for (name, reason) in [
        ("../outside", "the name has a `..`"),
        ("lib/../../outside", "the name has a `..`"),
        ("/etc/passwd", "the name is absolute"),
        ("//etc/passwd", "the name is absolute"),
        ("..", "the name has a `..`"),
    ] {
        let expected = format!("failed to unpack `{name}`: {reason}");
        assert_eq!(
            refused_zip(&[good(), Entry::file(name, 0o100644, b"x")]),
            expected
        );
        assert_eq!(
            refused_tar(&[good_tar(), tar::file(name, 0o644, b"x")]),
            expected
        );
    }
}

#[test]
fn names_that_are_no_names() {
    assert_eq!(
        refused_zip(&[good(), Entry::file("", 0o100644, b"x")]),
        "failed to unpack the archive: the name is empty"
    );
    assert_eq!(
        refused_zip(&[good(), Entry::file("a\0b", 0o100644, b"x")]),
        "failed to unpack `a\\0b`: the name holds a NUL"
    );
    // A tar header ends a name at its NUL; a pax record does not.
    assert_eq!(
        refused_tar(&[
            good_tar(),
            tar::pax("path", "a\0b"),
            tar::file("c", 0o644, b"x")
        ]),
        "failed to unpack `a\\0b`: the name holds a NUL"
    );
    assert_eq!(
        refused_zip(&[good(), Entry::file(".", 0o100644, b"x")]),
        "failed to unpack `.`: the action directory itself must be a directory"
    );
    let long = "n".repeat(256);
    let reason = "a component of the name is 256 bytes long, over the limit of 255";
    assert_eq!(
        refused_zip(&[good(), Entry::file(&long, 0o100644, b"x")]),
        format!("failed to unpack `{long}`: {reason}")
    );
    assert_eq!(
        refused_tar(&[
            good_tar(),
            tar::pax("path", &long),
            tar::file("c", 0o644, b"x")
        ]),
        format!("failed to unpack `{long}`: {reason}")
    );
    let longer = "nn/".repeat(1400) + "x";
    let shown = &longer[..256];
    assert_eq!(
        refused_zip(&[good(), Entry::file(&longer, 0o100644, b"x")]),
        format!(
            "failed to unpack `{shown}...`: the name is 4201 bytes long, over the limit of 4095"
        )
    );
}

#[test]
fn names_of_the_proxy() {
    let reason = "names that begin with `.actionproxy-` are the proxy's";
    for name in [".actionproxy-commit-1-1/exec", "./.actionproxy-stage-1-1"] {
        let expected = format!("failed to unpack `{name}`: {reason}");
        assert_eq!(
            refused_zip(&[good(), Entry::file(name, 0o100644, b"x")]),
            expected
        );
        assert_eq!(
            refused_tar(&[good_tar(), tar::file(name, 0o644, b"x")]),
            expected
        );
    }
}

#[test]
fn a_newline_in_a_name_does_not_make_a_second_line() {
    assert_eq!(
        refused_zip(&[Entry::file("../a\nb\x1b[0m", 0o100644, b"x")]),
        "failed to unpack `../a\\nb\\u{1b}[0m`: the name has a `..`"
    );
}

#[test]
fn symlinks_that_leave_the_tree() {
    for (name, target, reason) in [
        ("l", "/etc", "it is a symlink to the absolute `/etc`"),
        (
            "l",
            "../outside",
            "it is a symlink to `../outside`, which leaves the action directory",
        ),
        (
            "a/l",
            "../../outside",
            "it is a symlink to `../../outside`, which leaves the action directory",
        ),
        (
            "l",
            "a/../../outside",
            "it is a symlink to `a/../../outside`, which leaves the action directory",
        ),
        ("l", "", "it is a symlink without a target"),
    ] {
        let expected = format!("failed to unpack `{name}`: {reason}");
        assert_eq!(
            refused_zip(&[good(), Entry::symlink(name, target)]),
            expected
        );
        assert_eq!(
            refused_tar(&[good_tar(), tar::entry(name, b'2', 0o777, target, b"")]),
            expected
        );
    }
}

#[test]
fn a_symlink_that_leaves_the_tree_by_way_of_another() {
    // Counted by components `d/e/s/../x` stays inside, but `d/e/s` is the action directory.
    let expected = "failed to unpack `t`: it is a symlink to `d/e/s/../x`, which goes up from \
                    `d/e/s`, no directory of the archive";
    for order in [[0, 1], [1, 0]] {
        let entries = [
            Entry::symlink("d/e/s", "../.."),
            Entry::symlink("t", "d/e/s/../x"),
        ];
        assert_eq!(
            refused_zip(&[good(), entries[order[0]].clone(), entries[order[1]].clone()]),
            expected
        );
    }
    assert_eq!(
        refused_tar(&[
            good_tar(),
            tar::entry("d/e/s", b'2', 0o777, "../..", b""),
            tar::entry("t", b'2', 0o777, "d/e/s/../x", b""),
        ]),
        expected
    );
}

#[test]
fn a_symlink_over_4095_bytes() {
    let target = "a/".repeat(2048);
    assert_eq!(
        refused_zip(&[good(), Entry::symlink("l", &target)]),
        "failed to unpack `l`: the target of the symlink is 4096 bytes long, over the limit of 4095"
    );
}

#[test]
fn entries_below_a_symlink_or_a_file() {
    let reason = "a file or a symlink stands where a directory would have to be";
    for target in [".", "lib", "missing"] {
        assert_eq!(
            refused_zip(&[
                good(),
                Entry::directory("lib/", 0o40755),
                Entry::symlink("a", target),
                Entry::file("a/b", 0o100644, b"x"),
            ]),
            format!("failed to unpack `a/b`: {reason}")
        );
        assert_eq!(
            refused_tar(&[
                tar::entry("a", b'2', 0o777, target, b""),
                tar::file("a/b", 0o644, b"x"),
            ]),
            format!("failed to unpack `a/b`: {reason}")
        );
    }
    assert_eq!(
        refused_tar(&[good_tar(), tar::file("exec/b", 0o644, b"x")]),
        format!("failed to unpack `exec/b`: {reason}")
    );
}

#[test]
fn a_symlink_of_the_previous_action_is_replaced_and_not_followed() {
    let place = Place::new();
    let target = place.action().parent().unwrap().join("elsewhere");
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, place.action().join("lib")).unwrap();
    std::os::unix::fs::symlink(&target, place.action().join("file")).unwrap();
    let archive = zip::of(&[
        good(),
        Entry::file("lib/x", 0o100644, b"new"),
        Entry::file("file", 0o100644, b"new"),
    ]);
    place
        .install(Form::Zip, &archive, &UnpackLimits::default())
        .unwrap();
    let found = place.snapshot();
    assert_eq!(found["action/lib/x"], "644 new");
    assert_eq!(found["action/file"], "644 new");
    assert!(!found.keys().any(|name| name.starts_with("elsewhere/")));
}

#[test]
fn duplicate_names() {
    let expected = "failed to unpack `a`: another entry has the same name";
    let file = || Entry::file("a", 0o100644, b"1");
    assert_eq!(refused_zip(&[good(), file(), file()]), expected);
    assert_eq!(
        refused_zip(&[good(), file(), Entry::file("./a", 0o100644, b"2")]),
        expected
    );
    assert_eq!(
        refused_zip(&[good(), file(), Entry::symlink("a", "exec")]),
        expected
    );
    assert_eq!(
        refused_zip(&[good(), Entry::symlink("a", "exec"), file()]),
        expected
    );
    assert_eq!(
        refused_zip(&[good(), file(), Entry::directory("a/", 0o40755)]),
        expected
    );
    assert_eq!(
        refused_zip(&[
            good(),
            Entry::directory("a/", 0o40755),
            Entry::directory("a/", 0o40755)
        ]),
        expected
    );
    assert_eq!(
        refused_tar(&[tar::file("a", 0o644, b"1"), tar::file("a", 0o644, b"2")]),
        expected
    );
}

#[test]
fn devices_fifos_and_sockets() {
    for (kind, bits, what) in [
        (b'6', 0o010000, "fifo"),
        (b'3', 0o020000, "character device"),
        (b'4', 0o060000, "block device"),
        (b's', 0o140000, "socket"),
    ] {
        let expected = format!("failed to unpack `a`: it is a {what}");
        assert_eq!(
            refused_zip(&[good(), Entry::file("a", bits | 0o644, b"")]),
            expected
        );
        let line = refused_tar(&[good_tar(), tar::entry("a", kind, 0o644, "", b"")]);
        if kind == b's' {
            // Tar has no sockets.
            assert_eq!(
                line,
                "failed to unpack `a`: it is an entry of the unknown type `s`"
            );
        } else {
            assert_eq!(line, expected);
        }
    }
}

#[test]
fn hard_links_to_what_was_not_unpacked() {
    for (target, reason) in [
        ("../outside", "the name has a `..`"),
        ("/etc/passwd", "the name is absolute"),
        ("later", "no file of that name was unpacked before"),
        ("s/passwd", "no file of that name was unpacked before"),
        ("s", "that is not a regular file"),
        ("d", "that is not a regular file"),
    ] {
        assert_eq!(
            refused_tar(&[
                tar::entry("s", b'2', 0o777, "d", b""),
                tar::entry("d", b'5', 0o755, "", b""),
                tar::file("d/passwd", 0o644, b""),
                tar::entry("h", b'1', 0o644, target, b""),
                tar::file("later", 0o644, b""),
            ]),
            format!("failed to unpack `h`: it is a hard link to `{target}`: {reason}")
        );
    }
}

#[test]
fn encrypted_entries_and_unknown_compression() {
    let encrypted = Entry {
        flags: zip::ENCRYPTED,
        ..Entry::file("secret", 0o100644, &[0; 12])
    };
    assert_eq!(
        refused_zip(&[good(), encrypted]),
        "failed to unpack `secret`: it is encrypted"
    );
    for (method, name) in [(12, "Bzip2"), (93, "Zstd"), (4242, "")] {
        let entry = Entry {
            method,
            ..Entry::file("a", 0o100644, b"x")
        };
        let line = refused_zip(&[good(), entry]);
        assert!(
            line.starts_with("failed to unpack `a`: its compression is ") && line.contains(name),
            "{line}"
        );
    }
}

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
fn limits_are_kept() {
    let limits = UnpackLimits {
        max_bytes: 1000,
        max_entries: 4,
        max_depth: 2,
    };
    let place = Place::new();
    let refuses = |zip_entries: &[Entry], tar_entries: &[Vec<u8>], expected: &str| {
        assert_eq!(
            place.refuses(Form::Zip, &zip::of(zip_entries), &limits),
            expected
        );
        assert_eq!(
            place.refuses(Form::TarGz, &tar::of(tar_entries), &limits),
            expected
        );
    };
    refuses(
        &[
            Entry::file("a", 0, &[0; 600]),
            Entry::file("b", 0, &[0; 401]),
        ],
        &[
            tar::file("a", 0o644, &[0; 600]),
            tar::file("b", 0o644, &[0; 401]),
        ],
        "failed to unpack `b`: the archive unpacks to more than the limit of 1000 bytes",
    );
    refuses(
        &[Entry::file("1/2/3/a", 0, b"")],
        &[tar::file("1/2/3/a", 0o644, b"")],
        "failed to unpack `1/2/3/a`: it lies 3 directories deep, over the limit of 2",
    );
    // Directories that no entry names count as well.
    refuses(
        &[Entry::file("1/2/a", 0, b""), Entry::file("3/4/b", 0, b"")],
        &[
            tar::file("1/2/a", 0o644, b""),
            tar::file("3/4/b", 0o644, b""),
        ],
        "failed to unpack `3/4/b`: the archive has more entries than the limit of 4",
    );
    let five: Vec<Entry> = (0..5).map(|n| Entry::file(n.to_string(), 0, b"")).collect();
    assert_eq!(
        place.refuses(Form::Zip, &zip::of(&five), &limits),
        "failed to unpack the archive: it has 5 entries, over the limit of 4"
    );
    // At the limits, not over them.
    let full = zip::of(&[
        Entry::file("1/2/a", 0, &[0; 1000]),
        Entry::file("exec", 0, b""),
    ]);
    place.install(Form::Zip, &full, &limits).unwrap();
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

/// A file system of 1 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed, which has been said.
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "actionproxy-test"])
            .arg(dir.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            refused => {
                eprintln!(
                    "SKIPPED: this test mounts a small tmpfs; run it as root, or in \
                     `unshare --user --map-root-user --mount`: {refused:?}"
                );
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let action = disk.0.path();
    fs::write(action.join("exec"), "old").unwrap();
    let before = makers::snapshot(action);
    let limits = UnpackLimits::default();
    let content = vec![0; 2 << 20];
    for (form, archive) in [
        (
            Form::Zip,
            zip::of(&[good(), Entry::deflated("big", 0o100644, &content)]),
        ),
        (
            Form::TarGz,
            tar::of(&[good_tar(), tar::file("big", 0o644, &content)]),
        ),
        (Form::Script, [b"#!".as_slice(), &content].concat()),
    ] {
        let line = makers::install(action, form, &archive, &limits)
            .unwrap_err()
            .to_string();
        assert!(
            line.starts_with("failed to write ") && line.contains("No space left on device"),
            "{line}"
        );
        assert_eq!(makers::snapshot(action), before);
    }
    // What was taken by the staging is free again.
    let fits = zip::of(&[Entry::deflated("exec", 0o100755, &[7; 900 << 10])]);
    makers::install(action, Form::Zip, &fits, &limits).unwrap();
}
