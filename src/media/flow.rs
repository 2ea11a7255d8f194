//! Measures the media that passes through a hub: rates, the distance between keyframes, and signs of life.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::media::frame::{Format, Frame, Track};

/// The video shows a sign of life with the first picture of an epoch, and then whenever its decode time has
/// advanced by this much. Audio is not a sign of life. Neither are further pictures of a camera whose clock is
/// frozen.
const SIGN_OF_LIFE: Duration = Duration::from_millis(100);
/// The playing time over which rates are measured. The window contains only as many of the last frames of video
/// as are needed to reach this total duration.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// The most frames in the window. This limit matters only above 250 frames per second.
const MAX_WINDOW: usize = 1000;

/// The current format, rates and distance of keyframes of the media that passes through a hub.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The description of the last frame of video.
    pub format: Arc<Format>,
    /// Bits per second over the last seconds, of video and of audio as the camera sends it.
    pub bit_rate: f64,
    /// Frames of video per second over the last seconds.
    pub frame_rate: f64,
    /// The time between the last two keyframes; `None` before the second keyframe of an epoch.
    pub gop: Option<Duration>,
}

/// The measurements from which a [`Flow`] is computed.
#[derive(Debug, Default)]
pub(super) struct FlowMeter {
    format: Option<Arc<Format>>,
    /// The last frames of video. The bytes of each frame include the audio up to the next frame of video.
    window: VecDeque<Measure>,
    duration: Duration,
    bytes: u64,
    last_time: Option<Duration>,
    last_keyframe: Option<Duration>,
    gop: Option<Duration>,
    /// The time by which the video has advanced since the last sign of life.
    advanced: Duration,
    /// The number of frames of video in the epoch.
    frames: u64,
    /// The time at which the last frame of video arrived; `None` before the first one.
    last_arrival: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    duration: Duration,
    bytes: u64,
}

impl FlowMeter {
    /// Adds a frame. Returns true if it is a sign of life.
    pub(super) fn add(&mut self, frame: &Frame) -> bool {
        let bytes = frame.data.len() as u64;
        match (frame.track, self.window.back_mut()) {
            (Track::Video, _) => {}
            (Track::Audio, Some(last)) => {
                last.bytes += bytes;
                self.bytes += bytes;
                return false;
            }
            (Track::Audio | Track::Aac, _) => return false,
        }
        if self.format.as_ref().is_none_or(|format| format.epoch != frame.format.epoch) {
            *self = Self::default();
        }
        self.format = Some(Arc::clone(&frame.format));
        self.frames += 1;
        self.last_arrival = Some(frame.received_at);
        if frame.is_keyframe {
            let before = self.last_keyframe.replace(frame.decode_time);
            self.gop = before.and_then(|before| frame.decode_time.checked_sub(before));
        }
        self.measure(Measure { duration: frame.duration, bytes });
        self.is_sign_of_life(frame.decode_time)
    }

    fn measure(&mut self, measure: Measure) {
        self.window.push_back(measure);
        self.duration += measure.duration;
        self.bytes += measure.bytes;
        while let Some(oldest) = self.window.front().copied() {
            let is_needed = self.duration.saturating_sub(oldest.duration) < RATE_WINDOW;
            if self.window.len() == 1 || is_needed && self.window.len() <= MAX_WINDOW {
                break;
            }
            self.window.pop_front();
            self.duration -= oldest.duration;
            self.bytes -= oldest.bytes;
        }
    }

    fn is_sign_of_life(&mut self, decode_time: Duration) -> bool {
        let Some(before) = self.last_time.replace(decode_time) else {
            // The first picture of an epoch.
            self.advanced = Duration::ZERO;
            return true;
        };
        self.advanced += decode_time.saturating_sub(before);
        let is_alive = self.advanced >= SIGN_OF_LIFE;
        if is_alive {
            self.advanced = Duration::ZERO;
        }
        is_alive
    }

    /// Returns the epoch of the last frame of video.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.format.as_ref().map(|format| format.epoch)
    }

    /// Returns the number of frames of video in the current epoch, and the time at which the last of them arrived;
    /// `None` before the first frame.
    pub(super) fn frames(&self) -> Option<(u64, Instant)> {
        Some((self.frames, self.last_arrival?))
    }

    /// Returns the usual distance between two frames of video; zero before the first frame.
    pub(super) fn frame_distance(&self) -> Duration {
        let count = u32::try_from(self.window.len()).unwrap_or(u32::MAX);
        self.duration.checked_div(count).unwrap_or_default()
    }

    /// Returns the current flow; `None` before the first frame of video.
    pub(super) fn flow(&self) -> Option<Flow> {
        let format = Arc::clone(self.format.as_ref()?);
        let seconds = self.duration.as_secs_f64();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "the amounts of a few seconds are small")]
        let (bits, frames) = (self.bytes as f64 * 8.0, self.window.len() as f64);
        Some(Flow {
            format,
            bit_rate: per_second(bits),
            frame_rate: per_second(frames),
            gop: self.gop,
        })
    }
}
