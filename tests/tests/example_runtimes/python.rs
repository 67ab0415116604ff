//! The Python runtime: handlers, archives, virtual environments, and actions that fail.

use super::*;

const EXITED: &str = "command exited";
const NOT_STARTED: &str = "Cannot start action. Check logs for details.";

const ECHO: &str = "import sys\ndef main(args):\n    print('to stdout ü')\n    \
                    print('to stderr ü', file=sys.stderr)\n    return args\n";

/// Init, with the logs in which it failed told.
fn assert_not_started(proxy: &mut Proxy, value: Value, words: &[&str]) {
    assert_refused(proxy, value, NOT_STARTED, words);
}

#[test]
fn it_passes_its_own_test() {
    passes_its_own_test("python");
}

#[test]
fn a_dictionary_of_any_text_and_size_comes_and_goes_with_logs_on_both_streams() {
    echoes(&mut begun("python", ECHO));
}

#[test]
fn a_list_is_an_argument_and_a_result() {
    let proxy = begun("python", "def main(args):\n    return [args, (1, 2)]\n");
    assert_eq!(result(&proxy, json!([1])), json!([[1], [1, 2]]));
    assert_eq!(result(&proxy, json!(null)), json!([{}, [1, 2]]));
}

#[test]
fn half_a_surrogate_pair_is_a_result() {
    let proxy = begun("python", "def main(args):\n    return {'ü': '\\ud800'}\n");
    assert_eq!(proxy.result(json!({})).trim(), r#"{"\u00fc": "\ud800"}"#);
}

#[test]
fn one_process_serves_all_activations_each_with_its_own_variables() {
    let code = "import os\ncount = 0\ndef main(args):\n    global count\n    count += 1\n    \
                names = ['__OW_ACTIVATION_ID', '__OW_DEADLINE', '__OW_NOTHING', '__OW_API_HOST', 'MINE']\n    \
                return {'count': count, 'seen': [os.environ.get(name) for name in names]}\n";
    let proxy = builder("python")
        .env("__OW_API_HOST", "the proxy's")
        .start();
    begin(&proxy, json!({"code": code, "env": {"MINE": "init's"}}));
    for (count, message, seen) in [
        (
            1,
            json!({"value": {}, "activation_id": "ü=\"", "deadline": 5, "nothing": null, "api_host": "other"}),
            json!(["ü=\"", "5", null, "other", "init's"]),
        ),
        (
            2,
            json!({"value": {}, "activation_id": "\u{0}", "a=b": "c", "": "d"}),
            json!([null, null, null, "the proxy's", "init's"]),
        ),
    ] {
        let answer = proxy.post("/run", message.to_string());
        let answer: Value = serde_json::from_str(answer.text()).expect("JSON");
        assert_eq!(answer, json!({"count": count, "seen": seen}));
    }
}

#[test]
fn another_entry_point_is_called_and_one_that_is_not_there_is_named() {
    let code = "first = 1\ndef hello(args):\n    return {'hello': True}\n";
    let mut proxy = start("python");
    for (main, words) in [
        ("main", "the action has no function `main`: it has hello"),
        ("first", "the action has no function `first`: it has hello"),
    ] {
        assert_not_started(&mut proxy, json!({"code": code, "main": main}), &[words]);
    }
    for main in ["a b", "$(id)", "1", "a/b", "größe"] {
        let words = format!("`{main}` cannot be the name of the function");
        let value = json!({"code": code, "main": main});
        assert_refused(&mut proxy, value, NOT_BUILT, &[&words]);
    }
    begin(&proxy, json!({"code": code, "main": "hello"}));
    assert_eq!(result(&proxy, json!({})), json!({"hello": true}));
}

#[test]
fn an_archive_has_its_modules_and_files() {
    let proxy = start("python");
    let files = "mkdir -p lib data\n\
                 printf 'from lib.greet import greet\\ndef main(args):\\n  return greet(args, __file__)\\n' > __main__.py\n\
                 printf 'import os\\ndef greet(args, file):\\n  here = os.path.dirname(file)\\n  \
                 return {\"data\": open(here + \"/data/text\").read(), \"here\": os.getcwd() == here}\\n' > lib/greet.py\n\
                 touch lib/__init__.py; printf 'ü' > data/text\n";
    begin(&proxy, archive(&format!("{files} zip -qr a.zip .")));
    assert_eq!(
        result(&proxy, json!({})),
        json!({"data": "ü", "here": true})
    );
    let proxy = start("python");
    let tar = format!("{files} tar -czf a.zip __main__.py lib data");
    begin(&proxy, archive(&tar));
    assert_eq!(
        result(&proxy, json!({})),
        json!({"data": "ü", "here": true})
    );
}

#[test]
fn an_archive_without_its_main_file_is_refused_with_what_it_has() {
    let mut proxy = start("python");
    for (commands, words) in [
        (
            "mkdir mine; echo 'def main(a): return a' > mine/__main__.py; zip -qr a.zip mine",
            "no `__main__.py` at its top, but `mine/__main__.py`: pack what is in that directory",
        ),
        (
            "touch action.py 'a b'; zip -qr a.zip .",
            "no `__main__.py` at its top: it holds `a b` `action.py`",
        ),
    ] {
        assert_refused(&mut proxy, archive(commands), NOT_BUILT, &[words]);
    }
}

#[test]
fn the_packages_of_a_virtual_environment_come_before_the_images() {
    let proxy = begun(
        "python",
        "import sys\ndef main(args):\n    return {'is': 'python%d.%d' % sys.version_info[:2]}\n",
    );
    let python = result(&proxy, json!({}));
    let python = python["is"].as_str().expect("a version");
    // A real one, under the name of the Python that it is for; a package in it has the name of one
    // of the image's, and a file `.pth` leads to another.
    let make = format!(
        "python3 -m venv --copies --without-pip virtualenv\n\
         [ -d virtualenv/lib/{python} ] || mv virtualenv/lib/python* virtualenv/lib/{python}\n\
         site=virtualenv/lib/{python}/site-packages; mkdir -p $site/more\n\
         echo 'name = \"mine\"' > $site/calendar.py; echo more > $site/more.pth\n\
         echo 'name = \"more\"' > $site/more/further.py\n\
         printf 'import calendar, further\\ndef main(args):\\n  return {{\"names\": [calendar.name, further.name]}}\\n' > __main__.py\n"
    );
    for pack in [
        "zip -qry a.zip __main__.py virtualenv -x 'virtualenv/bin/*'",
        "zip -qry a.zip .",
    ] {
        let proxy = start("python");
        begin(&proxy, archive(&format!("{make}{pack}")));
        assert_eq!(
            result(&proxy, json!({})),
            json!({"names": ["mine", "more"]})
        );
    }
    let other =
        format!("{make} mv virtualenv/lib/{python} virtualenv/lib/python2.9; zip -qry a.zip .");
    let words = format!("`virtualenv/` has packages for python2.9, and this is {python}");
    assert_not_started(&mut start("python"), archive(&other), &[&words]);
}

#[test]
fn a_source_that_cannot_be_loaded_fails_the_init_and_another_follows() {
    let mut proxy = start("python");
    for (code, words) in [
        (
            "def main(args:\n    return {}\n",
            &[
                "__main__.py\", line 1",
                "the action could not be loaded: SyntaxError",
            ][..],
        ),
        (
            "import nowhere\n",
            &[
                "line 1, in <module>",
                "ModuleNotFoundError: No module named 'nowhere'",
            ],
        ),
        (
            "print('so far')\nexit(3)\n",
            &["could not be loaded: SystemExit: 3"],
        ),
    ] {
        assert_not_started(&mut proxy, json!({ "code": code }), words);
    }
    begin(&proxy, json!({ "code": ECHO }));
    echoes(&mut proxy);
}

#[test]
fn an_exception_is_an_error_with_a_traceback_in_the_logs() {
    let code = "import sys\ndef main(args):\n    print('before')\n    \
                return {'is': 1 / args['by']} if args.get('by') != 3 else sys.exit('ü')\n";
    let mut proxy = begun("python", code);
    for (value, error) in [
        (json!({"by": 0}), "ZeroDivisionError: division by zero"),
        (json!({}), "KeyError: 'by'"),
        (json!({"by": 3}), "SystemExit: ü"),
    ] {
        assert_error(&proxy.run(value), 200, error);
        let (stdout, stderr) = logs(&mut proxy);
        assert_eq!(stdout, "before");
        assert!(
            stderr.starts_with("Traceback (most recent call last):"),
            "{stderr}"
        );
        assert!(stderr.ends_with(error), "{stderr}");
        // The launcher's own frames tell an author nothing.
        assert!(stderr.contains("__main__.py\", line 4, in main") && !stderr.contains("launcher"));
    }
    assert_eq!(result(&proxy, json!({"by": 2})), json!({"is": 0.5}));
}

#[test]
fn what_is_no_result_is_told() {
    let code = "def main(args):\n    return eval(args['code'])\n";
    let mut proxy = begun("python", code);
    for (code, kind) in [
        ("5", "int"),
        ("'x'", "str"),
        ("None", "NoneType"),
        ("{1}", "set"),
    ] {
        assert_error(&proxy.run(json!({ "code": code })), 502, NO_RESULT);
        let words = format!("`main` returned {kind}: expected a dictionary or a list");
        assert!(logs(&mut proxy).1.contains(&words));
    }
    for (code, reason) in [
        ("{'a': {1}}", "Object of type set is not JSON serializable"),
        (
            "[float('nan')]",
            "Out of range float values are not JSON compliant",
        ),
        ("[x := [], x.append(x)][0]", "Circular reference detected"),
    ] {
        let answer = proxy.run(json!({ "code": code }));
        assert!(
            answer
                .error()
                .starts_with(&format!("the result cannot be JSON: {reason}"))
        );
        assert!(
            logs(&mut proxy)
                .1
                .starts_with("what `main` returned cannot be JSON")
        );
    }
    assert_eq!(result(&proxy, json!({"code": "{}"})), json!({}));
}

#[test]
fn an_action_that_is_killed_is_told_with_its_logs() {
    let code = "import os\ndef main(args):\n    print('before')\n    os.kill(os.getpid(), 9)\n";
    let mut proxy = begun("python", code);
    assert_error(&proxy.run(json!({})), 400, EXITED);
    let (stdout, stderr) = logs(&mut proxy);
    assert_eq!(stdout, "before");
    assert!(stderr.contains("killed by SIGKILL"), "{stderr}");
    assert_error(&proxy.run(json!({})), 500, EXITED);
}

#[test]
fn neither_an_action_nor_its_children_reach_the_pipes_of_the_proxy() {
    let code = "import os, subprocess, sys\ndef main(args):\n    sys.stdout.close()\n    \
                try:\n        os.write(3, b'{}\\n')\n    except OSError as e:\n        wrote = e.strerror\n    \
                child = subprocess.run(['sh', '-c', 'cat; echo >&3'], capture_output=True, text=True)\n    \
                return {'stdin': sys.stdin.read(), 'wrote': wrote, 'child': child.stdout, 'status': child.returncode}\n";
    let proxy = begun("python", code);
    let seen = json!({"stdin": "", "wrote": "Bad file descriptor", "child": "", "status": 2});
    assert_eq!(result(&proxy, json!({})), seen);
    assert_eq!(result(&proxy, json!({"again": true})), seen);
}
