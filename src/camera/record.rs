//! A camera as it is stored.

use crate::camera::id::CameraId;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::StreamOptions;
use crate::camera::source_spec::SourceSpec;

/// A camera as it is stored. Contains secrets, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its id.
    pub id: CameraId,
    /// Its name for people.
    pub name: String,
    /// The user who owns it, in the back end's words.
    pub owner: Option<String>,
    /// Its ONVIF service, at the host of one of its streams.
    pub onvif: Option<OnvifAddress>,
    /// The source of its streams.
    pub spec: SourceSpec,
    /// The operator's options for its streams.
    pub options: StreamOptions,
    /// When it was added, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

impl Record {
    /// Creates a camera of which only the id and the source are known.
    pub(crate) fn new(id: CameraId, spec: SourceSpec) -> Self {
        Self {
            name: id.to_string(),
            id,
            owner: None,
            onvif: None,
            spec,
            options: StreamOptions::default(),
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Returns whether none of the streams is at the host of the ONVIF service. The service gets a digest
    /// of the camera's password, so it has to be the camera's own.
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
    fn a_foreign_onvif_has_the_host_of_no_stream() {
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
