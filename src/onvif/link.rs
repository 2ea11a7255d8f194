//! Corrects and checks the RTSP links that a device reports, and chooses the links of the main and the sub
//! stream.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::profile::DeviceProfile;
use crate::base::url::{host_address, path_and_query};
use crate::camera::source::Source;
use crate::camera::zone;

/// Parts of a link that suggest that the link contains a password or another secret.
const SECRETS: [&str; 11] =
    ["pass", "pwd", "psw", "pw=", "secret", "token=", "auth", "key=", "user=", "usr=", "login"];

/// The reason why a device's link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// The link is not an RTSP link.
    #[error("the device reports no RTSP link for this profile")]
    NotRtsp,
    /// The path or query of the link seems to contain a password or another secret.
    #[error(
        "the device's link for this profile seems to contain a password, so the link is not shown; \
         add the camera with its address, and with its manufacturer or a path"
    )]
    HasPassword,
    /// The link is not a valid source of a camera.
    #[error("the device's link for this profile is not a valid RTSP link")]
    Invalid,
}

/// Returns a device's link in a form that the manager can use, without credentials. Fails if the path or query
/// seems to contain a secret, or if the link cannot be a source.
///
/// The manager may be unable to reach the host in the link, which can be a host name, `0.0.0.0`, or an address in
/// another network, for example behind a router. `reached` is the address at which the manager has reached the
/// device. Unless the host is an address near `reached`, `reached` replaces the host. A link-local address gets the
/// zone of `reached`, because devices do not know the manager's interfaces.
pub(crate) fn usable(link: &str, reached: SocketAddr) -> Result<String, LinkError> {
    let (link, _) = zone::cut(link.trim());
    let mut url = Url::parse(&link).map_err(|_| LinkError::NotRtsp)?;
    if !matches!(url.scheme(), "rtsp" | "rtsps") || url.host_str().is_none_or(str::is_empty) {
        return Err(LinkError::NotRtsp);
    }
    let is_changed = url.set_username("").and_then(|()| url.set_password(None));
    is_changed.map_err(|()| LinkError::NotRtsp)?;
    let path = path_and_query(&url).to_ascii_lowercase();
    if SECRETS.iter().any(|word| path.contains(word)) {
        return Err(LinkError::HasPassword);
    }
    if host_address(&url).is_none_or(|address| !is_near(address, reached.ip())) {
        url.set_ip_host(reached.ip()).map_err(|()| LinkError::NotRtsp)?;
    }
    let mut link = url.to_string();
    if let Some(zone) = zone::of(reached) {
        link = zone::with(&link, &zone).into_owned();
    }
    Source::parse(&link).map_err(|_| LinkError::Invalid)?;
    Ok(link)
}

/// Returns whether both addresses are in one network of the usual size (/24 or /64). If they are, `address`
/// is probably another address of the same device.
fn is_near(address: IpAddr, reached: IpAddr) -> bool {
    match (address, reached.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(reached)) => {
            address.octets()[..3] == reached.octets()[..3]
        }
        (IpAddr::V6(address), IpAddr::V6(reached)) => {
            address.segments()[..4] == reached.segments()[..4]
        }
        _ => false,
    }
}

/// Returns the links of the main and the sub stream. The main stream has the largest picture, and the sub stream
/// has the smallest picture of the same camera. There is no sub stream if no picture is smaller than the picture of
/// the main stream. Only streams with a usable link count. Motion JPEG counts only if none of these streams has
/// another codec.
pub(crate) fn main_and_sub(streams: &[DeviceProfile]) -> (Option<String>, Option<String>) {
    let is_jpeg = |stream: &DeviceProfile| {
        stream.video_codec.as_deref().is_some_and(|codec| codec.eq_ignore_ascii_case("jpeg"))
    };
    let area = |stream: &DeviceProfile| {
        u64::from(stream.width.unwrap_or_default()) * u64::from(stream.height.unwrap_or_default())
    };
    let linked: Vec<_> = streams.iter().filter(|stream| stream.rtsp_link.is_some()).collect();
    let has_other = linked.iter().any(|stream| !is_jpeg(stream));
    let fit = || linked.iter().filter(|stream| !has_other || !is_jpeg(stream));
    // Of several streams with the same size, the first one is chosen.
    let Some(main) = fit().rev().max_by_key(|stream| area(stream)) else { return (None, None) };
    let smaller = fit().filter(|stream| {
        stream.video_source == main.video_source && (1..area(main)).contains(&area(stream))
    });
    let sub =
        smaller.filter(|stream| stream.rtsp_link != main.rtsp_link).min_by_key(|one| area(one));
    (main.rtsp_link.clone(), sub.and_then(|stream| stream.rtsp_link.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_device_and_contain_no_password() {
        let table = [
            ("rtsp://192.0.2.7:554/s1", Ok("rtsp://192.0.2.7:554/s1")),
            ("rtsp://192.0.2.9/s1", Ok("rtsp://192.0.2.9/s1")),
            ("rtsp://0.0.0.0:8554/s1?a=b&c=d", Ok("rtsp://192.0.2.7:8554/s1?a=b&c=d")),
            ("rtsp://10.0.0.7:554/s1", Ok("rtsp://192.0.2.7:554/s1")),
            ("rtsp://camera.local/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://[fe80::1]/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://admin:s3cret@192.0.2.7/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://192.0.2.7/user=a_password=b_channel=1.sdp", Err(LinkError::HasPassword)),
            ("rtsp://192.0.2.7/s?usr=a&PWD=b", Err(LinkError::HasPassword)),
            ("http://192.0.2.7/s1", Err(LinkError::NotRtsp)),
            ("rtsp://", Err(LinkError::NotRtsp)),
            ("", Err(LinkError::NotRtsp)),
        ];
        let reached = "192.0.2.7:80".parse().expect("an address");
        for (given, expected) in table {
            assert_eq!(usable(given, reached), expected.map(str::to_owned), "{given}");
        }
        let v6 = "[2001:db8::7]:80".parse().expect("an address");
        assert_eq!(usable("rtsp://[::]/x", v6).as_deref(), Ok("rtsp://[2001:db8::7]/x"));
        // The interface with index 1 is always lo.
        let zoned = "[fe80::7%1]:80".parse().expect("an address");
        for (given, expected) in [
            ("rtsp://[fe80::7]/x", "rtsp://[fe80::7%25lo]/x"),
            ("rtsp://[fe80::7%eth0]:8554/x", "rtsp://[fe80::7%25lo]:8554/x"),
            ("rtsp://192.0.2.7/x", "rtsp://[fe80::7%25lo]/x"),
        ] {
            assert_eq!(usable(given, zoned).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest_picture_are_chosen() {
        let stream = |codec: &str, width, height| DeviceProfile {
            token: String::new(),
            name: String::new(),
            video_codec: Some(codec.into()),
            width,
            height,
            frame_rate: None,
            video_source: None,
            rtsp_link: Some(format!("rtsp://h/{codec}-{}", width.unwrap_or_default())),
        };
        let jpeg = stream("JPEG", Some(4000), Some(3000));
        let full = stream("H264", Some(1920), Some(1080));
        let half = stream("H265", Some(960), Some(540));
        let small = stream("H264", Some(640), Some(360));
        let unknown = stream("H264", None, None);
        let link = |stream: &DeviceProfile| stream.rtsp_link.clone();
        let table = [
            (vec![], (None, None)),
            (vec![jpeg.clone()], (link(&jpeg), None)),
            (vec![unknown.clone()], (link(&unknown), None)),
            (vec![small.clone(), full.clone(), half, jpeg], (link(&full), link(&small))),
            (vec![full.clone(), full.clone()], (link(&full), None)),
            (vec![unknown, small.clone()], (link(&small), None)),
        ];
        for (streams, expected) in table {
            assert_eq!(main_and_sub(&streams), expected);
        }
        let of_another = DeviceProfile { video_source: Some("2".into()), ..small.clone() };
        assert_eq!(main_and_sub(&[full.clone(), of_another]), (link(&full), None));
        let of = |source: &str, stream: &DeviceProfile| DeviceProfile {
            video_source: Some(source.into()),
            ..stream.clone()
        };
        let tiny = stream("H264", Some(352), Some(288));
        let recorder = [of("2", &tiny), of("1", &small), of("1", &full), tiny.clone()];
        assert_eq!(main_and_sub(&recorder), (link(&full), link(&small)));
        let linkless = DeviceProfile { rtsp_link: None, ..full };
        assert_eq!(main_and_sub(&[linkless, small.clone()]), (link(&small), None));
    }
}
