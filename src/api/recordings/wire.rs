//! Input and output of requests about recordings.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::events::wire::StoredEventOutput;
use crate::api::media::snapshot::width_of;
use crate::api::wire::{number, optional_time};
use crate::base::error::{Error, ErrorKind};
use crate::base::public_url::PublicUrl;
use crate::base::time::{rfc3339, rfc3339_millis};
use crate::base::time_span::TimeSpan;
use crate::camera::id::{CameraId, StreamId};
use crate::playback::Session;
use crate::service::replay::RequestedTime;
use crate::service::replay::exports::Export;
use crate::service::replay::shares::NewShare;
use crate::service::replay::timeline::{Activity, RecordedCamera, Timeline};
use crate::store::db::recording_search::TimelineSpan;

/// The default lifetime of a share link, in seconds.
const USUAL_LIFETIME: u64 = 7 * 24 * 3600;

/// A span of time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimeInput {
    /// The beginning. Required, unless a playback token is limited to a time, whose beginning is then the default.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The end. The default is the longest time after `from`.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
}

impl TimeInput {
    /// Reads a query. Ignores unknown parameters, because players and caches add some.
    pub(super) fn from_query(query: &str) -> Result<Self, Error> {
        let mut input = Self::default();
        read_query(query, &mut [("from", &mut input.from), ("to", &mut input.to)])?;
        Ok(input)
    }

    /// Returns the time.
    pub(super) fn parse(&self) -> Result<RequestedTime, Error> {
        Ok(RequestedTime {
            from: optional_time("from", self.from.as_deref())?,
            to: optional_time("to", self.to.as_deref())?,
        })
    }
}

/// The parameters of a request for a playlist.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlaylistInput {
    /// The beginning. Required, unless a playback token is limited to a time, whose beginning is then the default.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The end. The default is the longest time after `from`.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
    /// With `h264`, video in other codecs is converted to H.264 when a player requests it.
    #[param(nullable = false, pattern = "^h264$")]
    codec: Option<String>,
}

impl PlaylistInput {
    /// Reads a query. Ignores unknown parameters, because players and caches add some.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let mut input = Self::default();
        let Self { from, to, codec } = &mut input;
        read_query(query, &mut [("from", from), ("to", to), ("codec", codec)])?;
        Ok(input)
    }

    /// Returns the time, and whether video is converted to H.264.
    pub(crate) fn parse(self) -> Result<(RequestedTime, bool), Error> {
        let as_h264 = match self.codec.as_deref() {
            None => false,
            Some("h264") => true,
            Some(_) => {
                let detail = "codec must be h264; leave it out for the video as it was recorded";
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
        };
        Ok((TimeInput { from: self.from, to: self.to }.parse()?, as_h264))
    }
}

/// Reads these parameters of a query, each of which can be given once. Ignores others.
fn read_query(query: &str, fields: &mut [(&str, &mut Option<String>)]) -> Result<(), Error> {
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some((_, field)) = fields.iter_mut().find(|(known, _)| *known == name) else {
            continue;
        };
        if field.replace(value.into_owned()).is_some() {
            let detail = format!("{name} is given twice");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
    }
    Ok(())
}

/// The parameters of a request for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PictureInput {
    /// The time of the picture.
    #[param(value_type = String, format = DateTime)]
    pub(crate) at: i64,
    /// Greatest width of the picture in pixels. A picture is never enlarged.
    #[param(nullable = false, minimum = 16, maximum = 3840)]
    pub(crate) width: Option<u32>,
}

impl PictureInput {
    /// Parses the query. Ignores unknown parameters, because web pages add some.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let (mut at, mut width) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_repeated = match name.as_ref() {
                "at" => at.replace(optional_time("at", Some(&value))?).is_some(),
                "width" => width.replace(width_of(&value)?).is_some(),
                _ => false,
            };
            if is_repeated {
                let detail = format!("{name} is given twice");
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
        }
        let missing = || {
            let detail = "at is required, as a time such as 2026-02-03T04:05:06Z";
            Error::new(ErrorKind::InvalidRequest, detail)
        };
        Ok(Self { at: at.flatten().ok_or_else(missing)?, width })
    }
}

/// The limits of days.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DaysInput {
    /// Up to 401 times, separated by commas. Each day ends at the next time, so that a client chooses the time zone.
    limits: String,
}

impl DaysInput {
    /// Returns the limits in UTC milliseconds.
    pub(super) fn parse(&self) -> Result<Vec<i64>, Error> {
        let limits = self.limits.split(',').map(|text| optional_time("limits", Some(text)));
        limits.filter_map(Result::transpose).collect()
    }
}

/// The streams with recordings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordedOutput {
    /// The streams, sorted by id.
    streams: Vec<RecordedStreamOutput>,
}

/// A stream with recordings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedStream)]
pub(crate) struct RecordedStreamOutput {
    /// The stream's id: the camera's id, followed by `~sub` for the sub stream.
    id: String,
    /// The camera's id.
    camera: String,
    /// The beginning of the first recording.
    #[schema(format = DateTime)]
    from: String,
    /// The end of the last recording.
    #[schema(format = DateTime)]
    to: String,
}

impl RecordedOutput {
    pub(super) fn new(streams: &[RecordedCamera]) -> Self {
        let stream = |stream: &RecordedCamera| RecordedStreamOutput {
            id: stream.id.to_string(),
            camera: stream.id.camera().to_string(),
            from: rfc3339_millis(stream.available.from),
            to: rfc3339_millis(stream.available.to),
        };
        Self { streams: streams.iter().map(stream).collect() }
    }
}

/// When there are recordings of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timeline)]
pub(crate) struct TimelineOutput {
    /// The stream's id.
    id: String,
    /// The beginning of the requested time.
    #[schema(format = DateTime)]
    from: String,
    /// The end of the requested time.
    #[schema(format = DateTime)]
    to: String,
    /// The beginning of the first recording; null without recordings.
    #[schema(format = DateTime)]
    first: Option<String>,
    /// The end of the last recording; null without recordings.
    #[schema(format = DateTime)]
    last: Option<String>,
    /// The times with recordings in the requested time.
    spans: Vec<TimelineSpanOutput>,
    /// The events in the requested time, the oldest first. At most 1000.
    events: Vec<StoredEventOutput>,
    /// True if there are further events.
    has_more_events: bool,
}

/// A time with recordings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimelineSpan)]
pub(crate) struct TimelineSpanOutput {
    /// The beginning.
    #[schema(format = DateTime)]
    from: String,
    /// The end.
    #[schema(format = DateTime)]
    to: String,
    /// The size of the files in bytes.
    bytes: u64,
    /// Whether all recordings of this time are protected from deletion.
    locked: bool,
    /// Whether the recordings belong to an event.
    event: bool,
}

impl TimelineOutput {
    pub(super) fn new(id: &StreamId, timeline: Timeline) -> Self {
        let Timeline { span, available, recorded, events, has_more_events } = timeline;
        let spans = recorded.iter().map(|span: &TimelineSpan| TimelineSpanOutput {
            from: rfc3339_millis(span.start_at),
            to: rfc3339_millis(span.end_at),
            bytes: span.bytes,
            locked: span.is_locked,
            event: span.has_event,
        });
        Self {
            id: id.to_string(),
            from: rfc3339_millis(span.from),
            to: rfc3339_millis(span.to),
            first: available.map(|available| rfc3339_millis(available.from)),
            last: available.map(|available| rfc3339_millis(available.to)),
            spans: spans.collect(),
            events: events.into_iter().map(StoredEventOutput::new).collect(),
            has_more_events,
        }
    }
}

/// On which days there are recordings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedDays)]
pub(crate) struct DaysOutput {
    /// Whether there are recordings, for each day.
    pub(super) days: Vec<bool>,
}

/// How much happens in recordings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedActivity)]
pub(crate) struct ActivityOutput {
    /// The parts with recordings.
    parts: Vec<ActivityPartOutput>,
}

/// A part of a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActivityPart)]
pub(crate) struct ActivityPartOutput {
    /// The beginning.
    #[schema(format = DateTime)]
    from: String,
    /// The end.
    #[schema(format = DateTime)]
    to: String,
    /// The average bit rate of the recordings.
    bits_per_second: u64,
    /// Whether recordings belong to an event.
    event: bool,
}

impl ActivityOutput {
    pub(super) fn new(parts: &[Activity]) -> Self {
        let part = |part: &Activity| ActivityPartOutput {
            from: rfc3339_millis(part.span.from),
            to: rfc3339_millis(part.span.to),
            bits_per_second: part.bits_per_second,
            event: part.has_event,
        };
        Self { parts: parts.iter().map(part).collect() }
    }
}

/// An export.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Export)]
pub(crate) struct DigestOutput {
    /// The name of the file.
    file_name: String,
    /// The size in bytes.
    bytes: u64,
    /// The SHA-256 digest, in hexadecimal digits.
    sha256: String,
    /// The playing time in seconds.
    duration_seconds: f64,
    /// The times without recordings, which are left out.
    gaps: Vec<SpanOutput>,
}

/// A span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimeSpan)]
pub(crate) struct SpanOutput {
    /// The beginning.
    #[schema(format = DateTime)]
    from: String,
    /// The end.
    #[schema(format = DateTime)]
    to: String,
}

impl From<&TimeSpan> for SpanOutput {
    fn from(span: &TimeSpan) -> Self {
        Self { from: rfc3339_millis(span.from), to: rfc3339_millis(span.to) }
    }
}

impl DigestOutput {
    pub(super) fn new(export: &Export, sha256: String) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a duration of at most a day")]
        let duration_seconds = export.duration_ms as f64 / 1000.0;
        Self {
            file_name: export.file_name.clone(),
            bytes: export.content.size(),
            sha256,
            duration_seconds,
            gaps: export.gaps.iter().map(SpanOutput::from).collect(),
        }
    }
}

/// The parameters of a new share link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "2026-02-03T04:00:00Z",
    "to": "2026-02-03T04:10:00Z",
    "label": "insurance",
}))]
pub(crate) struct ShareInput {
    /// The beginning of the time whose recordings are shared. Fractions of seconds are rounded down.
    #[schema(format = DateTime)]
    from: String,
    /// The end of this time, which is at most 24 hours after `from` and not in the future. Fractions of seconds are rounded
    /// up.
    #[schema(format = DateTime)]
    to: String,
    /// The lifetime of the link in seconds, at most 90 days.
    #[serde(default = "usual_lifetime", deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 7_776_000, default = 604_800)]
    ttl_seconds: u64,
    /// Text for people, such as the purpose of the link.
    #[serde(default = "usual_label")]
    #[schema(max_length = 200, default = "share link")]
    label: String,
}

fn usual_lifetime() -> u64 {
    USUAL_LIFETIME
}

fn usual_label() -> String {
    "share link".to_owned()
}

impl ShareInput {
    pub(super) fn parse(self) -> Result<NewShare, Error> {
        let requested = RequestedTime {
            from: optional_time("from", Some(&self.from))?,
            to: optional_time("to", Some(&self.to))?,
        };
        Ok(NewShare { requested, lifetime: self.ttl_seconds, label: self.label })
    }
}

/// A new share link.
// The token is secret, so the type has no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = NewShare)]
pub(crate) struct NewShareOutput {
    /// The token, which is part of all URLs.
    token: String,
    /// URL of the playlist. Without `PUBLIC_URL`, the URL is a path without a host.
    hls_url: String,
    /// URL of the MP4 file. Without `PUBLIC_URL`, the URL is a path without a host.
    export_url: String,
    #[serde(flatten)]
    share: ShareOutput,
}

/// A share link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Share)]
pub(crate) struct ShareOutput {
    /// The id of the share link.
    share_id: String,
    /// Text for people.
    label: String,
    /// Name of the API key that created the link (`anybody` if the manager has no keys).
    made_by: Option<String>,
    /// The beginning of the time whose recordings are shared, RFC 3339.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The end of this time, RFC 3339.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// When the link was created, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the link ends, RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When the link was last used, RFC 3339; null if it has not been used since the manager started.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
}

/// The share links of a camera.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Shares)]
pub(crate) struct SharesOutput {
    /// The share links that have not ended, newest first.
    shares: Vec<ShareOutput>,
}

impl ShareOutput {
    fn new(session: &Session) -> Self {
        let claims = &session.claims;
        Self {
            share_id: claims.jti.clone(),
            label: claims.sub.clone(),
            made_by: session.made_by.clone(),
            from: claims.from.map(rfc3339),
            to: claims.to.map(rfc3339),
            created_at: rfc3339(claims.iat),
            expires_at: rfc3339(claims.exp),
            last_seen: session.last_seen.map(rfc3339),
        }
    }
}

impl SharesOutput {
    pub(super) fn new(shares: &[Session]) -> Self {
        Self { shares: shares.iter().map(ShareOutput::new).collect() }
    }
}

impl NewShareOutput {
    pub(super) fn new(
        id: &CameraId,
        session: &Session,
        token: String,
        public_url: &PublicUrl,
    ) -> Self {
        let share = ShareOutput::new(session);
        let time = |text: &Option<String>| text.clone().unwrap_or_default();
        let (from, to) = (time(&share.from), time(&share.to));
        let url = |file: &str| {
            public_url.url(&format!("/play/{token}/{id}/recordings/{file}?from={from}&to={to}"))
        };
        Self { hls_url: url("index.m3u8"), export_url: url("export.mp4"), token, share }
    }
}
