//! The text of a media playlist (RFC 8216) and the window of segments that it names.
//!
//! Pure: no files, no clock. Segments that no longer stand in the playlist are handed back to
//! the packager, which knows what to do with files.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::layout;

/// A finished segment, as a playlist names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Number in the stream; never given twice for a camera, also by later managers.
    pub sequence: u64,
    /// Playing time.
    pub duration: Duration,
    /// Wall clock at the first frame.
    pub begins_at: SystemTime,
    /// The init segment it needs.
    pub generation: u64,
    /// The time line breaks before this segment.
    pub is_discontinuity: bool,
}

/// The window of the last segments.
#[derive(Debug)]
pub struct Playlist {
    /// Seconds. Fixed, since RFC 8216 lets no player expect a change.
    target_duration: u64,
    length: usize,
    /// Number of breaks in the time line before the first segment here.
    discontinuity_sequence: u64,
    segments: VecDeque<Segment>,
}

impl Playlist {
    /// An empty playlist that will name at most `length` segments of at most `target_duration`
    /// seconds, rounded. `discontinuity_sequence` must be higher than any that the camera's
    /// viewers have seen.
    pub fn new(target_duration: u64, length: usize, discontinuity_sequence: u64) -> Self {
        Self { target_duration, length, discontinuity_sequence, segments: VecDeque::new() }
    }

    /// Appends a segment; returns the one that leaves the window, if the window is full.
    pub fn push(&mut self, segment: Segment) -> Option<Segment> {
        self.segments.push_back(segment);
        if self.segments.len() <= self.length {
            return None;
        }
        let gone = self.segments.pop_front()?;
        self.discontinuity_sequence += u64::from(gone.is_discontinuity);
        Some(gone)
    }

    /// The segments named now, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// The playlist as text. There is no `EXT-X-ENDLIST`: a live stream that pauses must not make
    /// players stop.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(256 + 128 * self.segments.len());
        let first = self.segments.front().map_or(0, |segment| segment.sequence);
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "#EXTM3U\n\
             #EXT-X-VERSION:7\n\
             #EXT-X-TARGETDURATION:{}\n\
             #EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.target_duration, self.discontinuity_sequence,
        );
        let mut generation = None;
        for segment in &self.segments {
            if segment.is_discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if generation != Some(segment.generation) {
                generation = Some(segment.generation);
                let _ =
                    writeln!(text, "#EXT-X-MAP:URI=\"{}\"", layout::init_name(segment.generation));
            }
            let _ = write!(
                text,
                "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.5},\n{}\n",
                humantime::format_rfc3339_millis(segment.begins_at),
                segment.duration.as_secs_f64(),
                layout::segment_name(segment.sequence),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u64, generation: u64, is_discontinuity: bool) -> Segment {
        Segment {
            sequence,
            duration: Duration::from_millis(1960),
            begins_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_690_000_250),
            generation,
            is_discontinuity,
        }
    }

    fn parsed(playlist: &Playlist) -> m3u8_rs::MediaPlaylist {
        let text = playlist.render();
        m3u8_rs::parse_media_playlist_res(text.as_bytes()).expect("a playlist that others can read")
    }

    #[test]
    fn another_reader_finds_every_segment() {
        let mut playlist = Playlist::new(2, 5, 40);
        assert_eq!(playlist.push(segment(100, 7, false)), None);
        assert_eq!(playlist.push(segment(101, 8, true)), None);
        let read = parsed(&playlist);
        assert_eq!(read.version, Some(7));
        assert_eq!(read.target_duration, 2);
        assert_eq!(read.media_sequence, 100);
        assert_eq!(read.discontinuity_sequence, 40);
        assert!(!read.end_list);
        let [first, second] = read.segments.as_slice() else { panic!("{read:?}") };
        assert_eq!(first.uri, "100.m4s");
        assert!((first.duration - 1.96).abs() < 1e-6);
        assert_eq!(first.map.as_ref().expect("a map").uri, "init-7.mp4");
        let time = first.program_date_time.expect("a time");
        assert_eq!(time.timestamp_millis(), 1_763_690_000_250);
        assert!(!first.discontinuity && second.discontinuity);
        assert_eq!(second.map.as_ref().expect("a map").uri, "init-8.mp4");
    }

    #[test]
    fn a_discontinuity_that_leaves_the_window_is_counted() {
        let mut playlist = Playlist::new(2, 3, 40);
        for sequence in 0..3 {
            assert_eq!(playlist.push(segment(sequence, 1, sequence == 1)), None);
        }
        assert_eq!(playlist.push(segment(3, 1, false)).map(|gone| gone.sequence), Some(0));
        assert_eq!(parsed(&playlist).discontinuity_sequence, 40);
        assert_eq!(playlist.push(segment(4, 1, false)).map(|gone| gone.sequence), Some(1));
        let read = parsed(&playlist);
        assert_eq!((read.media_sequence, read.discontinuity_sequence), (2, 41));
        assert_eq!(read.segments.len(), 3);
    }
}
