//! Hooks that are commands: what they are told, when they run, and what becomes of their failures.

use std::fs;
use std::path::Path;
use std::time::Duration;

use actionproxy_core::{
    Action, ActionRunner, Code, CommandLine, CommandRunner, CompilerRunner, Config, Environment,
    Greeting, Hook, HookError, InitError, InitRequest, InstanceKind, Logs, NativeRunner, Reinit,
    ResidentConfig, RunError, RunRequest, Staged, Stub,
};

const GOOD: &str = "#!/bin/sh\necho \"{\\\"good\\\":\\\"$GREETING\\\"}\"\n";

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir.join("action"));
    config.env = [
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("TOLD", dir.join("told").into()),
        ("GREETING", "the proxy's".into()),
    ]
    .into();
    config.stub = Some(Stub("#!/bin/sh\necho '{\"stub\":true}'\n".to_owned()));
    config.reinit = Reinit::Allow;
    config
}

fn open(config: Config, runner: impl ActionRunner + 'static) -> Action {
    Action::open(config, runner).expect("a directory")
}

fn line(text: &str) -> Option<CommandLine> {
    Some(CommandLine::parse(text).expect("a command"))
}

/// A command that appends a note of what it is told to the file `TOLD`.
fn telling(hook: &str) -> Option<CommandLine> {
    let script = format!(
        "{{ echo \"{hook} $ACTION_HOOK in $(pwd -P)\"; env | grep ^ACTION_ | sort; cat; }} >>$TOLD"
    );
    Some(CommandLine::new("sh", ["-c", &script]))
}

fn telling_runner<R>(inner: R) -> CommandRunner<R> {
    CommandRunner {
        preinit: telling("1"),
        epilogue: telling("2"),
        build: telling("3"),
        verify: telling("4"),
        env: telling("5"),
        inner,
    }
}

fn text(code: &str) -> InitRequest {
    InitRequest::new(Code::Text(code.into()))
}

/// What was returned, and what stood on stdout and stderr.
fn logged<T>(act: impl FnOnce(&mut Logs<'_>) -> T) -> (T, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let result = act(&mut Logs::new(&mut stdout, &mut stderr));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (result, text(stdout), text(stderr))
}

fn init(action: &mut Action, request: InitRequest) -> Result<(), InitError> {
    logged(|logs| action.init(request, logs)).0
}

fn run(action: &Action) -> Result<String, RunError> {
    let request = RunRequest {
        argument: b"{}".to_vec(),
        ..RunRequest::default()
    };
    let outcome = logged(|logs| action.run(request, logs)).0?;
    Ok(String::from_utf8(outcome.result).expect("text"))
}

fn told(dir: &Path) -> String {
    fs::read_to_string(dir.join("told")).unwrap_or_default()
}

#[test]
fn each_command_is_told_where_it_is_and_what_came() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path().canonicalize().expect("it is there");
    let mut config = config(&dir);
    config.source = "exec.sh".into();
    config.executable = "exec.sh".into();
    let mut action = open(config, telling_runner(NativeRunner));
    let request = InitRequest {
        name: Some("an action".to_owned()),
        main: Some("niam".to_owned()),
        env: [("K", "v")].into(),
        ..text(GOOD)
    };
    init(&mut action, request).expect("a good init");
    let (at, stage) = (dir.join("action"), "STAGE");
    // The stage has a name of its own in each process.
    let staging = told(&dir)
        .lines()
        .find_map(|line| line.strip_prefix("2 epilogue in ").map(str::to_owned))
        .expect("the epilogue was told");
    assert_ne!(Path::new(&staging), at);
    let value = r#"{"name":"an action","main":"niam","binary":false,"env":{"K":"v"}}"#;
    let expected: String = [
        ("1 preinit", at.to_str().expect("UTF-8")),
        ("2 epilogue", stage),
        ("3 build", stage),
        ("4 verify", stage),
        ("5 env", stage),
    ]
    .map(|(who, at)| {
        let hook = &who[2..];
        format!(
            "{who} in {at}\nACTION_EXECUTABLE={at}/exec.sh\nACTION_FORM=text\nACTION_HOOK={hook}\n\
             ACTION_MAIN=niam\nACTION_NAME=an action\nACTION_SOURCE={at}/exec.sh\n\
             ACTION_STAGE={at}\n{value}\n"
        )
    })
    .concat();
    assert_eq!(told(&dir).replace(&staging, stage), expected);
    assert_eq!(run(&action).expect("a result"), r#"{"good":"the proxy's"}"#);
    // Once in an init, and not at a run.
    assert_eq!(told(&dir).matches("ACTION_HOOK").count(), 5);
}

#[test]
fn what_is_not_said_is_empty_and_main_is_main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut action = open(config(dir.path()), telling_runner(NativeRunner));
    // The stub stays.
    init(&mut action, InitRequest::default()).expect("it can run");
    let told = told(dir.path());
    for expected in [
        "ACTION_MAIN=main\n",
        "ACTION_NAME=\n",
        "ACTION_FORM=\n",
        "\n{}\n",
    ] {
        assert_eq!(told.matches(expected).count(), 3, "{expected:?} in {told}");
    }
    let hooks = told.lines().filter_map(|l| l.strip_prefix("ACTION_HOOK="));
    assert_eq!(hooks.collect::<Vec<_>>(), ["preinit", "verify", "env"]);
    let at = dir.path().join("action");
    assert_eq!(
        told.matches(&format!("ACTION_STAGE={}\n", at.display()))
            .count(),
        3
    );

    let zip = Code::Bytes(b"#!/bin/sh\necho '{}'\n".to_vec());
    let request = InitRequest {
        code: Some(zip),
        ..InitRequest::default()
    };
    init(&mut action, request).expect("a script as bytes");
    assert!(self::told(dir.path()).contains("ACTION_FORM=binary\n"));
}

#[test]
fn commands_make_the_executable_and_their_output_is_log_in_its_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(dir.path());
    config.source = "source".into();
    let runner = CommandRunner {
        preinit: line("sh -c 'echo one; echo error >&2'"),
        epilogue: line(r#"sh -c 'echo two; echo "echo {}" >>"$ACTION_SOURCE"; printf three'"#),
        build: line(r#"sh -c 'echo four; cp source exec; chmod +x exec'"#),
        verify: line("sh -c 'test -x \"$ACTION_EXECUTABLE\" && echo five'"),
        env: line("sh -c 'echo six >&2; echo SIX=6'"),
        ..CommandRunner::new(NativeRunner)
    };
    let mut action = open(config, runner);
    let (done, stdout, stderr) = logged(|logs| action.init(text("#!/bin/sh\n"), logs));
    done.expect("a good init");
    assert_eq!(stdout, "one\ntwo\nthree\nfour\nfive\n");
    assert_eq!(stderr, "error\nsix\n");
    assert_eq!(run(&action).expect("a result"), "{}");
}

#[test]
fn what_env_prints_is_in_every_run_over_the_variables_of_init_and_under_those_of_a_run() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let show =
        "#!/bin/sh\necho \"[\\\"$A\\\",\\\"$(printf %s \"$B\" | tr '\\n' +)\\\",\\\"$C\\\"]\"\n";
    for (command, expected) in [
        (
            r"printf 'A=hook\nB=hook\nC=hook'",
            r#"["hook","hook","run"]"#,
        ),
        (
            r"printf 'A=x=y\0B=two\nlines\0'",
            r#"["x=y","two+lines","run"]"#,
        ),
        ("true", r#"["init","","run"]"#),
    ] {
        let runner = CommandRunner {
            env: line(command),
            ..CommandRunner::new(NativeRunner)
        };
        let mut action = open(config(dir.path()), runner);
        let request = InitRequest {
            env: [("A", "init")].into(),
            ..text(show)
        };
        init(&mut action, request).expect(command);
        let mut request = RunRequest::default();
        request.env.set("C", "run");
        let outcome = logged(|logs| action.run(request, logs)).0;
        let result = outcome.expect(command).result;
        assert_eq!(String::from_utf8_lossy(&result), expected, "{command}");
        // So that a later process can give them to it.
        let brought = action.brought();
        let (a, path) = (brought.value("A"), brought.value("PATH"));
        assert_eq!((a.is_some(), path), (true, None), "{command}");
        assert_eq!(brought.value("B").is_some(), command != "true", "{command}");
        let mut config = action.config().clone();
        config.env.merge(brought);
        let action = open(config, NativeRunner);
        let mut request = RunRequest::default();
        request.env.set("C", "run");
        let outcome = logged(|logs| action.run(request, logs)).0;
        let result = outcome.expect(command).result;
        assert_eq!(String::from_utf8_lossy(&result), expected, "{command}");
    }
}

#[test]
fn a_command_that_fails_fails_the_init_by_its_name_and_what_ran_before_runs_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    open(config(dir.path()), NativeRunner);
    for hook in Hook::ALL {
        for (command, how) in [
            (
                "sh -c 'echo last words; exit 3'",
                "`sh` exited with status 3",
            ),
            (
                "sh -c 'echo last words; kill -9 $$'",
                "`sh` was killed by SIGKILL",
            ),
            ("/no/such/command", "/no/such/command"),
        ] {
            let mut runner = CommandRunner::new(NativeRunner);
            let place = match hook {
                Hook::Preinit => &mut runner.preinit,
                Hook::Epilogue => &mut runner.epilogue,
                Hook::Build => &mut runner.build,
                Hook::Verify => &mut runner.verify,
                Hook::Env => &mut runner.env,
            };
            *place = line(command);
            let mut action = open(config(dir.path()), runner);
            let (done, stdout, _) = logged(|logs| action.init(text(GOOD), logs));
            let said = done.expect_err("it fails").to_string();
            let begin = format!("{} failed: ", hook.name());
            assert!(said.starts_with(&begin) && said.contains(how), "{said}");
            let expected = if command.starts_with('/') {
                ""
            } else {
                "last words\n"
            };
            assert_eq!(stdout, expected, "{hook:?}: the last lines are in the log");
            assert!(!action.is_initialized());
            assert_eq!(run(&action).expect("the stub"), r#"{"stub":true}"#);
            let names = fs::read_dir(dir.path().join("action")).expect("it is there");
            let names: Vec<_> = names.map(|e| e.expect("an entry").file_name()).collect();
            assert_eq!(names, ["exec"], "{hook:?}");
        }
    }
}

#[test]
fn what_env_prints_that_is_no_variable_fails_the_init_and_is_in_the_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (command, said) in [
        (
            "echo export A=b",
            r#"env failed: expected lines NAME=value, found "export A=b""#,
        ),
        (
            "sh -c 'yes A=b | head -c 5000000'",
            "env failed: it printed more than 4194304 bytes",
        ),
    ] {
        let runner = CommandRunner {
            env: line(command),
            ..CommandRunner::new(NativeRunner)
        };
        let mut action = open(config(dir.path()), runner);
        let (done, stdout, _) = logged(|logs| action.init(text(GOOD), logs));
        assert_eq!(done.expect_err("it fails").to_string(), said);
        assert!(stdout.contains("A=b\n"), "{}", stdout.len());
    }
}

#[test]
fn a_command_has_the_time_of_the_init_and_its_whole_group_goes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(dir.path());
    config.process.timeout = Some(Duration::from_secs(2));
    config.process.kill_grace = Duration::from_millis(100);
    for hook in [Hook::Preinit, Hook::Env] {
        let script = "sleep 1000 & echo $! >$TOLD; trap '' TERM; while :; do sleep 1000; done";
        let mut runner = CommandRunner::new(NativeRunner);
        let place = match hook {
            Hook::Preinit => &mut runner.preinit,
            _ => &mut runner.env,
        };
        *place = Some(CommandLine::new("sh", ["-c", script]));
        let mut action = open(config.clone(), runner);
        let error = init(&mut action, text(GOOD)).expect_err("it is too slow");
        assert!(matches!(error, InitError::TimedOut { .. }));
        assert_eq!(
            error.to_string(),
            format!(
                "init was stopped in {}, after its time limit of 2s",
                hook.name()
            )
        );
        let stat = format!("/proc/{}/stat", told(dir.path()).trim());
        let stat = fs::read_to_string(stat);
        assert!(
            stat.as_ref().map_or(true, |stat| stat.contains(") Z ")),
            "{hook:?}: {stat:?} runs on"
        );
        fs::remove_file(dir.path().join("told")).expect("it had begun");
    }
}

/// Hooks that fail, so that it shows when they are called.
#[derive(Clone)]
struct Failing;

impl ActionRunner for Failing {
    fn preinit(&self, _: &InitRequest, _: &mut Logs<'_>) -> Result<(), HookError> {
        Err("called".into())
    }

    fn epilogue(&self, _: &mut Staged<'_, '_>) -> Result<(), HookError> {
        Err("called".into())
    }

    fn build(&self, _: &mut Staged<'_, '_>) -> Result<(), HookError> {
        Err("called".into())
    }

    fn env(&self, mut base: Environment, _: &RunRequest) -> Environment {
        base.set("GREETING", "the method's");
        base
    }
}

#[test]
fn a_command_takes_the_place_of_a_method() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut runner = CommandRunner::new(Failing);
    for hook in ["preinit", "epilogue", "build"] {
        let mut action = open(config(dir.path()), runner.clone());
        let said = init(&mut action, text(GOOD)).expect_err("a method fails");
        assert_eq!(said.to_string(), format!("{hook} failed: called"));
        match hook {
            "preinit" => runner.preinit = line("true"),
            "epilogue" => runner.epilogue = line("true"),
            _ => runner.build = line("true"),
        }
    }
    runner.env = line("echo GREETING=command");
    let mut action = open(
        config(dir.path()),
        Box::new(runner) as Box<dyn ActionRunner>,
    );
    init(&mut action, text(GOOD)).expect("no method is called");
    assert_eq!(
        run(&action).expect("a result"),
        r#"{"good":"the method's"}"#
    );
}

#[test]
fn a_resident_process_is_built_by_commands_and_has_their_variables() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(dir.path());
    config.instance = InstanceKind::Resident(ResidentConfig {
        greeting: Greeting::Ack,
        execution_env: None,
        keep_jar: None,
    });
    let mut runner = telling_runner(NativeRunner);
    runner.build = line(
        r##"sh -c '{ echo "#!/bin/sh"; cat "$ACTION_SOURCE"; } >"$ACTION_EXECUTABLE"; chmod +x "$ACTION_EXECUTABLE"'"##,
    );
    runner.env = line("echo GREETING=hello");
    let mut action = open(
        config,
        CompilerRunner {
            compiler: None,
            inner: runner,
        },
    );
    let source = "echo '{\"ok\":true}' >&3\nwhile read -r line; do echo \"{\\\"said\\\":\\\"$GREETING\\\"}\" >&3; done\n";
    init(&mut action, text(source)).expect("it starts");
    assert_eq!(run(&action).expect("an answer"), r#"{"said":"hello"}"#);
    let told = told(dir.path());
    let at = dir.path().join("action");
    for expected in [
        format!("ACTION_STAGE={}\n", at.display()),
        "ACTION_SOURCE=\n".to_owned(),
        format!("ACTION_STAGE={}/1\n", at.display()),
        format!("ACTION_SOURCE={}/1/src/exec\n", at.display()),
        format!("ACTION_EXECUTABLE={}/1/bin/exec\n", at.display()),
    ] {
        assert!(told.contains(&expected), "{expected} in {told}");
    }
    let hooks = told.lines().filter_map(|l| l.strip_prefix("ACTION_HOOK="));
    assert_eq!(hooks.collect::<Vec<_>>(), ["preinit", "epilogue", "verify"]);
    logged(|logs| action.end(logs));
}
