//! Cameras on the wire: what a caller gives becomes a record, and a record becomes what a caller may
//! see, which is everything but passwords.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tracing::warn;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::openapi;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::rfc3339;
use crate::camera::id::{CameraId, Profile};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{AudioOption, StreamOptions, TransportOption, VideoOption};
use crate::camera::presets::{self, Preset};
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::{Parts, SourceSpec};
use crate::ingest::ffmpeg::probe::Still;
use crate::store::Cameras;

/// The longest URL of an ONVIF service, in bytes.
const MAX_ONVIF: usize = 1000;
/// The longest name or owner, in characters.
const MAX_TEXT: usize = 200;

/// A camera as a caller gives it. What is left out has its default, apart from the source: a known
/// camera keeps its own, and its password as long as address and user name stay.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Garage",
    "vendor": "hikvision",
    "ip": "192.168.1.21",
    "username": "user",
    "password": "password",
}))]
pub struct CameraInput {
    /// Its id. Given by the path, or chosen by the manager, where it is left out.
    pub id: Option<String>,
    /// What people call it; its id by default.
    pub name: Option<String>,
    /// The user whose it is, in the back end's words.
    pub owner: Option<String>,
    /// URL of the main stream.
    pub rtsp_link: Option<Link>,
    /// URL of the sub stream.
    pub rtsp_link_sub: Option<Link>,
    /// A preset, which gives port and paths that are left out.
    pub vendor: Option<String>,
    /// Host name or IP address, instead of URLs.
    pub ip: Option<String>,
    /// RTSP port.
    #[schema(maximum = 65535)]
    pub port: Option<u16>,
    /// Path and query of the main stream.
    pub path: Option<String>,
    /// Path and query of the sub stream.
    pub sub_path: Option<String>,
    /// Of the camera.
    pub username: Option<String>,
    /// Of the camera.
    pub password: Option<Password>,
    /// Its ONVIF service at the same host: an address, with `:port` if that is not 80, or the
    /// `http://` URL. By it the camera is asked for a keyframe when a stream starts.
    pub onvif: Option<String>,
    /// What becomes of the video.
    #[serde(default, deserialize_with = "or_default")]
    pub video: VideoOption,
    /// What becomes of the audio.
    #[serde(default, deserialize_with = "or_default")]
    pub audio: AudioOption,
    /// How RTP travels.
    #[serde(default, deserialize_with = "or_default")]
    pub transport: TransportOption,
    /// The source as an export has it.
    pub sealed: Option<String>,
}

/// A camera to be tested, as one that is added, and which of its streams.
#[derive(Debug)]
pub struct TestInput {
    /// The camera. With the id of one that is known, it may leave out what PUT may.
    pub camera: CameraInput,
    /// Which of its streams.
    pub profile: Profile,
}

impl<'de> Deserialize<'de> for TestInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde knows no field beside those of a type that denies others.
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

/// Answer to a test: what the camera sends.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestOutput {
    /// FFmpeg's name of it, such as `h264` or `hevc`.
    pub video_codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second; null when that is not known so soon.
    pub frame_rate: Option<f64>,
    /// FFmpeg's name of it, such as `aac` or `pcm_alaw`; null without audio.
    pub audio_codec: Option<String>,
    /// A picture: a JPEG of at most 640 pixels width, as base64.
    #[schema(content_encoding = "base64", content_media_type = "image/jpeg")]
    pub still: String,
    /// From the first connection to the picture.
    pub took_seconds: f64,
}

impl TestOutput {
    /// What to say of a picture.
    pub fn of(still: Still) -> Self {
        Self {
            video_codec: still.video_codec,
            width: still.width,
            height: still.height,
            frame_rate: still.frame_rate,
            audio_codec: still.audio_codec,
            still: BASE64.encode(still.jpeg),
            took_seconds: (still.took.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

/// A text that is never shown.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(format = Password)]
pub struct Password(String);

/// A URL that is never shown.
pub type Link = Password;

impl Password {
    /// The text itself.
    pub fn expose(self) -> String {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A camera as a caller sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CameraOutput {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The user whose it is.
    pub owner: Option<String>,
    /// The main stream's source without its secrets; null when there is none.
    pub source: Option<String>,
    /// The sub stream's.
    pub source_sub: Option<String>,
    /// URL of its ONVIF service, if it is known.
    pub onvif: Option<String>,
    /// Address and paths, when the camera was given that way.
    #[serde(flatten)]
    #[schema(schema_with = openapi::if_parts)]
    pub parts: Option<PartsOutput>,
    /// Its options.
    #[serde(flatten)]
    pub options: StreamOptions,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// Address and paths of a camera.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartsOutput {
    /// The preset.
    pub vendor: Option<String>,
    /// Host name or IP address.
    pub ip: String,
    /// RTSP port.
    pub port: u16,
    /// Path and query of the main stream.
    pub path: String,
    /// Path and query of the sub stream.
    pub sub_path: Option<String>,
    /// Of the camera.
    pub username: String,
    /// Whether a password is known.
    pub has_password: bool,
}

/// Answer to the list of cameras.
#[derive(Debug, Serialize, ToSchema)]
pub struct CamerasOutput {
    /// One page of them, by id.
    pub cameras: Vec<CameraOutput>,
    /// How many there are in all.
    pub total: i64,
}

/// A camera in an export: what an import takes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportOutput {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The user whose it is.
    pub owner: Option<String>,
    /// URL of its ONVIF service, if it is known.
    pub onvif: Option<String>,
    /// Its options.
    #[serde(flatten)]
    pub options: StreamOptions,
    /// Its source, which only a manager with the same `SOURCE_KEY` can open.
    pub sealed: String,
}

/// Answer to an import: what became of how many cameras.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportOutput {
    /// Were not known before.
    pub created: usize,
    /// Were known otherwise.
    pub updated: usize,
    /// Were known just so.
    pub unchanged: usize,
}

/// Answer to the list of vendors.
#[derive(Debug, Serialize, ToSchema)]
pub struct VendorsOutput {
    /// All presets.
    pub vendors: &'static [Preset],
}

/// Which cameras to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListInput {
    /// Part of id, name or host.
    #[serde(default)]
    #[param(nullable = false)]
    pub search: Option<String>,
    /// Whose.
    #[serde(default)]
    #[param(nullable = false)]
    pub owner: Option<String>,
    /// How many at most, 1 to 1000.
    #[serde(default = "usual_limit", deserialize_with = "super::model::number")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: u32,
    /// How many to leave out first.
    #[serde(default, deserialize_with = "super::model::number")]
    #[param(default = 0)]
    pub offset: u32,
}

/// A null says as little as a field that is left out.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn usual_limit() -> u32 {
    100
}

impl CameraInput {
    /// The record that this makes of a `known` one, or of nothing.
    pub fn apply(
        &self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let record = self.apply_unchecked(id, known, cameras)?;
        if record.has_foreign_onvif() {
            let detail = "onvif must have the same host as the camera's streams";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(record)
    }

    /// The same for an import, where one camera must not keep all others out: an `onvif` of another
    /// host is left out.
    pub fn apply_import(
        &self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let mut record = self.apply_unchecked(id, known, cameras)?;
        if record.has_foreign_onvif() {
            warn!(camera = %id, "imported without its onvif, whose host is none of its streams'");
            record.onvif = None;
        }
        Ok(record)
    }

    /// With an `onvif` of any host.
    fn apply_unchecked(
        &self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let text = |text: &Option<String>, name: &str| -> Result<Option<String>, Error> {
            let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
            let is_fine = |text: &&str| {
                text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control)
            };
            if text.is_some_and(|text| !is_fine(&text)) {
                let detail = format!("{name} must be at most {MAX_TEXT} characters on one line");
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
            Ok(text.map(str::to_owned))
        };
        let known_spec = known.map(|known| &known.spec);
        let spec = match (self.spec(id, known_spec, cameras)?, known_spec) {
            (Some(spec), _) => spec,
            (None, Some(known)) => known.clone(),
            (None, None) => SourceSpec::from_links(None, None)?,
        };
        let (created_at, updated_at) =
            known.map_or((0, 0), |known| (known.created_at, known.updated_at));
        Ok(Record {
            name: text(&self.name, "name")?.unwrap_or_else(|| id.to_string()),
            owner: text(&self.owner, "owner")?,
            onvif: self.onvif()?,
            spec,
            options: StreamOptions {
                video: self.video,
                audio: self.audio,
                transport: self.transport,
            },
            id: id.clone(),
            created_at,
            updated_at,
        })
    }

    fn spec(
        &self,
        id: &CameraId,
        known: Option<&SourceSpec>,
        cameras: &Cameras,
    ) -> Result<Option<SourceSpec>, Error> {
        let has_links = self.rtsp_link.is_some() || self.rtsp_link_sub.is_some();
        let ways = [has_links, self.ip.is_some(), self.sealed.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() > 1 {
            let detail = "a camera has either links or an ip, not both";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        if let Some(sealed) = &self.sealed {
            let open = |sealed: &str| cameras.unsealed(id, &BASE64.decode(sealed).ok()?);
            return open(sealed).map(Some).ok_or_else(|| {
                let detail = format!(
                    "the sealed source of camera {id} cannot be opened: it was exported under \
                     another id, or by a manager with another SOURCE_KEY"
                );
                Error::new(ErrorKind::InvalidSource, detail)
            });
        }
        if has_links {
            let main = parsed(self.rtsp_link.as_ref())?;
            return SourceSpec::from_links(main, parsed(self.rtsp_link_sub.as_ref())?).map(Some);
        }
        match &self.ip {
            Some(ip) => SourceSpec::from_parts(self.parts(ip, known)?).map(Some),
            None if self.has_parts() => {
                let detail = "vendor, port, paths and credentials need the camera's ip";
                Err(Error::new(ErrorKind::InvalidRequest, detail))
            }
            None => Ok(None),
        }
    }

    /// The URL of its ONVIF service.
    fn onvif(&self) -> Result<Option<OnvifAddress>, Error> {
        let Some(text) = self.onvif.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let address = OnvifAddress::parse(text).filter(|_| text.len() <= MAX_ONVIF);
        address.map(Some).ok_or_else(|| {
            let detail =
                "onvif must be an address, with :port if that is not 80, or an http:// URL";
            Error::new(ErrorKind::InvalidRequest, detail)
        })
    }

    fn has_parts(&self) -> bool {
        self.vendor.is_some()
            || self.port.is_some()
            || self.path.is_some()
            || self.sub_path.is_some()
            || self.username.is_some()
            || self.password.is_some()
    }

    fn parts(&self, ip: &str, known: Option<&SourceSpec>) -> Result<Parts, Error> {
        let invalid = |detail: String| Error::new(ErrorKind::InvalidSource, detail);
        let preset = match &self.vendor {
            Some(vendor) => Some(presets::find(vendor).ok_or_else(|| {
                invalid("there is no such vendor; GET /api/vendors lists them".to_owned())
            })?),
            None => None,
        };
        let preset_path = preset.map(|preset| preset.main.clone());
        let path = self.path.clone().or(preset_path).ok_or_else(|| {
            invalid("a camera with an ip needs a path, or a vendor that gives it".to_owned())
        })?;
        let port = self.port.unwrap_or(preset.map_or(presets::usual_port(), |preset| preset.port));
        let username = self.username.clone().unwrap_or_default();
        // A password belongs to the camera it was given for, and goes to no other address.
        let known_password = match known.and_then(SourceSpec::parts) {
            Some(parts)
                if (parts.ip.as_str(), parts.port, &parts.username) == (ip, port, &username) =>
            {
                parts.password.clone()
            }
            _ => String::new(),
        };
        Ok(Parts {
            vendor: self.vendor.clone(),
            ip: ip.to_owned(),
            port,
            path,
            sub_path: self.sub_path.clone().or(preset.and_then(|preset| preset.sub.clone())),
            username,
            password: self.password.clone().map_or(known_password, |password| password.0),
        })
    }
}

fn parsed(link: Option<&Link>) -> Result<Option<Source>, Error> {
    let link = link.map(|link| link.0.as_str()).filter(|link| !link.is_empty());
    link.map(Source::parse).transpose()
}

impl CameraOutput {
    /// What may be seen of a record.
    pub fn of(record: &Record) -> Self {
        let shown = |profile| record.spec.source(profile).map(Source::to_string);
        let parts = record.spec.parts().map(|parts| PartsOutput {
            vendor: parts.vendor.clone(),
            ip: parts.ip.clone(),
            port: parts.port,
            path: hidden(&parts.path),
            sub_path: parts.sub_path.as_deref().map(hidden),
            username: parts.username.clone(),
            has_password: !parts.password.is_empty(),
        });
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            source: shown(Profile::Main),
            source_sub: shown(Profile::Sub),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            parts,
            options: record.options,
            created_at: rfc3339(record.created_at.unsigned_abs()),
            updated_at: rfc3339(record.updated_at.unsigned_abs()),
        }
    }
}

/// A path without the secrets that some vendors put there.
fn hidden(path: &str) -> String {
    let link = format!("rtsp://x/{}", path.strip_prefix('/').unwrap_or(path));
    let shown = Source::parse(&link).map(|source| source.to_string()).unwrap_or_default();
    shown.strip_prefix("rtsp://x").unwrap_or_default().to_owned()
}

impl ExportOutput {
    /// A record for an export.
    pub fn of(record: &Record, cameras: &Cameras) -> Result<Self, Error> {
        Ok(Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            options: record.options,
            sealed: BASE64.encode(cameras.sealed(record)?),
        })
    }
}
