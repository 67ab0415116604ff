//! Properties of decode and unpack, over inputs that nobody thought of.

mod makers;

use std::fs;
use std::path::Path;

use actionproxy_core::init::decode::{Form, Payload, decode};
use actionproxy_core::init::unpack::unpack;
use actionproxy_core::{Code, UnpackLimits};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use makers::zip::Entry;
use makers::{tar, zip};
use proptest::prelude::*;

/// `text` with white space after some characters: `gaps` holds a character and a distance each.
fn spread(text: &str, gaps: &[(char, usize)]) -> String {
    let mut spread = String::new();
    let mut gaps = gaps.iter().cycle();
    let mut next = gaps.next();
    let mut left = next.map_or(usize::MAX, |gap| gap.1);
    for character in text.chars() {
        if left == 0 {
            spread.extend(next.map(|gap| gap.0));
            next = gaps.next();
            left = next.map_or(usize::MAX, |gap| gap.1);
        }
        left -= 1;
        spread.push(character);
    }
    spread
}

fn gaps() -> impl Strategy<Value = Vec<(char, usize)>> {
    let space = prop::sample::select(vec![' ', '\n', '\r', '\t', '\x0c']);
    prop::collection::vec((space, 1_usize..80), 0..5)
}

proptest! {
    #[test]
    fn base64_comes_back_whatever_white_space_is_in_it(
        rest in prop::collection::vec(any::<u8>(), 0..9000),
        gaps in gaps(),
        alphabet in prop::sample::select(vec![&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]),
    ) {
        let bytes = [b"#!".as_slice(), &rest].concat();
        let text = spread(&alphabet.encode(&bytes), &gaps);
        let payload = decode(Code::Base64(text.into_bytes()));
        prop_assert_eq!(
            payload.map_err(|e| e.to_string()),
            Ok(Payload::Binary { form: Form::Script, bytes })
        );
    }

    #[test]
    fn one_wrong_byte_is_refused_at_its_offset(
        rest in prop::collection::vec(any::<u8>(), 0..9000),
        place in any::<prop::sample::Index>(),
        wrong in any::<u8>().prop_filter("a symbol, padding or white space", |byte| {
            !byte.is_ascii_alphanumeric() && !b"+/-_= \t\r\n\x0c".contains(byte)
        }),
    ) {
        let mut text = STANDARD.encode([b"#!".as_slice(), &rest].concat()).into_bytes();
        let place = place.index(text.len());
        text[place] = wrong;
        let line = decode(Code::Base64(text)).unwrap_err().to_string();
        let said = format!("failed to decode `code`: not base64: byte 0x{wrong:02x} at offset {place}");
        let rest = line.strip_prefix(&said).unwrap_or("0");
        prop_assert!(!rest.starts_with(|c: char| c.is_ascii_digit()), "{}", line);
    }

    #[test]
    fn anything_is_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        for code in [Code::Base64(text.clone()), Code::Base64(STANDARD.encode(&text).into()), Code::Text(text)] {
            if let Err(e) = decode(code) {
                prop_assert!(!e.to_string().contains('\n'));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Kind {
    File,
    Directory,
    Symlink(String),
    HardLink(String),
}

/// Paths of few and short components, so that entries meet.
fn path() -> impl Strategy<Value = String> {
    let component = prop::sample::select(vec!["a", "b", "c", "a", "b", "..", ".", ""]);
    prop::collection::vec(component, 1..6).prop_map(|components| components.join("/"))
}

/// Up, down and up again: what a symlink has to be to lead out by way of another.
fn climb() -> impl Strategy<Value = String> {
    let steps = || 0_usize..4;
    (steps(), path(), steps()).prop_map(|(first, down, last)| {
        format!("{}{down}/{}c", "../".repeat(first), "../".repeat(last))
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        1 => Just(Kind::File),
        1 => Just(Kind::Directory),
        2 => path().prop_map(Kind::Symlink),
        4 => climb().prop_map(Kind::Symlink),
        2 => (1_usize..4).prop_map(|n| Kind::Symlink("../".repeat(n))),
        1 => path().prop_map(Kind::HardLink),
    ]
}

fn zip_entry((name, kind): &(String, Kind)) -> Option<Entry> {
    Some(match kind {
        Kind::File => Entry::file(name, 0o100644, b"x"),
        Kind::Directory => Entry::directory(name, 0o40755),
        Kind::Symlink(target) => Entry::symlink(name, target),
        Kind::HardLink(_) => return None,
    })
}

fn tar_entry((name, kind): &(String, Kind)) -> Vec<u8> {
    match kind {
        Kind::File => tar::file(name, 0o644, b"x"),
        Kind::Directory => tar::entry(name, b'5', 0o755, "", b""),
        Kind::Symlink(target) => tar::entry(name, b'2', 0o777, target, b""),
        Kind::HardLink(target) => tar::entry(name, b'1', 0o644, target, b""),
    }
}

/// Unpacks and lets the kernel judge: nothing beside the stage, no symlink that leads out of it.
fn stays_inside(form: Form, bytes: Vec<u8>) -> Result<bool, TestCaseError> {
    let outer = tempfile::tempdir().unwrap();
    // As deep as the paths go up, so that one that leaves the stage still lands in `outer`.
    let stage = outer.path().join("1/2/3/4/5/6/stage");
    fs::create_dir_all(&stage).unwrap();
    let root = stage.canonicalize().unwrap();
    // Something to be found out there.
    for dir in stage.ancestors().skip(1).take(7) {
        fs::write(dir.join("c"), "outside").unwrap();
    }
    let exec = Path::new("exec");
    let payload = Payload::Binary { form, bytes };
    let unpacked = unpack(payload, &stage, exec, exec, &UnpackLimits::default()).is_ok();
    let found = makers::snapshot(outer.path());
    let outside = found.keys().filter(|name| !name.contains("stage/")).count();
    prop_assert_eq!(outside, 14, "{:#?}", found);
    if unpacked {
        for (name, what) in &found {
            let Some(target) = what.strip_prefix("-> ") else {
                continue;
            };
            if let Ok(led) = outer.path().join(name).canonicalize() {
                prop_assert!(
                    led.starts_with(&root),
                    "{} -> {} leads to {:?}",
                    name,
                    target,
                    led
                );
            }
        }
    }
    Ok(unpacked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_archive_leaves_the_stage(
        entries in prop::collection::vec((path(), kind()), 1..25),
    ) {
        let zipped: Vec<Entry> = entries.iter().filter_map(zip_entry).collect();
        stays_inside(Form::Zip, zip::of(&zipped))?;
        let tarred: Vec<Vec<u8>> = entries.iter().map(tar_entry).collect();
        stays_inside(Form::TarGz, tar::of(&tarred))?;
        // An archive that is refused shows little: each entry by itself, added while it is taken.
        let mut taken = vec![tar::entry("a/b/c", b'5', 0o755, "", b"")];
        for entry in tarred {
            taken.push(entry);
            if !stays_inside(Form::TarGz, tar::of(&taken))? {
                taken.pop();
            }
        }
    }
}
