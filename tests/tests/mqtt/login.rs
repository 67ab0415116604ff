//! User and password, TLS, a certificate of the invoker's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use actionproxy_tests::mosquitto::{Broker, Invoker};
use actionproxy_tests::tools;

use crate::ECHO;

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect(program);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

fn file(path: &Path, name: &str) -> Vec<u8> {
    fs::read(path.join(name)).expect("a file")
}

fn begin(url: &str, arguments: &[&str]) -> Invoker {
    let dir = tempfile::tempdir().expect("a directory");
    Invoker::begin(url, dir, arguments)
}

#[test]
fn a_user_has_a_password_in_a_file() {
    if !tools::are_here(&["mosquitto", "mosquitto_passwd"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    run(
        "mosquitto_passwd",
        &["-b", "-c", "passwords", "device", "open sesame"],
        dir.path(),
    );
    fs::write(dir.path().join("right"), "open sesame\n").expect("written");
    fs::write(dir.path().join("wrong"), "sesame").expect("written");
    let files = [("passwords", file(dir.path(), "passwords"))];
    let lines = "allow_anonymous false\npassword_file DIR/passwords\n";
    let Some(mut broker) = Broker::with(lines, &files) else {
        return;
    };
    broker.clients(&["-u", "device", "-P", "open sesame"]);
    let seen = broker.subscribe("device/#");
    let path = |name| dir.path().join(name).to_str().expect("text").to_owned();
    let invoker = Invoker::start(
        &broker,
        &[
            "--broker-user",
            "device",
            "--broker-password-file",
            &path("right"),
        ],
    );
    broker.init(&seen, "echo", ECHO);
    invoker.stop();
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let wrong = begin(
        &url,
        &[
            "--broker-user",
            "device",
            "--broker-password-file",
            &path("wrong"),
        ],
    );
    wrong.wait_said("the broker refuses: NotAuthorized");
    wrong.stop();
    begin(&url, &[]).wait_said("the broker refuses: NotAuthorized");
}

/// An authority, and certificates by it: for the broker, for a device; and another authority.
fn certificates(dir: &Path) {
    let openssl = |arguments: &[&str]| run("openssl", arguments, dir);
    for (name, subject) in [("ca", "/CN=authority"), ("other", "/CN=other")] {
        let (key, crt) = (format!("{name}.key"), format!("{name}.crt"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            subject,
            "-keyout",
            &key,
            "-out",
            &crt,
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
    }
    fs::write(
        dir.join("names"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
    )
    .expect("written");
    fs::write(dir.join("client"), "extendedKeyUsage=clientAuth\n").expect("written");
    for (name, extensions) in [("broker", "names"), ("device", "client")] {
        let (key, csr, crt) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.crt"),
        );
        openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &csr,
        ]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &csr,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            extensions,
            "-out",
            &crt,
        ]);
    }
}

#[test]
fn tls_has_an_authority_and_a_certificate_of_each_side() {
    if !tools::are_here(&["mosquitto", "openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    certificates(dir.path());
    let files = ["ca.crt", "broker.crt", "broker.key"].map(|name| (name, file(dir.path(), name)));
    let lines = "allow_anonymous true\ncafile DIR/ca.crt\ncertfile DIR/broker.crt\n\
                 keyfile DIR/broker.key\nrequire_certificate true\n";
    let Some(mut broker) = Broker::with(lines, &files) else {
        return;
    };
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let (ca, crt, key) = (path("ca.crt"), path("device.crt"), path("device.key"));
    broker.clients(&["--cafile", &ca, "--cert", &crt, "--key", &key]);
    let seen = broker.subscribe("device/#");
    let own = ["--ca", &ca, "--certificate", &crt, "--key", &key];
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("mqtts://{host}:{}", broker.port());
        let invoker = begin(&url, &own);
        invoker.wait_said(": connected to mqtts://");
        broker.init(&seen, host, ECHO);
        broker.publish(
            &format!("device/action/{host}/run"),
            format!(
                r#"{{"activation_id": "{host}", "value": {{"long": "{}"}}}}"#,
                "x".repeat(100_000)
            ),
        );
        assert_eq!(
            seen.answer(host).json()["got"]["long"]
                .as_str()
                .map(str::len),
            Some(100_000)
        );
        invoker.stop();
    }
    let url = format!("mqtts://127.0.0.1:{}", broker.port());
    let other = begin(&url, &["--ca", &path("other.crt")]);
    other.wait_said("invalid peer certificate");
    other.stop();
    let without = begin(&url, &["--ca", &ca]);
    without.wait_said("CertificateRequired");
    without.stop();
    // What is no certificate is named at the start.
    for (flag, what) in [
        ("--ca", "names"),
        ("--certificate", "names"),
        ("--key", "names"),
    ] {
        let mut words: Vec<String> = own.iter().map(|word| (*word).to_owned()).collect();
        let place = words.iter().position(|word| word == flag).expect("a flag");
        words[place + 1] = path(what);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let invoker = begin(&url, &words);
        let said = invoker.file("stderr");
        let (status, _dir) = invoker.wait();
        let said = fs::read_to_string(said).expect("a file");
        assert!(
            status.code() == Some(2) && said.contains(flag) && said.contains("PEM"),
            "{said}"
        );
    }
}
