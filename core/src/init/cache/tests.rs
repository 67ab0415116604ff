//! What is kept comes back as it was, within the limit, and nothing that is wrong with it is used.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::fs::FlockOperation;

use super::*;
use crate::command::CommandLine;
use crate::config::{Config, InstanceKind};
use crate::message::{InitRequest, Received};
use crate::run::env::Environment;

struct Site {
    dir: tempfile::TempDir,
    config: BuildCache,
}

impl Site {
    fn new(max_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = BuildCache {
            dir: dir.path().join("above/cache"),
            max_bytes,
        };
        Site { dir, config }
    }

    fn cache(&self, code: &str) -> Cache<'_> {
        Cache::new(&self.config, &Digest::of(code.as_bytes()))
    }

    fn fetch(&self, code: &str) -> (Found, PathBuf) {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        (self.cache(code).fetch(&dir), dir)
    }

    fn is_kept(&self, code: &str) -> bool {
        matches!(self.fetch(code).0, Found::Built)
    }

    /// A directory with one file of so many bytes.
    fn built(&self, length: usize) -> PathBuf {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        fs::write(dir.join("exec"), vec![b'x'; length]).unwrap();
        dir
    }

    fn entry(&self, code: &str) -> PathBuf {
        self.config
            .dir
            .join(Digest::of(code.as_bytes()).to_string())
    }

    fn age(&self, code: &str, seconds: i64) {
        let time = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::futimens(File::open(self.entry(code)).unwrap(), &times).unwrap();
    }
}

/// Path, mode, seconds and content of everything below `dir`.
fn listing(dir: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let (content, time) = match metadata.file_type() {
            kind if kind.is_symlink() => {
                let target = fs::read_link(&path).unwrap();
                (target.into_os_string().into_encoded_bytes(), 0)
            }
            kind if kind.is_dir() => {
                found.extend(listing(&path));
                (Vec::new(), 0)
            }
            _ => (fs::read(&path).unwrap(), metadata.mtime()),
        };
        found.push((path, metadata.mode(), time, content));
    }
    found.sort();
    found
}

fn below(dir: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    let listed = listing(dir).into_iter();
    let relative = |path: PathBuf| path.strip_prefix(dir).unwrap().to_path_buf();
    listed
        .map(|(path, mode, time, content)| (relative(path), mode, time, content))
        .collect()
}

#[test]
fn a_tree_comes_back_with_modes_links_and_times() {
    let site = Site::new(1 << 20);
    let built = site.built(100_000);
    fs::create_dir_all(built.join("lib/deep")).unwrap();
    fs::write(built.join("lib/deep/empty"), "").unwrap();
    fs::write(built.join("lib/deep/secret"), "s").unwrap();
    symlink("../exec", built.join("lib/link")).unwrap();
    symlink("/nowhere/at all", built.join("absolute")).unwrap();
    for (name, mode) in [
        ("exec", 0o755),
        ("lib/deep/secret", 0o600),
        ("lib/deep", 0o500),
    ] {
        fs::set_permissions(built.join(name), Permissions::from_mode(mode)).unwrap();
    }
    let old = File::open(built.join("exec")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000))
        .unwrap();

    assert!(matches!(site.fetch("a").0, Found::Nothing));
    site.cache("a").store(&built).unwrap();
    assert_eq!(
        fs::metadata(&site.config.dir).unwrap().mode() & 0o777,
        0o700
    );
    let (found, dir) = site.fetch("a");
    assert!(matches!(found, Found::Built));
    assert_eq!(below(&dir), below(&built));
    assert_eq!(below(&dir).len(), 7);
    assert!(!site.is_kept("b"));
    for dir in [dir, built] {
        fs::set_permissions(dir.join("lib/deep"), Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn an_entry_that_is_damaged_anywhere_or_cut_off_is_not_used() {
    let site = Site::new(1 << 20);
    site.cache("a").store(&site.built(300)).unwrap();
    let whole = fs::read(site.entry("a")).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(site.entry("a"), bytes).unwrap();
        match site.fetch("a").0 {
            Found::Unusable(why) => assert!(why.contains("the entry is damaged: "), "{why}"),
            _ => panic!("{} of {} bytes", bytes.len(), whole.len()),
        }
    };
    for at in 0..whole.len() {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1;
        refused(&spoilt);
        refused(&whole[..at]);
    }
    refused(&[&*whole, b"x"].concat());
    fs::write(site.entry("a"), &whole).unwrap();
    assert!(site.is_kept("a"));
    // What is no file is not read at all.
    fs::remove_file(site.entry("a")).unwrap();
    fs::create_dir(site.entry("a")).unwrap();
    assert!(matches!(site.fetch("a").0, Found::Unusable(_)));
    fs::remove_dir(site.entry("a")).unwrap();
    symlink("elsewhere", site.entry("a")).unwrap();
    assert!(matches!(site.fetch("a").0, Found::Unusable(_)));
}

/// Whoever makes a digest can make a tree too; it must not lead out of the directory.
#[test]
fn bytes_that_are_no_tree_are_refused_before_they_do_anything() {
    let name = |name: &[u8]| [&(name.len() as u32).to_le_bytes()[..], name].concat();
    let entry = |kind: u8, bytes: &[u8]| [&[kind][..], &[0xff, 1, 0, 0], &name(bytes)].concat();
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    for bytes in [
        entry(b'd', b".."),
        entry(b'd', b"."),
        entry(b'd', b""),
        entry(b'f', b"../out"),
        entry(b'f', b"/tmp/out"),
        entry(b'f', b"a\0b"),
        entry(b'x', b"a"),
        [entry(b'l', b"out"), name(b".."), entry(b'd', b"out")].concat(),
        entry(b'd', b"a").repeat(1000),
        [&[b'f'][..], &[0; 4], &u32::MAX.to_le_bytes()].concat(),
        [
            entry(b'f', b"big"),
            vec![0; 12],
            u64::MAX.to_le_bytes().to_vec(),
            vec![7; 9],
        ]
        .concat(),
        vec![],
    ] {
        fs::create_dir(&inner).unwrap();
        assert!(tree::read(&mut &*bytes, &inner).is_err(), "{bytes:?}");
        fs::remove_dir_all(&inner).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{bytes:?}");
    }
}

#[test]
fn what_was_not_used_for_the_longest_time_goes_first() {
    let one = 1000;
    let site = Site::new(4 * one + 1000);
    for (code, age) in [("a", 100), ("b", 200), ("c", 300), ("d", 400)] {
        site.cache(code).store(&site.built(one as usize)).unwrap();
        site.age(code, age);
    }
    fs::write(site.config.dir.join("somebody else's"), vec![0; 10_000]).unwrap();
    assert!(site.is_kept("a"), "which makes it the last one used");
    site.cache("e").store(&site.built(one as usize)).unwrap();
    assert_eq!(
        ["a", "b", "c", "d", "e"].map(|code| site.entry(code).exists()),
        [true, false, true, true, true]
    );
    // Else it may have been used in the same tick of the clock of files as the last one was made.
    site.age("a", 500);
    site.cache("f")
        .store(&site.built(3 * one as usize))
        .unwrap();
    assert_eq!(
        ["a", "c", "d", "e", "f"].map(|code| site.entry(code).exists()),
        [false, false, false, true, true]
    );
    // The same again takes no room of its own.
    site.cache("f")
        .store(&site.built(3 * one as usize))
        .unwrap();
    assert!(site.entry("e").exists());
    let why = site.cache("g").store(&site.built(50_000)).unwrap_err();
    assert!(
        why.contains("over the limit of the cache, 5000 bytes"),
        "{why}"
    );
    assert!(site.entry("f").exists());
    let names = fs::read_dir(&site.config.dir).unwrap().count();
    assert_eq!(names, 3, "nothing half-written is left");
}

#[test]
fn what_a_process_left_half_written_goes_and_what_one_writes_stays() {
    let site = Site::new(1 << 20);
    fs::create_dir_all(&site.config.dir).unwrap();
    let (left, written) = (
        site.config.dir.join(".new-7-0"),
        site.config.dir.join(".new-8-0"),
    );
    fs::write(&left, "half").unwrap();
    let live = File::create(&written).unwrap();
    rustix::fs::flock(&live, FlockOperation::NonBlockingLockExclusive).unwrap();
    site.cache("a").store(&site.built(1)).unwrap();
    assert!(!left.exists() && written.exists());
    assert!(site.is_kept("a"));
    drop(live);
    site.cache("b").store(&site.built(1)).unwrap();
    assert!(!written.exists());
}

#[test]
fn many_at_once_keep_the_limit_and_see_only_what_is_whole() {
    let site = Site::new(20_000);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let site = &site;
            scope.spawn(move || {
                for round in 0..20 {
                    let code = format!("{}", (writer * 7 + round) % 11);
                    site.cache(&code).store(&site.built(3000)).unwrap();
                    for code in 0..11 {
                        let (found, dir) = site.fetch(&code.to_string());
                        match found {
                            Found::Built => {
                                let content = fs::read(dir.join("exec")).unwrap();
                                assert_eq!(content, vec![b'x'; 3000]);
                            }
                            Found::Nothing => {}
                            Found::Unusable(why) => panic!("{why}"),
                        }
                    }
                }
            });
        }
    });
    let lengths = fs::read_dir(&site.config.dir).unwrap();
    let total: u64 = lengths.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(total <= 20_000, "{total}");
}

#[test]
fn what_cannot_be_kept_is_named() {
    let site = Site::new(1 << 20);
    let socket = site.built(1);
    let _listener = std::os::unix::net::UnixListener::bind(socket.join("socket")).unwrap();
    let why = site.cache("a").store(&socket).unwrap_err();
    assert!(
        why.ends_with("holds `socket`, which is no file, directory or symlink"),
        "{why}"
    );
    let config = BuildCache {
        dir: "/proc/no/cache".into(),
        max_bytes: 1,
    };
    let cache = Cache::new(&config, &Digest::of(b"a"));
    let why = cache.store(&site.built(1)).unwrap_err();
    assert!(why.starts_with("`/proc/no/cache`: "), "{why}");
    assert!(matches!(cache.fetch(&site.built(1)), Found::Nothing));
}

/// Every part of a key, each changed alone, makes another.
#[test]
fn a_key_is_of_all_that_a_build_is_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("compiler");
    let script = dir.path().join("script");
    let write = |path: &Path, text: &str| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    };
    write(&program, "one");
    write(&script, "one");
    let path = [("PATH".into(), dir.path().into())];
    let environment = Environment::new(path);
    let commands = [CommandLine::new("compiler", [script.clone()])];
    let (config, request) = (Config::default(), InitRequest::default());
    let key = || Key {
        architecture: "x",
        code: Digest::of(b"code"),
        received: Received::Text,
        request: &request,
        config: &config,
        commands: &commands,
        environment: &environment,
        stage: Path::new("/stage/1"),
    };
    let digest = |key: Key<'_>| key.digest().map(|digest| digest.to_string());
    let first = digest(key()).expect("the compiler is there");
    assert_eq!(digest(key()), Some(first.clone()));

    let mut others = vec![
        digest(Key {
            architecture: "y",
            ..key()
        }),
        digest(Key {
            code: Digest::of(b"other"),
            ..key()
        }),
        digest(Key {
            received: Received::Binary,
            ..key()
        }),
        digest(Key {
            commands: &[CommandLine::new("compiler", [""; 0])],
            ..key()
        }),
        digest(Key {
            commands: &[commands[0].clone(), commands[0].clone()],
            ..key()
        }),
    ];
    let named = |change: &dyn Fn(&mut InitRequest)| {
        let mut request = InitRequest::default();
        change(&mut request);
        digest(Key {
            request: &request,
            ..key()
        })
    };
    others.push(named(&|r| r.main = Some("niam".to_owned())));
    others.push(named(&|r| r.name = Some("a".to_owned())));
    others.push(named(&|r| r.env = [("CFLAGS", "-O2")].into()));
    let raw = || serde_json::value::RawValue::from_string("1".to_owned()).unwrap();
    others.push(named(&|r| {
        r.fields.insert("x".to_owned(), raw());
    }));
    let laid_out = |change: &dyn Fn(&mut Config), stage: &str| {
        let mut config = Config::default();
        change(&mut config);
        digest(Key {
            config: &config,
            stage: Path::new(stage),
            ..key()
        })
    };
    others.push(laid_out(&|c| c.source = "exec.c".into(), "/stage/1"));
    others.push(laid_out(&|c| c.executable = "run".into(), "/stage/1"));
    others.push(laid_out(&|c| c.unpack.max_bytes = 7, "/stage/1"));
    let resident = |c: &mut Config| {
        c.instance = InstanceKind::Resident(crate::config::ResidentConfig {
            greeting: crate::config::Greeting::Ack,
            execution_env: None,
            keep_jar: None,
        });
    };
    others.push(laid_out(&resident, "/stage/1"));
    others.push(laid_out(&resident, "/stage/2"));
    write(&program, "two");
    others.push(digest(key()));
    write(&program, "one");
    write(&script, "two");
    others.push(digest(key()));
    write(&script, "one");
    let count = others.len();
    let mut all: Vec<_> = others
        .into_iter()
        .map(Option::unwrap)
        .chain([first.clone()])
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count + 1);

    // These make no other: a stage has a name of its own each time, an activation its variables.
    assert_eq!(laid_out(&|_| {}, "/stage/2"), Some(first.clone()));
    let activation: Environment = [("__OW_ACTIVATION_ID", "7")].into();
    assert_eq!(named(&|r| r.env = activation.clone()), Some(first));
    // A program that is not found has no bytes.
    fs::remove_file(&program).unwrap();
    assert_eq!(digest(key()), None);
}

impl Cache<'_> {
    /// As an init that goes well does it.
    fn store(&self, dir: &Path) -> Result<(), String> {
        self.keep(self.write(dir)?)
    }
}
