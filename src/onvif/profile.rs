//! One of a device's streams, which ONVIF calls a media profile.

use serde::Serialize;
use utoipa::ToSchema;

use super::soap::plain;
use super::xml::XmlNode;

/// The longest name or codec of a profile, in characters. Longer texts are cut.
const MAX_TEXT: usize = 100;

/// One of a device's streams.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeviceProfile {
    /// The device's identifier for the profile.
    pub token: String,
    /// The name of the profile, for people.
    pub name: String,
    /// The video codec as the device names it, such as `H264`, `H265` or `JPEG`.
    pub video_codec: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// The highest number of frames per second.
    pub frame_rate: Option<f64>,
    /// The device's identifier for the camera that the profile shows; a recorder has several cameras.
    #[serde(skip)]
    pub video_source: Option<String>,
    /// The RTSP link of the stream, without credentials; null if the device reports no usable link.
    pub rtsp_link: Option<String>,
}

impl DeviceProfile {
    /// Reads a profile from the response of either version of the media service. The response does not contain
    /// the link, so the profile has none yet. Returns `None` if the profile has no video or no token.
    pub(crate) fn read(node: &XmlNode) -> Option<Self> {
        // Version 1 of the service uses the first name, and version 2 the second one.
        let video = node.find("VideoEncoderConfiguration").or_else(|| node.find("VideoEncoder"))?;
        let number = |name| video.text_of(name)?.parse().ok().filter(|number| *number > 0);
        let rate = video.text_of("FrameRateLimit").and_then(|text| text.parse::<f64>().ok());
        let source = node.find("VideoSourceConfiguration").or_else(|| node.find("VideoSource"));
        let token = node.attribute("token")?;
        let name = node.all("Name").next().map_or(token, XmlNode::text);
        Some(Self {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_both_versions_are_read() {
        let text = "<Profiles token='a' fixed='true'><tt:Name>main</tt:Name>\
                    <tt:VideoSourceConfiguration><tt:Name>x</tt:Name><tt:SourceToken>v1\
                    </tt:SourceToken><tt:Bounds width='9'/></tt:VideoSourceConfiguration>\
                    <tt:VideoEncoderConfiguration><tt:Encoding>H264\
                    </tt:Encoding><tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080\
                    </tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>25\
                    </tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration></Profiles>";
        let read = |text| XmlNode::parse(text).and_then(|node| DeviceProfile::read(&node));
        let first = read(text).expect("a profile");
        assert_eq!((first.token.as_str(), first.name.as_str()), ("a", "main"));
        assert_eq!(
            (first.width, first.height, first.frame_rate),
            (Some(1920), Some(1080), Some(25.0))
        );
        assert_eq!(first.video_source.as_deref(), Some("v1"));
        let text = "<Profiles token='b'><tr2:Name>sub</tr2:Name><tr2:Configurations>\
                    <tr2:VideoSource token='c'><tt:SourceToken>v2</tt:SourceToken>\
                    </tr2:VideoSource><tr2:VideoEncoder><tt:Encoding>H265</tt:Encoding>\
                    <tt:RateControl><tt:FrameRateLimit>NaN</tt:FrameRateLimit></tt:RateControl>\
                    </tr2:VideoEncoder></tr2:Configurations></Profiles>";
        let second = read(text).expect("a profile");
        assert_eq!((second.video_codec.as_deref(), second.width), (Some("H265"), None));
        assert_eq!((second.frame_rate, second.video_source.as_deref()), (None, Some("v2")));
        assert_eq!(read("<Profiles token='c'><tt:Name>x</tt:Name></Profiles>"), None);
    }
}
