//! What is in an archive: no executable at its top, names from elsewhere, an end that is missing.

use super::*;

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
