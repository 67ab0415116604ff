//! The encoding: none, one too many, another one.

use super::*;

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
fn an_archive_of_a_form_that_is_not_taken_sent_as_text() {
    // An archive of text files is text but for the NULs.
    let mut tar = vec![0; 1536];
    tar[..4].copy_from_slice(b"exec");
    tar[100..107].copy_from_slice(b"0000755");
    tar[124..135].copy_from_slice(b"00000000007");
    tar[512..519].copy_from_slice(b"#!/bin/");
    let sum = tar[..512].iter().map(|&byte| u64::from(byte)).sum::<u64>() + 8 * 32;
    tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let cpio = b"070701\0".to_vec();
    for (bytes, expected) in [
        (
            tar,
            "a tar archive that is not compressed, sent as text: compress it with gzip (`tar -czf`)",
        ),
        (
            cpio,
            "a cpio archive, sent as text: send a zip or a tar.gz (`tar -czf`)",
        ),
    ] {
        assert_eq!(
            refused_text(bytes),
            format!("it is {expected}, in base64, with `binary` true")
        );
    }
    assert!(decode(Code::Text(b"070707 # a number\n".to_vec())).is_ok());
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
