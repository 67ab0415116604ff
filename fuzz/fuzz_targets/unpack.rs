//! Unpacking: nothing outside the stage is touched, no symlink leaves it, and limits are kept.
#![no_main]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::{Form, Payload};
use actionproxy_core::init::unpack::unpack;
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

const LIMITS: UnpackLimits = UnpackLimits {
    max_bytes: 1 << 20,
    max_entries: 64,
    max_depth: 8,
};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let form = Form::detect(data).unwrap_or_else(|| {
        // A tar archive: compressed here, since no mutation would keep a gzip checksum right.
        let mut compressed = GzEncoder::new(Vec::new(), Compression::none());
        compressed.write_all(data).expect("a vector takes it");
        bytes = compressed.finish().expect("a vector takes it");
        Form::TarGz
    });
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let stage = dir.path().join("stage");
    fs::create_dir(&stage).expect("a stage");
    fs::write(dir.path().join("outside"), "untouched").expect("a file");
    let payload = Payload::Binary { form, bytes };
    let unpacked = unpack(
        payload,
        &stage,
        Path::new("exec"),
        Path::new("exec"),
        &LIMITS,
    );
    if let Err(e) = &unpacked {
        assert!(!e.to_string().contains('\n'), "more than a line: {e}");
    }
    let outside = fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(outside, 2, "something was written beside the stage");
    let content = fs::read_to_string(dir.path().join("outside")).expect("a file");
    assert_eq!(content, "untouched");
    let mut spent = (0, 0);
    look(
        &stage,
        &stage.canonicalize().expect("a path"),
        0,
        &mut spent,
        unpacked.is_ok(),
    );
    if matches!(form, Form::Zip | Form::TarGz) {
        assert!(
            spent.0 <= LIMITS.max_entries + LIMITS.max_depth as u64,
            "{spent:?}"
        );
        assert!(spent.1 <= LIMITS.max_bytes, "{spent:?}");
    }
});

fn look(dir: &Path, root: &Path, depth: usize, spent: &mut (u64, u64), whole: bool) {
    assert!(depth <= LIMITS.max_depth + 1);
    for entry in fs::read_dir(dir).expect("a directory the owner can read") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        spent.0 += 1;
        assert_eq!(metadata.permissions().mode() & 0o7000, 0, "{path:?}");
        if metadata.is_dir() {
            look(&path, root, depth + 1, spent, whole);
        } else if metadata.is_symlink() {
            // Where it leads is judged by the kernel, once all is in place.
            if whole && let Ok(target) = path.canonicalize() {
                assert!(target.starts_with(root), "{path:?} leads to {target:?}");
            }
        } else {
            assert!(metadata.is_file(), "{path:?}");
            if metadata.nlink() == 1 {
                spent.1 += metadata.len();
            }
        }
    }
}
