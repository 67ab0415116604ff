//! What is said, and what is taken.

use super::*;

fn parsed(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Parsed, String> {
    let config = Config {
        env: variables.iter().copied().collect(),
        ..Config::default()
    };
    let arguments = ["actionproxy"].iter().chain(arguments);
    parse(config, arguments.map(OsString::from))
}

fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Options, String> {
    match parsed(arguments, variables)?.command {
        Command::Serve(options) => Ok(options),
        other => panic!("not a request to serve: {other:?}"),
    }
}

#[test]
fn a_flag_beats_the_variables_and_upstreams_variable_beats_the_general_one() {
    let both = [("PORT", "2"), ("FLASK_PROXY_PORT", "1")];
    assert_eq!(serve(&["--port", "3"], &both).map(|o| o.port), Ok(3));
    assert_eq!(serve(&[], &both).map(|o| o.port), Ok(1));
    assert_eq!(serve(&[], &both[..1]).map(|o| o.port), Ok(2));
    assert_eq!(serve(&[], &[]).map(|o| o.port), Ok(8080));
}

/// Of each setting another value than its default.
const OTHERS: &[(&str, &str)] = &[
    ("ACTIONPROXY_HOST", "127.0.0.1"),
    ("FLASK_PROXY_PORT", "81"),
    ("ACTIONPROXY_LISTEN", "unix:/x"),
    ("ACTIONPROXY_LISTEN_MODE", "0600"),
    ("ACTIONPROXY_OPERATOR_PORT", "81"),
    ("ACTIONPROXY_DURABLE", "1"),
    ("ACTIONPROXY_LATE_RESULT", "7s"),
    ("ACTIONPROXY_TIMEOUT", "7s"),
    ("ACTIONPROXY_ENFORCE_DEADLINE", "1"),
    ("ACTIONPROXY_KILL_GRACE", "7s"),
    ("ACTIONPROXY_LINGER", "7s"),
    ("ACTIONPROXY_GRACE", "7s"),
    ("ACTIONPROXY_MAX_BODY", "7"),
    ("ACTIONPROXY_MAX_RESULT", "7"),
    ("ACTIONPROXY_MAX_UNPACKED", "7"),
    ("ACTIONPROXY_MAX_ENTRIES", "7"),
    ("ACTIONPROXY_MAX_DEPTH", "7"),
    ("ACTIONPROXY_MAX_CONCURRENT", "7"),
    ("ACTIONPROXY_MAX_CONNECTIONS", "7"),
    ("ACTIONPROXY_IDLE_TIMEOUT", "7s"),
    ("ACTION_VERIFY", "permission"),
    ("PROXY_ALLOW_REINIT", "1"),
    ("__OW_ALLOW_CONCURRENT", "true"),
    ("__OW_RUNTIME_PLATFORM", "knative"),
    ("__OW_HTTP_METHODS", "[get]"),
    ("ACTIONPROXY_NO_SENTINELS", "1"),
    ("ACTIONPROXY_SOURCE_NAME", "exec.c"),
    ("ACTIONPROXY_PREINIT", "sh -c 'echo x'"),
    ("ACTIONPROXY_EPILOGUE", "x"),
    ("ACTIONPROXY_BUILD", "cc \"exec.c\""),
    ("ACTIONPROXY_VERIFY", "x y"),
    ("ACTIONPROXY_ENV", "x"),
    ("ACTIONPROXY_BUILD_CACHE", "/x"),
    ("ACTIONPROXY_BUILD_CACHE_SIZE", "7"),
    ("ACTIONPROXY_ACTION_LOOP", "1"),
    ("ACTIONPROXY_START_WAIT", "7s"),
    ("ACTIONPROXY_LIMIT_ADDRESS_SPACE", "7M"),
    ("ACTIONPROXY_LIMIT_CPU_TIME", "7s"),
    ("ACTIONPROXY_LIMIT_FILE_SIZE", "7M"),
    ("ACTIONPROXY_LIMIT_OPEN_FILES", "7"),
    ("ACTIONPROXY_LIMIT_PROCESSES", "7"),
    ("ACTIONPROXY_NO_CORE_DUMPS", "1"),
    ("ACTIONPROXY_NO_NEW_PRIVS", "1"),
    ("ACTIONPROXY_USER", "7:8"),
    ("ACTIONPROXY_READ_ONLY", "1"),
];

#[test]
fn the_defaults_that_help_states_are_the_defaults() {
    let defaults = format!("{:?}", Options::new(Config::default()));
    // Of the variables that ActionLoop images set, no value stands for the default.
    let has_one = |s: &&Setting| s.flag != "action-dir" && !s.variables[0].starts_with("OW_");
    for setting in settings::all().filter(has_one) {
        let name = setting.variables[0];
        let other = OTHERS.iter().find(|(known, _)| *known == name);
        let (_, other) = other.unwrap_or_else(|| panic!("{name} needs another value"));
        let mut options = Options::new(Config::default());
        (setting.apply)(&mut options, other).expect("a valid value");
        assert_ne!(format!("{options:?}"), defaults, "{name}={other}");
        (setting.apply)(&mut options, setting.default)
            .unwrap_or_else(|e| panic!("{name}: the default is not {e}"));
        assert_eq!(
            format!("{options:?}"),
            defaults,
            "{name}={}",
            setting.default
        );
    }
}

#[test]
fn the_flags_of_the_go_proxy_ask_for_a_compilation() {
    for words in [
        &["-compile", "niam", "-env", "{}"][..],
        &["-compile=niam", "-env={}", "-debug"],
        &["-env={}", "compile", "niam"],
    ] {
        match parsed(words, &[]).expect("valid flags").command {
            Command::Compile { main, env, .. } => {
                assert_eq!(
                    (main.as_str(), env.as_deref()),
                    ("niam", Some("{}")),
                    "{words:?}"
                );
            }
            other => panic!("{words:?}: {other:?}"),
        }
    }
    let said = parsed(&["-compile"], &[]).err();
    assert_eq!(said.as_deref(), Some("-compile needs a value"));
}

#[test]
fn help_and_version_and_the_stub_do_not_care_what_the_variables_hold() {
    for word in ["help", "--help", "-h", "version", "--version", "-V", "stub"] {
        let parsed = parsed(&[word], &[("PORT", "nonsense"), ("ACTIONPROXY_X", "1")]);
        let parsed = parsed.expect(word);
        assert_eq!(parsed.warnings, [""; 0], "{word}");
    }
    // Nor does a flag care what stands in its variable.
    let port = serve(&["--port=1"], &[("PORT", "nonsense")]).map(|o| o.port);
    assert_eq!(port, Ok(1));
}

#[test]
fn what_a_cluster_sets_for_a_service_of_our_name_is_passed_over() {
    // A service `actionproxy` and one `flask-proxy`, as Kubernetes sets them for a container.
    let variables = [
        ("ACTIONPROXY_PORT", "tcp://10.96.7.8:80"),
        ("ACTIONPROXY_PORT_80_TCP", "tcp://10.96.7.8:80"),
        ("ACTIONPROXY_PORT_80_TCP_ADDR", "10.96.7.8"),
        ("ACTIONPROXY_PORT_80_TCP_PORT", "80"),
        ("ACTIONPROXY_PORT_80_TCP_PROTO", "tcp"),
        ("ACTIONPROXY_SERVICE_HOST", "10.96.7.8"),
        ("ACTIONPROXY_SERVICE_PORT", "80"),
        ("ACTIONPROXY_SERVICE_PORT_HTTP", "80"),
        ("ACTIONPROXY_DEV_SERVICE_HOST", "10.96.7.9"),
        ("FLASK_PROXY_PORT", "tcp://10.96.7.9:81"),
        ("FLASK_PROXY_SERVICE_HOST", "10.96.7.9"),
        ("PORT", "81"),
    ];
    let parsed = parsed(&[], &variables).expect("nothing to refuse");
    assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
    assert!(parsed.warnings[0].starts_with("FLASK_PROXY_PORT: ignored \"tcp://10.96.7.9:81\""));
    assert!(matches!(parsed.command, Command::Serve(o) if o.port == 81));
}

#[test]
fn a_variable_that_is_misspelt_is_named_with_what_was_meant() {
    for (name, said) in [
        (
            "ACTIONPROXY_MAX_BODYY",
            Some("did you mean `ACTIONPROXY_MAX_BODY`?"),
        ),
        (
            "ACTIONPROXY_TIEMOUT",
            Some("did you mean `ACTIONPROXY_TIMEOUT`?"),
        ),
        (
            "ACTION_PROXY_TIMEOUT",
            Some("did you mean `ACTIONPROXY_TIMEOUT`?"),
        ),
        (
            "actionproxy_grace",
            Some("did you mean `ACTIONPROXY_GRACE`?"),
        ),
        (
            "ACTIONPROXY_PORT",
            Some("did you mean `FLASK_PROXY_PORT` or `PORT`?"),
        ),
        (
            "ACTIONPROXY_ALLOW_REINIT",
            Some("did you mean `PROXY_ALLOW_REINIT`?"),
        ),
        (
            "ACTIONPROXY_WORKERS",
            Some("no such variable; `--help` lists them"),
        ),
        (
            "PROXY_ALLOW_REINITT",
            Some("did you mean `PROXY_ALLOW_REINIT`?"),
        ),
        (
            "__OW_ALOW_CONCURRENT",
            Some("did you mean `__OW_ALLOW_CONCURRENT`?"),
        ),
        // Somebody else's.
        ("PORTS", None),
        ("ACTION_ID", None),
        ("__OW_API_HOST", None),
        ("ACTIONS_RUNNER_DIR", None),
    ] {
        let warnings = parsed(&[], &[(name, "1")]).expect("served").warnings;
        match said {
            Some(said) => {
                assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
                let warning = &warnings[0];
                assert!(
                    warning.starts_with(name) && warning.ends_with(said),
                    "{warning}"
                );
            }
            None => assert_eq!(warnings, [""; 0], "{name}"),
        }
    }
}

#[test]
fn another_word_for_a_switch_of_upstreams_is_named_and_counts_as_upstream_has_it() {
    let variables = [
        ("PROXY_ALLOW_REINIT", "yes"),
        ("__OW_ALLOW_CONCURRENT", "1"),
    ];
    let parsed = parsed(&[], &variables).expect("served");
    assert_eq!(
        parsed.warnings,
        [
            "PROXY_ALLOW_REINIT: expected `1`, `true`, `on`, `0`, `false` or `off`, \
             found \"yes\", which counts as `off`",
            "__OW_ALLOW_CONCURRENT: expected `true` or `false`, found \"1\", \
             which counts as `false`",
        ]
    );
    let Command::Serve(options) = parsed.command else {
        panic!("not a request to serve");
    };
    assert!(!options.allow_concurrent);
    assert_eq!(options.config.reinit, actionproxy_core::Reinit::Refuse);
    // One of our own, which nobody relies on, is refused.
    assert!(serve(&[], &[("ACTIONPROXY_ENFORCE_DEADLINE", "yes")]).is_err());
}

#[test]
fn a_bad_value_is_named_with_what_was_expected() {
    let said = serve(&["--port", "http"], &[]).expect_err("no number");
    assert_eq!(
        said,
        "--port: expected a number from 0 to 65535, found \"http\""
    );
    let said = serve(&[], &[("ACTION_VERIFY", "x")]).expect_err("no policy");
    assert_eq!(
        said,
        "ACTION_VERIFY: expected `digest` or `permission`, found \"x\""
    );
    for bad in [
        &["--linger", "1y"][..],
        &["--nope"],
        &["x"],
        &["--max-body"],
        &["-x"],
    ] {
        assert!(serve(bad, &[]).is_err(), "{bad:?}");
    }
}
