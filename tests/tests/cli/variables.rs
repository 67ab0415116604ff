//! Variables that are not what they seem.

use actionproxy_tests::Proxy;
use serde_json::json;

use crate::run::action_file;
use crate::{command, text};

#[test]
fn a_service_that_is_called_like_a_variable_does_not_keep_the_proxy_from_starting() {
    for name in ["PORT", "FLASK_PROXY_PORT"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let output = command(&["run", &action_file(dir.path(), "#!/bin/sh\necho '{}'\n")])
            .env(name, "tcp://10.0.0.1:80")
            .output()
            .expect("the proxy runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let warning = text(&output.stderr);
        assert_eq!(warning.lines().count(), 1, "{warning}");
        let start = format!("actionproxy: {name}: ignored \"tcp://10.0.0.1:80\"");
        assert!(warning.starts_with(&start), "{warning}");
    }
    // The port is a flag's here, so there is nothing to warn of, and the action sees the variable.
    let proxy = Proxy::builder()
        .env("FLASK_PROXY_PORT", "tcp://10.0.0.1:80")
        .start();
    proxy.init("#!/bin/sh\necho \"[\\\"$FLASK_PROXY_PORT\\\"]\"\n");
    assert_eq!(proxy.result(json!({})), "[\"tcp://10.0.0.1:80\"]");
    assert_eq!(proxy.unread().stderr.matches("ignored").count(), 0);
}

#[test]
fn a_misspelt_variable_and_an_unknown_word_are_named_when_the_proxy_starts() {
    let proxy = Proxy::builder()
        .env("ACTIONPROXY_MAX_BODYY", "1K")
        .env("PROXY_ALLOW_REINIT", "yes")
        .start();
    let said = proxy.stderr();
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(
        lines[0],
        "actionproxy: ACTIONPROXY_MAX_BODYY: no such variable; did you mean `ACTIONPROXY_MAX_BODY`?"
    );
    assert!(
        lines[1].starts_with("actionproxy: PROXY_ALLOW_REINIT: expected `1`"),
        "{said}"
    );
    // As upstream has it: any other word is off.
    proxy.init("#!/bin/sh\necho '{}'\n");
    assert_eq!(proxy.init_with(json!({"code": "#!/bin/sh\n"})).status, 403);
}

#[test]
fn the_variables_of_an_action_do_not_break_the_stub() {
    let proxy = Proxy::start();
    let answer = proxy.init_with(json!({"env": {"PORT": "none", "ACTIONPROXY_GRACE": "?"}}));
    assert_eq!(answer.status, 200);
    assert!(proxy.result(json!({})).contains("This is a stub action"));
}
