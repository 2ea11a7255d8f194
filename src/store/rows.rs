//! Conversions between cameras and their rows, in which the source is sealed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::db::camera_table::CameraRow;
use super::error::damaged;
use super::seal::Sealer;
use crate::base::error::Error;
use crate::base::fingerprint::Fingerprint;
use crate::camera::id::{CameraId, StreamId};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::origin::Origin;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;

/// The stored form of the default options for recordings.
pub(super) const NOT_RECORDED: &str = r#"{"mode":"off"}"#;
/// The stored form of the default options for motion.
pub(super) const NO_MOTION: &str = r#"{"source":"off"}"#;

/// Converts cameras to rows and back, and seals and opens their sources with one key.
#[derive(Clone)]
pub(super) struct Rows {
    sealer: Sealer,
}

impl Rows {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// Returns the sealer, for other secrets in the database.
    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Returns the sealed source of a camera.
    pub(super) fn sealed(&self, record: &Record) -> Result<Vec<u8>, Error> {
        let plain = serde_json::to_vec(&record.spec)
            .map_err(|error| damaged(&record.id).caused_by(error))?;
        Ok(self.sealer.seal(record.id.as_str(), &plain))
    }

    /// Opens a source that was sealed for the camera `id`. Returns `None` if it was sealed with another
    /// key or for another camera, or is damaged.
    pub(super) fn unsealed(&self, id: &CameraId, sealed: &[u8]) -> Option<SourceSpec> {
        serde_json::from_slice(&self.sealer.open(id.as_str(), sealed)?).ok()
    }

    /// Returns the origin of the media of a stream with this source.
    pub(super) fn origin(&self, record: &Record, id: &StreamId, source: &Source) -> Origin {
        let (added, owner) = (record.created_at.to_string(), record.owner.as_deref());
        // None of the texts contains a control character. So the zero bytes separate them unambiguously, and the line
        // break distinguishes an owner whose name is empty from no owner.
        let owner = owner.map(|owner| format!("\n{owner}")).unwrap_or_default();
        let text = [&id.to_string(), &added, &owner, source.expose()].join("\0");
        Origin::from_digest(&self.sealer.digest("origin", text.as_bytes()))
    }

    /// Converts a row to a camera. Fails if the row is damaged or was sealed with another key.
    pub(super) fn record(&self, row: &CameraRow) -> Result<Record, Error> {
        let id = CameraId::parse(&row.id)?;
        let read = || {
            Some(Record {
                spec: self.unsealed(&id, &row.source)?,
                options: StreamOptions {
                    video: from_text(&row.video)?,
                    audio: from_text(&row.audio)?,
                    transport: from_text(&row.transport)?,
                },
                keep: from_text(&row.keep)?,
                analytics: row.analytics,
                recording: serde_json::from_str(&row.recording).ok()?,
                motion: serde_json::from_str(&row.motion).ok()?,
                id: id.clone(),
                name: row.name.clone(),
                owner: row.owner.clone(),
                onvif: match (&row.onvif, &row.onvif_certificate) {
                    (Some(text), Some(certificate)) => Some(onvif(text, certificate)?),
                    (Some(text), None) => Some(OnvifAddress::parse(text)?),
                    (None, _) => None,
                },
                incarnation: row.incarnation,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        };
        read().ok_or_else(|| damaged(&id))
    }

    /// Converts a camera to a row.
    pub(super) fn row(&self, record: &Record) -> Result<CameraRow, Error> {
        let options = record.options;
        Ok(CameraRow {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            onvif_certificate: (record.onvif.as_ref())
                .and_then(|onvif| Some(onvif.certificate?.to_string())),
            host: record.spec.host().to_owned(),
            video: to_text(options.video),
            audio: to_text(options.audio),
            transport: to_text(options.transport),
            keep: to_text(record.keep),
            analytics: record.analytics,
            recording: stored(&record.recording, NOT_RECORDED),
            motion: stored(&record.motion, NO_MOTION),
            record_until: None,
            source: self.sealed(record)?,
            incarnation: record.incarnation,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// Returns the stored form of a camera's options; `default` for the default options.
fn stored<T: Default + PartialEq + Serialize>(options: &T, default: &str) -> String {
    if *options == T::default() {
        return default.to_owned();
    }
    serde_json::to_string(options).unwrap_or_else(|_| default.to_owned())
}

/// Returns the ONVIF service with this URL and the fingerprint of its confirmed certificate; `None` if one of them is
/// damaged.
pub(super) fn onvif(url: &str, certificate: &str) -> Option<OnvifAddress> {
    let certificate = Some(Fingerprint::parse(certificate)?);
    Some(OnvifAddress { certificate, ..OnvifAddress::parse(url)? })
}

/// Returns an option as a string, in the form of the API and the database.
pub(super) fn to_text(option: impl Serialize) -> String {
    let value = serde_json::to_value(option).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Parses an option from its string; `None` if the string is invalid.
fn from_text<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}
