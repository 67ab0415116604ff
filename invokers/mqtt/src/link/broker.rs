//! Where the broker is.

use std::fmt;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    /// A name or an address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether TLS is spoken.
    pub(crate) is_encrypted: bool,
}

const EXPECTED: &str = "mqtt://HOST or mqtts://HOST, with or without :PORT";

impl Broker {
    /// Reads `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or(EXPECTED)?;
        let (is_encrypted, usual) = match scheme {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            _ => return Err(EXPECTED.to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(format!(
                "{EXPECTED}; user and password have --broker-user and --broker-password-file"
            ));
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let is_host = !host.is_empty()
            && host.len() <= 255
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b));
        let is_plain = !host.contains(':') || rest.starts_with('[');
        let port = port.map_or(Some(usual), |p| p.parse().ok().filter(|p| *p > 0));
        match port {
            Some(port) if is_host && is_plain => Ok(Broker {
                host: host.to_owned(),
                port,
                is_encrypted,
            }),
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "mqtts" } else { "mqtt" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_scheme_a_host_and_a_port() {
        for (url, shown) in [
            ("mqtt://host", "mqtt://host:1883"),
            ("mqtts://host/", "mqtts://host:8883"),
            ("mqtt://10.0.0.1:99", "mqtt://10.0.0.1:99"),
            ("mqtts://[::1]:99", "mqtts://[::1]:99"),
            ("mqtt://[fe80::1%eth0]", "mqtt://[fe80::1%eth0]:1883"),
        ] {
            let broker = Broker::parse(url).expect(url);
            assert_eq!(broker.to_string(), shown);
        }
        for bad in [
            "host",
            "http://host",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://h:0",
            "mqtt://h:x",
            "mqtt://::1",
            "mqtt://h/path",
            "mqtt://a b",
        ] {
            assert!(Broker::parse(bad).is_err(), "{bad}");
        }
        let said = Broker::parse("mqtt://u:p@h").expect_err("a user");
        assert!(
            said.ends_with("--broker-user and --broker-password-file"),
            "{said}"
        );
    }
}
