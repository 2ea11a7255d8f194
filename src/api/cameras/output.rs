//! Responses about cameras. They contain no passwords, except in the encrypted sources of an export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::api::schema;
use crate::api::wire::seconds;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::rfc3339;
use crate::camera::id::{Profile, StreamId};
use crate::camera::motion::MotionOptions;
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{KeepOption, StreamOptions};
use crate::camera::presets::Preset;
use crate::camera::record::Record;
use crate::camera::recording::RecordingOptions;
use crate::camera::source::Source;
use crate::camera::source_spec::Parts;
use crate::imports::{Format, Import, LeftOut};
use crate::ingest::ffmpeg::probe::Still;
use crate::reachability::state::Reachability;
use crate::service::core::Core;
use crate::store::{Cameras, Change};

/// A camera as a caller sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraOutput {
    /// The camera's id.
    id: String,
    /// The name for people.
    name: String,
    /// The user to whom the camera belongs.
    owner: Option<String>,
    /// The main stream's URL without secrets; null if there is no such stream.
    source: Option<String>,
    /// The sub stream's URL without secrets; null if there is no such stream.
    source_sub: Option<String>,
    /// When the last kept picture of the main stream was taken, RFC 3339; null if no picture is
    /// kept.
    /// `snapshot.jpg` with `start=false` returns this picture if no newer one can be taken.
    #[schema(format = DateTime)]
    picture_at: Option<String>,
    /// When the last kept picture of the sub stream was taken, RFC 3339; null if no picture is
    /// kept.
    #[schema(format = DateTime)]
    picture_sub_at: Option<String>,
    /// URL of the camera's ONVIF service; null if it is not known.
    onvif: Option<String>,
    /// The SHA-256 fingerprint of the only certificate that is accepted from the ONVIF service; null if no
    /// certificate is confirmed.
    onvif_certificate: Option<String>,
    /// Address and paths; only if the source was given with an `ip`.
    #[serde(flatten)]
    #[schema(schema_with = if_parts)]
    parts: Option<PartsOutput>,
    /// The options of the camera's streams.
    #[serde(flatten)]
    options: StreamOptions,
    /// When the main stream runs.
    keep: KeepOption,
    /// When the camera is recorded.
    recording: RecordingOptions,
    /// How motion in front of the camera is detected.
    motion: MotionOptions,
    /// Whether back ends are to analyse the camera's video. The manager only keeps this value for them.
    analytics: bool,
    /// Whether the camera can be reached; null if `CHECK_INTERVAL_SECONDS` is not set, or if the camera has not
    /// been checked yet at its present address.
    reachability: Option<ReachabilityOutput>,
    /// When the camera was added, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the camera was last changed, RFC 3339.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Whether a camera can be reached, according to regular checks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReachabilityOutput {
    /// True if the camera is reachable, false if it counts as offline; null before the first checks have
    /// decided this.
    reachable: Option<bool>,
    /// Since when the camera has been reachable or offline, RFC 3339: the time of the first of the checks that
    /// led to this state. Null if `reachable` is null.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// The error of the last failed check, even if later checks succeeded; null if no check has failed.
    last_error: Option<CheckErrorOutput>,
}

/// The error of a failed check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckErrorOutput {
    /// The stable code of the error.
    code: ErrorKind,
    /// Description for people.
    detail: String,
    /// When the check failed, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

/// Address and paths of a camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartsOutput {
    /// The identifier of the preset.
    vendor: Option<String>,
    /// Host name or IP address.
    ip: String,
    /// RTSP port.
    port: u16,
    /// Path and query of the main stream.
    path: String,
    /// Path and query of the sub stream.
    sub_path: Option<String>,
    /// User name at the camera.
    username: String,
    /// True if a password is known.
    has_password: bool,
}

fn if_parts() -> Schema {
    schema::all_or_none::<PartsOutput>(
        "Address and paths; only if the source was given with an `ip`.",
    )
}

impl CameraOutput {
    pub(super) fn new(record: &Record, core: &Core) -> Self {
        let shown = |profile| record.spec.source(profile).map(Source::to_string);
        let picture_at = |profile| {
            let id = StreamId::new(record.id.clone(), profile);
            let taken_at = core.snapshots.taken_at(&id, record.spec.source(profile)?)?;
            Some(humantime::format_rfc3339_millis(taken_at).to_string())
        };
        let monitor = core.reachability.as_ref();
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            source: shown(Profile::Main),
            source_sub: shown(Profile::Sub),
            picture_at: picture_at(Profile::Main),
            picture_sub_at: picture_at(Profile::Sub),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            onvif_certificate: certificate(record),
            parts: record.spec.parts().map(PartsOutput::new),
            options: record.options,
            keep: record.keep,
            recording: record.recording.clone(),
            motion: record.motion.clone(),
            analytics: record.analytics,
            reachability: monitor
                .and_then(|monitor| monitor.get(&record.id, record.spec.first()))
                .map(ReachabilityOutput::new),
            created_at: rfc3339(record.created_at.unsigned_abs()),
            updated_at: rfc3339(record.updated_at.unsigned_abs()),
        }
    }
}

impl ReachabilityOutput {
    fn new(known: Reachability) -> Self {
        let text = |at| humantime::format_rfc3339_millis(at).to_string();
        Self {
            reachable: known.is_reachable,
            since: known.since.map(text),
            last_error: known.last_error.map(|(error, at)| CheckErrorOutput {
                code: error.kind,
                detail: error.detail,
                at: text(at),
            }),
        }
    }
}

impl PartsOutput {
    fn new(parts: &Parts) -> Self {
        Self {
            vendor: parts.vendor.clone(),
            ip: parts.ip.clone(),
            port: parts.port,
            path: redacted(&parts.path),
            sub_path: parts.sub_path.as_deref().map(redacted),
            username: parts.username.clone(),
            has_password: !parts.password.is_empty(),
        }
    }
}

/// Returns the fingerprint of the confirmed certificate of a camera's ONVIF service.
fn certificate(record: &Record) -> Option<String> {
    Some(record.onvif.as_ref()?.certificate?.to_string())
}

/// Returns a path with `***` in place of the secrets that some vendors put into paths.
fn redacted(path: &str) -> String {
    let link = format!("rtsp://x/{}", path.strip_prefix('/').unwrap_or(path));
    let shown = Source::parse(&link).map(|source| source.to_string()).unwrap_or_default();
    shown.strip_prefix("rtsp://x").unwrap_or_default().to_owned()
}

/// A page of the list of cameras.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CamerasOutput {
    /// The cameras of the page, sorted by id.
    cameras: Vec<CameraOutput>,
    /// The number of cameras on all pages.
    total: i64,
}

impl CamerasOutput {
    pub(super) fn new(records: &[Record], total: i64, core: &Core) -> Self {
        let cameras = records.iter().map(|record| CameraOutput::new(record, core));
        Self { cameras: cameras.collect(), total }
    }
}

/// A camera in an export, which has the format of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportOutput {
    /// The camera's id.
    id: String,
    /// The name for people.
    name: String,
    /// The user to whom the camera belongs.
    owner: Option<String>,
    /// URL of the camera's ONVIF service; null if it is not known.
    onvif: Option<String>,
    /// The SHA-256 fingerprint of the only certificate that is accepted from the ONVIF service; null if no
    /// certificate is confirmed.
    onvif_certificate: Option<String>,
    /// The options of the camera's streams.
    #[serde(flatten)]
    options: StreamOptions,
    /// When the main stream runs.
    keep: KeepOption,
    /// When the camera is recorded.
    recording: RecordingOptions,
    /// How motion in front of the camera is detected.
    motion: MotionOptions,
    /// Whether back ends are to analyse the camera's video. The manager only keeps this value for them.
    analytics: bool,
    /// The camera's encrypted source, which only a manager with the same key (`SOURCE_KEY` or the key file)
    /// can open.
    sealed: String,
}

impl ExportOutput {
    pub(super) fn new(record: &Record, cameras: &Cameras) -> Result<Self, Error> {
        Ok(Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            onvif_certificate: certificate(record),
            options: record.options,
            keep: record.keep,
            recording: record.recording.clone(),
            motion: record.motion.clone(),
            analytics: record.analytics,
            sealed: BASE64.encode(cameras.sealed(record)?),
        })
    }
}

/// Response to an import.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportOutput {
    /// Number of cameras that were added. With `dry_run`, `created`, `updated` and `unchanged` are the numbers
    /// of cameras that an import would add, change and leave unchanged.
    created: usize,
    /// Number of known cameras that have changed.
    updated: usize,
    /// Number of known cameras that have not changed.
    unchanged: usize,
    /// The format of the body; only with `dry_run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    format: Option<Format>,
    /// The cameras that an import would store; only with `dry_run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cameras: Option<Vec<PreviewOutput>>,
    /// The parts of the body that cannot be imported; missing if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    /// The names of variables in the body whose values the manager does not know; missing if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_variables: Vec<String>,
}

/// A camera that an import would store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewOutput {
    /// The camera's id.
    id: String,
    /// The name for people.
    name: String,
    /// The main stream's URL without secrets; null if there is no such stream.
    source: Option<String>,
    /// The sub stream's URL without secrets; null if there is no such stream.
    source_sub: Option<String>,
    /// The options of the camera's streams.
    #[serde(flatten)]
    options: StreamOptions,
    /// The effect on the known cameras.
    effect: Effect,
    /// Notes for people, for example about options in the file that the camera does not keep; missing if there
    /// are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// The effect of one entry of an import.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effect {
    /// The camera is added.
    Created,
    /// A known camera is changed.
    Updated,
    /// The known camera already has the values in the body.
    Unchanged,
}

impl ImportOutput {
    pub(super) fn new(changes: &[Change], import: Import) -> Self {
        let count = |wanted| changes.iter().filter(|change| **change == wanted).count();
        Self {
            created: count(Change::Created),
            updated: count(Change::Updated),
            unchanged: count(Change::Unchanged),
            format: None,
            cameras: None,
            left_out: import.left_out,
            missing_variables: import.missing_variables.into_iter().collect(),
        }
    }

    pub(super) fn previewed(
        previewed: &[(Record, Change)],
        notes: Vec<Vec<String>>,
        format: Format,
        import: Import,
    ) -> Self {
        let changes: Vec<_> = previewed.iter().map(|(_, change)| *change).collect();
        let notes = notes.into_iter().chain(std::iter::repeat_with(Vec::new));
        let cameras = previewed.iter().zip(notes);
        let cameras =
            cameras.map(|((record, change), notes)| PreviewOutput::new(record, *change, notes));
        let cameras = Some(cameras.collect());
        Self { format: Some(format), cameras, ..Self::new(&changes, import) }
    }
}

impl PreviewOutput {
    fn new(record: &Record, change: Change, notes: Vec<String>) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            source: record.spec.source(Profile::Main).map(Source::to_string),
            source_sub: record.spec.source(Profile::Sub).map(Source::to_string),
            options: record.options,
            notes,
            effect: match change {
                Change::Created => Effect::Created,
                Change::Updated => Effect::Updated,
                Change::Unchanged => Effect::Unchanged,
            },
        }
    }
}

/// Response to a test: the media that the camera sends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestOutput {
    /// FFmpeg's name of the video codec, such as `h264` or `hevc`.
    video_codec: String,
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// Frames per second; null if FFmpeg could not determine the rate during the test.
    frame_rate: Option<f64>,
    /// FFmpeg's name of the audio codec, such as `aac` or `pcm_alaw`; null if FFmpeg found no audio.
    audio_codec: Option<String>,
    /// A picture: a JPEG with a width of at most 640 pixels, as base64.
    #[schema(content_encoding = "base64", content_media_type = "image/jpeg")]
    still: String,
    /// Seconds from the beginning of the test until the picture was complete.
    took_seconds: f64,
}

impl TestOutput {
    pub(super) fn new(still: Still) -> Self {
        Self {
            video_codec: still.video_codec,
            width: still.width,
            height: still.height,
            frame_rate: still.frame_rate,
            audio_codec: still.audio_codec,
            still: BASE64.encode(still.jpeg),
            took_seconds: seconds(still.took),
        }
    }
}

/// The presets of vendors' cameras.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VendorsOutput {
    /// All presets.
    pub(super) vendors: &'static [Preset],
}
