//! The sound of fragments of MP4: continuous, although a camera's audio may be late, pause or end. Pure
//! functions without I/O.
//!
//! Players wait for audio as long as the init segment describes an audio track. So the fragments contain
//! silence where the camera sends no audio. Only audio with one or two channels gets silence. Audio with more
//! channels is not changed at all.
//!
//! Each frame of audio begins exactly at the end of the previous frame. If the times of one track jump in a
//! browser's buffer, the browser drops all tracks up to the next keyframe (Media Source Extensions, coded frame
//! processing), so that the picture freezes.
//!
//! Each fragment contains audio, even if the camera sends several frames of audio at a time. When hls.js has taken
//! the time of the first fragment from its audio, it also takes the times of later fragments from their audio. If a
//! later fragment has no audio, hls.js takes that fragment's time from the video instead. This makes all times jump,
//! and the picture freezes up to the next keyframe. So the audio of all fragments has the same delay, which is the
//! greatest delay of the last seconds. A fragment can be without audio only when this delay grows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::media::aac::AacConfig;
use crate::media::frame::Frame;

/// If no audio arrives for longer than this, the audio counts as missing. This is also the longest delay of audio
/// for which fragments wait. Cameras send audio in packets of up to 200 ms, and FFmpeg delays audio that it converts
/// by another 100 ms.
const PATIENCE: Duration = Duration::from_millis(500);

/// If no audio arrives for this time at the beginning of an epoch, the audio counts as missing. This time is shorter
/// than [`PATIENCE`], because players show no picture before both tracks have begun.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);

/// The longest gap between two packets of audio that is filled. A longer gap is a jump of the camera's clock.
const MAX_GAP: Duration = Duration::from_secs(10);

/// The playing time after which a new window of delays begins. The greatest delay in the current and the previous
/// window counts, so a delay counts for one to two windows.
const DELAY_WINDOW: Duration = Duration::from_secs(5);

/// The sound of one epoch.
#[derive(Debug)]
pub(in crate::output) struct Sound {
    /// The end of the audio so far, on the epoch's clock.
    end: Duration,
    /// The last frames of audio so far, which belong to later fragments.
    waiting: VecDeque<Arc<Frame>>,
    delay: Delay,
    /// The end of the video of the fragment in which the camera's audio arrived last.
    arrived_at: Duration,
    has_arrived: bool,
    /// The time up to which the next fragment is filled with silence.
    silent_until: Option<Duration>,
}

impl Sound {
    /// Creates the sound of an epoch whose video begins at `begin`.
    pub(in crate::output) fn new(begin: Duration) -> Self {
        Self {
            end: begin,
            waiting: VecDeque::new(),
            delay: Delay::new(begin),
            arrived_at: begin,
            has_arrived: false,
            silent_until: None,
        }
    }

    /// Creates the sound that continues earlier sound, which ended at `end`. The earlier video ended at
    /// `video_end`. The rest of the earlier sound is lost, so silence replaces it.
    pub(in crate::output) fn continuing(end: Duration, video_end: Duration) -> Self {
        let mut sound =
            Self { arrived_at: video_end, silent_until: Some(video_end), ..Self::new(end) };
        sound.delay = Delay::new(video_end);
        sound.delay.note(video_end.saturating_sub(end), video_end);
        sound
    }

    /// Returns the audio of the next fragment, whose video ends with the frame `last` at `video_end`. `arrived` is
    /// the audio that arrived since the last fragment. The returned audio consists of frames that arrived now or
    /// earlier, and of silence where there are gaps. Frames for later fragments are kept. Audio for a time that is
    /// already filled is left out. Each frame begins at the end of the previous frame.
    ///
    /// If there are more than two channels, returns the `arrived` frames as they are.
    pub(in crate::output) fn complete(
        &mut self,
        arrived: Vec<Arc<Frame>>,
        config: &AacConfig,
        (last, video_end): (&Frame, Duration),
    ) -> Vec<Arc<Frame>> {
        let Some(silence) = config.silent_frame() else { return arrived };
        self.continue_with(arrived, config, silence, (last, video_end));
        self.release(video_end, config.frame_duration())
    }

    /// Returns the same audio as [`Sound::complete`], but keeps no frame for later. So the delay of the audio is as
    /// short as possible, but differs from fragment to fragment.
    pub(in crate::output) fn complete_at_once(
        &mut self,
        arrived: Vec<Arc<Frame>>,
        config: &AacConfig,
        (last, video_end): (&Frame, Duration),
    ) -> Vec<Arc<Frame>> {
        let Some(silence) = config.silent_frame() else { return arrived };
        self.continue_with(arrived, config, silence, (last, video_end));
        self.waiting.drain(..).collect()
    }

    /// Returns silence up to the end of the video, `video_end`, for sound that will not be continued. `last` is the last
    /// frame of video. If there are more than two channels, returns nothing.
    pub(in crate::output) fn end_with_silence(
        &mut self,
        config: &AacConfig,
        (last, video_end): (&Frame, Duration),
    ) -> Vec<Arc<Frame>> {
        if let Some(silence) = config.silent_frame() {
            self.fill(video_end, config.frame_duration(), last, silence);
        }
        self.waiting.drain(..).collect()
    }

    /// Adds the audio that arrived, and silence where there are gaps.
    fn continue_with(
        &mut self,
        arrived: Vec<Arc<Frame>>,
        config: &AacConfig,
        silence: &'static [u8],
        (last, video_end): (&Frame, Duration),
    ) {
        let packet = config.frame_duration();
        if !arrived.is_empty() {
            self.arrived_at = video_end;
            self.has_arrived = true;
        }
        if let Some(until) = self.silent_until.take() {
            self.fill(until, packet, last, silence);
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
            // Fills the gap before the frame with silence. A gap that is shorter than the tolerance is not filled.
            // The frame is placed earlier instead.
            self.fill(time + packet / 4, packet, &frame, silence);
            self.place(&frame, packet, frame.data.clone());
        }
        self.delay.note(video_end.saturating_sub(self.end), video_end);
        let patience = if self.has_arrived { PATIENCE } else { FIRST_PATIENCE };
        if video_end.saturating_sub(self.arrived_at) > patience {
            self.fill(video_end, packet, last, silence);
        }
    }

    /// Returns the longest time by which the audio of a fragment is behind the end of its video.
    pub(in crate::output) fn delay(&self, config: &AacConfig) -> Duration {
        self.delay.greatest() + config.frame_duration() / 2
    }

    /// Removes and returns the audio of the fragment whose video ends at `video_end`: the waiting frames that begin
    /// before a limit, which is this end minus the greatest delay and half a frame. If no frame begins before the
    /// limit, returns the first waiting frame, so that the fragment has audio.
    fn release(&mut self, video_end: Duration, packet: Duration) -> Vec<Arc<Frame>> {
        let until = video_end.saturating_sub(self.delay.greatest() + packet / 2);
        let is_due = |frame: &Arc<Frame>| frame.decode_time < until;
        let count = self.waiting.iter().take_while(|frame| is_due(frame)).count();
        self.waiting.drain(..count.max(1).min(self.waiting.len())).collect()
    }

    /// Adds silence up to `until`, with the properties of the frame `like`.
    fn fill(&mut self, until: Duration, packet: Duration, like: &Frame, silence: &'static [u8]) {
        while self.end + packet <= until {
            self.place(like, packet, Bytes::from_static(silence));
        }
    }

    /// Adds a frame of audio at the end of the audio so far, with the properties of the frame `like`.
    fn place(&mut self, like: &Frame, packet: Duration, data: Bytes) {
        let begin = self.end;
        self.end += packet;
        self.waiting.push_back(Arc::new(Frame {
            decode_time: begin,
            presentation_time: begin,
            duration: packet,
            is_keyframe: true,
            taken_at: like.date_at(begin),
            data,
            ..like.clone()
        }));
    }
}

/// The greatest time by which the audio was behind the video when the last fragments were made.
#[derive(Debug)]
struct Delay {
    /// The end of the video with which the current window began.
    since: Duration,
    /// The greatest delay in the current window so far.
    current: Duration,
    /// The greatest delay in the previous window.
    previous: Duration,
}

impl Delay {
    fn new(since: Duration) -> Self {
        Self { since, current: Duration::ZERO, previous: Duration::ZERO }
    }

    /// Takes into account the `delay` of a fragment whose video ends at `video_end`. A delay that is longer than
    /// [`PATIENCE`] counts as [`PATIENCE`].
    fn note(&mut self, delay: Duration, video_end: Duration) {
        if video_end.saturating_sub(self.since) > DELAY_WINDOW {
            self.since = video_end;
            self.previous = std::mem::take(&mut self.current);
        }
        self.current = self.current.max(delay.min(PATIENCE));
    }

    /// Returns the greatest delay in the current and the previous window.
    fn greatest(&self) -> Duration {
        self.current.max(self.previous)
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

    /// Makes fragments of 100 ms. `fragments` contains the times of the audio that arrives during each fragment.
    /// Returns the times of all audio in milliseconds, including audio that is kept for later fragments. The
    /// times of silence have a minus sign.
    fn play(sound: &mut Sound, begin: u64, fragments: &[&[u64]]) -> Vec<i64> {
        let picture = testing::video(&testing::format(7), true, begin, 40);
        let mut played = Vec::new();
        for (index, times) in (0..).zip(fragments) {
            let arrived = times.iter().copied().map(self::sound).collect();
            let end = Duration::from_millis(begin + (index + 1) * 100);
            played.extend(sound.complete(arrived, &config(), (&picture, end)));
        }
        played.extend(sound.waiting.drain(..));
        let time = |frame: &Arc<Frame>| {
            let time = i64::try_from(frame.decode_time.as_millis()).expect("small");
            if frame.data.starts_with(b"sound") { time } else { -time }
        };
        played.iter().map(time).collect()
    }

    /// Makes fragments of `part_ms` from a camera that sends `burst` frames of audio at a time, `delay_ms` after
    /// the last of them has ended. Returns the number of frames in each fragment, and the greatest delay of the
    /// audio in milliseconds.
    fn play_bursts(rate: u32, part_ms: u64, burst: u64, delay_ms: u64) -> (Vec<usize>, u128) {
        let config = AacConfig::low_complexity(rate, 1).expect("a configuration");
        let mut sound = Sound::new(Duration::ZERO);
        let picture = testing::video(&testing::format(7), true, 0, 40);
        let (mut sent, mut counts, mut greatest) = (0_u32, Vec::new(), 0);
        let begin = |number: u32| config.frame_duration() * number;
        for part in 1..1000 {
            let end = Duration::from_millis(part * part_ms);
            let mut arrived = Vec::new();
            while begin(sent + u32::try_from(burst).expect("few")) + Duration::from_millis(delay_ms)
                <= end
            {
                for _ in 0..burst {
                    let frame = testing::video(&testing::format(7), true, 0, 0);
                    arrived.push(Arc::new(Frame { decode_time: begin(sent), ..frame }));
                    sent += 1;
                }
            }
            let frames = sound.complete(arrived, &config, (&picture, end));
            if let Some(last) = frames.last() {
                let delay = end.saturating_sub(last.decode_time + config.frame_duration());
                greatest = greatest.max(delay.as_millis());
            }
            counts.push(frames.len());
        }
        (counts, greatest)
    }

    /// If a fragment without audio follows fragments with audio, hls.js shifts all times.
    #[test]
    fn each_fragment_has_audio_even_if_audio_arrives_in_bursts() {
        // The sample rate, the duration of a part, the frames that arrive together, and the greatest delay.
        let cases = [
            (48_000, 80, 1, 100),
            (16_000, 80, 1, 230),
            (16_000, 67, 1, 210),
            (32_000, 80, 6, 360),
        ];
        for (rate, part_ms, burst, most_ms) in cases {
            let (counts, delay) = play_bursts(rate, part_ms, burst, 30);
            // While the first fragments are made, the delay is not known yet.
            let settled = &counts[30..];
            assert!(settled.iter().all(|count| *count > 0), "{rate} Hz, {burst}: {settled:?}");
            assert!(delay <= most_ms, "{rate} Hz, {burst}: {delay} ms");
        }
    }

    #[test]
    fn audio_that_keeps_up_is_not_changed() {
        let mut sound = Sound::new(Duration::from_secs(1));
        let arrives: [&[u64]; 6] = [&[1000], &[], &[1128, 1256], &[1384], &[], &[1512]];
        assert_eq!(play(&mut sound, 1000, &arrives), [1000, 1128, 1256, 1384, 1512]);
    }

    #[test]
    fn audio_that_never_arrives_is_replaced_by_silence() {
        let mut sound = Sound::new(Duration::from_secs(1));
        assert_eq!(
            play(&mut sound, 1000, &[&[], &[]]),
            [0; 0],
            "silence was added although the audio may still arrive"
        );
        assert_eq!(play(&mut sound, 1200, &[&[], &[]]), [-1000, -1128, -1256]);
    }

    #[test]
    fn each_frame_of_silence_has_the_date_of_its_own_time() {
        let mut sound = Sound::new(Duration::from_secs(1));
        let picture = testing::video(&testing::format(7), true, 1960, 40);
        let end = Duration::from_secs(2);
        let frames = sound.complete_at_once(Vec::new(), &config(), (&picture, end));
        assert!(frames.len() > 5);
        for frame in frames {
            assert_eq!(frame.taken_at, std::time::SystemTime::UNIX_EPOCH + frame.decode_time);
        }
    }

    #[test]
    fn audio_that_begins_late_follows_silence() {
        let mut sound = Sound::new(Duration::from_secs(1));
        let played = play(&mut sound, 1000, &[&[], &[], &[1200], &[1328]]);
        assert_eq!(played, [-1000, 1128, 1256], "the audio must follow the silence without a gap");
    }

    #[test]
    fn audio_that_ends_or_pauses_is_followed_by_silence() {
        let mut sound = Sound::new(Duration::ZERO);
        let played = play(&mut sound, 0, &[&[0], &[], &[], &[], &[], &[], &[]]);
        assert_eq!(played, [0, -128, -256, -384, -512]);
        // Audio for a time that is already filled is left out.
        let played = play(&mut sound, 700, &[&[500, 628], &[756], &[884]]);
        assert_eq!(played, [640, 768, 896]);
    }

    /// If the first fragment had no audio, hls.js would take its time from the video, and the picture would freeze.
    #[test]
    fn the_first_fragment_of_sound_that_continues_has_audio() {
        let (end, video_end) = (Duration::from_secs(1), Duration::from_millis(1300));
        let mut sound = Sound::continuing(end, video_end);
        let picture = testing::video(&testing::format(7), true, 1300, 40);
        for fragment in 1..=2 {
            let until = video_end + Duration::from_millis(100) * fragment;
            let frames = sound.complete(Vec::new(), &config(), (&picture, until));
            let expected = end + config().frame_duration() * (fragment - 1);
            assert_eq!(frames.first().map(|frame| frame.decode_time), Some(expected));
        }
        assert_eq!(play(&mut sound, 1500, &[&[1300, 1428], &[1556]]), [1256, 1384, 1512]);
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
