//! Input of requests about streams.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::schema;
use crate::api::wire::{
    Link, Password, ensure_nothing_is_hidden, flag, optional_number, string_or_number, yes,
};
use crate::base::error::Error;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::options::{AudioOption, OptionChanges, TransportOption, VideoOption};
use crate::camera::source_change::SourceParts;
use crate::service::streams::StartRequest;
use crate::stream::output::WantedOutput;

/// The parameters of a start.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(example = json!({
    "indicator_id": "front-door",
    "rtsp_link": "rtsp://user:password@192.168.1.20:554/stream1",
}))]
pub(crate) struct StartInput {
    /// The camera's id. Numbers are accepted as well.
    #[serde(deserialize_with = "string_or_number")]
    #[schema(schema_with = schema::id_or_number)]
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "front-door")]
    pub(in crate::api) indicator_id: String,
    /// The camera's stream.
    #[serde(default)]
    pub(in crate::api) profile: Profile,
    /// The stream's RTSP URL; by default the known URL.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[param(nullable = false, value_type = Option<String>)]
    pub(in crate::api) rtsp_link: Option<Link>,
    /// Treatment of the video. Options that are left out stay as they are.
    #[serde(default)]
    #[param(nullable = false)]
    pub(in crate::api) video: Option<VideoOption>,
    /// Treatment of the audio.
    #[serde(default)]
    #[param(nullable = false)]
    pub(in crate::api) audio: Option<AudioOption>,
    /// Transport of RTP.
    #[serde(default)]
    #[param(nullable = false)]
    pub(in crate::api) transport: Option<TransportOption>,
    /// The output that is started, unless it is already running. With `none`, the stream is playable as
    /// soon as the camera has sent a keyframe, and writes no files unless another client uses HLS.
    #[serde(default)]
    pub(in crate::api) output: WantedOutput,
    /// If true, the response waits until the stream is playable with this output, or until
    /// `START_TIMEOUT_SECONDS` have passed without a keyframe from the camera.
    #[serde(default = "yes", deserialize_with = "flag")]
    #[schema(default = true)]
    #[param(default = true)]
    pub(in crate::api) wait: bool,
}

impl StartInput {
    /// Parses id and URL. Returns the parameters for the use case.
    pub(super) fn request(self) -> Result<StartRequest, Error> {
        let Self { indicator_id, profile, rtsp_link, video, audio, transport, output, wait } = self;
        Ok(StartRequest {
            id: StreamId::new(CameraId::parse(&indicator_id)?, profile),
            source: rtsp_link.map(|link| link.source()).transpose()?.flatten(),
            changes: OptionChanges { video, audio, transport },
            output,
            wait,
        })
    }
}

/// The parameters of a stop or of a request for the status.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(example = json!({ "indicator_id": "front-door" }))]
pub(crate) struct IdInput {
    /// The camera's id.
    #[serde(deserialize_with = "string_or_number")]
    #[schema(schema_with = schema::id_or_number)]
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "front-door")]
    pub(super) indicator_id: String,
    /// The camera's stream.
    #[serde(default)]
    pub(super) profile: Profile,
}

/// The parameters of stop and status for the camera in the path.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamInput {
    /// The camera's stream.
    #[serde(default)]
    pub(super) profile: Profile,
    /// Ignored. Accepted because starts have this field, and some clients send it with every request.
    #[serde(default, rename = "output")]
    _output: WantedOutput,
    /// Ignored. Accepted because starts have this field, and some clients send it with every request.
    #[serde(default = "yes", rename = "wait", deserialize_with = "flag")]
    #[schema(default = true)]
    #[param(default = true)]
    _wait: bool,
}

/// The parameters of a start of the camera in the path.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StartCameraInput {
    /// The camera's stream.
    #[serde(default)]
    pub(super) profile: Profile,
    /// The output that is started, unless it is already running. With `none`, the stream is playable as
    /// soon as the camera has sent a keyframe, and writes no files unless another client uses HLS.
    #[serde(default)]
    pub(super) output: WantedOutput,
    /// If true, the response waits until the stream is playable with this output, or until
    /// `START_TIMEOUT_SECONDS` have passed without a keyframe from the camera.
    #[serde(default = "yes", deserialize_with = "flag")]
    #[schema(default = true)]
    #[param(default = true)]
    pub(super) wait: bool,
    /// For existing clients: the new RTSP port. This field and the following ones change the known source.
    #[serde(default, deserialize_with = "optional_number")]
    #[schema(minimum = 1, maximum = 65535)]
    #[param(nullable = false, minimum = 1, maximum = 65535)]
    rtsp_port: Option<u16>,
    /// For existing clients: the new path and query.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[param(nullable = false, value_type = Option<String>)]
    rtsp_path: Option<Link>,
    /// For existing clients: the new user name at the camera.
    #[serde(default)]
    #[param(nullable = false)]
    rtsp_username: Option<String>,
    /// For existing clients: the new password at the camera.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[param(nullable = false, value_type = Option<String>)]
    rtsp_password: Option<Password>,
}

impl StartCameraInput {
    /// Takes the changes of the source.
    pub(super) fn take_parts(&mut self) -> Result<SourceParts, Error> {
        let path = self.rtsp_path.take().filter(|path| !path.is_empty()).map(Link::into_secret);
        path.as_ref().map_or(Ok(()), |path| ensure_nothing_is_hidden(path.expose()))?;
        Ok(SourceParts {
            port: self.rtsp_port,
            path,
            username: self.rtsp_username.take(),
            password: self.rtsp_password.take().map(Password::into_secret),
        })
    }
}

/// The parameters of a request for a stream's log.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProfileInput {
    /// The camera's stream.
    #[serde(default)]
    pub(super) profile: Profile,
}
