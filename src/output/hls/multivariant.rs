//! The multivariant playlist: a stream's codecs, picture size, bit rate and frame rate, for players
//! that need them before they load media.

use std::time::Duration;

use crate::output::hls::fragment::{Fragment, InitSegment};
use crate::output::hls::layout;
use crate::output::hls::segment::Segment;

/// The shortest segment whose bit rate is representative. The first segment of an epoch, for example,
/// contains little more than a keyframe, so its bit rate is too high. The definition of the peak bit rate in
/// RFC 8216 ignores segments shorter than half the target duration.
const REPRESENTATIVE: Duration = Duration::from_secs(1);

/// The properties of a stream for its multivariant playlist. They describe the media after the last init segment.
#[derive(Debug)]
pub(crate) struct Variant {
    codecs: String,
    width: u16,
    height: u16,
    frames: u32,
    time: Duration,
    /// The highest bit rate of a representative segment, in bit/s. Until such a segment is finished, the
    /// highest bit rate of all segments.
    peak: f64,
    is_peak_certain: bool,
}

impl Variant {
    /// Creates the description of the media that begins with `init`.
    pub(crate) fn new(init: &InitSegment) -> Self {
        Self {
            codecs: init.codecs.clone(),
            width: init.width,
            height: init.height,
            frames: 0,
            time: Duration::ZERO,
            peak: 0.0,
            is_peak_certain: false,
        }
    }

    /// Counts the frames and the duration of a fragment.
    pub(crate) fn add(&mut self, fragment: &Fragment) {
        self.frames = self.frames.saturating_add(fragment.frames);
        self.time += fragment.duration;
    }

    /// Takes the bit rate of a finished segment into account.
    pub(crate) fn finish(&mut self, segment: &Segment) {
        let duration = segment.playing_time();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = segment.length() as f64 * 8.0 / duration.as_secs_f64().max(0.001);
        let is_certain = duration >= REPRESENTATIVE;
        if is_certain == self.is_peak_certain {
            self.peak = self.peak.max(rate);
        } else if is_certain || self.peak == 0.0 {
            self.peak = rate;
            self.is_peak_certain = is_certain;
        }
    }

    /// Renders the playlist. Rates are rounded, so that the playlist rarely changes.
    pub(crate) fn render(&self) -> String {
        let Self { codecs, width, height, .. } = self;
        let frame_rate = f64::from(self.frames) / self.time.as_secs_f64().max(0.001);
        // Cameras send, for example, 25 or 12.5 frames per second; the measured rate is slightly off.
        let frame_rate = (frame_rate * 2.0).round() / 2.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
        let bandwidth = (self.peak / 100_000.0).ceil().max(1.0) as u64 * 100_000;
        format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n\
             #EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{codecs}\",\
             RESOLUTION={width}x{height},FRAME-RATE={frame_rate:.3}\n{}\n",
            layout::PLAYLIST
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hls::fragment::{InitId, testing};
    use crate::output::hls::segment::{Part, PartStart};

    fn segment(millis: u64, length: u64) -> Segment {
        let duration = Duration::from_millis(millis);
        let parts = vec![Part { duration, offset: 0, length, begin: PartStart::Keyframe }];
        let begins_at = std::time::SystemTime::UNIX_EPOCH;
        Segment {
            sequence: 1,
            begins_at,
            init: InitId { epoch: 7, version: 0 },
            is_discontinuity: false,
            parts,
            undeclared: Duration::ZERO,
        }
    }

    #[test]
    fn an_independent_parser_reads_the_playlist() {
        let init = testing::init(7);
        let mut variant = Variant::new(&init);
        let mut bandwidth_after = |segment| {
            variant.finish(&segment);
            let text = variant.render();
            let read = m3u8_rs::parse_master_playlist_res(text.as_bytes()).expect("a playlist");
            read.variants[0].bandwidth
        };
        // The bit rate of the short first segment counts until a representative segment is finished.
        assert_eq!(bandwidth_after(segment(120, 50_000)), 3_400_000);
        assert_eq!(bandwidth_after(segment(2000, 250_000)), 1_000_000);
        assert_eq!(bandwidth_after(segment(2000, 300_000)), 1_200_000);
        assert_eq!(bandwidth_after(segment(2000, 200_000)), 1_200_000);
        assert_eq!(bandwidth_after(segment(120, 50_000)), 1_200_000);

        for number in 0..10 {
            variant.add(&testing::fragment(&init, false, number * 201, 201));
        }
        let text = variant.render();
        let read = m3u8_rs::parse_master_playlist_res(text.as_bytes()).expect("a playlist");
        let variant = &read.variants[0];
        assert_eq!(variant.uri, "stream.m3u8");
        assert_eq!(variant.codecs.as_deref(), Some("avc1.42C01E"));
        assert_eq!(variant.resolution.map(|size| (size.width, size.height)), Some((640, 360)));
        assert_eq!(variant.frame_rate, Some(25.0));
    }
}
