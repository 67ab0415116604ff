//! The rules that names of entries and targets of symlinks obey.

use crate::init::install::RESERVED_PREFIX;

/// The longest component, `NAME_MAX` of every file system in use.
const MAX_COMPONENT: usize = 255;

/// The longest path, Linux's `PATH_MAX` less its NUL.
const MAX_PATH: usize = 4095;

/// The name of an entry: components below the action directory, none of them special.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryPath {
    joined: Vec<u8>,
    /// Whether the name ended in a slash, as a zip's directories do.
    pub(super) ends_in_slash: bool,
}

impl EntryPath {
    /// Reads a name. `.` and empty components are left out, so `./a//b` is `a/b`.
    ///
    /// # Errors
    /// Which rule the name breaks.
    pub(super) fn parse(name: &[u8], max_depth: usize) -> Result<EntryPath, String> {
        if name.is_empty() {
            return Err("the name is empty".to_owned());
        }
        check_text(name, "name")?;
        if name[0] == b'/' {
            return Err("the name is absolute".to_owned());
        }
        let mut components = Vec::new();
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err("the name has a `..`".to_owned()),
                _ if component.len() > MAX_COMPONENT => {
                    return Err(format!(
                        "a component of the name is {} bytes long, over the limit of {MAX_COMPONENT}",
                        component.len()
                    ));
                }
                _ => components.push(component),
            }
        }
        if let Some(first) = components.first()
            && first.starts_with(RESERVED_PREFIX.as_bytes())
        {
            return Err(format!(
                "names that begin with `{RESERVED_PREFIX}` are reserved"
            ));
        }
        let depth = components.len().saturating_sub(1);
        if depth > max_depth {
            return Err(format!(
                "it lies {depth} directories deep, over the limit of {max_depth}"
            ));
        }
        Ok(EntryPath {
            joined: components.join(&b'/'),
            ends_in_slash: name.ends_with(b"/"),
        })
    }

    /// Whether it is the action directory itself, as the entry `./` of a tar archive is.
    pub(super) fn is_root(&self) -> bool {
        self.joined.is_empty()
    }

    /// The path of the directory that it lies in, empty at the top.
    pub(super) fn parent(&self) -> &[u8] {
        self.split().0
    }

    /// The last component.
    pub(super) fn name(&self) -> &[u8] {
        self.split().1
    }

    /// The components joined by slashes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.joined
    }

    fn split(&self) -> (&[u8], &[u8]) {
        match self.joined.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.joined[..slash], &self.joined[slash + 1..]),
            None => (&[], &self.joined),
        }
    }
}

/// How a symlink that stays in the tree does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Whatever its components turn out to be: all `..` come first.
    Plain,
    /// Provided that what its `..` leave are directories and no symlinks.
    GoesUpLater,
}

/// Checks the target of a symlink that lies in the directory `parent` of the tree.
///
/// Counting components tells where a path leads only as long as no `..` follows a symlink: `s/..`
/// is the parent of what `s` points to. The directories above an entry are never symlinks, so
/// `..` at the beginning is sound; names after them cannot leave the tree, since every symlink met
/// on the way obeys this rule itself.
///
/// # Errors
/// Which rule the target breaks.
pub(super) fn check_target(target: &[u8], parent: &[u8]) -> Result<Target, String> {
    if target.is_empty() {
        return Err("it is a symlink without a target".to_owned());
    }
    check_text(target, "target of the symlink")?;
    let shown = || String::from_utf8_lossy(target).escape_debug().to_string();
    if target[0] == b'/' {
        return Err(format!(
            "it is a symlink to the absolute `{}`: one to what the archive holds has to be relative \
             (`ln -sr`); `tar -h`, or `zip` without `-y`, takes what it points to in its place",
            shown()
        ));
    }
    let mut depth = components(parent).count();
    let mut kind = Target::Plain;
    let mut went_down = false;
    for component in components(target) {
        if component == b".." {
            depth = depth.checked_sub(1).ok_or_else(|| {
                format!(
                    "it is a symlink to `{}`, which leaves the action directory",
                    shown()
                )
            })?;
            if went_down {
                kind = Target::GoesUpLater;
            }
        } else {
            depth += 1;
            went_down = true;
        }
    }
    Ok(kind)
}

/// The components of `path` without `.` and empty ones.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
}

fn check_text(text: &[u8], what: &str) -> Result<(), String> {
    if text.contains(&0) {
        return Err(format!("the {what} holds a NUL"));
    }
    if text.len() > MAX_PATH {
        return Err(format!(
            "the {what} is {} bytes long, over the limit of {MAX_PATH}",
            text.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<String, String> {
        EntryPath::parse(name.as_bytes(), 3)
            .map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn names_are_reduced_to_their_components() {
        for (name, path) in [
            ("exec", "exec"),
            ("./a//b/./c/", "a/b/c"),
            ("./", ""),
            (".", ""),
            ("..a/b..", "..a/b.."),
            ("a\\..\\b", "a\\..\\b"),
            ("a/.actionproxy-x", "a/.actionproxy-x"),
            ("1/2/3/exec", "1/2/3/exec"),
        ] {
            assert_eq!(parse(name).unwrap(), path);
        }
        let path = EntryPath::parse(b"a/b/c/", 64).unwrap();
        assert!(path.ends_in_slash);
        assert_eq!((path.parent(), path.name()), (&b"a/b"[..], &b"c"[..]));
    }

    #[test]
    fn names_that_break_a_rule_are_refused() {
        let long = format!("a/{}", "n".repeat(256));
        let longer = "nn/".repeat(1366);
        for (name, reason) in [
            ("", "the name is empty"),
            ("/etc/passwd", "the name is absolute"),
            ("../x", "the name has a `..`"),
            ("a/../b", "the name has a `..`"),
            ("a/..", "the name has a `..`"),
            ("a\0b", "the name holds a NUL"),
            (
                &long,
                "a component of the name is 256 bytes long, over the limit of 255",
            ),
            (
                &longer,
                "the name is 4098 bytes long, over the limit of 4095",
            ),
            (
                "./.actionproxy-stage-1-0",
                "names that begin with `.actionproxy-` are reserved",
            ),
            (
                "1/2/3/4/exec",
                "it lies 4 directories deep, over the limit of 3",
            ),
        ] {
            assert_eq!(parse(name).unwrap_err(), reason);
        }
    }

    #[test]
    fn targets_stay_in_the_tree() {
        for (target, parent, kind) in [
            ("x", "", Target::Plain),
            ("missing/x", "a", Target::Plain),
            ("../x", "a", Target::Plain),
            ("../../x/y", "a/b", Target::Plain),
            (".", "", Target::Plain),
            ("x/../y", "", Target::GoesUpLater),
            ("../b/../y", "a", Target::GoesUpLater),
        ] {
            assert_eq!(
                check_target(target.as_bytes(), parent.as_bytes()),
                Ok(kind),
                "{target}"
            );
        }
        for (target, parent) in [
            ("", ""),
            ("/etc", ""),
            ("..", ""),
            ("a/../../x", ""),
            ("../../x", "a"),
            ("a\0", ""),
        ] {
            assert!(
                check_target(target.as_bytes(), parent.as_bytes()).is_err(),
                "{target}"
            );
        }
    }
}
