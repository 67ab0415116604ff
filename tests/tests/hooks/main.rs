//! Hooks that are commands, from outside: served under each contract, without HTTP, with what they
//! build kept; and the init messages that `pack` makes.

mod cache;
mod pack;
mod served;
mod trial;

use std::path::Path;
use std::process::{Command, Output};

use actionproxy_tests::binary;

/// A C action in one function, as an author of it writes it.
const SQUARE: &str = "int answer(int n) { return n * n; }\n";

/// Makes a program of it: the entry point is named by the init message.
const EPILOGUE: &str = r##"sh -c 'echo "appending $ACTION_MAIN"; printf "#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) { printf(\"{%%cn%%c:%%d}%%c\", 34, 34, %s(atoi(v[1] + 5)), 10); }\n" "$ACTION_MAIN" >>"$ACTION_SOURCE"'"##;

fn command(arguments: &[&str]) -> Command {
    let mut command = binary::command();
    command.args(arguments);
    command
}

fn actionproxy(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the proxy runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Status 2, one line on stderr, nothing on stdout.
fn assert_refused(output: &Output, said: &str) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}
