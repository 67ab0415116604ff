//! What people send by mistake: refused with a line that says what it is and how to send it, or
//! taken where it can mean one thing only.

mod makers;

use std::fs;
use std::process::Command;

use actionproxy_core::init::decode::{Form, decode};
use actionproxy_core::{
    Action, Code, Config, InitError, InitRequest, Logs, NativeRunner, Stub, UnpackLimits,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use makers::zip::Entry;
use makers::{Place, tar, zip};

const SCRIPT: &[u8] = b"#!/bin/sh\necho '{\"a\": \"???>>>\"}'\n";

/// Why `code` is refused, without what every such line begins with.
fn refused(code: Code) -> String {
    let line = match decode(code) {
        Ok(payload) => panic!("it was taken: {payload:?}"),
        Err(e) => e.to_string(),
    };
    assert!(!line.contains('\n'), "{line:?}");
    line.strip_prefix("failed to decode `code`: ")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

fn refused_text(text: impl AsRef<[u8]>) -> String {
    refused(Code::Text(text.as_ref().to_vec()))
}

fn refused_binary(text: impl AsRef<[u8]>) -> String {
    refused(Code::Base64(text.as_ref().to_vec()))
}

/// Why the base64 of `bytes` is refused.
fn refused_bytes(bytes: &[u8]) -> String {
    refused_binary(STANDARD.encode(bytes))
        .strip_prefix("expected a zip, a tar.gz, an ELF executable or a `#!` script, found ")
        .expect("a foreign form")
        .to_owned()
}

fn decoded(text: &str) -> Vec<u8> {
    decode(Code::Base64(text.as_bytes().to_vec()))
        .unwrap_or_else(|e| panic!("{e}"))
        .bytes()
        .to_vec()
}

/// A zip and a tar.gz of the script as `exec`, an ELF file, and the script, each with its name.
fn forms() -> [(Vec<u8>, &'static str); 4] {
    let mut elf = fs::read("/proc/self/exe").unwrap();
    elf.truncate(5000);
    [
        (
            zip::of(&[Entry::deflated("exec", 0o100755, SCRIPT)]),
            "a zip archive",
        ),
        (tar::of(&[tar::file("exec", 0o755, SCRIPT)]), "a gzip file"),
        (elf, "an ELF executable"),
        (SCRIPT.to_vec(), "a `#!` script"),
    ]
}

#[test]
fn base64_sent_as_text() {
    for (bytes, name) in forms() {
        let expected =
            format!("it is text that holds base64 of {name}: send it with `binary` true");
        let lines = STANDARD
            .encode(&bytes)
            .as_bytes()
            .chunks(76)
            .fold(String::from("\u{feff}"), |text, line| {
                text + std::str::from_utf8(line).unwrap() + "\r\n"
            });
        for text in [
            STANDARD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
            lines,
        ] {
            assert_eq!(refused_text(text), expected);
        }
        let uri = format!(
            "data:application/octet-stream;base64,{}",
            STANDARD.encode(&bytes)
        );
        assert_eq!(
            refused_text(uri),
            "it is text that holds a `data:` URI: send what follows its comma, with `binary` true"
        );
    }
}

#[test]
fn an_archive_read_as_text_and_sent_as_text() {
    let [(zip, _), (gzip, _), (elf, _), _] = forms();
    for (bytes, name) in [
        (zip, "a zip archive"),
        (gzip, "a gzip file that was read as text"),
        (elf, "an ELF executable"),
    ] {
        let expected =
            format!("it is {name}, sent as text: send base64 of its bytes, with `binary` true");
        // With U+FFFD for what is no UTF-8, and as Latin-1, where each byte is a character.
        let latin: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        assert_eq!(refused_text(&*String::from_utf8_lossy(&bytes)), expected);
        assert_eq!(refused_text(latin), expected);
    }
}

#[test]
fn text_that_only_looks_like_base64_is_left_alone() {
    for text in [
        "UEsDBBQAAAAIA",
        "UEsDBBQAAAAIAAAAIQBQ # a comment",
        "echo UEsDBBQAAAAIAAAAIQBQAAAA",
        "aGVsbG8gd29ybGQgYW5kIHNvIG9u",
        "IyEv",
        "data: 1",
        "data:text/plain,hello",
        "",
    ] {
        let text = text.as_bytes().to_vec();
        assert_eq!(decode(Code::Text(text.clone())).unwrap().bytes(), text);
    }
    // An embedder may have the bytes of a program for text.
    let [_, _, (elf, _), _] = forms();
    assert!(decode(Code::Text(elf)).is_ok());
}

#[test]
fn base64_of_base64() {
    for (bytes, name) in forms() {
        let twice = STANDARD.encode(STANDARD.encode(&bytes) + "\n");
        assert!(
            refused_binary(twice)
                .ends_with(&format!("found base64 of {name}: encode it only once"))
        );
    }
}

#[test]
fn base64_with_something_around_it() {
    let code = STANDARD.encode(SCRIPT);
    let data = "it is a `data:` URI: send only what follows its comma";
    let armour = "it stands between a first and a last line of another format: leave them out";
    for (text, reason) in [
        (format!("data:application/zip;base64,{code}"), data),
        (format!("DATA:;BASE64,{code}"), data),
        (
            format!("b'{code}'"),
            "it is a Python `bytes` object printed: call `.decode()` on it",
        ),
        (
            format!("\"{code}\""),
            "it stands in quotes of its own: leave them out",
        ),
        (
            format!("-----BEGIN CERTIFICATE-----\r\n{code}\r\n-----END CERTIFICATE-----"),
            armour,
        ),
        (format!("begin-base64 755 exec\n{code}\n===="), armour),
    ] {
        let line = refused_binary(&text);
        assert!(line.starts_with("not base64: byte 0x"), "{line}");
        assert!(line.ends_with(reason), "{text}: {line}");
    }
}

#[test]
fn something_else_instead_of_base64() {
    let [(zip, _), ..] = forms();
    for (text, reason) in [
        (
            SCRIPT,
            "byte 0x23 at offset 0: it is the text of a script: send it with `binary` false, or as base64",
        ),
        (
            &zip,
            "byte 0x03 at offset 2: it is the file itself: send it as base64",
        ),
        (
            b"@action.zip",
            "byte 0x40 at offset 0 of text that begins with `@action.zip`",
        ),
        (
            b"https://example.org/action.zip?with=a&long=query",
            "byte 0x3a at offset 5 of text that begins with `https://example.org/action.zip?with=a&lo...`",
        ),
    ] {
        assert_eq!(refused_binary(text), format!("not base64: {reason}"));
    }
}

#[test]
fn base64_whose_plus_signs_became_spaces() {
    let code = STANDARD.encode(b"#!/bin/sh\n>>>>\xfb\xef");
    assert!(code.ends_with('=') && code.contains('+'), "{code}");
    let spaces = code.replacen('+', " ", 1).replace('+', "A");
    assert!(
        refused_binary(&spaces).ends_with(
            "it has 1 spaces and no `+`, which becomes a space where base64 is sent as a form \
             without `%2B` for it"
        ),
        "{}",
        refused_binary(&spaces)
    );
}

#[test]
fn base64_of_the_url_alphabet_is_taken() {
    for length in [0, 1, 2, 5000] {
        // Symbols 62 and 63.
        let bytes = [b"#!".as_slice(), &[0xff, 0xef, 0xfe, 0xfb].repeat(length)].concat();
        let url = URL_SAFE.encode(&bytes);
        assert_eq!(url.contains('-') && url.contains('_'), length > 1);
        assert_eq!(decoded(&url), bytes);
        assert_eq!(decoded(&URL_SAFE_NO_PAD.encode(&bytes)), bytes);
        assert_eq!(decoded(&format!("\u{feff}{url}\r\n")), bytes);
    }
}

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

/// An action whose image has an executable of its own, and what an init says in the logs.
struct Image {
    dir: tempfile::TempDir,
    action: Action,
}

impl Image {
    fn new() -> Image {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("exec");
        fs::write(&own, "#!/bin/sh\necho '{\"image\":true}'\n").unwrap();
        fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Image {
            action: open(&dir),
            dir,
        }
    }

    /// With the built-in stub instead.
    fn without_executable() -> Image {
        let dir = tempfile::tempdir().unwrap();
        Image {
            action: open(&dir),
            dir,
        }
    }

    fn init(&mut self, archive: &[u8]) -> (Result<(), InitError>, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut logs = Logs::new(&mut stdout, &mut stderr);
        let request = InitRequest {
            code: Some(Code::Base64(STANDARD.encode(archive).into_bytes())),
            ..InitRequest::default()
        };
        let result = self.action.init(request, &mut logs);
        assert_eq!(stdout, b"");
        (result, String::from_utf8(stderr).unwrap())
    }
}

fn open(dir: &tempfile::TempDir) -> Action {
    let mut config = Config::new(dir.path());
    config.stub = Some(Stub("#!/bin/sh\necho '{\"stub\":true}'\n".to_owned()));
    Action::open(config, NativeRunner).unwrap()
}

/// A file: its name, mode and content.
type Named<'a> = (&'a str, u32, &'a [u8]);

/// An archive of these files, as a zip and as a tar.gz.
fn both(files: &[Named<'_>]) -> [Vec<u8>; 2] {
    let zipped: Vec<_> = files
        .iter()
        .map(|(name, mode, content)| Entry::file(name, 0o100000 | mode, content))
        .collect();
    let tarred: Vec<_> = files
        .iter()
        .map(|(name, mode, content)| tar::file(name, *mode, content))
        .collect();
    [zip::of(&zipped), tar::of(&tarred)]
}

#[test]
fn an_archive_without_exec_at_its_top_is_named_whether_it_is_refused_or_the_images_own_runs() {
    let inner = zip::of(&[makers::good()]);
    let python = "`main.py` runs only if `exec` starts it, a script with `exec python3 main.py`";
    let cases: &[(&[Named<'_>], &str)] = &[
        (
            &[("mine/exec", 0o755, SCRIPT), ("mine/lib/a", 0o644, b"")],
            "it has `mine/`: `mine/exec` has to stand at the top: archive what is in `mine/`, not the directory",
        ),
        (
            &[
                ("a/b/exec", 0o755, SCRIPT),
                ("README", 0o644, b""),
                ("__MACOSX/exec", 0o644, b""),
            ],
            "it has `README`, `__MACOSX/`, `a/`: `a/b/exec` has to stand at the top: archive what is in `a/b/`, not the directory",
        ),
        (
            &[("main.py", 0o644, b"")],
            &format!("it has `main.py`: {python}"),
        ),
        (
            &[
                ("a.py", 0o644, b""),
                ("main.py", 0o644, b""),
                ("b.py", 0o644, b""),
            ],
            &format!("it has `a.py`, `b.py`, `main.py`: {python}"),
        ),
        (
            &[("index.js", 0o644, b""), ("package.json", 0o644, b"")],
            "it has `index.js`, `package.json`: `index.js` runs only if `exec` starts it, a script with `exec node index.js`",
        ),
        (
            &[("mine/main.py", 0o644, b""), ("__MACOSX/x", 0o644, b"")],
            "it has `__MACOSX/`, `mine/`: everything is in `mine/`: archive what is in there, not the directory",
        ),
        (
            &[("exec.sh", 0o755, SCRIPT), ("lib/a", 0o644, b"")],
            "it has `exec.sh`, `lib/`: `exec.sh` has to be called `exec`",
        ),
        (
            &[("Exec", 0o755, SCRIPT)],
            "it has `Exec`: `Exec` has to be called `exec`",
        ),
        (
            &[("hello", 0o755, SCRIPT), ("README", 0o644, b"")],
            "it has `README`, `hello`: if `hello` is the program, it has to be called `exec`",
        ),
        (
            &[("exec.sha256", 0o644, b""), ("hello", 0o755, SCRIPT)],
            "it has `exec.sha256`, `hello`: if `hello` is the program, it has to be called `exec`",
        ),
        (
            &[("action.zip", 0o644, &inner)],
            "it has `action.zip`: `action.zip` is a zip archive: send that alone",
        ),
        (
            &[
                ("1", 0o644, b""),
                ("2", 0o644, b""),
                ("3", 0o644, b""),
                ("4", 0o644, b""),
                ("5", 0o644, b""),
                ("6", 0o644, b""),
            ],
            "it has `1`, `2`, `3`, `4`, `5` and 1 more",
        ),
        (&[], "it is empty"),
    ];
    for (files, found) in cases {
        let said = format!("the archive has no `exec` at its top; {found}");
        for archive in both(files) {
            let (result, logged) = Image::without_executable().init(&archive);
            assert_eq!(result.unwrap_err().to_string(), said);
            assert_eq!(logged, "");

            let mut image = Image::new();
            let (result, logged) = image.init(&archive);
            result.unwrap();
            let own = image.dir.path().join("exec");
            assert_eq!(
                logged,
                format!(
                    "{said}; what stood there before stays and runs: {}\n",
                    own.display()
                )
            );
            assert!(fs::read_to_string(own).unwrap().contains("image"));
        }
    }
    // With it, nothing is said.
    for archive in both(&[("exec", 0o755, SCRIPT), ("main.py", 0o644, b"")]) {
        let (result, logged) = Image::new().init(&archive);
        result.unwrap();
        assert_eq!(logged, "");
    }
}

#[test]
fn names_with_backslashes_from_windows() {
    let unix = |name: &str| Entry::file(name, 0o100644, b"x");
    let windows = |name: &str| Entry {
        system: 0,
        ..Entry::file(name, 0, b"x")
    };
    let exec = || makers::good();
    let remark = |count: &str, first: &str| {
        format!(
            "{count} a backslash, as `{first}` has: it is a part of the name and separates nothing; an archive's directories are separated by `/`\n"
        )
    };
    let kept = remark("1 name has", "lib\\a");
    // What they say of their system does not matter where no name has a slash.
    for (entries, path, logged) in [
        (
            vec![exec(), unix("lib\\sub\\a"), unix("lib\\b")],
            "lib/sub/a",
            "",
        ),
        (vec![exec(), windows("lib\\sub\\a")], "lib/sub/a", ""),
        (
            vec![exec(), windows("lib\\a"), windows("lib/b")],
            "lib/a",
            "",
        ),
        (vec![exec(), unix("lib\\a"), unix("lib/b")], "lib\\a", &kept),
        (
            vec![exec(), windows("lib/sub\\a"), windows("lib/sub\\b")],
            "lib/sub\\a",
            &remark("2 names have", "lib/sub\\a"),
        ),
    ] {
        let mut image = Image::without_executable();
        let (result, said) = image.init(&zip::of(&entries));
        result.unwrap();
        assert_eq!(said, logged, "{path}");
        assert_eq!(
            fs::read(image.dir.path().join(path)).unwrap(),
            b"x",
            "{path}"
        );
    }
    let mut image = Image::without_executable();
    let tarred = tar::of(&[makers::good_tar(), tar::file("lib\\a", 0o644, b"x")]);
    let (result, said) = image.init(&tarred);
    result.unwrap();
    assert_eq!(said, kept);
    assert!(image.dir.path().join("lib\\a").exists());
}

#[test]
fn names_with_backslashes_lead_nowhere() {
    for name in ["..\\up", "lib\\..\\..\\up", "\\etc\\passwd"] {
        let archive = zip::of(&[makers::good(), Entry::file(name, 0o100644, b"x")]);
        let line = Place::new().refuses(Form::Zip, &archive, &UnpackLimits::default());
        let shown = name.replace('\\', "/");
        assert!(
            line.starts_with(&format!("failed to unpack `{shown}`: the name ")),
            "{line}"
        );
    }
}

#[test]
fn a_tar_that_was_never_closed() {
    // Without the zeros that end it, as when the program that writes it ends early.
    let cut = makers::gzip(&[makers::good_tar(), tar::file("lib/a", 0o644, b"x")].concat());
    let (result, logged) = Image::without_executable().init(&cut);
    result.unwrap();
    assert_eq!(
        logged,
        "the tar ends after `lib/a` without an end mark: entries may be missing\n"
    );
}
