//! The multivariant playlist of a recording, which names the media playlist and the I-frame playlist. Pure.

use super::footage::Footage;
use super::segments::{Needed, Segment};
use crate::base::time::rfc3339_millis;

/// The name of the media playlist.
const MEDIA: &str = "stream.m3u8";
/// The name of the I-frame playlist.
const KEYFRAMES: &str = "iframes.m3u8";

/// The shortest segment whose bit rate is representative, in milliseconds. A shorter one has little more than a keyframe.
const REPRESENTATIVE_MS: u32 = 1_000;

/// The properties of the video that a playlist names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VideoOfPlaylist {
    /// The RFC 6381 codecs of the tracks, separated by commas.
    pub(crate) codecs: String,
    /// Width of the picture in pixels.
    pub(crate) width: u16,
    /// Height of the picture in pixels.
    pub(crate) height: u16,
}

/// Renders the playlist. `video` describes the first segment. The span is part of all URLs, so that they name the same time.
/// So is the codec if video is converted.
pub(crate) fn render(footage: &Footage, video: &VideoOfPlaylist, is_converted: bool) -> String {
    let needed = || footage.files.iter().map(|file| footage.needed(file));
    let segments: Vec<_> = needed().flat_map(Needed::segments).collect();
    let keyframes: Vec<_> = needed().flat_map(Needed::keyframes).collect();
    let (from, to) = (rfc3339_millis(footage.span.from), rfc3339_millis(footage.span.to));
    let VideoOfPlaylist { codecs, width, height } = video;
    let more = if is_converted { "&codec=h264" } else { "" };
    let video = codecs.split(',').next().unwrap_or_default();
    let [media, iframes] = [&segments, &keyframes].map(|list| {
        let (peak, average) = (peak(list), average(list));
        format!("BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}")
    });
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n\
         #EXT-X-STREAM-INF:{media},CODECS=\"{codecs}\",RESOLUTION={width}x{height}\n\
         {MEDIA}?from={from}&to={to}{more}\n\
         #EXT-X-I-FRAME-STREAM-INF:{iframes},CODECS=\"{video}\",\
         RESOLUTION={width}x{height},URI=\"{KEYFRAMES}?from={from}&to={to}{more}\"\n"
    )
}

/// Returns the highest bit rate of a representative segment in bit/s, or else that of any segment.
fn peak(segments: &[Segment]) -> u64 {
    let highest = |min_ms: u32| {
        let long = segments.iter().filter(move |segment| segment.duration_ms >= min_ms);
        long.map(|segment| rate(segment.size, segment.duration_ms.into())).max()
    };
    highest(REPRESENTATIVE_MS).or_else(|| highest(0)).unwrap_or(1)
}

fn average(segments: &[Segment]) -> u64 {
    let size = segments.iter().map(|segment| segment.size).sum();
    rate(size, segments.iter().map(|segment| u64::from(segment.duration_ms)).sum())
}

/// Returns the bit rate in bit/s.
fn rate(bytes: u64, millis: u64) -> u64 {
    bytes.saturating_mul(8000).checked_div(millis).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time_span::TimeSpan;
    use crate::recordings::testing::file;

    #[test]
    fn both_playlists_are_named_with_the_span() {
        let start = 1_795_986_120_000;
        let footage = Footage {
            span: TimeSpan { from: start + 7, to: start + 3_600_000 },
            files: vec![file(1, 7, start, 3)],
            is_complete: true,
        };
        let video = VideoOfPlaylist {
            codecs: "avc1.64001F,mp4a.40.2".to_owned(),
            width: 1280,
            height: 720,
        };
        let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-STREAM-INF:BANDWIDTH=1800,AVERAGE-BANDWIDTH=1800,CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=1280x720
stream.m3u8?from=2026-11-29T21:02:00.007Z&to=2026-11-29T22:02:00.000Z
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=400,AVERAGE-BANDWIDTH=400,CODECS=\"avc1.64001F\",RESOLUTION=1280x720,URI=\"iframes.m3u8?from=2026-11-29T21:02:00.007Z&to=2026-11-29T22:02:00.000Z\"
";
        assert_eq!(render(&footage, &video, false), expected);
        let converted = render(&footage, &video, true);
        assert_eq!(converted.matches("T22:02:00.000Z&codec=h264").count(), 2, "{converted}");
    }

    #[test]
    fn rates_without_segments_are_not_zero() {
        assert_eq!((peak(&[]), average(&[])), (1, 1));
        let segment = |size, duration_ms| Segment { offset: 0, size, begin_ms: 0, duration_ms };
        assert_eq!(peak(&[segment(1000, 40), segment(1000, 1000), segment(1500, 1000)]), 12_000);
        assert_eq!(peak(&[segment(1000, 40)]), 200_000);
    }
}
