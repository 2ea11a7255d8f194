//! Fuzz targets for responses of devices on the network, and for their addresses.

use std::net::SocketAddr;
use std::time::SystemTime;

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use url::Url;

use super::support::assert_is_line;
use crate::base::url::host_address;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::source::Source;
use crate::onvif::clock::ReportedTime;
use crate::onvif::http_auth::HttpAuth;
use crate::onvif::login::Login;
use crate::onvif::profile::DeviceProfile;
use crate::onvif::soap::{self, OnvifService};
use crate::onvif::xaddr::XAddr;
use crate::onvif::xml::{XmlNode, escaped};
use crate::onvif::{link, media, ws_discovery};

/// Reads `data` as XML, and as the content of an element.
///
/// Checks that escaped content is the same after parsing, except for white space at its ends, and that it
/// cannot become elements.
pub fn onvif_xml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(root) = XmlNode::parse(&text) {
        for name in ["Body", "Value", "a"] {
            assert!(root.text_of(name).is_none_or(|text| !text.is_empty()));
            assert!(root.all(name).count() == 0 || root.find(name).is_some());
        }
    }
    let node = XmlNode::parse(&format!("<a><b>{}</b><c>c</c></a>", escaped(&text)));
    let node = node.expect("a document");
    assert_eq!(node.find("b").expect("the element").text(), text.trim());
    assert_eq!(node.text_of("c"), Some("c"));
}

/// Reads `data` as the response of a device to any request. The first byte selects the HTTP status.
///
/// Checks that the port of a service is used only if the service is at the device's own address, that links
/// contain no credentials, that names and messages are single lines, and that there is no sub stream without
/// a main stream.
pub fn soap_answer(data: &[u8]) {
    const STATUSES: [u16; 8] = [200, 200, 200, 400, 401, 403, 404, 500];
    let Some((head, text)) = data.split_first() else { return };
    let status = StatusCode::from_u16(STATUSES[usize::from(head % 8)]).expect("a status");
    match soap::read(status, &String::from_utf8_lossy(text)) {
        Ok(answer) => read_answer(&answer),
        Err(error) => assert_is_line(&error.to_string(), 200),
    }
}

fn read_answer(answer: &XmlNode) {
    let reached = SocketAddr::from(([192, 0, 2, 7], 8000));
    let clocks = ReportedTime::read(Some(answer), None).clocks(SystemTime::now());
    assert!(!clocks.is_empty());
    if let Some(address) = answer.text_of("XAddr")
        && let Some(service) = media::relocated(address, reached.ip(), &OnvifService::usual(8000))
    {
        assert!(service.path.starts_with('/'), "{}", service.path);
        assert!(!service.is_https && service.port != 0, "{address}: {service:?}");
        let is_of_device = XAddr::parse(address).and_then(|one| one.host) == Some(reached.ip());
        assert!(service.port == 8000 || is_of_device, "{address}: {}", service.port);
    }
    let link = answer.text_of("Uri").and_then(|link| link::usable(link, reached).ok());
    if let Some(link) = &link {
        let source = Source::parse(link).expect("a link");
        assert_eq!(source.credentials(), None);
        let address = Url::parse(link).ok().and_then(|url| host_address(&url));
        assert!(address.is_some(), "{link}");
    }
    let profiles = answer.find("GetProfilesResponse").into_iter();
    let profiles = profiles.flat_map(|response| response.all("Profiles"));
    let mut profiles: Vec<_> = profiles.filter_map(DeviceProfile::read).collect();
    for profile in &mut profiles {
        assert_is_line(&profile.name, 100);
        assert_is_line(profile.video_codec.as_deref().unwrap_or_default(), 100);
        assert!(profile.frame_rate.is_none_or(|rate| rate.is_finite() && rate > 0.0));
        profile.rtsp_link.clone_from(&link);
    }
    let (main, sub) = link::main_and_sub(&profiles);
    assert!(main.is_some() || sub.is_none());
}

/// Reads the lines of `data` as headers `WWW-Authenticate` of a device.
///
/// Checks that the manager's header is marked as sensitive, that it contains the password only for HTTP Basic
/// authentication, and that a digest repeats the device's realm and nonce in such a form that they can be parsed
/// again.
pub fn http_auth(data: &[u8]) {
    let values =
        data.split(|byte| *byte == b'\n').filter_map(|it| HeaderValue::from_bytes(it).ok());
    let Some(mut auth) = offered(values) else { return };
    let login = Login { username: "anna".into(), password: "s3cret~pw".into() };
    for _ in 0..2 {
        let value = auth.authorization(&login, URI).expect("a header of ASCII characters");
        assert!(value.is_sensitive());
        if auth == HttpAuth::Basic {
            assert_eq!(value, "Basic YW5uYTpzM2NyZXR+cHc=");
            continue;
        }
        let is_from_device = data.windows(9).any(|it| it == b"s3cret~pw");
        let names_password = value.as_bytes().windows(9).any(|it| it == b"s3cret~pw");
        assert!(is_from_device || !names_password, "{}", text(&value));
        let mut again = offered([value.clone()].into_iter()).expect("a digest");
        let second = again.authorization(&login, URI).expect("a header");
        assert_eq!(before_uri(&value), before_uri(&second));
    }
}

/// The path that a digest is made for.
const URI: &str = "/onvif/device_service";

fn offered(values: impl Iterator<Item = HeaderValue>) -> Option<HttpAuth> {
    let headers: HeaderMap = values.map(|value| (WWW_AUTHENTICATE, value)).collect();
    HttpAuth::offered(&headers)
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().expect("ASCII characters")
}

/// Returns the part of a digest with the user name, the realm and the nonce. Quotes in these values are escaped, so
/// the first `uri="…"` is the parameter of the digest.
fn before_uri(value: &HeaderValue) -> &str {
    text(value).split_once(&format!(", uri=\"{URI}\"")).expect("a digest").0
}

/// Reads `data` as the response to a discovery probe.
///
/// Checks that each device has the address that sent the response, and that names are single lines.
pub fn ws_discovery_answer(data: &[u8]) {
    let from = [192, 0, 2, 7].into();
    let ids = ["3f2b1c4d-0000-4000-8000-00a0b0c0d0e0".to_owned()];
    for device in ws_discovery::read(&String::from_utf8_lossy(data), from, &ids) {
        assert_eq!(device.address, from);
        assert!(device.service.is_none_or(|service| service.path.starts_with('/')));
        for text in [device.name, device.hardware].into_iter().flatten() {
            assert_is_line(&text, 100);
        }
    }
}

/// Reads `data` as the address of an ONVIF service, as a user enters it.
///
/// Checks that a displayed address can be parsed to the same address, and contains no credentials.
pub fn onvif_address(data: &[u8]) {
    let Some(address) = OnvifAddress::parse(&String::from_utf8_lossy(data)) else { return };
    let text = address.to_string();
    assert!(!address.host.is_empty() && address.path.starts_with('/'), "{text}");
    assert!(!address.host.contains(['@', '/', '?', '#']), "{text}");
    assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()), "{text}");
    assert_eq!(OnvifAddress::parse(&text).as_ref(), Some(&address), "{text}");
}
