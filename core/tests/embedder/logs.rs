//! Where logs go: writers, a callback, a sink that knows streams from notes.

use actionproxy_core::Lines;

use super::*;

const TALKS: &str = "#!/bin/sh\necho one\nprintf tw >&2\necho o >&2\nprintf half >&2\necho '{}'\n";

/// A variable that cannot be, which core has something to say of.
fn noted() -> RunRequest {
    RunRequest {
        env: [("A=B", "x")].into(),
        ..RunRequest::new("{}")
    }
}

const SAID: &str = "skipped the environment variable \"A=B\": a name needs at least one character \
                    and neither name nor value may hold NUL, nor the name `=`";

#[test]
fn a_sink_of_ones_own_gets_streams_and_notes_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(TALKS)).expect("a good action");
    let mut pieces = Pieces::default();
    let outcome = action.run(noted(), &mut Logs::to(&mut pieces));
    assert_eq!(result(outcome), "{}");
    assert_eq!(pieces.notes, [SAID]);
    let of = |wanted| {
        let pieces = pieces.streams.iter();
        let pieces = pieces.filter(|(stream, _)| *stream == wanted);
        pieces.map(|(_, text)| text.as_str()).collect::<String>()
    };
    assert_eq!(of(Stream::Stdout), "one\n");
    assert_eq!(of(Stream::Stderr), "two\nhalf\n");
}

#[test]
fn logs_go_to_writers_to_a_callback_or_line_by_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut action = Action::open(config(dir.path()), NativeRunner).expect("a directory");
    init(&mut action, text(TALKS)).expect("a good action");
    let stderr = format!("{SAID}\ntwo\nhalf\n");

    let (mut out, mut err) = (Vec::new(), Vec::new());
    let written = action.run(noted(), &mut Logs::new(&mut out, &mut err));
    assert_eq!(result(written), "{}");
    let both = [out, err].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(both, ["one\n", &stderr]);

    let mut both = [String::new(), String::new()];
    let mut call = |stream: Stream, bytes: &[u8]| {
        both[stream as usize].push_str(std::str::from_utf8(bytes).expect("text"));
    };
    let called = action.run(noted(), &mut Logs::to(&mut call));
    assert_eq!(result(called), "{}");
    assert_eq!(both, ["one\n", &stderr]);

    let mut told = Vec::new();
    let mut lines = Lines::new(|stream, line: &[u8]| {
        told.push(format!("{stream}: {}", String::from_utf8_lossy(line)));
    });
    let split = action.run(noted(), &mut Logs::to(&mut lines));
    assert_eq!(result(split), "{}");
    drop(lines);
    told.sort();
    let said = format!("stderr: {SAID}");
    assert_eq!(told, ["stderr: half", &said, "stderr: two", "stdout: one"]);
}
