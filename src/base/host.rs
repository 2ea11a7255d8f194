//! Names and addresses of hosts.

use std::net::IpAddr;

/// Returns whether `host` is `localhost` or a loopback address. An IPv6 address may be in brackets.
/// Other names and addresses of this machine are not recognized.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| {
        address.to_canonical().is_loopback()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_are_this_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        assert!(is_this_machine("::ffff:127.0.0.1"), "a mapped address");
        for host in ["", "0.0.0.0", "::", "192.0.2.1", "localhost.example", "camera"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
