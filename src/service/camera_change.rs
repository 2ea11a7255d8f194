//! Changes of cameras: turns a request into the record of a new camera, or of a known camera after the
//! change.

use tracing::warn;

use crate::base::error::{Error, ErrorKind};
use crate::base::secret::Secret;
use crate::camera::id::CameraId;
use crate::camera::motion::MotionOptions;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{KeepOption, StreamOptions};
use crate::camera::presets::{self, Preset};
use crate::camera::record::Record;
use crate::camera::recording::RecordingOptions;
use crate::camera::source::Source;
use crate::camera::source_spec::{Parts, SourceSpec};
use crate::camera::zone;
use crate::events::kinds;
use crate::store::Cameras;

/// The longest name or owner, in characters.
const MAX_TEXT: usize = 200;

/// A camera as a caller describes it. Some fields that are left out keep their known values: the source, the
/// password if the device stays the same, the confirmed certificate if the ONVIF service stays the same,
/// `analytics`, `recording` and `motion`. All other fields that are left out get their defaults. Contains secrets, so the type has no
/// `Debug`.
#[derive(Clone, Default)]
pub(crate) struct CameraChange {
    /// The name for people; the id by default.
    pub(crate) name: Option<String>,
    /// The user to whom the camera belongs.
    pub(crate) owner: Option<String>,
    /// The address of the camera's ONVIF service. If the known camera has the same service, its
    /// confirmed certificate is kept, unless this address has another certificate.
    pub(crate) onvif: Option<OnvifAddress>,
    /// The options of the camera's streams.
    pub(crate) options: StreamOptions,
    /// When the camera's main stream runs.
    pub(crate) keep: KeepOption,
    /// Whether the back end is to analyse the camera's video; `None` keeps the known value.
    pub(crate) analytics: Option<bool>,
    /// When the camera is recorded; `None` keeps the known value. A new camera gets the value of a setting.
    pub(crate) recording: Option<RecordingOptions>,
    /// How motion in front of the camera is detected; `None` keeps the known value.
    pub(crate) motion: Option<MotionOptions>,
    /// The source of the camera's streams.
    pub(crate) source: SourceChange,
}

/// The source of a camera's streams after a change.
#[derive(Clone, Default)]
pub(crate) enum SourceChange {
    /// The known source. For a new camera, no source is known, so the change fails.
    #[default]
    Keep,
    /// The URLs of the streams.
    Links {
        /// The URL of the main stream.
        main: Option<Source>,
        /// The URL of the sub stream.
        sub: Option<Source>,
    },
    /// The address of the camera, with paths and credentials.
    Parts(PartsChange),
    /// The sealed source from an export.
    Sealed(Vec<u8>),
}

/// The address of a camera, with paths and credentials. A port or path that is left out comes from the
/// preset. Without a preset, the port is 554, and the path of the main stream is required.
#[derive(Clone)]
pub(crate) struct PartsChange {
    /// The identifier of the preset.
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
    /// Password at the camera. If this is `None`, the camera keeps the known password if the known
    /// source consists of parts with the same address, port and user name. Otherwise, the camera has no
    /// password.
    pub(crate) password: Option<Secret>,
}

impl CameraChange {
    /// Returns the record of a new camera, or of the `known` camera after the change. Refuses an ONVIF
    /// service whose host differs from the host of the camera's streams, and recordings of events whose type does not exist.
    pub(crate) fn apply(
        self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let record = self.into_record(id, known, cameras)?;
        ensure_known_types(&record.recording, known.map(|known| &known.recording))?;
        if record.has_foreign_onvif() {
            let detail = "onvif must have the same host as the camera's streams";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(record)
    }

    /// Returns the record like [`Self::apply`], but drops an ONVIF service whose host differs from the host
    /// of the camera's streams, and accepts all types of events, because a refusal would make the whole import fail.
    pub(crate) fn apply_import(
        self,
        id: &CameraId,
        known: Option<&Record>,
        cameras: &Cameras,
    ) -> Result<Record, Error> {
        let mut record = self.into_record(id, known, cameras)?;
        if record.has_foreign_onvif() {
            warn!(camera = %id, "ignoring the ONVIF service of an imported camera, because the camera's streams have another host");
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
        let recording = match self.recording {
            Some(recording) => {
                recording.ensure_usable()?;
                recording
            }
            None => {
                known.map_or_else(|| cameras.default_recording(), |known| known.recording.clone())
            }
        };
        if let Some(motion) = &self.motion {
            motion.ensure_usable()?;
        }
        let known_motion = || known.map(|known| known.motion.clone()).unwrap_or_default();
        let (created_at, updated_at) =
            known.map_or((0, 0), |known| (known.created_at, known.updated_at));
        Ok(Record {
            name: line(self.name.as_deref(), "name")?.unwrap_or_else(|| id.to_string()),
            owner: line(self.owner.as_deref(), "owner")?,
            onvif: self.onvif.map(|onvif| match known.and_then(|known| known.onvif.as_ref()) {
                Some(known) => onvif.with_certificate_of(known),
                None => onvif,
            }),
            spec,
            options: self.options,
            keep: self.keep,
            recording,
            motion: self.motion.unwrap_or_else(known_motion),
            analytics: self.analytics.unwrap_or(known.is_some_and(|known| known.analytics)),
            id: id.clone(),
            // The store sets it, like the times.
            incarnation: known.map_or(0, |known| known.incarnation),
            created_at,
            updated_at,
        })
    }
}

/// Returns the trimmed text of a field; `None` if the text is missing or empty. Refuses a text that
/// is too long or contains control characters, such as line breaks.
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
            Self::Parts(parts) => {
                let spec = SourceSpec::from_parts(parts.complete(known)?)?;
                spec.ensure_usable()?;
                Ok(spec)
            }
            Self::Sealed(sealed) => cameras.unsealed(id, &sealed).ok_or_else(|| {
                let detail = format!(
                    "the sealed source of camera {id} cannot be opened: it was exported under \
                     another id or by a manager with another key (SOURCE_KEY or the key file), or it is \
                     damaged"
                );
                Error::new(ErrorKind::InvalidSource, detail)
            }),
        }
    }
}

impl PartsChange {
    /// Returns the complete address. A port or path that is left out comes from the preset; without a
    /// preset, the port is 554. If the password is left out, uses the result of [`known_password`], or an
    /// empty password if the result is `None`. Fails if the preset is unknown, or the main path is missing.
    fn complete(self, known: Option<&SourceSpec>) -> Result<Parts, Error> {
        let preset = self.vendor.as_deref().map(preset).transpose()?;
        let path = self.path.or_else(|| preset.map(|preset| preset.main.clone()));
        let path = path.ok_or_else(|| {
            let detail = "a camera with an ip needs a path, or a vendor that has a preset";
            Error::new(ErrorKind::InvalidSource, detail)
        })?;
        let mut parts = Parts {
            vendor: self.vendor,
            ip: self.ip.trim().to_owned(),
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
        let detail = "unknown vendor; GET /api/vendors lists the known vendors";
        Error::new(ErrorKind::InvalidSource, detail)
    })
}

/// Returns the known password if the known source consists of parts, and address, port and user name
/// stay the same. Otherwise returns `None`, because the password must not be sent to another device.
fn known_password(known: Option<&SourceSpec>, new: &Parts) -> Option<String> {
    let known = known?.parts()?;
    let is_same_host = zone::bare_host(&known.ip) == zone::bare_host(&new.ip);
    let is_same = is_same_host && (known.port, &known.username) == (new.port, &new.username);
    is_same.then(|| known.password.clone())
}

/// Fails if events of a type that does not exist are to be recorded. Types that the camera already has are accepted, so that
/// clients can return what they have read.
fn ensure_known_types(
    new: &RecordingOptions,
    known: Option<&RecordingOptions>,
) -> Result<(), Error> {
    let is_stored = |kind: &String| known.is_some_and(|known| known.events.types.contains(kind));
    let unknown = new.events.types.iter().find(|kind| !kinds::is_known(kind) && !is_stored(kind));
    let Some(unknown) = unknown else { return Ok(()) };
    // Other events are not about cameras, or about the recording itself.
    let is_recorded =
        |name: &&str| !name.starts_with("recording.") && !name.starts_with("storage.");
    let names: Vec<_> = kinds::names().into_iter().filter(is_recorded).collect();
    let detail = format!(
        "recording.events.types contains the unknown type {unknown:?}; the types are {}, those that begin with `reported.`, \
         and the groups `camera`, `stream` and `reported`",
        names.join(", ")
    );
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_events_that_do_not_exist_are_refused_unless_they_are_stored() {
        let options = |types: &[&str]| {
            let mut options = RecordingOptions::default();
            options.events.types = types.iter().map(|&kind| kind.to_owned()).collect();
            options
        };
        let stored = options(&["reported", "old.type"]);
        for known in ["motion", "reported", "reported.door", "camera.offline", "stream", "old.type"]
        {
            ensure_known_types(&options(&[known]), Some(&stored)).expect(known);
        }
        for unknown in ["motio", "reporteddoor", "old", ""] {
            let error = ensure_known_types(&options(&["motion", unknown]), Some(&stored));
            let detail = error.expect_err(unknown).detail;
            assert!(detail.contains(&format!("{unknown:?}")), "{detail}");
            assert!(detail.contains("camera.offline, camera.online, motion,"), "{detail}");
        }
        ensure_known_types(&stored, None).expect_err("a new camera");
    }

    #[test]
    fn a_password_is_kept_if_only_the_spelling_of_the_address_changes() {
        let parts = |ip: &str| Parts {
            vendor: None,
            ip: ip.into(),
            port: 554,
            path: "/x".into(),
            sub_path: None,
            username: "admin".into(),
            password: "secret".into(),
        };
        let table = [
            ("cam.example", "CAM.example", true),
            ("fe80::1", "FE80:0::1", true),
            ("fe80::1%eth0", "FE80:0::1%25eth0", true),
            ("fe80::1%eth0", "fe80::1%Eth0", false),
            ("fe80::1%eth0", "fe80::1%eth1", false),
            ("cam.example", "cam2.example", false),
            ("192.0.2.7", "192.0.2.8", false),
        ];
        for (known, new, is_kept) in table {
            let known = SourceSpec::from_parts(parts(known)).unwrap_or_else(|it| panic!("{it}"));
            let password = known_password(Some(&known), &parts(new));
            assert_eq!(password.is_some(), is_kept, "{new}");
        }
    }
}
