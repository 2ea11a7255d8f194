//! The sound of the fragments: continuous, although a camera's audio may be late, pause or end. Pure.
//!
//! Players wait for audio as long as the init segment describes an audio track. So the fragments contain
//! silence where the camera sends no audio.
//!
//! Each frame of audio begins exactly at the end of the one before. If the times of one track jump in a
//! browser's buffer, the browser drops all tracks up to the next keyframe (Media Source Extensions, coded frame
//! processing), so that the picture freezes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::media::aac::AacConfig;
use crate::media::frame::Frame;

/// The time for which a fragment's audio can be behind its video. Then the audio counts as missing. Cameras
/// send audio in packets of up to 200 ms, and FFmpeg delays audio that it converts by another 100 ms.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same time before the first audio of an epoch. Players show no picture before both tracks have begun.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);

/// The longest gap between two packets of audio that is filled. A longer one is a jump of the camera's clock.
const MAX_GAP: Duration = Duration::from_secs(10);

/// The sound of one epoch.
#[derive(Debug)]
pub(super) struct Sound {
    /// The end of the audio so far, on the epoch's clock.
    end: Duration,
    /// The end of the video of the fragment in which the camera's audio arrived last.
    arrived_at: Duration,
    has_arrived: bool,
}

impl Sound {
    /// Creates the sound of an epoch whose video begins at `begin`.
    pub(super) fn new(begin: Duration) -> Self {
        Self { end: begin, arrived_at: begin, has_arrived: false }
    }

    /// Returns the audio of the next fragment, whose video ends at `video_end`: the `arrived` frames, and
    /// silence where there are gaps. Audio of a time that is filled already is left out. Each frame begins
    /// at the end of the one before.
    pub(super) fn complete(
        &mut self,
        arrived: Vec<Arc<Frame>>,
        config: &AacConfig,
        (last, video_end): (&Frame, Duration),
    ) -> Vec<Arc<Frame>> {
        let Some(silence) = config.silent_frame() else { return arrived };
        let packet = config.frame_duration();
        let mut sounds = Vec::with_capacity(arrived.len() + 4);
        if !arrived.is_empty() {
            self.arrived_at = video_end;
            self.has_arrived = true;
        }
        // The greatest difference between the time of a frame and the time at which it is placed.
        let tolerance = packet * 3 / 4;
        for frame in arrived {
            let (time, end) = (frame.decode_time, self.end);
            if end.saturating_sub(time) > tolerance {
                continue;
            }
            if time.saturating_sub(end) > MAX_GAP {
                self.end = time;
            }
            // Adds a frame of silence if more than the tolerance is missing: 1/4 is the rest of a frame.
            self.fill(&mut sounds, time + packet / 4, packet, &frame, silence);
            sounds.push(self.place(&frame, packet, frame.data.clone()));
        }
        let patience = if self.has_arrived { PATIENCE } else { FIRST_PATIENCE };
        if video_end.saturating_sub(self.arrived_at) > patience {
            self.fill(&mut sounds, video_end, packet, last, silence);
        }
        sounds
    }

    /// Appends silence up to `until`, with the properties of the frame `like`.
    fn fill(
        &mut self,
        sounds: &mut Vec<Arc<Frame>>,
        until: Duration,
        packet: Duration,
        like: &Frame,
        silence: &'static [u8],
    ) {
        while self.end + packet <= until {
            sounds.push(self.place(like, packet, Bytes::from_static(silence)));
        }
    }

    /// Returns a frame of audio at the end of the audio so far, with the properties of the frame `like`.
    fn place(&mut self, like: &Frame, packet: Duration, data: Bytes) -> Arc<Frame> {
        let begin = self.end;
        self.end += packet;
        Arc::new(Frame {
            decode_time: begin,
            presentation_time: begin,
            duration: packet,
            is_keyframe: true,
            data,
            ..like.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{Track, testing};

    /// Mono at 8 kHz: each frame lasts for 128 ms.
    fn config() -> AacConfig {
        AacConfig::low_complexity(8000, 1).expect("a configuration")
    }

    fn sound(time: u64) -> Arc<Frame> {
        let data = Bytes::from_static(b"sound");
        let format = testing::format(7);
        Arc::new(Frame { track: Track::Audio, data, ..testing::video(&format, true, time, 128) })
    }

    /// Makes fragments of 100 ms. `fragments` are the times of the audio that arrives during each. Returns the
    /// times of all audio in milliseconds, negative if the audio is silence.
    fn play(sound: &mut Sound, begin: u64, fragments: &[&[u64]]) -> Vec<i64> {
        let picture = testing::video(&testing::format(7), true, begin, 40);
        let mut played = Vec::new();
        for (index, times) in (0..).zip(fragments) {
            let arrived = times.iter().copied().map(self::sound).collect();
            let end = Duration::from_millis(begin + (index + 1) * 100);
            let frames = sound.complete(arrived, &config(), (&picture, end));
            played.extend(frames.iter().map(|frame| {
                let time = i64::try_from(frame.decode_time.as_millis()).expect("small");
                if frame.data.starts_with(b"sound") { time } else { -time }
            }));
        }
        played
    }

    #[test]
    fn audio_that_keeps_up_is_not_changed() {
        let mut sound = Sound::new(Duration::from_secs(1));
        let arrives: [&[u64]; 6] = [&[1000], &[], &[1128, 1256], &[1384], &[], &[1512]];
        assert_eq!(play(&mut sound, 1000, &arrives), [1000, 1128, 1256, 1384, 1512]);
    }

    #[test]
    fn audio_that_never_arrives_is_silence() {
        let mut sound = Sound::new(Duration::from_secs(1));
        assert_eq!(play(&mut sound, 1000, &[&[], &[]]), [0; 0], "it may still arrive");
        assert_eq!(play(&mut sound, 1200, &[&[], &[]]), [-1000, -1128, -1256]);
    }

    #[test]
    fn audio_that_begins_late_follows_silence() {
        let mut sound = Sound::new(Duration::from_secs(1));
        let played = play(&mut sound, 1000, &[&[], &[], &[1200], &[1328]]);
        assert_eq!(played, [-1000, 1128, 1256], "without a gap");
    }

    #[test]
    fn audio_that_ends_or_pauses_is_followed_by_silence() {
        let mut sound = Sound::new(Duration::ZERO);
        let played = play(&mut sound, 0, &[&[0], &[], &[], &[], &[], &[], &[]]);
        assert_eq!(played, [0, -128, -256, -384, -512]);
        // What arrives for the time that is filled already is left out.
        let played = play(&mut sound, 700, &[&[500, 628], &[756], &[884]]);
        assert_eq!(played, [640, 768, 896]);
    }

    #[test]
    fn times_that_vary_are_evened_out_and_lost_frames_are_replaced() {
        let mut sound = Sound::new(Duration::ZERO);
        let arrives: [&[u64]; 3] = [&[10, 108, 296], &[384, 500], &[780, 900]];
        let played = play(&mut sound, 0, &arrives);
        assert_eq!(played, [0, 128, 256, 384, 512, -640, 768, 896]);
    }

    #[test]
    fn a_jump_of_the_clock_is_not_filled() {
        let mut sound = Sound::new(Duration::ZERO);
        assert_eq!(play(&mut sound, 0, &[&[0], &[3_600_000]]), [0, 3_600_000]);
    }

    #[test]
    fn audio_with_many_channels_is_not_changed() {
        let config = AacConfig::low_complexity(48000, 6).expect("a configuration");
        let mut sound = Sound::new(Duration::ZERO);
        let picture = testing::video(&testing::format(7), true, 0, 40);
        let end = Duration::from_secs(10);
        assert!(sound.complete(Vec::new(), &config, (&picture, end)).is_empty());
    }
}
