//! From the stream links that a device gives to those that can be used, and which of them are for
//! large and small pictures. Pure.

use std::net::IpAddr;

use url::Url;

use super::device::DeviceProfile;
use crate::base::url::{host_address, path_and_query};
use crate::camera::source::Source;

/// What in a link speaks of a password.
const SECRETS: [&str; 11] =
    ["pass", "pwd", "psw", "pw=", "secret", "token=", "auth", "key=", "user=", "usr=", "login"];

/// The device's link as it can be used from here, without credentials; or why it cannot be.
///
/// A device may name an address of its own that is none from here: `0.0.0.0`, that of another
/// network, or the one behind a router. Unless it is near the one at which the device was reached
/// (`reached`), that is put in its place.
pub fn usable(link: &str, reached: IpAddr) -> Result<String, &'static str> {
    const NO_LINK: &str = "the device gives no RTSP link for this profile";
    let mut url = Url::parse(link.trim()).map_err(|_| NO_LINK)?;
    if !matches!(url.scheme(), "rtsp" | "rtsps") || url.host_str().is_none_or(str::is_empty) {
        return Err(NO_LINK);
    }
    let is_changed = url.set_username("").and_then(|()| url.set_password(None));
    is_changed.map_err(|()| NO_LINK)?;
    let rest = path_and_query(&url).to_ascii_lowercase();
    if SECRETS.iter().any(|word| rest.contains(word)) {
        return Err("the device's link for this profile holds a password, so it is not shown; \
                    add the camera by its vendor or path");
    }
    if host_address(&url).is_none_or(|given| !is_near(given, reached)) {
        url.set_ip_host(reached).map_err(|()| NO_LINK)?;
    }
    let link = url.to_string();
    Source::parse(&link).map_err(|_| "the device's link for this profile cannot be used")?;
    Ok(link)
}

/// Whether both are in one network of the usual size: there a device with several addresses may
/// well mean another one of them.
fn is_near(given: IpAddr, reached: IpAddr) -> bool {
    match (given, reached.to_canonical()) {
        (IpAddr::V4(given), IpAddr::V4(reached)) => given.octets()[..3] == reached.octets()[..3],
        (IpAddr::V6(given), IpAddr::V6(reached)) => {
            given.segments()[..4] == reached.segments()[..4]
        }
        _ => false,
    }
}

/// The links for the large and for the small picture of the same camera. Motion JPEG only where there is
/// nothing else.
pub fn main_and_sub(streams: &[DeviceProfile]) -> (Option<String>, Option<String>) {
    let is_jpeg = |stream: &DeviceProfile| {
        stream.video_codec.as_deref().is_some_and(|codec| codec.eq_ignore_ascii_case("jpeg"))
    };
    let area = |stream: &DeviceProfile| {
        u64::from(stream.width.unwrap_or_default()) * u64::from(stream.height.unwrap_or_default())
    };
    let linked: Vec<_> = streams.iter().filter(|stream| stream.rtsp_link.is_some()).collect();
    let has_other = linked.iter().any(|stream| !is_jpeg(stream));
    let fit = || linked.iter().filter(|stream| !has_other || !is_jpeg(stream));
    // Of equals the first.
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
    fn links_lead_to_the_device_and_hold_no_password() {
        let table = [
            ("rtsp://192.0.2.7:554/s1", Ok("rtsp://192.0.2.7:554/s1")),
            ("rtsp://192.0.2.9/s1", Ok("rtsp://192.0.2.9/s1")),
            ("rtsp://0.0.0.0:8554/s1?a=b&c=d", Ok("rtsp://192.0.2.7:8554/s1?a=b&c=d")),
            ("rtsp://10.0.0.7:554/s1", Ok("rtsp://192.0.2.7:554/s1")),
            ("rtsp://camera.local/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://[fe80::1]/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://admin:s3cret@192.0.2.7/s1", Ok("rtsp://192.0.2.7/s1")),
            ("rtsp://192.0.2.7/user=a_password=b_channel=1.sdp", Err("holds a password")),
            ("rtsp://192.0.2.7/s?usr=a&PWD=b", Err("holds a password")),
            ("http://192.0.2.7/s1", Err("no RTSP link")),
            ("rtsp://", Err("no RTSP link")),
            ("", Err("no RTSP link")),
        ];
        let reached = "192.0.2.7".parse().expect("an address");
        for (given, expected) in table {
            match (usable(given, reached), expected) {
                (Ok(link), Ok(expected)) => assert_eq!(link, expected),
                (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
                (other, _) => panic!("{given}: {other:?}"),
            }
        }
        let v6 = "2001:db8::7".parse().expect("an address");
        assert_eq!(usable("rtsp://[::]/x", v6).as_deref(), Ok("rtsp://[2001:db8::7]/x"));
    }

    #[test]
    fn large_and_small() {
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
