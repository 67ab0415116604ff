//! The manifests of `deploy/` can be read, and name only what the proxy knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use actionproxy_tests::{binary, tools};
use serde_json::Value;

/// Variables that the single entrypoint reads beside those of the settings.
const ENTRYPOINT: [&str; 7] = [
    "__OW_ACTION_CODE",
    "__OW_ACTION_CODE_FILE",
    "__OW_ACTION_MAIN",
    "__OW_ACTION_BINARY",
    "__OW_ACTION_NAME",
    "__OW_ACTION_RAW",
    "__OW_NAMESPACE",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn help() -> String {
    help_of(binary::command())
}

fn help_of(mut program: Command) -> String {
    let output = program.arg("--help").output().expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

/// Whether a unit is that of the invoker for MQTT brokers.
fn is_of_mqtt(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == "actionproxy-mqtt.service")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let dirs = fs::read_dir(deploy()).expect("the directory");
    let dirs = dirs.map(|entry| entry.expect("an entry").path());
    let files = dirs.filter(|path| path.is_dir()).flat_map(|dir| {
        let entries = fs::read_dir(dir).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    assert!(!found.is_empty(), "no file ends in {extension}");
    found
}

/// The documents of a YAML file, read by another program.
fn documents(path: &Path) -> Vec<Value> {
    let program = "import json, sys, yaml\n\
                   print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = Command::new("/usr/bin/python3")
        .args(["-c", program])
        .arg(path)
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}: {output:?}", path.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every object in `value`, itself included.
fn objects<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            found.push(value);
            fields.values().for_each(|inner| objects(inner, found));
        }
        Value::Array(values) => values.iter().for_each(|inner| objects(inner, found)),
        _ => {}
    }
}

fn is_known(help: &str, variable: &str) -> bool {
    let in_brackets = help.contains(&format!("[{variable}]"))
        || help.contains(&format!("[{variable}, "))
        || help.contains(&format!(", {variable}]"));
    in_brackets || ENTRYPOINT.contains(&variable)
}

fn assert_flags(help: &str, path: &Path, words: impl Iterator<Item = String>) {
    for word in words.filter(|word| word.starts_with("--")) {
        assert!(
            help.contains(&format!("  {word} ")),
            "{}: {word}",
            path.display()
        );
    }
}

#[test]
fn manifests_name_flags_variables_and_ports_that_there_are() {
    let yaml = Path::new("/usr/lib/python3/dist-packages/yaml/__init__.py");
    if !tools::is_installed(yaml, "python3-yaml") {
        return;
    }
    let help = help();
    let mut seen = 0;
    for path in files("yaml") {
        for document in documents(&path) {
            for required in ["apiVersion", "kind", "metadata"] {
                assert!(
                    document[required] != Value::Null,
                    "{}: {required}",
                    path.display()
                );
            }
            let mut all = Vec::new();
            objects(&document, &mut all);
            let containers = all.iter().filter_map(|o| o["containers"].as_array());
            for container in containers.flatten() {
                let variables = container["env"].as_array().into_iter().flatten();
                for variable in variables {
                    let name = variable["name"].as_str().expect("a name");
                    assert!(is_known(&help, name), "{}: {name}", path.display());
                    assert!(variable["value"].is_string(), "{name} needs a string");
                    seen += 1;
                }
                let arguments = container["args"].as_array().into_iter().flatten();
                let arguments = arguments.map(|a| a.as_str().expect("text").to_owned());
                assert_flags(&help, &path, arguments);
                let ports = container["ports"].as_array().expect("ports");
                assert_eq!(ports[0]["containerPort"], 8080, "{}", path.display());
                for probe in ["livenessProbe", "readinessProbe"] {
                    let probe = &container[probe]["httpGet"];
                    let path = probe["path"].as_str().unwrap_or("/healthz");
                    assert!(["/healthz", "/readyz"].contains(&path), "{path}");
                }
            }
        }
    }
    assert!(seen >= 8, "only {seen} variables were found");
}

#[test]
fn the_runtimes_manifest_is_json() {
    for path in files("json") {
        let text = fs::read_to_string(&path).expect("a file");
        let manifest: Value = serde_json::from_str(&text).expect("JSON");
        let image = &manifest["blackboxes"][0];
        let bake = fs::read_to_string(deploy().join("../docker-bake.hcl")).expect("the bake file");
        let name = image["name"].as_str().expect("a name");
        assert!(bake.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn the_units_are_units_and_name_flags_that_there_are() {
    let (proxy, mqtt) = (help(), help_of(Command::new(binary::mqtt())));
    for path in files("service") {
        let text = fs::read_to_string(&path).expect("a file");
        let help = if is_of_mqtt(&path) { &mqtt } else { &proxy };
        let start = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let start = start.expect("what is started");
        assert_flags(help, &path, start.split(' ').map(str::to_owned));
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for variable in words.filter(|word| word.starts_with("ACTIONPROXY_")) {
            assert!(is_known(help, variable), "{}: {variable}", path.display());
        }
    }
    if !tools::are_here(&["systemd-analyze"]) {
        return;
    }
    // It looks for the binary where the unit says it is: here the one under test.
    let dir = tempfile::tempdir().expect("a directory");
    for path in files("service").into_iter().chain(files("socket")) {
        let text = fs::read_to_string(&path).expect("a file");
        let here = if is_of_mqtt(&path) {
            binary::mqtt()
        } else {
            binary::proxy()
        };
        let start = format!("ExecStart={} ", here.to_str().expect("text"));
        let text = text.replace("ExecStart=/usr/local/bin/actionproxy ", &start);
        let text = text.replace("ExecStart=/usr/local/bin/actionproxy-mqtt ", &start);
        fs::write(dir.path().join(path.file_name().expect("a name")), text).expect("written");
    }
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(dir.path().join("actionproxy.service"))
        .arg(dir.path().join("actionproxy.socket"))
        .arg(dir.path().join("actionproxy-mqtt.service"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("actionproxy"))
        .collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
