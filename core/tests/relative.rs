//! A relative action directory. It is alone in its process, whose working directory it changes.

use std::env;
use std::path::Path;

use actionproxy_core::{
    Action, Code, Config, InitRequest, Logs, NativeRunner, Rehearsal, RunRequest,
};

#[test]
fn a_relative_action_directory_is_the_one_it_was_when_the_action_was_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    env::set_current_dir(dir.path()).expect("our own");
    let mut action = Action::open(Config::new("here/action"), NativeRunner).expect("a directory");
    // The system's own name for it: it may be reached through a symlink.
    let here = env::current_dir()
        .expect("a working directory")
        .join("here/action");
    assert_eq!(action.config().action_dir, here);
    let code = || Code::Text(b"#!/bin/sh\necho \"[\\\"$(pwd)\\\"]\"\n".to_vec());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut logs = Logs::new(&mut stdout, &mut stderr);
    action
        .init(InitRequest::new(code()), &mut logs)
        .expect("a good action");
    let expected = format!("[\"{}\"]", here.display());
    let opened = Action::existing(Config::new("here/action"), NativeRunner).expect("a directory");
    let rehearsal = Rehearsal::new(Config::new("elsewhere"), InitRequest::new(code()));
    let rehearsal = rehearsal.expect("good code");
    env::set_current_dir(Path::new("/")).expect("the root");
    for action in [&action, &opened] {
        let outcome = action.run(RunRequest::new("{}"), &mut logs);
        assert_eq!(outcome.expect("a result").result, expected.as_bytes());
    }
    let request = RunRequest::new("{}");
    let outcome = rehearsal.activation(&request).execute(&mut logs);
    let result = outcome.expect("a result").result;
    let text = String::from_utf8(result).expect("text");
    assert!(text.ends_with("/elsewhere\"]"), "{text}");
    env::set_current_dir(dir.path()).expect("our own");
    let empty = Action::open(Config::new(""), NativeRunner).map(drop);
    assert!(empty.is_err(), "a directory without a name");
}
