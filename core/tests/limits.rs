//! What unpacking may cost: limits, and a disk that is full.

mod makers;

use std::fs;
use std::process::Command;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, good, good_tar, tar, zip};

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
fn a_hole_counts_as_what_it_unpacks_to() {
    if !makers::is_here("tar") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args([
            "-euc",
            "truncate -s 4G hole; tar -S --format=gnu -czf archive hole",
        ])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(made.success());
    let archive = fs::read(dir.path().join("archive")).unwrap();
    let limits = UnpackLimits {
        max_bytes: 1 << 20,
        ..UnpackLimits::default()
    };
    assert_eq!(
        Place::new().refuses(Form::TarGz, &archive, &limits),
        "failed to unpack `hole`: the archive unpacks to more than the limit of 1048576 bytes"
    );
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
                let why = format!(
                    "this test mounts a small tmpfs; run it as root, or in \
                     `unshare --user --map-root-user --mount`: {refused:?}"
                );
                assert!(std::env::var_os("CI").is_none(), "{why}");
                eprintln!("SKIPPED: {why}");
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
