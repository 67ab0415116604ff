//! Entries that must be refused, each with one line that names it, and the action directory as it
//! was.

mod makers;

use std::fs;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, good, good_tar, refused_tar, refused_zip, tar, zip};

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
    let reason = "names that begin with `.actionproxy-` are reserved";
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
fn a_newline_in_a_number_of_a_tar_does_not_make_a_second_line() {
    // Where the mode, the size and the checksum stand.
    for (at, reason) in [
        (100, "failed to unpack `a`: its mode is no number: "),
        (124, "failed to unpack the archive: not a valid tar.gz: "),
    ] {
        let mut entry = tar::file("a", 0o644, b"x");
        entry[at..at + 7].copy_from_slice(b"1\nx\x1b[0m");
        entry[148..156].fill(b' ');
        let sum: u32 = entry[..512].iter().map(|&byte| u32::from(byte)).sum();
        entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let line = refused_tar(&[good_tar(), entry]);
        assert!(line.starts_with(reason), "{line}");
        assert!(line.contains("1\\nx\\u{1b}[0m"), "{line}");
    }
}

#[test]
fn symlinks_that_leave_the_tree() {
    for (name, target, reason) in [
        (
            "l",
            "/etc",
            "it is a symlink to the absolute `/etc`: one to what the archive holds has to be \
             relative (`ln -sr`); `tar -h`, or `zip` without `-y`, takes what it points to in its \
             place",
        ),
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
    let expected = "failed to unpack `a`: another entry has the same name: make the archive anew instead of adding to it";
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
        let expected = format!("failed to unpack `a`: it is a {what}: leave it out of the archive");
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
        "failed to unpack `secret`: it is encrypted: make the archive without a password"
    );
    for (method, name) in [
        (9, "deflate64"),
        (12, "bzip2"),
        (14, "LZMA"),
        (93, "zstd"),
        (95, "xz"),
        (4242, "the unknown method 4242"),
    ] {
        let entry = Entry {
            method,
            ..Entry::file("a", 0o100644, b"x")
        };
        let line = refused_zip(&[good(), entry]);
        let expected = format!(
            "failed to unpack `a`: it is compressed with {name}, not with deflate: make the zip \
             with `zip`, or with `7z a -tzip -mm=Deflate`"
        );
        assert_eq!(line, expected);
    }
}
