//! Input of requests about cameras.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::api::wire::{
    Link, Password, ensure_nothing_is_hidden, fingerprint, number, optional_flag, optional_number,
    or_default,
};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile};
use crate::camera::motion::MotionOptions;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{
    AudioOption, KeepOption, StreamOptions, TransportOption, VideoOption,
};
use crate::camera::recording::RecordingOptions;
use crate::service::camera_change::{CameraChange, PartsChange, SourceChange};
use crate::store::db::camera_table::Filter;

/// The largest length of an ONVIF service's address or URL, in bytes.
const MAX_ONVIF: usize = 1000;

/// A camera to add or replace. Fields that are left out get their defaults, with five exceptions. If the
/// whole source is left out, a known camera keeps its source. If the source was given with an `ip`, and `ip`,
/// `port` and `username` stay the same, a password that is left out is kept, too. If `onvif` stays the same, an
/// `onvif_certificate` that is left out is kept. An `analytics` that is left out is kept,
/// and so are `recording` and `motion`.
// Paths may contain secrets too, so the type has no `Debug`.
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
    /// The camera's id. Required in an import. Otherwise the default is the id in the path, or an
    /// id that the manager chooses.
    id: Option<String>,
    /// The name for people; the id by default.
    name: Option<String>,
    /// The user to whom the camera belongs, under a name that the back end chooses. With an API key
    /// of role `user`, the owner is always the key's name, and any other value is refused.
    owner: Option<String>,
    /// URL of the main stream.
    rtsp_link: Option<Link>,
    /// URL of the sub stream.
    rtsp_link_sub: Option<Link>,
    /// The identifier of a preset, which provides the port and the paths that are left out.
    vendor: Option<String>,
    /// Host name or IP address, as an alternative to URLs.
    ip: Option<String>,
    /// RTSP port; by default the preset's port, or 554 without a preset.
    #[serde(default, deserialize_with = "optional_number")]
    #[schema(maximum = 65535)]
    port: Option<u16>,
    /// Path and query of the main stream; by default the preset's path and query.
    path: Option<String>,
    /// Path and query of the sub stream; by default the preset's path and query.
    sub_path: Option<String>,
    /// User name at the camera.
    username: Option<String>,
    /// Password at the camera.
    password: Option<Password>,
    /// The camera's ONVIF service, which has the same host as one of the streams: an address, with `:port`
    /// if the port is not 80, or the `http://` or `https://` URL. The manager uses the service to request a
    /// keyframe from the camera when a stream starts.
    onvif: Option<String>,
    /// The SHA-256 fingerprint of the only certificate that is accepted from the ONVIF service; only for an
    /// `https://` URL. If this is left out, a known camera keeps its fingerprint as long as the URL stays the
    /// same. Without a fingerprint, only certificates from certificate authorities that the manager trusts are
    /// accepted.
    #[schema(
        example = "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90"
    )]
    onvif_certificate: Option<String>,
    /// Treatment of the video.
    #[serde(default, deserialize_with = "or_default")]
    video: VideoOption,
    /// Treatment of the audio.
    #[serde(default, deserialize_with = "or_default")]
    audio: AudioOption,
    /// Transport of RTP.
    #[serde(default, deserialize_with = "or_default")]
    transport: TransportOption,
    /// When the main stream runs.
    #[serde(default, deserialize_with = "or_default")]
    keep: KeepOption,
    /// When the camera is recorded. By default, a known camera keeps its value, and a new camera gets the mode of the
    /// setting `RECORDINGS_DEFAULT`.
    recording: Option<RecordingOptions>,
    /// How motion in front of the camera is detected. By default, a known camera keeps its value, and for a new camera,
    /// motion is not detected.
    motion: Option<MotionOptions>,
    /// Whether back ends are to analyse the camera's video. By default, a known camera keeps its value, and a new camera
    /// gets false. The manager only keeps this value for back ends; `motion` does not depend on it.
    #[serde(default, alias = "enable_analytics", deserialize_with = "optional_flag")]
    analytics: Option<bool>,
    /// The sealed source from an export, as an alternative to URLs.
    sealed: Option<String>,
}

impl CameraInput {
    /// Returns the id, if there is one, and the change. The use case checks the fields that this
    /// function does not parse.
    pub(super) fn split(self) -> Result<(Option<CameraId>, CameraChange), Error> {
        let id = self.id.as_deref().map(|id| CameraId::parse(id.trim())).transpose()?;
        let (video, audio, transport) = (self.video, self.audio, self.transport);
        let change = CameraChange {
            onvif: onvif_address(self.onvif.as_deref(), self.onvif_certificate.as_deref())?,
            options: StreamOptions { video, audio, transport },
            keep: self.keep,
            analytics: self.analytics,
            recording: self.recording.clone(),
            motion: self.motion.clone(),
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
            let detail =
                "a camera has either RTSP links, or an ip, or a sealed source; omit the others";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        if let Some(sealed) = self.sealed {
            // Invalid base64 becomes an empty sealed source, which is refused later because it
            // cannot be decrypted.
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
            let detail = "vendor, port, paths and credentials require the camera's ip";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let Some(ip) = self.ip else { return Ok(SourceChange::Keep) };
        for path in [&self.path, &self.sub_path].into_iter().flatten() {
            ensure_nothing_is_hidden(path)?;
        }
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

/// Returns the address of an ONVIF service, with its confirmed certificate; `None` if the text is missing or
/// blank.
fn onvif_address(
    text: Option<&str>,
    certificate: Option<&str>,
) -> Result<Option<OnvifAddress>, Error> {
    let certificate = fingerprint(certificate)?;
    let address = match text.filter(|text| !text.trim().is_empty()) {
        None => None,
        Some(text) => {
            let address = OnvifAddress::parse(text).filter(|_| text.len() <= MAX_ONVIF);
            Some(address.ok_or_else(|| {
                let detail = format!(
                    "onvif must be an address, with :port if the port is not 80, or an http:// or \
                     https:// URL, of at most {MAX_ONVIF} bytes"
                );
                Error::new(ErrorKind::InvalidRequest, detail)
            })?)
        }
    };
    if certificate.is_some() && !address.as_ref().is_some_and(|address| address.is_https) {
        let detail = "onvif_certificate requires an https:// URL in onvif";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    Ok(address.map(|address| OnvifAddress { certificate, ..address }))
}

/// The parameters of a test: the same fields as for adding a camera, and the stream to test.
pub(crate) struct TestInput {
    /// The camera. If it has the id of a known camera, the source and the password can be left out under the same
    /// conditions that apply to a PUT.
    pub(super) camera: CameraInput,
    /// The stream to test.
    pub(super) profile: Profile,
}

impl<'de> Deserialize<'de> for TestInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde cannot flatten a type that denies unknown fields into another type.
        let mut fields = Map::deserialize(deserializer)?;
        let profile = fields.remove("profile").map(Profile::deserialize).transpose();
        let camera = CameraInput::deserialize(Value::Object(fields));
        Ok(Self {
            profile: profile.map_err(D::Error::custom)?.unwrap_or_default(),
            camera: camera.map_err(|error| D::Error::custom(with_profile(&error.to_string())))?,
        })
    }
}

/// Adds `profile` to the fields of a camera in Serde's message for an unknown field.
fn with_profile(message: &str) -> Cow<'_, str> {
    match message.rsplit_once("`, expected one of ") {
        Some((start, fields)) if message.starts_with("unknown field") => {
            format!("{start}`, expected one of `profile`, {fields}").into()
        }
        _ => message.into(),
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

/// The parameters of a deletion.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteInput {
    /// If true, the recordings of the camera are kept. Otherwise they are deleted as well, even if they are locked.
    #[serde(default, deserialize_with = "optional_flag")]
    #[param(nullable = false)]
    pub(super) keep: Option<bool>,
}

/// The parameters of a list of cameras.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListInput {
    /// Text that the id, the name or the host of the cameras contains. The case of the letters A to Z does
    /// not matter.
    #[serde(default)]
    #[param(nullable = false)]
    search: Option<String>,
    /// The owner of the cameras.
    #[serde(default)]
    #[param(nullable = false)]
    owner: Option<String>,
    /// The largest number of cameras to return, 1 to 1000.
    #[serde(default = "usual_limit", deserialize_with = "number")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
    /// For existing clients: with `array`, the response is only the list of cameras, with additional fields.
    #[serde(default)]
    #[param(inline)]
    pub(super) format: ListFormat,
    /// The number of cameras to skip.
    #[serde(default, deserialize_with = "number")]
    #[param(default = 0)]
    offset: u32,
}

/// The format of a list of cameras.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListFormat {
    /// An object with the page and the number of all cameras.
    #[default]
    Object,
    /// The list of cameras.
    Array,
}

impl ListInput {
    pub(super) fn filter(self) -> Filter {
        let Self { search, owner, limit, offset, format: _ } = self;
        Filter { search, owner, limit, offset }
    }
}

fn usual_limit() -> u32 {
    100
}
