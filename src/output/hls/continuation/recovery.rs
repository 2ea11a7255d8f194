//! Recovers the segment that was growing when the manager was killed, as far as it was written.

use std::fs::File;
use std::time::Duration;

use super::{Unusable, left_files};
use crate::media::mp4::track::VIDEO_TIMESCALE;
use crate::media::mp4::written::{WrittenFragment, WrittenRun, audio_timescale, read_fragment};
use crate::output::hls::fragment::MediaEnd;
use crate::output::hls::layout::StreamDir;
use crate::output::hls::segment::{Part, PartStart, Segment};

/// Returns the segment with its complete fragments, and the end of its media. Cuts an incomplete fragment off the
/// segment's file. If no fragment is complete, no player knows the segment. Its file is then deleted, and the result is
/// `None`. `segment` has no parts yet. `before` is the end of the media before the segment.
pub(super) fn recover(
    dir: &StreamDir,
    mut segment: Segment,
    before: &MediaEnd,
) -> Result<Option<(Segment, MediaEnd)>, Unusable> {
    let Some(bytes) = left_files::segment(dir, segment.sequence)? else { return Ok(None) };
    let path = dir.segment(segment.sequence);
    let mut end = before.clone();
    if segment.init != end.init {
        // The known end of the audio is a time on the time line of the other init segment, so it is not used.
        let init_bytes = left_files::init_segment(dir, segment.init)?;
        end = MediaEnd { init: segment.init, init_bytes, video: end.video, audio: None };
    }
    let timescale = audio_timescale(&end.init_bytes);
    let mut length = 0;
    while let Some(fragment) = bytes.get(length..).and_then(read_fragment) {
        length += fragment.length;
        add_part(&mut segment, &fragment);
        note_end(&mut end, &fragment, timescale);
    }
    if length == 0 {
        StreamDir::remove_file(&path)?;
        return Ok(None);
    }
    if length < bytes.len() {
        File::options().write(true).open(&path)?.set_len(segment.length())?;
    }
    Ok(Some((segment, end)))
}

/// Adds a part for a fragment. The playlist will not mark the part as independent, because it is unknown whether
/// earlier playlists marked it.
fn add_part(segment: &mut Segment, fragment: &WrittenFragment) {
    let ticks = |run: &WrittenRun| time(run.end - run.begin, VIDEO_TIMESCALE);
    let (offset, length) = (segment.length(), fragment.length as u64);
    let video = fragment.video.as_ref();
    let is_keyframe = video.is_some_and(|run| run.is_keyframe);
    let duration = video.map_or(Duration::ZERO, ticks);
    match segment.parts.last_mut() {
        Some(last) if duration.is_zero() => last.length += length,
        _ => {
            let begin = if is_keyframe { PartStart::Unmarked } else { PartStart::Between };
            segment.parts.push(Part { duration, offset, length, begin });
        }
    }
}

/// Moves the end of the media to the end of a fragment, whose audio has this time scale.
fn note_end(end: &mut MediaEnd, fragment: &WrittenFragment, audio_timescale: Option<u32>) {
    if let Some(run) = &fragment.video {
        end.video = time(run.end, VIDEO_TIMESCALE);
    }
    if let (Some(run), Some(timescale)) = (&fragment.audio, audio_timescale) {
        end.audio = Some(time(run.end, timescale));
    }
}

/// Returns a number of ticks as a duration, rounded to nanoseconds.
fn time(ticks: u64, timescale: u32) -> Duration {
    let timescale = u128::from(timescale.max(1));
    let nanos = (u128::from(ticks) * 1_000_000_000 + timescale / 2) / timescale;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
