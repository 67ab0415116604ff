//! Users and groups, by number or by name.
//!
//! The names are those of the machine's own files (`passwd(5)`, `group(5)`). The C library's look-up
//! would load whatever else is configured there, which a static binary cannot.

use std::fs;

use actionproxy_core::confinement::User;

pub(super) const USER: &str =
    "USER or USER:GROUP, numbers or names that /etc/passwd and /etc/group have, or `off`";

/// The user that `text` names; none for `off`.
pub(super) fn user(text: &str) -> Option<Option<User>> {
    if text == "off" {
        return Some(None);
    }
    // An image from scratch has neither, and numbers do.
    let read = |path: &str| fs::read(path).unwrap_or_default();
    let (users, groups) = (read("/etc/passwd"), read("/etc/group"));
    look_up(
        text,
        &String::from_utf8_lossy(&users),
        &String::from_utf8_lossy(&groups),
    )
    .map(Some)
}

/// Without a group, the user's own; of a user that no file knows, the one of the same number.
fn look_up(text: &str, users: &str, groups: &str) -> Option<User> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let entry = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| {
            fields.first() == Some(&user)
                || (number(user).is_some() && fields.get(2) == Some(&user))
        });
    let field = |at: usize| number(entry.as_ref()?.get(at)?);
    let uid = number(user).or_else(|| field(2))?;
    let gid = match group {
        None => field(3).unwrap_or(uid),
        Some(group) => number(group).or_else(|| {
            let mut entries = groups
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>());
            number(
                entries
                    .find(|fields| fields.first() == Some(&group))?
                    .get(2)?,
            )
        })?,
    };
    Some(User { uid, gid })
}

/// The last number is no user's: to the kernel it means that nothing is to change.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| is_plain && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_numbers() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nbad\n";
        let groups = "root:x:0:\naudio:x:29:nobody\n";
        let found = |text| look_up(text, users, groups).map(|user| (user.uid, user.gid));
        assert_eq!(found("nobody"), Some((65_534, 65_533)));
        assert_eq!(found("65534"), Some((65_534, 65_533)));
        assert_eq!(found("nobody:audio"), Some((65_534, 29)));
        assert_eq!(found("7"), Some((7, 7)));
        assert_eq!(found("7:8"), Some((7, 8)));
        for wrong in [
            "",
            ":",
            "7:",
            ":7",
            "who",
            "7:who",
            "-1",
            "+7",
            "4294967295",
            "7:4294967296",
        ] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
