//! OpenWhisk's own ActionLoop runtimes, their files unmodified, with our binary in the place of the Go
//! proxy. `tests/runtimes/run` runs these where checkouts of the runtimes can be had; elsewhere the
//! `action_loop` tests have loops and compile scripts of our own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use actionproxy_tests::files::{base64, shell};
use actionproxy_tests::{Answer, Proxy, binary};
use serde_json::{Value, json};

const OK: &str = "{\"ok\":true}\n";
const EXITED: &str = "{\"error\":\"command exited\"}\n";
const NO_RESULT: &str = "{\"error\":\"The action did not return a dictionary or array.\"}\n";
const NOT_BUILT: &str =
    "{\"error\":\"The action failed to generate or locate a binary. See logs for details.\"}\n";

fn checkouts() -> PathBuf {
    std::env::var_os("RUNTIME_CHECKOUTS")
        .expect("RUNTIME_CHECKOUTS names the checkouts; tests/runtimes/run sets it")
        .into()
}

/// The command that puts what follows into the image of a runtime.
fn enter(runtime: &str) -> [PathBuf; 3] {
    let enter = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtimes/enter");
    [enter, runtime.into(), checkouts()]
}

fn start(runtime: &str) -> Proxy {
    Proxy::builder()
        .under(enter(runtime))
        .env("__OW_API_HOST", "https://a/?b=c=d")
        .start()
}

fn begin(proxy: &Proxy, value: Value) {
    let answer = proxy.init_with(value);
    assert_eq!(
        (answer.status, answer.text()),
        (200, OK),
        "{}",
        proxy.stderr()
    );
}

fn begun(runtime: &str, code: &str) -> Proxy {
    let proxy = start(runtime);
    begin(&proxy, json!({ "code": code }));
    proxy
}

fn result(proxy: &Proxy, value: Value) -> Value {
    let answer = proxy.run(value);
    assert_eq!(answer.status, 200, "{}: {}", answer.text(), proxy.stderr());
    serde_json::from_str(answer.text()).expect("JSON")
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.text())
}

/// Text with everything in it, and as much of it as an argument may have.
fn unicode() -> Value {
    json!({"text": "ü € 🚀 \" \\ \u{0} \n \u{2028}", "n": [1, 2.5, null, true]})
}

fn large() -> Value {
    json!({"text": "ü".repeat(450_000)})
}

/// An action that gives back what it is given, and writes a line to each stream.
fn echoes(runtime: &str, code: &str) {
    let mut proxy = begun(runtime, code);
    for value in [json!({"a": 1}), unicode(), large()] {
        assert!(result(&proxy, value.clone()) == value);
        let logs = proxy.logs();
        assert_eq!(
            (logs.stdout.trim(), logs.stderr.trim()),
            ("to stdout ü", "to stderr ü")
        );
        let unread = proxy.unread();
        assert_eq!((unread.stdout.as_str(), unread.stderr.as_str()), ("", ""));
    }
    assert_eq!(proxy.stop(), 0);
}

/// An action that ends its process.
fn exits(runtime: &str, code: &str) {
    let mut proxy = begun(runtime, code);
    assert_eq!(told(&proxy.run(json!({}))), (400, EXITED));
    proxy.logs();
    assert_eq!(told(&proxy.run(json!({}))), (500, EXITED));
    proxy.logs();
}

/// What cannot be started is a failed init, or, in a runtime without ack, at the latest a failed run.
fn does_not_start(runtime: &str, code: &str) {
    let proxy = start(runtime);
    let answer = proxy.init_with(json!({ "code": code }));
    if answer.status == 200 {
        let answer = proxy.run(json!({}));
        assert!([400, 500].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.text(), EXITED);
    } else {
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
}

/// A zip of these files.
fn zip(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("our own directory");
        fs::write(path, text).expect("our own directory");
    }
    shell(
        dir.path(),
        "zip -qr ../$NAME.zip . && mv ../$NAME.zip a.zip",
        &[("NAME", &unique(dir.path()))],
    );
    base64(&fs::read(dir.path().join("a.zip")).expect("an archive"))
}

fn unique(path: &Path) -> String {
    path.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

mod python {
    use super::*;

    const ECHO: &str = "import sys\ndef main(args):\n    print('to stdout ü')\n    \
                        print('to stderr ü', file=sys.stderr)\n    return args\n";

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn echo() {
        echoes("python", ECHO);
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn another_entry_point_and_variables() {
        let proxy = start("python");
        let code = "import os\ndef niam(args):\n    return {n: os.environ.get(n) for n in args['names']}\n";
        let env = json!({"TEXT": "a=b ü", "NUMBER": 5, "OBJECT": {"a": [1]}});
        begin(&proxy, json!({"code": code, "main": "niam", "env": env}));
        let message = json!({
            "value": {"names": ["TEXT", "NUMBER", "OBJECT", "__OW_API_HOST", "__OW_ACTIVATION_ID"]},
            "activation_id": "x1",
        });
        let answer = proxy.post("/run", message.to_string());
        let found: Value = serde_json::from_str(answer.text()).expect("JSON");
        let expected = json!({
            "TEXT": "a=b ü", "NUMBER": "5", "OBJECT": "{\"a\":[1]}",
            "__OW_API_HOST": "https://a/?b=c=d", "__OW_ACTIVATION_ID": "x1",
        });
        assert_eq!(found, expected);
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_zip_with_modules() {
        let proxy = start("python");
        let code = zip(&[
            (
                "__main__.py",
                "from pack.more import answer\ndef main(args):\n    return {'n': answer()}\n",
            ),
            ("pack/__init__.py", ""),
            ("pack/more.py", "def answer():\n    return 42\n"),
        ]);
        begin(&proxy, json!({"code": code, "binary": true}));
        assert_eq!(result(&proxy, json!({})), json!({"n": 42}));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn an_exception_and_what_is_no_dictionary() {
        let mut proxy = begun(
            "python",
            "def main(args):\n    return 'text' if 'text' in args else 1 / 0\n",
        );
        assert_eq!(
            result(&proxy, json!({})),
            json!({"error": "division by zero"})
        );
        assert!(proxy.logs().stderr.contains("ZeroDivisionError"));
        assert_eq!(told(&proxy.run(json!({"text": 1}))), (502, NO_RESULT));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_syntax_error_and_a_missing_module() {
        let mut proxy = start("python");
        let answer = proxy.init_with(json!({"code": "def main(args:\n"}));
        assert_eq!(told(&answer), (502, NOT_BUILT));
        assert!(
            proxy.logs().stderr.contains("never closed"),
            "{}",
            proxy.stderr()
        );
        let answer = proxy.init_with(json!({"code": "import nowhere\n"}));
        let text = "{\"error\":\"Cannot start action. Check logs for details.\"}\n";
        assert_eq!(told(&answer), (502, text));
        assert!(
            proxy.logs().stderr.contains("No module named 'nowhere'"),
            "{}",
            proxy.stderr()
        );
        // A failed init may be followed by a good one.
        begin(&proxy, json!({"code": ECHO}));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn an_exit() {
        exits("python", "import os\ndef main(args):\n    os._exit(1)\n");
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn compiled_before() {
        let [enter, runtime, checkouts] = enter("python");
        let mut child = Command::new(enter)
            .args([runtime, checkouts, binary::proxy()])
            .args(["-compile", "niam"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let source = "def niam(args):\n    return {'got': args}\n";
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(source.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        let proxy = start("python");
        begin(
            &proxy,
            json!({"code": base64(&output.stdout), "binary": true}),
        );
        assert_eq!(result(&proxy, json!({"a": 1})), json!({"got": {"a": 1}}));
    }
}

mod ruby {
    use super::*;

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn echo() {
        echoes(
            "ruby",
            "def main(args)\n  puts 'to stdout ü'\n  STDERR.puts 'to stderr ü'\n  args\nend\n",
        );
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn another_entry_point_and_variables() {
        let proxy = start("ruby");
        let code =
            "def niam(args)\n  {'text' => ENV['TEXT'], 'host' => ENV['__OW_API_HOST']}\nend\n";
        begin(
            &proxy,
            json!({"code": code, "main": "niam", "env": {"TEXT": "a=b"}}),
        );
        let expected = json!({"text": "a=b", "host": "https://a/?b=c=d"});
        assert_eq!(result(&proxy, json!({})), expected);
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_zip_with_modules() {
        let proxy = start("ruby");
        let code = zip(&[
            (
                "main.rb",
                "require './lib/more'\ndef main(args)\n  {'n' => answer}\nend\n",
            ),
            ("lib/more.rb", "def answer\n  42\nend\n"),
        ]);
        begin(&proxy, json!({"code": code, "binary": true}));
        assert_eq!(result(&proxy, json!({})), json!({"n": 42}));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn an_exception_and_what_is_no_dictionary() {
        let mut proxy = begun(
            "ruby",
            "def main(args)\n  args['text'] ? 'text' : (raise 'broken')\nend\n",
        );
        assert_eq!(result(&proxy, json!({})), json!({"error": "broken"}));
        assert!(proxy.logs().stdout.contains("exception: broken"));
        assert_eq!(told(&proxy.run(json!({"text": 1}))), (502, NO_RESULT));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_syntax_error_and_an_exit() {
        does_not_start("ruby", "def main(args\n");
        exits("ruby", "def main(args)\n  exit!(1)\nend\n");
    }
}

mod php {
    use super::*;

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn echo() {
        echoes(
            "php",
            "<?php\nfunction main(array $args): array {\n  echo \"to stdout ü\\n\";\n  \
             file_put_contents('php://stderr', 'to stderr ü');\n  return $args;\n}\n",
        );
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn another_entry_point_and_variables() {
        let proxy = start("php");
        let code = "<?php\nfunction niam(array $args): array {\n  return ['text' => getenv('TEXT'), \
                    'host' => getenv('__OW_API_HOST')];\n}\n";
        begin(
            &proxy,
            json!({"code": code, "main": "niam", "env": {"TEXT": "a=b"}}),
        );
        let expected = json!({"text": "a=b", "host": "https://a/?b=c=d"});
        assert_eq!(result(&proxy, json!({})), expected);
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_zip_with_modules() {
        let proxy = start("php");
        let code = zip(&[
            (
                "index.php",
                "<?php\nrequire 'lib/more.php';\nfunction main($args) { return ['n' => answer()]; }\n",
            ),
            ("lib/more.php", "<?php\nfunction answer() { return 42; }\n"),
        ]);
        begin(&proxy, json!({"code": code, "binary": true}));
        assert_eq!(result(&proxy, json!({})), json!({"n": 42}));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn an_exception_and_what_is_no_dictionary() {
        let code = "<?php\nfunction main(array $args) {\n  if (isset($args['text'])) return 'text';\n  \
                    throw new Exception('broken');\n}\n";
        let mut proxy = begun("php", code);
        assert_eq!(told(&proxy.run(json!({}))), (502, NO_RESULT));
        assert!(proxy.logs().stderr.contains("broken"));
        assert_eq!(told(&proxy.run(json!({"text": 1}))), (502, NO_RESULT));
        proxy.logs();
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_syntax_error_and_an_exit() {
        does_not_start("php", "<?php\nfunction main(array $args {\n");
        exits(
            "php",
            "<?php\nfunction main(array $args): array { exit(1); }\n",
        );
    }
}

mod go {
    use super::*;

    const MAIN: &str = "func Main(args map[string]interface{}) map[string]interface{}";

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn echo() {
        echoes(
            "go",
            &format!(
                "package main\nimport (\"fmt\"; \"os\")\n{MAIN} {{\n  fmt.Println(\"to stdout ü\")\n  \
                 fmt.Fprintln(os.Stderr, \"to stderr ü\")\n  return args\n}}\n"
            ),
        );
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn another_entry_point_and_variables() {
        let proxy = start("go");
        let code = "package main\nimport \"os\"\nfunc Niam(args map[string]interface{}) map[string]interface{} {\n  \
                    return map[string]interface{}{\"text\": os.Getenv(\"TEXT\"), \"host\": os.Getenv(\"__OW_API_HOST\")}\n}\n";
        begin(
            &proxy,
            json!({"code": code, "main": "niam", "env": {"TEXT": "a=b"}}),
        );
        let expected = json!({"text": "a=b", "host": "https://a/?b=c=d"});
        assert_eq!(result(&proxy, json!({})), expected);
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_zip_with_modules() {
        let proxy = start("go");
        let main = format!(
            "package main\nimport \"exec/more\"\n{MAIN} {{ return map[string]interface{{}}{{\"n\": more.Answer()}} }}\n"
        );
        let code = zip(&[
            ("exec.go", &main),
            ("go.mod", "module exec\n"),
            (
                "more/more.go",
                "package more\nfunc Answer() int { return 42 }\n",
            ),
        ]);
        begin(&proxy, json!({"code": code, "binary": true}));
        assert_eq!(result(&proxy, json!({})), json!({"n": 42}));
    }

    #[test]
    #[ignore = "needs checkouts of the runtimes: tests/runtimes/run"]
    fn a_source_that_does_not_compile_and_an_exit() {
        let mut proxy = start("go");
        let answer = proxy.init_with(json!({"code": "package main\nfunc Main(\n"}));
        assert_eq!(told(&answer), (502, NOT_BUILT));
        assert!(
            proxy.logs().stderr.contains("syntax error"),
            "{}",
            proxy.stderr()
        );
        exits(
            "go",
            &format!("package main\nimport \"os\"\n{MAIN} {{ os.Exit(1); return nil }}\n"),
        );
    }
}
