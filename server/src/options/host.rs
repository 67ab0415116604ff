//! Addresses to listen on, by number or by name.
//!
//! The names are those of the machine itself, from its hosts file. The system's resolver would ask
//! name servers too, and is a tenth of the static binary.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

pub(super) const HOST: &str =
    "an IP address, `localhost`, or a name that /etc/hosts has an address for";

/// The address that `text` is or names.
pub(super) fn host(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse() {
        return Some(address);
    }
    // RFC 6761, section 6.3: whatever a file says. An image from scratch has none.
    if text.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let hosts = fs::read("/etc/hosts").ok()?;
    look_up(text, &String::from_utf8_lossy(&hosts))
}

/// The address of `name` in the text of a hosts file (hosts(5)): the first, one of IPv4 before one
/// of IPv6.
fn look_up(name: &str, hosts: &str) -> Option<IpAddr> {
    let mut found: Vec<IpAddr> = hosts
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|known| known.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_address() {
        let hosts =
            "# 1.2.3.4 box\n::5 box\n127.0.1.1\tBox.lan  Box # old\n10.0.0.1 boxes\nbad box\n";
        assert_eq!(look_up("box", hosts), "127.0.1.1".parse().ok());
        assert_eq!(look_up("old", hosts), None);
        assert_eq!(look_up("box.lan", hosts), "127.0.1.1".parse().ok());
        assert_eq!(look_up("boxes", hosts), "10.0.0.1".parse().ok());
        assert_eq!(host("localhost"), "127.0.0.1".parse().ok());
        assert_eq!(host("[::1]"), "::1".parse().ok());
        assert_eq!(host("127.0.0.1:8080"), None);
    }
}
