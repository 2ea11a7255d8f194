//! What is different for players that do not follow the protocol of the live socket, such as go2rtc's. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::codecs::ChosenAudio;
use crate::media::frame::{Frame, Track};

/// The longest time for which the first message waits until the audio is known. It is shorter than
/// [`super::backlog::MAX_AGE`].
pub(super) const AUDIO_WITHIN: Duration = Duration::from_millis(800);
/// The time between two frames that a player gets at once: so short that the player shows the newest one almost
/// immediately, and at least one tick of the video's clock.
const BURST_STEP: Duration = Duration::from_micros(100);

/// A player that shows whatever it gets.
///
/// - The times in its messages begin with 0, and have no gaps: not after missing frames, and not in a new epoch.
/// - The frames since the last keyframe follow each other so closely that the player need not catch up, and come without
///   audio. go2rtc's player removes the group of pictures that it is playing if it has to catch up by seconds.
/// - It gets the tracks of the first description until the end, because it cannot add a track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainPlayer {
    /// The largest number of bytes that the player takes at once. If there are more, the player begins with the next
    /// keyframe.
    pub(crate) max_burst: usize,
}

impl PlainPlayer {
    /// Returns the frames that the player gets at once. Error: they have too many bytes.
    pub(super) fn burst(
        self,
        frames: VecDeque<Arc<Frame>>,
    ) -> Result<VecDeque<Arc<Frame>>, VecDeque<Arc<Frame>>> {
        if frames.iter().map(|frame| frame.data.len()).sum::<usize>() > self.max_burst {
            return Err(frames);
        }
        let mut video: VecDeque<_> =
            frames.into_iter().filter(|frame| frame.track == Track::Video).collect();
        let Some(newest) = video.back().map(|frame| frame.decode_time) else { return Ok(video) };
        for (later, frame) in (0..).zip(video.iter_mut().rev()) {
            // Decoders need the order of decoding. Nobody sees the order in which these frames are shown.
            let time = newest.saturating_sub(BURST_STEP * later);
            let duration = if later == 0 { frame.duration } else { BURST_STEP };
            let (decode_time, presentation_time) = (time, time);
            *frame =
                Arc::new(Frame { decode_time, presentation_time, duration, ..Frame::clone(frame) });
        }
        Ok(video)
    }
}

/// Returns the audio that a player gets which has got `before` so far, and would get `now` if it had just joined. Audio
/// that has ended becomes silence, if silence can be made.
pub(super) fn audio(before: Option<&ChosenAudio>, now: Option<ChosenAudio>) -> Option<ChosenAudio> {
    let before = before?;
    match now {
        Some(now) if now.codec.is_same_kind(&before.codec) => Some(now),
        _ if before.codec.has_silence() => Some(before.clone()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::aac::AacConfig;
    use crate::media::frame::testing;
    use crate::output::live_socket::codecs::AudioCodec;

    #[test]
    fn the_newest_frame_of_a_burst_keeps_its_time() {
        let format = testing::format(7);
        let frame = |number: u64| Arc::new(testing::video(&format, number == 0, number * 40, 40));
        let sound = Arc::new(Frame { track: Track::Audio, ..Frame::clone(&frame(3)) });
        let frames = VecDeque::from([frame(0), frame(1), sound, frame(2)]);
        let bytes = frames.iter().map(|frame| frame.data.len()).sum();
        let burst = PlainPlayer { max_burst: bytes }.burst(frames.clone()).expect("a burst");
        let micros = |time: Duration| time.as_micros();
        let times: Vec<_> = burst
            .iter()
            .map(|it| (micros(it.decode_time), micros(it.presentation_time), micros(it.duration)))
            .collect();
        assert_eq!(times, [(79_800, 79_800, 100), (79_900, 79_900, 100), (80_000, 80_000, 40_000)]);
        let too_long = PlainPlayer { max_burst: bytes - 1 }.burst(frames).expect_err("too long");
        assert_eq!(too_long.len(), 4);
    }

    #[test]
    fn a_player_keeps_its_tracks() {
        let chosen = |codec| ChosenAudio { track: Track::Audio, codec };
        let aac = |rate, channels| {
            let config = AacConfig::low_complexity(rate, channels).expect("a configuration");
            chosen(AudioCodec::Aac(config))
        };
        let (one, other, ulaw) = (aac(32_000, 1), aac(48_000, 2), chosen(AudioCodec::MuLaw(8000)));
        for (before, now, expected) in [
            (None, Some(&one), None),
            (Some(&one), Some(&other), Some(&other)),
            (Some(&one), None, Some(&one)),
            (Some(&one), Some(&ulaw), Some(&one)),
            (Some(&ulaw), None, None),
            (Some(&ulaw), Some(&one), Some(&one)),
        ] {
            assert_eq!(audio(before, now.cloned()).as_ref(), expected, "{before:?} {now:?}");
        }
    }
}
