//! The topics, and which names and ids can stand in them.

/// The longest name of an action, in bytes: it is a directory's too.
const MAX_NAME: usize = 100;
/// The longest id of an activation, in bytes.
const MAX_ID: usize = 200;
/// The longest prefix, in bytes. A topic has at most 65,535.
const MAX_PREFIX: usize = 1024;

/// Every topic of one invoker.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    prefix: String,
}

/// What a message is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Purpose<'t> {
    /// To initialise this action.
    Init(&'t str),
    /// To run it.
    Run(&'t str),
}

/// What is expected of a prefix.
pub(crate) const PREFIX: &str = "the beginning of topics, without `+`, `#`, control characters, a `$` at its \
     start or a `/` at either end";

impl Topics {
    /// Those that begin with `prefix`, if topics can.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let fits = is_topic(prefix)
            && prefix.len() <= MAX_PREFIX
            && !prefix.starts_with(['$', '/'])
            && !prefix.ends_with('/');
        fits.then(|| Topics {
            prefix: prefix.to_owned(),
        })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What there is to subscribe to.
    pub(crate) fn subscriptions(&self) -> [String; 2] {
        ["init", "run"].map(|what| format!("{}/action/+/{what}", self.prefix))
    }

    /// What a message to `topic` is for.
    pub(crate) fn purpose<'t>(&self, topic: &'t str) -> Option<Purpose<'t>> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix("/action/")?;
        match rest.split_once('/')? {
            (name, "init") => Some(Purpose::Init(name)),
            (name, "run") => Some(Purpose::Run(name)),
            _ => None,
        }
    }

    /// Whether what is published there would be for this invoker, or in its name.
    pub(crate) fn is_own(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| rest == "/status" || rest.starts_with("/action/"))
    }

    /// Where it is told whether this invoker is there.
    pub(crate) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// Where it is told what became of the last init of an action.
    pub(crate) fn action_status(&self, name: &str) -> String {
        format!("{}/action/{name}/status", self.prefix)
    }

    /// Where the logs of an action's inits go.
    pub(crate) fn action_log(&self, name: &str) -> String {
        format!("{}/action/{name}/log", self.prefix)
    }

    /// Where an activation is answered that names no topic.
    pub(crate) fn result(&self, id: &str) -> String {
        format!("{}/activation/{id}/result", self.prefix)
    }

    /// Where the logs of an activation go.
    pub(crate) fn log(&self, id: &str) -> String {
        format!("{}/activation/{id}/log", self.prefix)
    }
}

/// Whether an action can have this name, which is one level of a topic and a directory.
///
/// # Errors
/// What was expected.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match name.len() <= MAX_NAME && !name.starts_with('.') && is_level(name) {
        true => Ok(()),
        false => Err(format!(
            "expected the name of an action: 1 to {MAX_NAME} bytes without `/`, `+`, `#`, control \
             characters or a `.` at its start, found {}",
            shown(name)
        )),
    }
}

/// Whether an activation can have this id, which is one level of a topic.
///
/// # Errors
/// What was expected.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    match id.len() <= MAX_ID && is_level(id) {
        true => Ok(()),
        false => Err(format!(
            "expected an `activation_id` of 1 to {MAX_ID} bytes without `/`, `+`, `#` or control \
             characters, found {}",
            shown(id)
        )),
    }
}

/// Whether `text` can be published to (MQTT 5, section 4.7).
pub(crate) fn is_topic(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= usize::from(u16::MAX)
        && !text.contains(|c: char| matches!(c, '+' | '#') || c.is_control())
}

fn is_level(text: &str) -> bool {
    is_topic(text) && !text.contains('/')
}

/// A name as messages show it: what makes it long is left out.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?}… ({} bytes)", &text[..at], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_beginning_of_a_topic() {
        for good in ["device", "site/7/device", "ä b"] {
            assert!(Topics::new(good).is_some(), "{good}");
        }
        for bad in ["", "/x", "x/", "a/+/b", "#", "$SYS", "a\0b", "a\nb"] {
            assert!(Topics::new(bad).is_none(), "{bad:?}");
        }
        assert!(Topics::new(&"x".repeat(MAX_PREFIX + 1)).is_none());
    }

    #[test]
    fn a_topic_says_what_it_is_for() {
        let topics = Topics::new("site/device").expect("a prefix");
        for (topic, purpose) in [
            ("site/device/action/a/init", Some(Purpose::Init("a"))),
            ("site/device/action/a b/run", Some(Purpose::Run("a b"))),
            ("site/device/action//run", Some(Purpose::Run(""))),
            ("site/device/action/a/b/run", None),
            ("site/device/action/a", None),
            ("site/devices/action/a/run", None),
            ("site/device/activation/a/run", None),
        ] {
            assert_eq!(topics.purpose(topic), purpose, "{topic}");
        }
    }

    #[test]
    fn a_name_is_one_level_and_one_directory() {
        for good in ["a", "hello-1.0", "ä", "...x".trim_start_matches('.')] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a+b", "a#", "a\0", "a\nb"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        let long = check_name(&"é".repeat(80)).expect_err("160 bytes");
        assert!(long.ends_with("… (160 bytes)"), "{long}");
        assert_eq!(check_id(".x"), Ok(()));
        assert!(check_id("a/b").is_err());
    }
}
