//! Archives that must be unpacked as they come: made by real tools, and byte by byte where a tool
//! cannot be told to.
//!
//! The tools are Info-ZIP `zip`, Python 3, GNU `tar` and libarchive's `bsdtar`.

mod makers;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use actionproxy_core::UnpackLimits;
use actionproxy_core::init::decode::Form;
use makers::zip::Entry;
use makers::{Place, good_tar, tar, zip};

/// What installing the archive leaves in the action directory.
fn installed(form: Form, bytes: &[u8]) -> BTreeMap<String, String> {
    let place = Place::new();
    place
        .install(form, bytes, &UnpackLimits::default())
        .unwrap_or_else(|e| panic!("{e}"));
    makers::snapshot(&place.action())
}

/// A tree with what actions bring: an executable, a library, symlinks both ways, a directory of
/// its own mode, an empty one, names that are long or not ASCII.
fn fill(dir: &Path) {
    let write = |name: &str, mode: u32, content: &str| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("exec", 0o755, "#!/bin/sh\necho '{}'\n");
    write("lib/code.py", 0o644, &"print(1)\n".repeat(500));
    write("lib/bin/tool", 0o4750, "tool");
    write(&long_name(), 0o600, "long");
    write("d\u{e9}j\u{e0}/\u{65e5}\u{672c}", 0o644, "unicode");
    fs::create_dir(dir.join("empty")).unwrap();
    fs::set_permissions(dir.join("empty"), fs::Permissions::from_mode(0o1711)).unwrap();
    symlink("lib/code.py", dir.join("link")).unwrap();
    symlink("../../exec", dir.join("lib/bin/up")).unwrap();
    symlink("lib/../exec", dir.join("around")).unwrap();
}

/// Over 100 bytes in a component and over 256 in all: more than a ustar header holds.
fn long_name() -> String {
    format!(
        "{}/{}/{}",
        "a".repeat(120),
        "b".repeat(120),
        "c".repeat(110)
    )
}

fn filled() -> BTreeMap<String, String> {
    let long = long_name();
    let parent = &long[..241];
    [
        ("exec", "755 #!/bin/sh\necho '{}'\n"),
        ("lib", "755/"),
        ("lib/code.py", &format!("644 {}", "print(1)\n".repeat(500))),
        ("lib/bin", "755/"),
        // Setuid, setgid and the sticky bit are dropped.
        ("lib/bin/tool", "750 tool"),
        ("lib/bin/up", "-> ../../exec"),
        (&long[..120], "755/"),
        (parent, "755/"),
        (&long, "600 long"),
        ("d\u{e9}j\u{e0}", "755/"),
        ("d\u{e9}j\u{e0}/\u{65e5}\u{672c}", "644 unicode"),
        ("empty", "711/"),
        ("link", "-> lib/code.py"),
        ("around", "-> lib/../exec"),
    ]
    .map(|(name, what)| (name.to_owned(), what.to_owned()))
    .into()
}

/// Fills a directory, lets a tool archive it, and unpacks what the tool wrote to `archive`.
fn made_by(form: Form, tool: &str, arguments: &[&str]) -> BTreeMap<String, String> {
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fill(&tree);
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(&tree)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|e| panic!("this test needs `{tool}`: {e}"));
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    installed(form, &fs::read(work.path().join("archive")).unwrap())
}

#[test]
fn info_zip() {
    if !makers::is_here("zip") {
        return;
    }
    // It appends `.zip` to a name without a dot, hence the pipe through `-`.
    let script = "zip -q -r -y - . > ../archive";
    assert_eq!(made_by(Form::Zip, "sh", &["-c", script]), filled());
    let stored = "zip -q -0 -r -y ../archive.zip . && mv ../archive.zip ../archive";
    assert_eq!(made_by(Form::Zip, "sh", &["-c", stored]), filled());
    let listed = "find . -mindepth 1 | zip -q -y -@ ../archive.zip && zip -q -z ../archive.zip < exec && mv ../archive.zip ../archive";
    assert_eq!(made_by(Form::Zip, "sh", &["-c", listed]), filled());
}

#[test]
fn info_zip_without_directories_or_symlinks() {
    if !makers::is_here("zip") {
        return;
    }
    let found = made_by(
        Form::Zip,
        "sh",
        &[
            "-c",
            "zip -q -r -D ../archive.zip exec link lib/code.py && mv ../archive.zip ../archive",
        ],
    );
    assert_eq!(found["exec"], "755 #!/bin/sh\necho '{}'\n");
    assert_eq!(found["lib"], "755/");
    assert_eq!(found["link"], found["lib/code.py"]);
}

#[test]
fn python_zipfile() {
    if !makers::is_here("python3") {
        return;
    }
    let script = "
import os, sys, zipfile
with zipfile.ZipFile('../archive', 'w', zipfile.ZIP_DEFLATED) as z:
    for top, dirs, files in os.walk('.'):
        for name in dirs + files:
            z.write(os.path.join(top, name))
";
    let mut found = made_by(Form::Zip, "python3", &["-c", script]);
    // It follows symlinks.
    for (link, target) in [
        ("link", "lib/code.py"),
        ("lib/bin/up", "exec"),
        ("around", "exec"),
    ] {
        assert_eq!(found[link], found[target]);
        found.insert(link.to_owned(), filled()[link].clone());
    }
    assert_eq!(found, filled());
}

#[test]
fn python_writestr_and_a_stream() {
    if !makers::is_here("python3") {
        return;
    }
    // `writestr` gives 0600 and no type; a stream cannot be sought in, so sizes come behind.
    let script = "
import sys, zipfile
class Stream:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
with open('../archive', 'wb') as f:
    with zipfile.ZipFile(Stream(f), 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('exec', 'hello')
        with z.open('lib/big', 'w', force_zip64=True) as big:
            big.write(b'x' * 100000)
";
    let found = made_by(Form::Zip, "python3", &["-c", script]);
    assert_eq!(found["exec"], "755 hello");
    assert_eq!(found["lib/big"], format!("600 {}", "x".repeat(100_000)));
}

#[test]
fn python_shutil() {
    if !makers::is_here("python3") {
        return;
    }
    let script = "
import shutil
shutil.make_archive('../made', 'zip', '.')
shutil.move('../made.zip', '../archive')
";
    let found = made_by(Form::Zip, "python3", &["-c", script]);
    assert_eq!(found["exec"], "755 #!/bin/sh\necho '{}'\n");
    assert_eq!(found["empty"], "711/");
}

#[test]
fn gnu_tar() {
    if !makers::is_here("tar") {
        return;
    }
    for format in ["gnu", "pax", "oldgnu"] {
        let script = format!("tar --format={format} -czf ../archive .");
        assert_eq!(
            made_by(Form::TarGz, "sh", &["-c", &script]),
            filled(),
            "{format}"
        );
    }
    let named = "tar -czf ../archive exec lib link around empty d* a*/b*";
    assert_eq!(made_by(Form::TarGz, "sh", &["-c", named]), filled());
}

#[test]
fn gnu_tar_with_hard_links_and_holes() {
    if !makers::is_here("tar") {
        return;
    }
    let script = "ln exec lib/again && truncate -s 300K hole && printf x >> hole && \
                  tar -S --format=gnu -czf ../archive exec lib/again hole";
    let found = made_by(Form::TarGz, "sh", &["-c", script]);
    assert_eq!(found["lib/again"], found["exec"]);
    assert_eq!(found["hole"], format!("644 {}x", "\0".repeat(300 << 10)));
}

#[test]
fn bsdtar() {
    if !makers::is_here("bsdtar") {
        return;
    }
    for format in ["pax", "gnutar"] {
        let script = format!("bsdtar --format={format} -czf ../archive .");
        assert_eq!(
            made_by(Form::TarGz, "sh", &["-c", &script]),
            filled(),
            "{format}"
        );
    }
    let script = "bsdtar --format=zip -cf ../archive .";
    assert_eq!(made_by(Form::Zip, "sh", &["-c", script]), filled());
}

#[test]
fn entries_of_every_kind_by_hand() {
    let entries = [
        Entry::deflated("exec", 0o100644, b"#!/bin/sh\n"),
        Entry {
            zip64: true,
            ..Entry::deflated("zip64", 0o100640, &[b'z'; 5000])
        },
        Entry {
            descriptor: true,
            ..Entry::deflated("descriptor", 0o100640, &[b'd'; 5000])
        },
        Entry {
            descriptor: true,
            zip64: true,
            ..Entry::deflated("both", 0o100640, &[b'b'; 5000])
        },
        Entry::file("no/mode", 0, b"x"),
        Entry::file("only/permissions", 0o750, b"x"),
        Entry {
            flags: zip::UTF8,
            ..Entry::file("\u{e9}", 0o100644, b"utf-8")
        },
        Entry::file(b"\x82", 0o100644, b"cp437"),
        Entry::directory("shut/", 0o40000),
        Entry::directory("no-slash", 0o40750),
        Entry::directory("no/", 0o40711),
    ];
    let expected: BTreeMap<String, String> = [
        ("exec", "755 #!/bin/sh\n"),
        ("zip64", &format!("640 {}", "z".repeat(5000))),
        ("descriptor", &format!("640 {}", "d".repeat(5000))),
        ("both", &format!("640 {}", "b".repeat(5000))),
        ("no", "711/"),
        ("no/mode", "644 x"),
        ("only", "755/"),
        ("only/permissions", "750 x"),
        ("shut", "700/"),
        ("no-slash", "750/"),
    ]
    .map(|(name, what)| (name.to_owned(), what.to_owned()))
    .into();
    // Both names are an e with an acute accent, in two encodings.
    let line = Place::new().refuses(Form::Zip, &zip::of(&entries), &UnpackLimits::default());
    assert_eq!(
        line,
        "failed to unpack `\u{e9}`: another entry has the same name: make the archive anew instead of adding to it"
    );
    for index in [6, 7] {
        let mut entries = entries.to_vec();
        let content = String::from_utf8(entries.remove(index).data).unwrap();
        let kept = if content == "utf-8" { "cp437" } else { "utf-8" };
        let mut expected = expected.clone();
        expected.insert("\u{e9}".to_owned(), format!("644 {kept}"));
        for (prefix, comment) in [
            (&b""[..], &b""[..]),
            (b"some bytes in front", b""),
            (b"", b"a comment with PK\x05\x06 in it"),
        ] {
            assert_eq!(
                installed(Form::Zip, &zip::archive(prefix, &entries, comment)),
                expected
            );
        }
    }
}

#[test]
fn tar_entries_by_hand() {
    let found = installed(
        Form::TarGz,
        &tar::of(&[
            tar::entry("./", b'5', 0o700, "", b""),
            tar::entry("pax_global_header", b'g', 0o644, "", b"13 comment=x\n"),
            tar::file("./exec", 0o644, b"#!/bin/sh\n"),
            tar::entry("old", 0, 0o644, "", b"x"),
            tar::entry("old-directory/", 0, 0o755, "", b""),
            tar::entry("later/x", b'0', 0o644, "", b"x"),
            tar::entry("later", b'5', 0o711, "", b""),
            tar::pax("path", "\u{65e5}\u{672c}"),
            tar::file("short", 0o644, b"x"),
            tar::pax("linkpath", "later/x"),
            tar::entry("link", b'2', 0o777, "short", b""),
        ]),
    );
    let expected: BTreeMap<String, String> = [
        ("exec", "755 #!/bin/sh\n"),
        ("old", "644 x"),
        ("old-directory", "755/"),
        ("later", "711/"),
        ("later/x", "644 x"),
        ("\u{65e5}\u{672c}", "644 x"),
        ("link", "-> later/x"),
    ]
    .map(|(name, what)| (name.to_owned(), what.to_owned()))
    .into();
    assert_eq!(found, expected);
}

#[test]
fn a_tar_in_several_gzip_streams() {
    let whole = [good_tar(), tar::file("lib/a", 0o644, &[7; 5000])].concat();
    let whole = [&whole[..], &[0; 1024]].concat();
    // As `pigz -i` and `cat a.gz b.gz` make them, an empty one among them.
    let streams = [&whole[..700], &[], &whole[700..]].map(makers::gzip);
    let found = installed(Form::TarGz, &streams.concat());
    assert_eq!(found["lib/a"].len(), 5004);
}

#[test]
fn names_that_are_no_utf_8_are_kept_in_tar() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let archive = tar::of(&[tar::file(b"caf\xe9", 0o644, b"x")]);
    place
        .install(Form::TarGz, &archive, &UnpackLimits::default())
        .unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    assert_eq!(fs::read(place.action().join(name)).unwrap(), b"x");
}

#[test]
fn an_executable_behind_a_symlink_is_made_executable() {
    let found = installed(
        Form::Zip,
        &zip::of(&[
            Entry::file("bin/real", 0o100644, b"#!/bin/sh\n"),
            Entry::symlink("exec", "bin/real"),
        ]),
    );
    assert_eq!(found["exec"], "-> bin/real");
    assert_eq!(found["bin/real"], "755 #!/bin/sh\n");
}

#[test]
fn a_single_file_becomes_the_executable() {
    for (form, bytes) in [
        (Form::Script, &b"#!/bin/sh\n"[..]),
        (Form::Elf, b"\x7fELF and so on"),
    ] {
        let found = installed(form, bytes);
        let content = String::from_utf8_lossy(bytes);
        assert_eq!(found["exec"], format!("755 {content}"));
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn an_empty_archive_changes_nothing() {
    assert_eq!(installed(Form::Zip, &zip::of(&[]))["exec"], "644 old");
    assert_eq!(installed(Form::TarGz, &tar::of(&[]))["exec"], "644 old");
}

#[test]
fn a_hard_link_is_one_file() {
    let place = Place::new();
    let archive = tar::of(&[
        tar::file("a", 0o644, b"x"),
        tar::entry("lib/b", b'1', 0o644, "./a", b""),
    ]);
    place
        .install(Form::TarGz, &archive, &UnpackLimits::default())
        .unwrap();
    let inode = |name: &str| fs::metadata(place.action().join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("lib/b"));
}
