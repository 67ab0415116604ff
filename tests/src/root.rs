//! A program's own view of the machine: everything as it is, but `/action` the test's, or not there.
//!
//! What the proxy does with `/action` can then be seen on a machine whose `/action` is somebody's.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::tools::{are_here, leave_out};

/// Makes a root of mounts, in a mount namespace of its own, and becomes the program behind it.
const CHANGE_ROOT: &str = r#"
set -e
root=$1 action=$2
shift 2
mount -t tmpfs root "$root"
for entry in /*; do
    [ "$entry" != /action ] || continue
    if [ -L "$entry" ]; then
        cp -P "$entry" "$root$entry"
    elif [ -d "$entry" ]; then
        mkdir "$root$entry"
        mount --rbind "$entry" "$root$entry"
    fi
done
if [ -n "$action" ]; then
    mkdir "$root/action"
    mount --bind "$action" "$root/action"
fi
exec chroot "$root" "$@"
"#;

/// The words before a command that give it such a view; `/action` is `action`, or not there. `empty`
/// is an empty directory of the test's. Nothing of it is left when the command has ended.
///
/// `None`, and it has been said why, where this process may not make a mount namespace.
///
/// # Panics
/// In CI, where it may not.
pub fn with_action(empty: &Path, action: Option<&Path>) -> Option<Vec<OsString>> {
    if !are_here(&["unshare", "mount", "chroot"]) {
        return None;
    }
    let mut words: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user".into());
    }
    let can = Command::new(&words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        leave_out("this test needs the privilege to make a mount namespace");
        return None;
    }
    words.extend(["sh", "-c", CHANGE_ROOT, "sh"].map(OsString::from));
    words.push(empty.into());
    words.push(action.map_or_else(OsString::new, OsString::from));
    Some(words)
}
