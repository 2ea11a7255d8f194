//! Changes of cameras: how a request becomes the record of a new camera, or changes a known one.

use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::secret::Secret;
use crate::camera::id::CameraId;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::presets::{self, Preset};
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::{Parts, SourceSpec};
use crate::store::Cameras;

/// The longest name or owner, in characters.
const MAX_TEXT: usize = 200;

/// A camera as a caller gives it. What is left out has its default, apart from the source. Secret,
/// so it has no `Debug`.
#[derive(Default)]
pub(crate) struct CameraChange {
    /// The name for people; the id by default.
    pub(crate) name: Option<String>,
    /// The user that the camera belongs to.
    pub(crate) owner: Option<String>,
    /// The address of its ONVIF service.
    pub(crate) onvif: Option<OnvifAddress>,
    /// The options of its streams.
    pub(crate) options: StreamOptions,
    /// Where its streams come from.
    pub(crate) source: SourceChange,
}

/// Where the streams of a camera come from after a change.
#[derive(Default)]
pub(crate) enum SourceChange {
    /// From where they came before.
    #[default]
    Keep,
    /// From these links.
    Links {
        /// The main stream.
        main: Option<Source>,
        /// The sub stream.
        sub: Option<Source>,
    },
    /// From this address.
    Parts(PartsChange),
    /// From where an export of this manager has them, sealed.
    Sealed(Vec<u8>),
}

/// The address of a camera, with paths and credentials. What is left out comes from the preset.
pub(crate) struct PartsChange {
    /// The preset.
    pub(crate) vendor: Option<String>,
    /// Host name or IP address.
    pub(crate) ip: String,
    /// RTSP port.
    pub(crate) port: Option<u16>,
    /// Path and query of the main stream.
    pub(crate) path: Option<String>,
    /// Path and query of the sub stream.
    pub(crate) sub_path: Option<String>,
    /// User name at the camera.
    pub(crate) username: String,
    /// Password at the camera; the known one by default, if address and user name stay.
    pub(crate) password: Option<Secret>,
}

impl CameraChange {
    /// Returns the record of a new camera, or of a `known` one after the change. Refuses an ONVIF
    /// service at another host than the camera's.
    pub(crate) fn apply(
        self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let record = self.into_record(id, known, cameras)?;
        if record.has_foreign_onvif() {
            let detail = "onvif must have the same host as the camera's streams";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(record)
    }

    /// The same for an import, where one camera must not keep all others out: the ONVIF service of
    /// another host is left out.
    pub(crate) fn apply_import(
        self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let mut record = self.into_record(id, known, cameras)?;
        if record.has_foreign_onvif() {
            warn!(camera = %id, "imported without its onvif, which is at another host than its streams");
            record.onvif = None;
        }
        Ok(record)
    }

    fn into_record(
        self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let spec = self.source.spec(id, known.map(|known| &known.spec), cameras)?;
        let (created_at, updated_at) =
            known.map_or((0, 0), |known| (known.created_at, known.updated_at));
        Ok(Record {
            name: line(self.name.as_deref(), "name")?.unwrap_or_else(|| id.to_string()),
            owner: line(self.owner.as_deref(), "owner")?,
            onvif: self.onvif,
            spec,
            options: self.options,
            id: id.clone(),
            created_at,
            updated_at,
        })
    }
}

/// A short text on one line; `None` if it is empty.
fn line(text: Option<&str>, field: &str) -> Result<Option<String>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
        let detail = format!("{field} must be at most {MAX_TEXT} characters on one line");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    Ok(Some(text.to_owned()))
}

impl SourceChange {
    fn spec(
        self,
        id: &CameraId,
        known: Option<&SourceSpec>,
        cameras: &Cameras,
    ) -> Result<SourceSpec, Error> {
        match self {
            Self::Keep => known.cloned().map_or_else(|| SourceSpec::from_links(None, None), Ok),
            Self::Links { main, sub } => SourceSpec::from_links(main, sub),
            Self::Parts(parts) => SourceSpec::from_parts(parts.complete(known)?),
            Self::Sealed(sealed) => cameras.unsealed(id, &sealed).ok_or_else(|| {
                let detail = format!(
                    "the sealed source of camera {id} cannot be opened: it was exported under \
                     another id, or by a manager with another SOURCE_KEY"
                );
                Error::new(ErrorKind::InvalidSource, detail)
            }),
        }
    }
}

impl PartsChange {
    /// Fills in what the preset has, and the known password.
    fn complete(self, known: Option<&SourceSpec>) -> Result<Parts, Error> {
        let preset = self.vendor.as_deref().map(preset).transpose()?;
        let path = self.path.or_else(|| preset.map(|preset| preset.main.clone()));
        let path = path.ok_or_else(|| {
            let detail = "a camera with an ip needs a path, or a vendor that has a preset";
            Error::new(ErrorKind::InvalidSource, detail)
        })?;
        let mut parts = Parts {
            vendor: self.vendor,
            ip: self.ip,
            port: self.port.unwrap_or(preset.map_or(presets::usual_port(), |preset| preset.port)),
            path,
            sub_path: self.sub_path.or_else(|| preset.and_then(|preset| preset.sub.clone())),
            username: self.username,
            password: String::new(),
        };
        parts.password = match self.password {
            Some(password) => password.expose().to_owned(),
            None => known_password(known, &parts).unwrap_or_default(),
        };
        Ok(parts)
    }
}

fn preset(vendor: &str) -> Result<&'static Preset, Error> {
    presets::find(vendor).ok_or_else(|| {
        let detail = "there is no such vendor; GET /api/vendors lists them";
        Error::new(ErrorKind::InvalidSource, detail)
    })
}

/// The known password belongs to the address and user name that it was given for, and is sent to no
/// other.
fn known_password(known: Option<&SourceSpec>, new: &Parts) -> Option<String> {
    let known = known?.parts()?;
    let is_same = (&known.ip, known.port, &known.username) == (&new.ip, new.port, &new.username);
    is_same.then(|| known.password.clone())
}
