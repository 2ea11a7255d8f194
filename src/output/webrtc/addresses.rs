//! The addresses that the manager announces to viewers, at which viewers reach the WebRTC port.

use std::net::IpAddr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use tracing::warn;

/// The largest number of addresses that are announced. Browsers test every address.
pub(super) const MAX_ADDRESSES: usize = 16;
/// Files that container engines create: Docker, and Podman.
const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// A variable that Kubernetes sets in every container.
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";

/// Returns whether the manager runs in a container. The addresses of a container's interfaces usually cannot be
/// reached from other machines.
pub(super) fn is_container() -> bool {
    CONTAINER_FILES.iter().any(|file| Path::new(file).exists())
        || std::env::var_os(KUBERNETES).is_some()
}

/// Returns the addresses of the machine's interfaces, without link-local ones. Returns loopback addresses only if
/// there are no others.
pub(super) fn local() -> Vec<IpAddr> {
    let all = getifaddrs().inspect_err(|error| warn!(%error, "cannot list the network interfaces"));
    let up = all.into_iter().flatten().filter(|one| one.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    select(addresses)
}

/// Returns the addresses to announce: those that are neither link-local nor unspecified, IPv4 first; loopback
/// addresses only if there are no others.
fn select(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified(),
    };
    let mut usable: Vec<_> = addresses.filter(is_usable).collect();
    if usable.iter().any(|address| !address.is_loopback()) {
        usable.retain(|address| !address.is_loopback());
    }
    usable.sort_by_key(IpAddr::is_ipv6);
    usable.dedup();
    usable.truncate(MAX_ADDRESSES);
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_viewers_can_reach_are_announced() {
        let select = |addresses: &[&str]| {
            select(addresses.iter().map(|it| it.parse().expect("an address")))
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let all = ["fe80::1", "::1", "127.0.0.1", "fd00::7", "169.254.1.1", "192.168.1.7"];
        assert_eq!(select(&all), ["192.168.1.7", "fd00::7"]);
        assert_eq!(select(&all[..3]), ["127.0.0.1", "::1"], "nothing else");
    }
}
