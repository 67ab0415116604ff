//! Programs in C that use every function, by its rules and against them: under valgrind, and again with
//! AddressSanitizer, without an error or a leak.

use super::{Built, command, compiled, succeeded, tools_are_here};

const WATCHED: [Built; 2] = [Built::ForValgrind, Built::WithSanitizer];

fn runs(name: &str, ways: &[Built]) {
    if !tools_are_here() {
        return;
    }
    for &built in ways {
        let program = compiled(&format!("tests/tests/capi/programs/{name}.c"), built);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let said = succeeded(command(&program, built).arg(dir.path()));
        assert_eq!(said, "done\n", "{built:?}");
    }
}

#[test]
fn what_is_used_by_its_rules_does_what_it_says() {
    runs("use", &WATCHED);
}

#[test]
fn what_is_used_against_its_rules_is_an_error() {
    runs("misuse", &WATCHED);
}

#[test]
fn threads_run_cancel_and_tend() {
    runs("threads", &WATCHED);
}

#[test]
fn what_is_the_hosts_stays_as_it_is() {
    runs("host", &WATCHED);
}

#[test]
fn what_is_taken_from_an_action_is_taken_from_its_processes() {
    runs("confined", &[Built::WithSanitizer]);
}
