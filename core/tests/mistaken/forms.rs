//! The form: another archive, another program, a compression or encryption that is not taken.

use super::*;

/// What a tool makes of a directory with `exec` and `lib/word`, in a file called `made`.
fn made_by(script: &str) -> Vec<u8> {
    let work = tempfile::tempdir().unwrap();
    fs::create_dir(work.path().join("lib")).unwrap();
    fs::write(work.path().join("exec"), SCRIPT).unwrap();
    fs::write(work.path().join("lib/word"), "hello ".repeat(500)).unwrap();
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(&work)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    fs::read(work.path().join("made")).unwrap()
}

#[test]
fn archives_of_another_kind() {
    let archive = "send a zip or a tar.gz (`tar -czf`)";
    for (tools, script, what) in [
        (
            &["tar", "xz"][..],
            "tar -cJf made exec lib",
            "a file compressed with xz",
        ),
        (
            &["tar", "bzip2"],
            "tar -cjf made exec lib",
            "a file compressed with bzip2",
        ),
        (
            &["tar", "zstd"],
            "tar --zstd -cf made exec lib",
            "a file compressed with zstd",
        ),
        (
            &["xz"],
            "xz --format=lzma -c exec > made",
            "a file compressed with lzma",
        ),
        (
            &["7z"],
            "7z a -t7z made.7z exec lib > out && mv made.7z made",
            "a 7z archive",
        ),
        (
            &["bsdtar"],
            "bsdtar --format=newc -cf made exec lib",
            "a cpio archive",
        ),
        (
            &["ar"],
            "ar qc made exec 2> err",
            "an ar archive, as a Debian package is",
        ),
    ] {
        if !tools.iter().all(|tool| makers::is_here(tool)) {
            continue;
        }
        assert_eq!(
            refused_bytes(&made_by(script)),
            format!("{what}: {archive}")
        );
    }
    // No free tool makes it.
    assert_eq!(
        refused_bytes(b"Rar!\x1a\x07\x01\x00 and so on"),
        format!("a rar archive: {archive}")
    );
}

#[test]
fn a_tar_that_is_not_compressed() {
    let expected = "a tar archive that is not compressed: compress it with gzip (`tar -czf`)";
    // A zip at its end is not to be taken for all of it.
    for script in [
        "tar -cf made exec lib",
        "tar --format=v7 -cf made exec",
        "cp \"$ZIP\" z.zip; tar --blocking-factor=1 -cf made exec z.zip",
        "cp \"$ZIP\" z.zip; 7z a -ttar made.tar z.zip > out && mv made.tar made",
    ] {
        let needed = if script.contains("7z") { "7z" } else { "tar" };
        if !makers::is_here(needed) {
            continue;
        }
        let work = tempfile::NamedTempFile::new().unwrap();
        fs::write(&work, zip::of(&[makers::good()])).unwrap();
        let script = script.replace("$ZIP", &work.path().to_string_lossy());
        assert_eq!(refused_bytes(&made_by(&script)), expected);
    }
}

#[test]
fn programs_of_other_systems_and_text() {
    for (bytes, what) in [
        (
            &b"MZ\x90\0\x03\0"[..],
            "a Windows program: build it for Linux",
        ),
        (
            b"\xcf\xfa\xed\xfe\x0c\0\0\x01",
            "a macOS program: build it for Linux",
        ),
        (
            b"\0asm\x01\0\0\0",
            "a WebAssembly module: build it for Linux",
        ),
        (
            b"print('{}')\nprint(2)",
            "text that begins with `print('{}')`: a script names its interpreter in its first line, as `#!/usr/bin/env python3` does",
        ),
        (
            b"MZ is also how text may begin",
            "text that begins with `MZ is also how text may begin`: a script names its interpreter in its first line, as `#!/usr/bin/env python3` does",
        ),
        (
            b"\xef\xbb\xbf#!/bin/sh\n",
            "a `#!` script behind a byte order mark: save it as UTF-8 without one",
        ),
        (
            b"\n#!/bin/sh\n",
            "a `#!` script behind white space: `#!` must be its first two bytes",
        ),
        (b"\xff\xfe#\0!\0/\0", "text in UTF-16: save it as UTF-8"),
        (b"\x01\x02\x03", "3 bytes that begin with 01 02 03"),
    ] {
        assert_eq!(refused_bytes(bytes), what);
    }
    // The digits are base64 symbols.
    assert!(
        refused_binary("504b03041400000008005a")
            .ends_with("found a zip archive as hexadecimal digits: send it as base64")
    );
    assert!(refused_binary("1F8B080000000000").contains("a gzip file as hexadecimal digits"));
}

fn refused_gzip(content: &[u8]) -> String {
    let bytes = makers::gzip(content);
    Place::new()
        .refuses(Form::TarGz, &bytes, &UnpackLimits::default())
        .strip_prefix("failed to unpack the archive: ")
        .expect("the whole archive")
        .to_owned()
}

#[test]
fn gzip_of_something_that_is_no_tar() {
    let [(zip, _), (gzip, _), (elf, _), _] = forms();
    for (content, name) in [
        (SCRIPT, "a `#!` script"),
        (&elf, "an ELF executable"),
        (&zip, "a zip archive"),
        (&gzip, "a gzip file"),
        (b"print('{}')\n", "text"),
    ] {
        assert_eq!(
            refused_gzip(content),
            format!(
                "it is gzip of {name}, not of a tar: send that without gzip, or make a tar.gz of it (`tar -czf`)"
            )
        );
    }
    assert_eq!(refused_gzip(b""), "it is gzip of nothing");
}

#[test]
fn compression_of_entries_that_real_tools_offer() {
    for (tool, script, method) in [
        (
            "zip",
            "zip -q -Z bzip2 made.zip lib/word && mv made.zip made",
            "bzip2",
        ),
        (
            "7z",
            "7z a -tzip -mm=LZMA made.zip lib/word > out && mv made.zip made",
            "LZMA",
        ),
        (
            "7z",
            "7z a -tzip -mm=Deflate64 made.zip lib/word > out && mv made.zip made",
            "deflate64",
        ),
        (
            "7z",
            "7z a -tzip -mm=PPMd made.zip lib/word > out && mv made.zip made",
            "PPMd",
        ),
        (
            "python3",
            "python3 -c 'import zipfile; zipfile.ZipFile(\"made\", \"w\", zipfile.ZIP_LZMA).write(\"lib/word\")'",
            "LZMA",
        ),
    ] {
        if !makers::is_here(tool) {
            continue;
        }
        let line = Place::new().refuses(Form::Zip, &made_by(script), &UnpackLimits::default());
        assert_eq!(
            line,
            format!(
                "failed to unpack `lib/word`: it is compressed with {method}, not with deflate: make the zip with `zip`, or with `7z a -tzip -mm=Deflate`"
            )
        );
    }
}

#[test]
fn a_zip_in_parts() {
    if !makers::is_here("zip") {
        return;
    }
    let parts = "head -c 200000 /dev/urandom > noise; zip -q -s 64k p.zip noise; mv";
    assert_eq!(
        refused_bytes(&made_by(&format!("{parts} p.z01 made"))),
        "a part of a split zip: send it in one piece (`zip -s 0`)"
    );
    let last = made_by(&format!("{parts} p.zip made"));
    assert_eq!(
        Place::new().refuses(Form::Zip, &last, &UnpackLimits::default()),
        "failed to unpack the archive: it is a part of a split zip: send it in one piece (`zip -s 0`)"
    );
}

#[test]
fn encryption_of_entries_that_real_tools_offer() {
    for (tool, script) in [
        ("zip", "zip -q -P secret made.zip exec && mv made.zip made"),
        (
            "7z",
            "7z a -tzip -psecret -mem=AES256 made.zip exec > out && mv made.zip made",
        ),
    ] {
        if makers::is_here(tool) {
            let line = Place::new().refuses(Form::Zip, &made_by(script), &UnpackLimits::default());
            assert_eq!(
                line,
                "failed to unpack `exec`: it is encrypted: make the archive without a password"
            );
        }
    }
}

#[test]
fn tars_of_a_backup() {
    if !makers::is_here("tar") {
        return;
    }
    for (script, line) in [
        (
            "tar -V label -czf made exec",
            "failed to unpack `label`: it is a volume label: make the archive without `--label`",
        ),
        (
            "tar -g snapshot -czf made lib",
            "failed to unpack `lib/`: it is an incremental backup's: make the archive without `--listed-incremental`",
        ),
    ] {
        let found = Place::new().refuses(Form::TarGz, &made_by(script), &UnpackLimits::default());
        assert_eq!(found, line);
    }
}

#[test]
fn an_archive_that_was_read_as_text_before_it_was_encoded() {
    let [(zip, _), _, (elf, _), _] = forms();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_bytes();
    let advice = "it was read as text, which changes its bytes: read the file as bytes, not as text, before it is encoded as base64";
    assert_eq!(
        Place::new().refuses(Form::Zip, &lossy(&zip), &UnpackLimits::default()),
        format!("failed to unpack the archive: {advice}")
    );
    assert_eq!(refused_binary(STANDARD.encode(lossy(&elf))), advice);
    let gzip = lossy(&makers::gzip(SCRIPT));
    assert_eq!(
        refused_bytes(&gzip),
        "a gzip file that was read as text: read the file as bytes, not as text, before it is encoded as base64"
    );
}
