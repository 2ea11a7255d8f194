//! One device: what it is, which streams it has and where they are.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::link;
use super::soap::{Client, Clock, Failure, Service, plain};
use super::xml::{Node, escaped};

use crate::base::url::{host_address, path_and_query};
use crate::camera::onvif_address::USUAL_PATH;

/// Profiles of one device that are asked about. Recorders have one or two a channel.
const MAX_PROFILES: usize = 64;
/// Characters of any text.
const MAX_TEXT: usize = 100;

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Device {
    /// Its IP address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// TCP port of its ONVIF service.
    pub port: u16,
    /// URL of its ONVIF service; a camera's field `onvif` takes it.
    pub onvif: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// What it is.
    pub model: Option<String>,
    /// Version of its firmware.
    pub firmware: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Whether it wants a user name and a password, or others than it got.
    pub needs_credentials: bool,
    /// What could not be found out, and why, for people.
    pub error: Option<String>,
    /// Its streams.
    pub profiles: Vec<DeviceProfile>,
    /// Link of the stream with the largest picture, without credentials.
    pub main: Option<String>,
    /// Link of the one with the smallest, if that is another.
    pub sub: Option<String>,
    /// Id of the camera that has this address already, among those that the caller may see.
    pub known_as: Option<String>,
}

/// One of a device's streams.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeviceProfile {
    /// The device's own name for it.
    pub token: String,
    /// What people call it.
    pub name: String,
    /// In ONVIF's words: `H264`, `H265`, `JPEG`.
    pub video_codec: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames a second, at most.
    pub frame_rate: Option<f64>,
    /// Which of its pictures it is of; a recorder has several cameras.
    #[serde(skip)]
    pub video_source: Option<String>,
    /// Link of the stream, without credentials; null when there is none that can be used.
    pub rtsp_link: Option<String>,
}

impl Device {
    /// A device of which no more is known than where it is.
    pub fn new(address: SocketAddr, service: &Service) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
            onvif: format!("http://{address}{}", service.path),
            name: None,
            manufacturer: None,
            model: None,
            firmware: None,
            serial: None,
            needs_credentials: false,
            error: None,
            profiles: Vec::new(),
            main: None,
            sub: None,
            known_as: None,
        }
    }

    /// Asks for all of it. What goes wrong stands in the device itself.
    pub async fn ask(&mut self, client: &mut Client, service: &Service) {
        match self.ask_all(client, service).await {
            Ok(()) => {}
            Err(Failure::Unauthorized) => {
                self.needs_credentials = true;
                self.error = client
                    .has_login()
                    .then(|| "the device rejects user name or password".to_owned());
            }
            Err(failure) => self.error = Some(failure.to_string()),
        }
        (self.main, self.sub) = link::main_and_sub(&self.profiles);
    }

    async fn ask_all(&mut self, client: &mut Client, service: &Service) -> Result<(), Failure> {
        set_clock(client, service).await?;
        let answer = client.call(service, &format!("{DEVICE}/GetDeviceInformation"), "").await?;
        let text = |name| answer.text_of(name).map(|text| plain(text, MAX_TEXT));
        self.manufacturer = text("Manufacturer");
        self.model = text("Model").or(self.model.take());
        self.firmware = text("FirmwareVersion");
        self.serial = text("SerialNumber");
        let media = Media::of(client, service).await?;
        self.profiles = media.profiles(client).await?;
        for profile in &mut self.profiles {
            let link = media.link(client, &profile.token).await;
            match link.map(|link| link::usable(&link, client.address.ip())) {
                Ok(Ok(link)) => profile.rtsp_link = Some(link),
                // The device says so itself of a profile that streams nothing.
                Ok(Err(reason)) => self.error = Some(reason.to_owned()),
                Err(Failure::Refused(reason)) => {
                    self.error = Some(Failure::Refused(reason).to_string());
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unauthorized => write!(f, "the device wants other credentials"),
            Self::Unreachable(cause) => write!(f, "the device cannot be asked: {cause}"),
            Self::NotOnvif => write!(
                f,
                "what answers is no ONVIF device; check the port, and that ONVIF is switched on"
            ),
            Self::TooLarge => write!(
                f,
                "the device's answer is too large to be read; add its cameras by their links or \
                 by their vendor"
            ),
            Self::Refused(reason) => write!(f, "the device refuses to answer: {reason}"),
        }
    }
}

/// The device service that is usually there at `port`.
pub fn usual_service(port: u16) -> Service {
    Service { port, path: USUAL_PATH.to_owned() }
}

/// Learns what the device's clock is like, which it tells everybody. One that does not tell is
/// taken for right.
pub async fn set_clock(client: &mut Client, service: &Service) -> Result<Clock, Failure> {
    let action = format!("{DEVICE}/GetSystemDateAndTime");
    let mut answer = client.call_as_nobody(service, &action).await;
    if client.has_login() && matches!(answer, Err(Failure::Unauthorized)) {
        // Some want credentials for this too.
        answer = client.call(service, &action, "").await;
    }
    let clock = match answer {
        Ok(answer) => answer.find("UTCDateTime").and_then(time).map(Clock::of),
        Err(Failure::Unauthorized | Failure::Refused(_)) => None,
        Err(failure) => return Err(failure),
    };
    let clock = clock.unwrap_or(Clock::RIGHT);
    client.set(clock);
    Ok(clock)
}

fn time(node: &Node) -> Option<SystemTime> {
    let number = |name| node.text_of(name)?.parse::<u64>().ok();
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        number("Year")?,
        number("Month")?,
        number("Day")?,
        number("Hour")?,
        number("Minute")?,
        // A leap second is none to others.
        number("Second")?.min(59),
    );
    humantime::parse_rfc3339(&text).ok()
}

/// A device's media service, in its first or its second version: only the second knows H.265, only
/// the first is everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    service: Service,
    is_second: bool,
}

impl Media {
    /// The newest one that the device has.
    pub async fn of(client: &Client, device: &Service) -> Result<Self, Failure> {
        let content = "<IncludeCapability>false</IncludeCapability>";
        let asked = client.call(device, &format!("{DEVICE}/GetServices"), content).await;
        let services = match &asked {
            Ok(answer) => answer.find("GetServicesResponse"),
            // Devices of before 2010 do not know the question.
            Err(Failure::Refused(_) | Failure::NotOnvif | Failure::TooLarge) => None,
            Err(failure) => return Err(failure.clone()),
        };
        let service = |namespace: &str| {
            let mut services = services?.all("Service");
            let found = services.find(|one| one.text_of("Namespace") == Some(namespace))?;
            moved(found.text_of("XAddr")?, client.address, device)
        };
        if let Some(service) = service(MEDIA2) {
            return Ok(Self { service, is_second: true });
        }
        if let Some(service) = service(MEDIA) {
            return Ok(Self { service, is_second: false });
        }
        let content = "<Category>Media</Category>";
        let answer = client.call(device, &format!("{DEVICE}/GetCapabilities"), content).await?;
        let address = answer.find("Media").and_then(|media| media.text_of("XAddr"));
        let service = address.and_then(|address| moved(address, client.address, device));
        let service = service.ok_or_else(|| Failure::Refused("it has no media service".into()))?;
        Ok(Self { service, is_second: false })
    }

    async fn call(&self, client: &Client, name: &str, content: &str) -> Result<Node, Failure> {
        let namespace = if self.is_second { MEDIA2 } else { MEDIA };
        client.call(&self.service, &format!("{namespace}/{name}"), content).await
    }

    /// What streams there are, without their links.
    pub async fn profiles(&self, client: &Client) -> Result<Vec<DeviceProfile>, Failure> {
        let content =
            if self.is_second { "<Type>VideoSource</Type><Type>VideoEncoder</Type>" } else { "" };
        let answer = self.call(client, "GetProfiles", content).await?;
        let Some(profiles) = answer.find("GetProfilesResponse") else {
            return Err(Failure::NotOnvif);
        };
        Ok(profiles.all("Profiles").filter_map(profile).take(MAX_PROFILES).collect())
    }

    /// The link of a profile, as the device says it.
    pub async fn link(&self, client: &Client, token: &str) -> Result<String, Failure> {
        let token = escaped(token);
        let content = if self.is_second {
            format!("<Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken>")
        } else {
            format!(
                "<StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP\
                 </tt:Protocol></tt:Transport></StreamSetup><ProfileToken>{token}</ProfileToken>"
            )
        };
        let answer = self.call(client, "GetStreamUri", &content).await?;
        Ok(answer.text_of("Uri").unwrap_or_default().to_owned())
    }

    /// Asks for a keyframe in all streams of a profile.
    pub async fn set_synchronization_point(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<(), Failure> {
        let content = format!("<ProfileToken>{}</ProfileToken>", escaped(token));
        self.call(client, "SetSynchronizationPoint", &content).await.map(drop)
    }
}

/// Where a service is that a device says to be at `address`: always at the address at which the
/// device itself was reached, and at its port too unless it names that address itself.
fn moved(address: &str, reached: SocketAddr, device: &Service) -> Option<Service> {
    let url = Url::parse(address).ok().filter(|url| url.scheme() == "http")?;
    let is_its_own = host_address(&url).is_some_and(|host| host == reached.ip().to_canonical());
    let port = url.port_or_known_default().filter(|_| is_its_own).unwrap_or(device.port);
    Some(Service { port, path: path_and_query(&url) })
}

/// A profile; `None` when it has no video.
fn profile(node: &Node) -> Option<DeviceProfile> {
    // The one for the first version, the other for the second.
    let video = node.find("VideoEncoderConfiguration").or_else(|| node.find("VideoEncoder"))?;
    let number = |name| video.text_of(name)?.parse().ok().filter(|number| *number > 0);
    let rate = video.text_of("FrameRateLimit").and_then(|text| text.parse::<f64>().ok());
    let source = node.find("VideoSourceConfiguration").or_else(|| node.find("VideoSource"));
    let token = node.attribute("token")?;
    let name = node.all("Name").next().map_or(token, Node::text);
    Some(DeviceProfile {
        token: token.to_owned(),
        name: plain(name, MAX_TEXT),
        video_codec: video.text_of("Encoding").map(|text| plain(text, MAX_TEXT)),
        width: number("Width"),
        height: number("Height"),
        frame_rate: rate.filter(|rate| rate.is_finite() && *rate > 0.0),
        video_source: source.and_then(|one| one.text_of("SourceToken")).map(str::to_owned),
        rtsp_link: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_where_the_device_was_reached() {
        let reached = "192.0.2.7:8000".parse().expect("an address");
        let device = usual_service(8000);
        let table = [
            ("http://192.0.2.7/onvif/media", Some((80, "/onvif/media"))),
            // Behind a router that hands a port of its own on.
            ("http://10.0.0.7/onvif/media?x", Some((8000, "/onvif/media?x"))),
            ("http://localhost:6379/", Some((8000, "/"))),
            ("https://192.0.2.7/onvif/media", None),
            ("garbage", None),
        ];
        for (address, expected) in table {
            let expected = expected.map(|(port, path)| Service { port, path: path.into() });
            assert_eq!(moved(address, reached, &device), expected, "{address}");
        }
    }

    #[test]
    fn profiles_of_both_versions() {
        let text = "<Profiles token='a' fixed='true'><tt:Name>main</tt:Name>\
                    <tt:VideoSourceConfiguration><tt:Name>x</tt:Name><tt:SourceToken>v1\
                    </tt:SourceToken><tt:Bounds width='9'/></tt:VideoSourceConfiguration>\
                    <tt:VideoEncoderConfiguration><tt:Encoding>H264\
                    </tt:Encoding><tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080\
                    </tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>25\
                    </tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration></Profiles>";
        let first = Node::parse(text).and_then(|node| profile(&node)).expect("a profile");
        assert_eq!((first.token.as_str(), first.name.as_str()), ("a", "main"));
        assert_eq!(
            (first.width, first.height, first.frame_rate),
            (Some(1920), Some(1080), Some(25.0))
        );
        assert_eq!(first.video_source.as_deref(), Some("v1"));
        let text = "<Profiles token='b'><tr2:Name>sub</tr2:Name><tr2:Configurations>\
                    <tr2:VideoSource token='c'><tt:SourceToken>v2</tt:SourceToken>\
                    </tr2:VideoSource><tr2:VideoEncoder><tt:Encoding>H265</tt:Encoding>\
                    <tt:RateControl><tt:FrameRateLimit>NaN</tt:FrameRateLimit></tt:RateControl></tr2:VideoEncoder>\
                    </tr2:Configurations></Profiles>";
        let second = Node::parse(text).and_then(|node| profile(&node)).expect("a profile");
        assert_eq!((second.video_codec.as_deref(), second.width), (Some("H265"), None));
        assert_eq!((second.frame_rate, second.video_source.as_deref()), (None, Some("v2")));
        let audio = Node::parse("<Profiles token='c'><tt:Name>x</tt:Name></Profiles>");
        assert_eq!(audio.and_then(|node| profile(&node)), None);
    }

    #[test]
    fn a_devices_time() {
        let node = |text: &str| Node::parse(text).expect("a document");
        let text = "<U><Time><Hour>7</Hour><Minute>5</Minute><Second>60</Second></Time><Date>\
                    <Year>2004</Year><Month>2</Month><Day>29</Day></Date></U>";
        let expected = humantime::parse_rfc3339("2004-02-29T07:05:59Z").expect("a time");
        assert_eq!(time(&node(text)), Some(expected));
        assert_eq!(time(&node("<U><Year>2004</Year></U>")), None);
        assert_eq!(time(&node(&text.replace("2004", "99999"))), None);
    }
}
