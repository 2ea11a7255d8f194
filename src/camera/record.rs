//! A camera as the camera store keeps it.

use crate::camera::id::CameraId;
use crate::camera::identity::Identity;
use crate::camera::motion::MotionOptions;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{KeepOption, StreamOptions};
use crate::camera::recording::RecordingOptions;
use crate::camera::source_spec::SourceSpec;

/// A camera as the camera store keeps it. Contains secrets, so there is no `Debug`.
#[derive(Clone, PartialEq)]
pub(crate) struct Record {
    /// The id.
    pub id: CameraId,
    /// The name to display.
    pub name: String,
    /// The user who owns the camera, with the name that the back end has chosen.
    pub owner: Option<String>,
    /// The camera's ONVIF service.
    pub onvif: Option<OnvifAddress>,
    /// The sources of the streams.
    pub spec: SourceSpec,
    /// The operator's options for the streams.
    pub options: StreamOptions,
    /// When the main stream runs.
    pub keep: KeepOption,
    /// When the camera is recorded.
    pub recording: RecordingOptions,
    /// How motion in front of the camera is detected.
    pub motion: MotionOptions,
    /// True if back ends are to analyse the camera's video. The manager only keeps this value for them.
    pub analytics: bool,
    /// A random number that was chosen when the camera was added.
    pub incarnation: i64,
    /// The time when the camera was added, in Unix seconds.
    pub created_at: i64,
    /// The time of the last change, in Unix seconds.
    pub updated_at: i64,
}

impl Record {
    /// Creates a camera from an id and a source. The name is the id; everything else has defaults.
    pub(crate) fn new(id: CameraId, spec: SourceSpec) -> Self {
        Self {
            name: id.to_string(),
            id,
            owner: None,
            onvif: None,
            spec,
            options: StreamOptions::default(),
            keep: KeepOption::default(),
            recording: RecordingOptions::default(),
            motion: MotionOptions::default(),
            analytics: false,
            incarnation: 0,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Returns which camera of which owner this is.
    pub(crate) fn identity(&self) -> Identity {
        Identity { incarnation: self.incarnation, owner: self.owner.as_deref().map(Into::into) }
    }

    /// Returns true if the camera has an ONVIF service whose host is not the host of any of its streams. The
    /// service receives a digest of the camera's password, so it must be on the camera.
    pub(crate) fn has_foreign_onvif(&self) -> bool {
        self.onvif.as_ref().is_some_and(|onvif| !self.spec.has_host(&onvif.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::id::Profile;
    use crate::camera::source::Source;

    #[test]
    fn an_onvif_service_at_another_host_than_the_stream_is_foreign() {
        let table = [
            ("rtsp://192.0.2.7/a", None, false),
            ("rtsp://192.0.2.7/a", Some("http://192.0.2.7:80/onvif"), false),
            ("rtsp://192.0.2.8/a", Some("http://192.0.2.7:80/onvif"), true),
            ("rtsp://Camera.LOCAL/a", Some("http://camera.local:80/onvif"), false),
            ("rtsp://[2001:DB8:0::7]/a", Some("http://[2001:db8::7]:80/onvif"), false),
        ];
        for (link, onvif, expected) in table {
            let spec = SourceSpec::from_link(Profile::Sub, Source::parse(link).expect(link));
            let id = CameraId::parse("1").expect("an id");
            let onvif = onvif.map(|text| OnvifAddress::parse(text).expect(text));
            let record = Record { onvif, ..Record::new(id, spec) };
            assert_eq!(record.has_foreign_onvif(), expected, "{link} {:?}", record.onvif);
        }
    }
}
