//! Archives over HTTP: they run, they are refused with one clear line, checksums hold.

use std::fs;
use std::path::Path;

use actionproxy_tests::files::{base64, shell, tree};
use actionproxy_tests::proxy::write_executable;
use actionproxy_tests::{Answer, Proxy, SENTINEL, tools};
use serde_json::{Value, json};

const NO_BINARY_AT_INIT: &str =
    r#"{"error":"The action failed to generate or locate a binary. See logs for details."}"#;
const NO_BINARY: &str =
    r#"{"error":"The action failed to locate a binary. See logs for details."}"#;
const NO_RESULT: &str = r#"{"error":"The action did not return a dictionary or array."}"#;

const READS_LIB: &str = r#"#!/bin/bash
read -r line
echo "{\"said\":\"$(cat lib/word)\",\"got\":$line}"
"#;

/// A directory with an executable that reads a file of `lib` through a symlink.
fn action() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write_executable(&directory.path().join("exec"), READS_LIB.as_bytes());
    shell(
        directory.path(),
        "mkdir lib; printf hello > lib/real; ln -s real lib/word",
        &[],
    );
    directory
}

/// What [`action`] archived by `script` to `archive` answers.
fn answers_when_made_by(script: &str) {
    let directory = action();
    shell(directory.path(), script, &[]);
    let proxy = Proxy::start();
    proxy.init_binary(&fs::read(directory.path().join("archive")).expect("an archive"));
    assert_eq!(
        proxy.result(json!({"n": 1})),
        r#"{"said":"hello","got":{"n":1}}"#
    );
}

#[test]
fn a_zip_made_by_hand_and_posted_with_curl_runs() {
    if !tools::are_here(&["zip", "curl", "base64"]) {
        return;
    }
    let directory = action();
    let proxy = Proxy::start();
    let url = format!("http://{}", proxy.address());
    // `base64` breaks lines, which a JSON string may not hold as they are.
    let said = shell(
        directory.path(),
        r#"zip -q -y action.zip exec lib/real lib/word
           printf '{"value":{"binary":true,"code":"%s"}}' "$(base64 action.zip | sed 's/$/\\r\\n/' | tr -d '\n')" > init.json
           curl -sS -X POST -d @init.json "$URL/init"; echo
           curl -sS -X POST -d '{"value":{"n":1}}' "$URL/run""#,
        &[("URL", &url)],
    );
    assert_eq!(said, "OK\n{\"said\":\"hello\",\"got\":{\"n\":1}}");
}

#[test]
fn archives_of_real_tools_run() {
    if !tools::are_here(&["zip", "tar", "bsdtar", "python3"]) {
        return;
    }
    answers_when_made_by("zip -q -r archive.zip exec lib; mv archive.zip archive");
    answers_when_made_by("tar -czf archive exec lib");
    answers_when_made_by("bsdtar -czf archive exec lib");
    answers_when_made_by(
        "python3 -c 'import shutil; shutil.make_archive(\"../made\", \"zip\", \".\")'
         mv ../made.zip archive",
    );
}

#[test]
fn a_single_script_runs() {
    let proxy = Proxy::start();
    proxy.init_binary(b"#!/bin/bash\necho '{\"a\":1}'\n");
    assert_eq!(proxy.result(json!({})), r#"{"a":1}"#);
}

/// One line on stderr, one sentinel on each stream, the canonical body, and nothing changed.
fn assert_refused(proxy: &mut Proxy, value: Value, reason: &str) {
    let before = tree(&proxy.action_dir());
    let answer = proxy.init_with(value);
    assert_eq!((answer.status, answer.text()), (502, NO_BINARY_AT_INIT));
    let logs = proxy.logs();
    assert_eq!(logs.stdout, "");
    assert_eq!(logs.stderr.lines().count(), 1, "{}", logs.stderr);
    assert!(logs.stderr.contains(reason), "{}", logs.stderr);
    assert!(!proxy.unread().stderr.contains(SENTINEL));
    assert_eq!(tree(&proxy.action_dir()), before);
}

#[test]
fn what_is_refused_leaves_the_stub_and_does_not_count_as_an_init() {
    if !tools::are_here(&["python3"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    shell(
        directory.path(),
        r#"python3 - <<'PYTHON'
import zipfile
def write(name, *entries):
    with zipfile.ZipFile(name, 'w') as archive:
        for entry, mode, content in (('exec', 0o100755, '#!/bin/sh\n'), *entries):
            info = zipfile.ZipInfo(entry)
            info.external_attr = mode << 16
            archive.writestr(info, content)
write('up', ('../escaped', 0o100644, 'x'))
write('absolute', ('/tmp/actionproxy-escaped', 0o100644, 'x'))
write('link', ('out', 0o120777, '/etc'))
write('fifo', ('pipe', 0o010644, ''))
PYTHON"#,
        &[],
    );
    let mut proxy = Proxy::start();
    for (name, reason) in [
        ("up", "failed to unpack `../escaped`: the name has a `..`"),
        (
            "absolute",
            "failed to unpack `/tmp/actionproxy-escaped`: the name is absolute",
        ),
        (
            "link",
            "failed to unpack `out`: it is a symlink to the absolute `/etc`: one to what the archive \
             holds has to be relative",
        ),
        ("fifo", "failed to unpack `pipe`: it is a fifo"),
    ] {
        let archive = fs::read(directory.path().join(name)).expect("an archive");
        let value = json!({"binary": true, "code": base64(&archive)});
        assert_refused(&mut proxy, value, reason);
    }
    for (code, reason) in [
        ("not base64", "failed to decode `code`: "),
        ("AAAA", "found 3 bytes that begin with 00 00 00"),
        ("UEsDBA==", "failed to unpack the archive: "),
        (
            "H4sI",
            "failed to unpack the archive: the tar.gz ends before its first entry, ",
        ),
        ("", "failed to decode `code`: it is empty"),
    ] {
        assert_refused(&mut proxy, json!({"binary": true, "code": code}), reason);
    }
    proxy.init_binary(b"#!/bin/sh\necho '{}'\n");
    assert_eq!(proxy.result(json!({})), "{}");
}

const SCRIPT: &str = "#!/bin/sh\necho '{}'\n";

/// The digest of `text`, by the tool that also writes `exec.sha256`.
fn digest(text: &str) -> String {
    let line = shell(
        Path::new("/"),
        "printf %s \"$TEXT\" | sha256sum",
        &[("TEXT", text)],
    );
    line[..64].to_owned()
}

#[test]
fn the_digest_of_the_code_is_checked_before_anything_is_written() {
    let mut proxy = Proxy::start();
    let (right, wrong) = (digest(SCRIPT), digest("something else"));
    assert_refused(
        &mut proxy,
        json!({"code": SCRIPT, "sha256": wrong}),
        &format!("expected sha256 {wrong}, actual {right}"),
    );
    for bad in ["abc", &"g".repeat(64), ""] {
        let answer = proxy.init_with(json!({"code": SCRIPT, "sha256": bad}));
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.error().contains("sha256"), "{}", answer.error());
    }
    // Over the decoded code, not over its base64; of either case.
    let value = json!({
        "binary": true, "code": base64(SCRIPT.as_bytes()), "sha256": right.to_uppercase(),
    });
    let answer = proxy.init_with(value);
    assert_eq!((answer.status, answer.text()), (200, "OK"));
    assert_eq!(proxy.result(json!({})), "{}");
}

#[test]
fn a_checksum_file_in_the_archive_is_checked() {
    if !tools::are_here(&["zip", "sha256sum"]) {
        return;
    }
    for (spoil, holds) in [("true", true), ("echo '# changed' >> exec", false)] {
        let directory = action();
        let script = format!(
            "sha256sum exec > exec.sha256; {spoil}; zip -q -r -y a.zip exec exec.sha256 lib"
        );
        shell(directory.path(), &script, &[]);
        let archive = fs::read(directory.path().join("a.zip")).expect("an archive");
        let value = json!({"binary": true, "code": base64(&archive)});
        let mut proxy = Proxy::start();
        if holds {
            assert_eq!(proxy.init_with(value).status, 200);
            assert_eq!(proxy.run(json!({})).status, 200);
        } else {
            assert_refused(&mut proxy, value, "expected sha256 ");
        }
    }
}

#[test]
fn a_checksum_file_beside_a_baked_in_executable_is_checked() {
    for (text, status) in [(SCRIPT, 200), ("something else", 502)] {
        let directory = tempfile::tempdir().expect("a directory");
        write_executable(&directory.path().join("exec"), SCRIPT.as_bytes());
        let line = format!("{}  exec\n", digest(text));
        fs::write(directory.path().join("exec.sha256"), line).expect("a file");
        let proxy = Proxy::start_on(directory.path());
        assert_eq!(proxy.init_with(json!({})).status, status, "{text}");
        assert_eq!(proxy.run(json!({})).status, status, "{text}");
    }
}

#[test]
fn an_executable_changed_after_init_does_not_run() {
    let mut proxy = Proxy::start();
    proxy.init_binary(SCRIPT.as_bytes());
    assert_eq!(proxy.result(json!({})), "{}");
    proxy.logs();
    fs::write(proxy.action_dir().join("exec"), "#!/bin/sh\necho '[]'\n").expect("a file");
    let answer = proxy.run(json!({}));
    assert_eq!((answer.status, answer.text()), (502, NO_BINARY));
    let logs = proxy.logs();
    let expected = format!("expected sha256 {}, actual ", digest(SCRIPT));
    assert!(logs.stderr.contains(&expected), "{}", logs.stderr);
}

/// An ELF header and one program header, which names a loader.
fn elf(machine: u16, loader: &str) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64 + 56, 0);
    let mut put = |offset: usize, bytes: &[u8]| {
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(16, &2_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 1, 0]);
    // PT_INTERP, readable, right behind the headers.
    put(64, &3_u32.to_le_bytes());
    put(68, &4_u32.to_le_bytes());
    put(72, &120_u64.to_le_bytes());
    put(96, &(loader.len() as u64 + 1).to_le_bytes());
    put(104, &(loader.len() as u64 + 1).to_le_bytes());
    file.extend_from_slice(loader.as_bytes());
    file.push(0);
    file
}

fn assert_does_not_start(code: &[u8], reason: &str) {
    let mut proxy = Proxy::start();
    proxy.init_binary(code);
    let answer: Answer = proxy.run(json!({}));
    assert_eq!((answer.status, answer.text()), (502, NO_RESULT));
    let logs = proxy.logs();
    assert!(logs.stderr.contains(reason), "{}", logs.stderr);
}

#[test]
fn what_the_kernel_refuses_is_explained() {
    let machine = shell(Path::new("/"), "uname -m", &[]);
    let machine = machine.trim();
    // One that no kernel and no emulator takes: s390x has the other byte order.
    assert_does_not_start(
        &elf(22, "/no/such/loader"),
        &format!("built for s390x (64-bit little-endian), this machine is {machine}"),
    );
    let own = match machine {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    };
    if let Some(own) = own {
        assert_does_not_start(
            &elf(own, "/no/such/loader"),
            "its loader `/no/such/loader` does not exist here",
        );
    }
    assert_does_not_start(
        b"#!/no/such/python3\nprint('{}')\n",
        "its interpreter `/no/such/python3` does not exist here",
    );
    assert_does_not_start(
        b"#!/bin/sh\r\necho '{}'\r\n",
        "its `#!` line ends in a carriage return",
    );
}

#[test]
fn an_archive_without_an_executable_at_its_top_is_told_what_it_has_there() {
    if !tools::are_here(&["tar"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let archive = |script: &str| {
        shell(directory.path(), script, &[]);
        base64(&fs::read(directory.path().join("archive")).expect("an archive"))
    };
    let mut proxy = Proxy::start();
    // The whole line: no path of a directory that is gone by now.
    for (script, reason) in [
        (
            "mkdir myaction; touch myaction/exec README; tar -czf archive myaction README",
            "the archive has no `exec` at its top; it has `README`, `myaction/`: `myaction/exec` \
             has to stand at the top: archive what is in `myaction/`, not the directory\n",
        ),
        (
            "touch 1 2 3 4 5 6 7; tar -czf archive 1 2 3 4 5 6 7",
            "the archive has no `exec` at its top; it has `1`, `2`, `3`, `4`, `5` and 2 more\n",
        ),
        (
            "mkdir exec; tar -czf archive exec",
            ": exec is a directory, not a regular file\n",
        ),
        (
            "rmdir exec; echo x > exec; echo y > exec.sha256; tar -czf archive exec exec.sha256",
            ": exec.sha256 is not usable: ",
        ),
        (
            "sha256sum README | sed s/README/exec/ > exec.sha256; tar -czf archive exec exec.sha256",
            ": exec has changed: ",
        ),
        (
            "rm exec exec.sha256; ln -s README exec; tar -czf archive exec",
            ": there is no executable at exec\n",
        ),
    ] {
        let code = archive(script);
        assert_refused(&mut proxy, json!({"binary": true, "code": code}), reason);
    }
}

#[test]
fn an_archive_without_an_executable_for_an_image_that_has_one_is_told_what_runs_instead() {
    if !tools::are_here(&["zip", "tar"]) {
        return;
    }
    let made = action();
    shell(
        made.path(),
        "mkdir mine; mv exec lib mine; zip -q -r -y a.zip mine; tar -czf a.tar.gz mine",
        &[],
    );
    for name in ["a.zip", "a.tar.gz"] {
        let image = tempfile::tempdir().expect("a directory");
        let own = image.path().join("exec");
        write_executable(&own, b"#!/bin/sh\necho '{\"image\":true}'\n");
        let mut proxy = Proxy::start_on(image.path());
        proxy.init_binary(&fs::read(made.path().join(name)).expect("an archive"));
        assert_eq!(proxy.result(json!({})), r#"{"image":true}"#);
        let expected = format!(
            "actionproxy: the archive has no `exec` at its top; it has `mine/`: `mine/exec` has \
             to stand at the top: archive what is in `mine/`, not the directory; what stood there \
             before stays and runs: {}\n",
            own.display()
        );
        assert_eq!(proxy.logs().stderr, expected);
        assert!(image.path().join("mine/lib/word").exists());
    }
}

#[test]
fn an_upload_that_was_cut_off_or_damaged_says_at_which_entry() {
    if !tools::are_here(&["zip", "tar", "bsdtar"]) {
        return;
    }
    let made = action();
    shell(
        made.path(),
        "head -c 20000 /dev/urandom > lib/noise; zip -q a.zip exec lib/real lib/noise
         bsdtar --format=zip -cf a.bsd exec lib/real lib/noise
         tar -czf a.tar.gz exec lib/real lib/noise",
        &[],
    );
    let mut proxy = Proxy::start();
    for (name, reason) in [
        (
            "a.zip",
            "failed to unpack `lib/noise`: the zip ends within it, ",
        ),
        (
            "a.bsd",
            "failed to unpack `lib/noise`: the zip ends within it, ",
        ),
        (
            "a.tar.gz",
            "failed to unpack `lib/noise`: the tar.gz ends within it, at byte ",
        ),
    ] {
        let archive = fs::read(made.path().join(name)).expect("an archive");
        let value = json!({"binary": true, "code": base64(&archive[..10_000])});
        assert_refused(&mut proxy, value, reason);
    }
    let mut archive = fs::read(made.path().join("a.zip")).expect("an archive");
    archive[10_000] ^= 1;
    let value = json!({"binary": true, "code": base64(&archive)});
    assert_refused(
        &mut proxy,
        value,
        "failed to unpack `lib/noise`: its content is damaged: ",
    );
}

#[test]
fn base64_as_browsers_and_tokens_have_it_runs_and_a_data_uri_is_named() {
    let mut proxy = Proxy::start();
    let script = "#!/bin/sh\n# \u{ff}~~~???\necho '{}'\n";
    let code = base64(script.as_bytes());
    assert_refused(
        &mut proxy,
        json!({"binary": true, "code": format!("data:application/x-sh;base64,{code}")}),
        "it is a `data:` URI: send only what follows its comma",
    );
    let url = code.replace('+', "-").replace('/', "_");
    let url = url.trim_end_matches('=');
    assert_ne!(url, code);
    let answer = proxy.init_with(json!({"binary": true, "code": url}));
    assert_eq!((answer.status, answer.text()), (200, "OK"));
    assert_eq!(proxy.result(json!({})), "{}");
}
