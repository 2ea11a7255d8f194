//! What a timeline shows: when there are recordings, how much happens in them, and the events.

use super::{PermittedStream, RequestedTime, available, recorder};
use crate::access::Caller;
use crate::access::credentials::Credentials;
use crate::access::rights::Right;
use crate::base::error::{Error, ErrorKind};
use crate::base::time_span::TimeSpan;
use crate::camera::id::StreamId;
use crate::camera::identity_tag::IdentityTag;
use crate::service::core::Core;
use crate::store::db::event_table::EventRow;
use crate::store::db::recording_search::TimelineSpan;
use crate::store::db::recording_table::RecordedFile;
use crate::store::error::query_failed;

/// The longest time of a timeline, in milliseconds.
pub(crate) const MAX_TIMELINE_MS: i64 = 31 * DAY_MS;
/// The longest time for which the activity is computed, in milliseconds.
pub(crate) const MAX_ACTIVITY_MS: i64 = 2 * DAY_MS;
/// The most days of one request.
pub(crate) const MAX_DAYS: usize = 400;
/// The most events of one timeline.
const MAX_EVENTS: u32 = 1000;
/// The number of equal parts into which the activity of a time is divided.
const ACTIVITY_PARTS: i64 = 480;
/// The longest distance between two files that is not a gap, in milliseconds.
const TOLERANCE_MS: i64 = 2;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A stream with recordings.
#[derive(Debug)]
pub(crate) struct RecordedCamera {
    /// The id of the stream.
    pub(crate) id: StreamId,
    /// The time between the beginning of the first and the end of the last recording.
    pub(crate) available: TimeSpan,
}

/// When there are recordings of a stream, and the events of the camera.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The time that was requested, limited by the permission.
    pub(crate) span: TimeSpan,
    /// The time between the beginning of the first and the end of the last recording; `None` without recordings.
    pub(crate) available: Option<TimeSpan>,
    /// The times with recordings.
    pub(crate) recorded: Vec<TimelineSpan>,
    /// The events, the oldest first.
    pub(crate) events: Vec<EventRow>,
    /// True if there are further events.
    pub(crate) has_more_events: bool,
}

/// The recordings in a part of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    /// The part.
    pub(crate) span: TimeSpan,
    /// The average bit rate of the recordings in bit/s. A moving picture needs more bits than a still one.
    pub(crate) bits_per_second: u64,
    /// True if something has happened to the camera.
    pub(crate) has_event: bool,
}

/// Returns the streams with recordings that the caller can watch, sorted by id.
pub(crate) async fn list(core: &Core, caller: &Caller) -> Result<Vec<RecordedCamera>, Error> {
    caller.ensure_right(Right::Recordings)?;
    let recorder = recorder(core)?;
    let mut found = Vec::new();
    for stream in recorder.database().recorded_streams().await.map_err(query_failed)? {
        let Some(record) = core.cameras.get(&stream.camera).await? else { continue };
        let is_present = stream.identity == IdentityTag::of(&record.identity());
        if !is_present || caller.ensure_owns(record.owner.as_deref(), &record.id).is_err() {
            continue;
        }
        if let Some(available) = available(recorder, &stream, None).await? {
            let id = StreamId::new(stream.camera, stream.profile);
            found.push(RecordedCamera { id, available });
        }
    }
    Ok(found)
}

/// Returns the recordings and events of a time, which is limited to what the permission covers.
pub(crate) async fn get(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    requested: RequestedTime,
) -> Result<Timeline, Error> {
    let permitted = PermittedStream::find(core, id, shown).await?;
    let span = permitted.limited_span(requested, MAX_TIMELINE_MS)?;
    let (available, recorded) = (permitted.available().await?, permitted.recorded(span).await?);
    let times = (span.from, span.to);
    let camera = (&permitted.record.id, permitted.record.owner.as_deref());
    let mut events = core.events.in_span(camera, times, MAX_EVENTS + 1).await?;
    let has_more_events = events.len() > MAX_EVENTS as usize;
    events.truncate(MAX_EVENTS as usize);
    Ok(Timeline { span, available, recorded, events, has_more_events })
}

/// Returns whether there are recordings on each of these days. Each day ends at the next limit, in UTC milliseconds.
pub(crate) async fn days(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    limits: &[i64],
) -> Result<Vec<bool>, Error> {
    let permitted = PermittedStream::find(core, id, shown).await?;
    let is_sorted = limits.windows(2).all(|pair| matches!(pair, [one, other] if one < other));
    if !(2..=MAX_DAYS + 1).contains(&limits.len()) || !is_sorted {
        let detail = format!(
            "limits must be 2 to {} times, each later than the one before, separated by commas",
            MAX_DAYS + 1
        );
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let count = limits.len().saturating_sub(1);
    let Some(stream) = &permitted.stream else { return Ok(vec![false; count]) };
    let limit = permitted.permit.span();
    let clamped = |time: &i64| limit.map_or(*time, |limit| *time.clamp(&limit.from, &limit.to));
    let clamped: Vec<_> = limits.iter().map(clamped).collect();
    let days = permitted.recorder.database().days_with_recordings(stream.id, &clamped).await;
    let is_permitted = clamped.iter().zip(clamped.iter().skip(1)).map(|(begin, end)| begin < end);
    let days = days.map_err(query_failed)?.into_iter().zip(is_permitted);
    Ok(days.map(|(has_recordings, is_permitted)| has_recordings && is_permitted).collect())
}

/// Returns the activity of a time, which is limited to what the permission covers. Parts without recordings are left out.
pub(crate) async fn activity(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    requested: RequestedTime,
) -> Result<Vec<Activity>, Error> {
    let permitted = PermittedStream::find(core, id, shown).await?;
    let span = permitted.limited_span(requested, MAX_ACTIVITY_MS)?;
    let Some(stream) = &permitted.stream else { return Ok(Vec::new()) };
    let open = permitted.recorder.open_files().get(stream.id);
    let files = permitted.recorder.database().recorded_files(stream.id, span.from, span.to).await;
    let closed = files.map_err(query_failed)?.into_iter().filter(|file| !file.is_open);
    let files: Vec<_> = closed.chain(open.into_iter().map(|(file, _)| file)).collect();
    Ok(divide(span, &files))
}

impl PermittedStream {
    /// Returns the requested time, limited to what the permission covers.
    fn limited_span(&self, requested: RequestedTime, max_ms: i64) -> Result<TimeSpan, Error> {
        let Some(limit) = self.permit.span() else { return self.span(requested, max_ms) };
        let from = requested.from.map_or(limit.from, |from| from.clamp(limit.from, limit.to));
        let to = requested.to.map_or(limit.to, |to| to.clamp(limit.from, limit.to));
        // Times that are completely outside are refused.
        let (from, to) =
            if from < to { (Some(from), Some(to)) } else { (requested.from, requested.to) };
        self.span(RequestedTime { from, to }, max_ms)
    }

    /// Returns the times with recordings.
    async fn recorded(&self, span: TimeSpan) -> Result<Vec<TimelineSpan>, Error> {
        let Some(stream) = &self.stream else { return Ok(Vec::new()) };
        let open = self.recorder.open_files().get(stream.id);
        let spans = self.recorder.database().recorded_spans(stream.id, span.from, span.to).await;
        let mut spans = spans.map_err(query_failed)?;
        add_open(&mut spans, open.into_iter().map(|(file, _)| file));
        Ok(spans.into_iter().filter_map(|one| within(one, span)).collect())
    }
}

/// Adds the files that are being written to the times with recordings. The database does not know their present ends.
fn add_open(spans: &mut Vec<TimelineSpan>, open: impl Iterator<Item = RecordedFile>) {
    for file in open {
        let is_continued = |span: &&mut TimelineSpan| {
            let earliest = span.start_at.saturating_sub(TOLERANCE_MS);
            (earliest..=span.end_at.saturating_add(TOLERANCE_MS)).contains(&file.start_at)
        };
        let RecordedFile { start_at, end_at, bytes, is_locked, has_event, .. } = file;
        let start_at = match spans.iter_mut().rev().find(is_continued) {
            Some(span) if (span.is_locked, span.has_event) == (is_locked, has_event) => {
                span.end_at = span.end_at.max(end_at);
                span.bytes = span.bytes.saturating_add(bytes);
                continue;
            }
            Some(span) => span.end_at.min(end_at),
            None => start_at,
        };
        spans.push(TimelineSpan { start_at, end_at, bytes, is_locked, has_event });
    }
}

/// Limits a time with recordings to `span`; `None` if no time is left.
fn within(one: TimelineSpan, span: TimeSpan) -> Option<TimelineSpan> {
    let whole = TimeSpan::new(one.start_at, one.end_at)?;
    let both = whole.intersection(span)?;
    // The size of the rest is not shown to those who can see only a part.
    let [part, all] = [both, whole].map(|it| u128::from(it.duration_ms().unsigned_abs()));
    let bytes = (u128::from(one.bytes) * part).checked_div(all).unwrap_or_default();
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Some(TimelineSpan { start_at: both.from, end_at: both.to, bytes, ..one })
}

/// Divides a time into equal parts, and returns the activity of each part with recordings.
fn divide(span: TimeSpan, files: &[RecordedFile]) -> Vec<Activity> {
    let length = (span.duration_ms() / ACTIVITY_PARTS).max(1);
    let mut parts = Vec::new();
    let mut from = span.from;
    while from < span.to {
        let part = TimeSpan { from, to: from.saturating_add(length).min(span.to) };
        let (mut bits, mut millis, mut has_event) = (0_u128, 0_u128, false);
        for file in files {
            let whole = TimeSpan::new(file.start_at, file.end_at);
            let Some((whole, both)) = whole.and_then(|it| Some((it, it.intersection(part)?)))
            else {
                continue;
            };
            let shared = u128::from(both.duration_ms().unsigned_abs());
            let all = u128::from(whole.duration_ms().unsigned_abs()).max(1);
            bits += u128::from(file.bytes) * 8 * shared / all;
            millis += shared;
            has_event |= file.has_event;
        }
        if let Some(rate) = (bits * 1000).checked_div(millis) {
            let bits_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            parts.push(Activity { span: part, bits_per_second, has_event });
        }
        from = part.to;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::file;

    fn span(start_at: i64, end_at: i64) -> TimelineSpan {
        TimelineSpan { start_at, end_at, bytes: 100, is_locked: false, has_event: false }
    }

    #[test]
    fn files_that_are_being_written_are_part_of_the_timeline() {
        let open = |start_at, groups| file(0, 7, start_at, groups).file;
        let mut spans = vec![span(0, 60_000), span(100_000, 160_000)];
        add_open(&mut spans, [open(160_001, 5), open(300_000, 1)].into_iter());
        let times: Vec<_> = spans.iter().map(|span| (span.start_at, span.end_at)).collect();
        assert_eq!(times, [(0, 60_000), (100_000, 170_001), (300_000, 302_000)]);
        assert_eq!(spans[1].bytes, 100 + open(160_001, 5).bytes);
        let limit = TimeSpan { from: 150_000, to: 165_000 };
        let bytes = spans[1].bytes;
        let limited: Vec<_> = spans.into_iter().filter_map(|one| within(one, limit)).collect();
        assert_eq!((limited.len(), limited[0].start_at, limited[0].end_at), (1, 150_000, 165_000));
        assert_eq!(limited[0].bytes, bytes * 15_000 / 70_001);
    }

    #[test]
    fn a_file_with_an_event_that_is_being_written_does_not_change_what_was_before() {
        let mut open = file(0, 7, 60_001, 5).file;
        open.has_event = true;
        let mut spans = vec![span(0, 60_000)];
        add_open(&mut spans, std::iter::once(open));
        let times = spans.iter().map(|span| (span.start_at, span.end_at, span.has_event));
        assert_eq!(times.collect::<Vec<_>>(), [(0, 60_000, false), (60_000, 70_001, true)]);
    }

    #[test]
    fn the_activity_is_the_bit_rate_of_each_part() {
        let mut busy = file(1, 7, 0, 30).file;
        (busy.bytes, busy.has_event) = (60_000, true);
        let mut calm = file(2, 7, 120_000, 30).file;
        calm.bytes = 6_000;
        let day = TimeSpan { from: 0, to: 480 * 60_000 };
        let parts = divide(day, &[busy.clone(), calm.clone()]);
        let rates: Vec<_> =
            parts.iter().map(|it| (it.span.from, it.bits_per_second, it.has_event)).collect();
        assert_eq!(rates, [(0, 8_000, true), (120_000, 800, false)]);
        let minute = divide(TimeSpan { from: 0, to: 48_000 }, &[busy]);
        assert_eq!((minute.len(), minute[7].bits_per_second), (480, 8_000));
    }
}
