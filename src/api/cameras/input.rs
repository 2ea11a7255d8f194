//! Input of requests about cameras.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::api::wire::{Link, Password, number, or_default};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{AudioOption, StreamOptions, TransportOption, VideoOption};
use crate::service::camera_change::{CameraChange, PartsChange, SourceChange};
use crate::store::db::Filter;

/// The longest URL of an ONVIF service, in bytes.
const MAX_ONVIF: usize = 1000;

/// A camera as a caller gives it. What is left out has its default, apart from the source: a known
/// camera keeps its own, and its password as long as address and user name stay. Paths can hold
/// secrets too, so it has no `Debug`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Garage",
    "vendor": "hikvision",
    "ip": "192.168.1.21",
    "username": "user",
    "password": "password",
}))]
pub(crate) struct CameraInput {
    /// Its id. Where it is left out, the path has it, or the manager chooses one.
    id: Option<String>,
    /// The name for people; the id by default.
    name: Option<String>,
    /// The user that the camera belongs to, in the back end's words.
    owner: Option<String>,
    /// URL of the main stream.
    rtsp_link: Option<Link>,
    /// URL of the sub stream.
    rtsp_link_sub: Option<Link>,
    /// A preset, which gives port and paths that are left out.
    vendor: Option<String>,
    /// Host name or IP address, instead of URLs.
    ip: Option<String>,
    /// RTSP port.
    #[schema(maximum = 65535)]
    port: Option<u16>,
    /// Path and query of the main stream.
    path: Option<String>,
    /// Path and query of the sub stream.
    sub_path: Option<String>,
    /// User name at the camera.
    username: Option<String>,
    /// Password at the camera.
    password: Option<Password>,
    /// Its ONVIF service at the same host: an address, with `:port` if that is not 80, or the
    /// `http://` URL. The manager uses it to ask the camera for a keyframe when a stream starts.
    onvif: Option<String>,
    /// Treatment of the video.
    #[serde(default, deserialize_with = "or_default")]
    video: VideoOption,
    /// Treatment of the audio.
    #[serde(default, deserialize_with = "or_default")]
    audio: AudioOption,
    /// Transport of RTP.
    #[serde(default, deserialize_with = "or_default")]
    transport: TransportOption,
    /// The source as an export has it.
    sealed: Option<String>,
}

impl CameraInput {
    /// Checks everything that can be checked without the known cameras.
    pub(super) fn split(self) -> Result<(Option<CameraId>, CameraChange), Error> {
        let id = self.id.as_deref().map(CameraId::parse).transpose()?;
        let (video, audio, transport) = (self.video, self.audio, self.transport);
        let change = CameraChange {
            onvif: onvif_address(self.onvif.as_deref())?,
            options: StreamOptions { video, audio, transport },
            name: self.name.clone(),
            owner: self.owner.clone(),
            source: self.source()?,
        };
        Ok((id, change))
    }

    fn source(self) -> Result<SourceChange, Error> {
        let has_links = self.rtsp_link.is_some() || self.rtsp_link_sub.is_some();
        let ways = [has_links, self.ip.is_some(), self.sealed.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() > 1 {
            let detail = "a camera has either links or an ip, not both";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        if let Some(sealed) = self.sealed {
            // What is not base64 cannot be opened either.
            return Ok(SourceChange::Sealed(BASE64.decode(sealed).unwrap_or_default()));
        }
        if has_links {
            let source = |link: Option<Link>| {
                Ok::<_, Error>(link.map(|link| link.source()).transpose()?.flatten())
            };
            let (main, sub) = (source(self.rtsp_link)?, source(self.rtsp_link_sub)?);
            return Ok(SourceChange::Links { main, sub });
        }
        if self.ip.is_none() && self.has_parts() {
            let detail = "vendor, port, paths and credentials need the camera's ip";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let Some(ip) = self.ip else { return Ok(SourceChange::Keep) };
        Ok(SourceChange::Parts(PartsChange {
            vendor: self.vendor,
            ip,
            port: self.port,
            path: self.path,
            sub_path: self.sub_path,
            username: self.username.unwrap_or_default(),
            password: self.password.map(Password::into_secret),
        }))
    }

    fn has_parts(&self) -> bool {
        self.vendor.is_some()
            || self.port.is_some()
            || self.path.is_some()
            || self.sub_path.is_some()
            || self.username.is_some()
            || self.password.is_some()
    }
}

/// The address of an ONVIF service.
fn onvif_address(text: Option<&str>) -> Result<Option<OnvifAddress>, Error> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let address = OnvifAddress::parse(text).filter(|_| text.len() <= MAX_ONVIF);
    address.map(Some).ok_or_else(|| {
        let detail = "onvif must be an address, with :port if that is not 80, or an http:// URL";
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// A camera to be tested, in the form of one that is added, and which of its streams.
pub(crate) struct TestInput {
    /// The camera. If it has the id of a known one, it can leave out what PUT can.
    pub(super) camera: CameraInput,
    /// The stream to test.
    pub(super) profile: Profile,
}

impl<'de> Deserialize<'de> for TestInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde cannot add a field to a type that denies unknown ones.
        let mut fields = Map::deserialize(deserializer)?;
        let profile = fields.remove("profile").map(Profile::deserialize).transpose();
        let camera = CameraInput::deserialize(Value::Object(fields));
        Ok(Self {
            profile: profile.map_err(D::Error::custom)?.unwrap_or_default(),
            camera: camera.map_err(D::Error::custom)?,
        })
    }
}

impl PartialSchema for TestInput {
    fn schema() -> RefOr<Schema> {
        let mut schema = CameraInput::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.properties.insert("profile".to_owned(), Profile::schema());
        }
        schema
    }
}

impl ToSchema for TestInput {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CameraInput::schemas(schemas);
    }
}

/// Which cameras to list, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListInput {
    /// Part of id, name or host.
    #[serde(default)]
    #[param(nullable = false)]
    search: Option<String>,
    /// The owner of the cameras.
    #[serde(default)]
    #[param(nullable = false)]
    owner: Option<String>,
    /// The most cameras to return, 1 to 1000.
    #[serde(default = "usual_limit", deserialize_with = "number")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
    /// How many to leave out first.
    #[serde(default, deserialize_with = "number")]
    #[param(default = 0)]
    offset: u32,
}

impl ListInput {
    pub(super) fn filter(self) -> Filter {
        let Self { search, owner, limit, offset } = self;
        Filter { search, owner, limit, offset }
    }
}

fn usual_limit() -> u32 {
    100
}
