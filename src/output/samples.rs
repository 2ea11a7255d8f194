//! Frames as the samples of a fragment of MP4. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::media::frame::Frame;
use crate::media::mp4::fragments::{Sample, SampleRun};

/// The longest time that the first fragment of an epoch waits until the audio is known, so that its init
/// segment has an audio track. Some players fail if an epoch's first init segment has no audio track and a later one
/// has. Usually, FFmpeg describes video and audio at the same time, so that no fragment waits.
const AUDIO_WITHIN: Duration = Duration::from_secs(1);

/// The most frames that wait until the audio is known: one second at 120 frames per second.
const MAX_HELD: usize = 120;

/// Returns true if `frame`, which precedes the first fragment of its epoch, should wait with the frames in `held`, because
/// audio may still be added.
pub(super) fn awaits_audio(frame: &Frame, held: &[Arc<Frame>]) -> bool {
    let since = held.first().map_or(frame.received_at, |held| held.received_at);
    let waited = frame.received_at.saturating_duration_since(since);
    frame.format.awaits_audio && waited < AUDIO_WITHIN && held.len() < MAX_HELD
}

/// Returns the end of `frame`, which is the expected decode time of the next frame.
pub(super) fn end(frame: &Frame) -> Duration {
    frame.decode_time + frame.duration
}

/// The samples of a track.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    timescale: u32,
    decode_time: u64,
    list: Vec<Sample<'a>>,
}

impl<'a> Samples<'a> {
    /// Creates the samples of these frames, the last of which ends at `end`.
    pub(crate) fn new(frames: &'a [Arc<Frame>], end: Duration, timescale: u32) -> Self {
        let begin = |frame: &Frame| ticks(frame.decode_time, timescale);
        let mut list = Vec::with_capacity(frames.len());
        for (index, frame) in frames.iter().enumerate() {
            let next =
                frames.get(index + 1).map_or_else(|| ticks(end, timescale), |next| begin(next));
            let shown = ticks(frame.presentation_time, timescale);
            let offset = i128::from(shown) - i128::from(begin(frame));
            list.push(Sample {
                duration: u32::try_from(next.saturating_sub(begin(frame))).unwrap_or(u32::MAX),
                composition_offset: i32::try_from(offset).unwrap_or(0),
                is_keyframe: frame.is_keyframe,
                data: &frame.data,
            });
        }
        let decode_time = frames.first().map_or(0, |frame| begin(frame));
        Self { timescale, decode_time, list }
    }

    /// Moves the beginning of the first sample to `begin`, which is not later than its decode time. The time at
    /// which the sample is shown, and its end, stay the same.
    pub(super) fn from(mut self, begin: Duration) -> Self {
        let begin = ticks(begin, self.timescale);
        let earlier = self.decode_time.saturating_sub(begin);
        if let Some(first) = self.list.first_mut() {
            let offset = i64::from(first.composition_offset) + i64::try_from(earlier).unwrap_or(0);
            first.composition_offset = i32::try_from(offset).unwrap_or(i32::MAX);
            let duration = u64::from(first.duration) + earlier;
            first.duration = u32::try_from(duration).unwrap_or(u32::MAX);
            self.decode_time = begin;
        }
        self
    }

    pub(crate) fn run(&self) -> SampleRun<'_> {
        SampleRun { decode_time: self.decode_time, samples: &self.list }
    }
}

/// Returns the number of ticks that is nearest to `time`.
pub(super) fn ticks(time: Duration, timescale: u32) -> u64 {
    let nanos = time.as_nanos() * u128::from(timescale);
    u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}
