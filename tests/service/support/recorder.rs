//! Records the parts of a stream, and checks that its playlists conform to the draft of low-latency HLS.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Nginx;

/// Tolerance for durations in seconds. Playlists contain durations with five decimal digits.
const ROUNDING: f64 = 0.000_02;

/// All parts that the playlists of a stream have listed so far, and values that later playlists must repeat.
#[derive(Default)]
pub(crate) struct Recorder {
    /// The parts by segment.
    pub(crate) segments: BTreeMap<u64, Vec<RecordedPart>>,
    target_duration: Option<f64>,
    media_sequence: f64,
    /// A playlist is checked for short parts only if its first part belongs to this segment or a later one, because the
    /// first frames of an epoch have irregular times.
    settled: Option<u64>,
}

/// A part of a segment.
#[derive(Debug, Clone)]
pub(crate) struct RecordedPart {
    pub(crate) duration: f64,
    pub(crate) has_audio: bool,
    pub(crate) seen_at: Instant,
}

/// One `EXT-X-PART` line.
struct Line {
    segment: u64,
    offset: u64,
    length: u64,
    duration: f64,
}

impl Recorder {
    /// Records a stream for this many seconds.
    pub(crate) async fn record(&mut self, nginx: &Nginx, id: &str, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            let response = nginx.get(&format!("/streams/{id}/stream.m3u8")).await;
            let playlist = response.text().await.expect("a complete response");
            self.check(id, &playlist);
            self.add_parts(nginx, id, &playlist).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns all recorded parts, in order.
    pub(crate) fn parts(&self) -> Vec<&RecordedPart> {
        self.segments.values().flatten().collect()
    }

    async fn add_parts(&mut self, nginx: &Nginx, id: &str, playlist: &str) {
        for line in part_lines(playlist) {
            let known = self.segments.entry(line.segment).or_default();
            let number = part_lines(playlist)
                .filter(|other| other.segment == line.segment && other.offset < line.offset)
                .count();
            if number < known.len() {
                continue;
            }
            let last = line.offset + line.length - 1;
            let request =
                nginx.client().get(nginx.url(&format!("/streams/{id}/{}.m4s", line.segment)));
            let request = request.header("range", format!("bytes={}-{last}", line.offset));
            let bytes = request.send().await.expect("a response").bytes().await.expect("a part");
            let head = bytes.windows(4).position(|name| name == b"mdat").expect("a fragment");
            let tracks = bytes[..head].windows(4).filter(|name| name == b"traf").count();
            let has_audio = tracks > 1;
            known.push(RecordedPart {
                duration: line.duration,
                has_audio,
                seen_at: Instant::now(),
            });
        }
    }

    /// Checks the rules of RFC 8216bis for a playlist.
    fn check(&mut self, id: &str, playlist: &str) {
        let number = |name: &str| -> f64 {
            let value =
                playlist.split_once(name).unwrap_or_else(|| panic!("{id}: {name}: {playlist}")).1;
            let end =
                value.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(value.len());
            value[..end].parse().expect("a number")
        };
        let target = number("#EXT-X-TARGETDURATION:");
        let part_target = number("PART-TARGET=");
        let hold_back = number("PART-HOLD-BACK=");
        let is_same = (*self.target_duration.get_or_insert(target) - target).abs() < 0.5;
        assert!(is_same, "{id}: the target duration has changed: {playlist}");
        assert!(
            hold_back >= 2.0 * part_target && number(",HOLD-BACK=") >= 3.0 * target,
            "{id}: {playlist}"
        );
        let first = number("#EXT-X-MEDIA-SEQUENCE:");
        assert!(first >= self.media_sequence, "{id}: {first} after {}", self.media_sequence);
        self.media_sequence = first;
        for line in playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:")) {
            let duration: f64 = line.trim_end_matches(',').parse().expect("a duration");
            assert!(duration.round() <= target, "{id}: {playlist}");
        }
        let lines: Vec<_> = part_lines(playlist).collect();
        let first_part = lines.first().map_or(0, |line| line.segment);
        let settled = *self.settled.get_or_insert(first_part + 2);
        for pair in lines.windows(2).filter(|_| first_part >= settled) {
            let is_inner = pair[0].segment == pair[1].segment;
            let is_short = pair[0].duration < 0.85 * part_target - ROUNDING;
            assert!(
                !is_inner || !is_short,
                "{id}: a short part in the middle of a segment: {playlist}"
            );
        }
        let is_long = |line: &Line| line.duration > part_target + ROUNDING;
        assert!(!lines.iter().any(is_long), "{id}: {playlist}");
    }
}

fn part_lines(playlist: &str) -> impl Iterator<Item = Line> {
    let attribute = |line: &str, name: &str| -> String {
        let value = line.split_once(&format!("{name}=")).expect("an attribute").1;
        value.trim_start_matches('"').split([',', '"']).next().expect("a value").to_owned()
    };
    playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:")).map(move |line| {
        let range = attribute(line, "BYTERANGE");
        let (length, offset) = range.split_once('@').expect("a range");
        Line {
            segment: attribute(line, "URI").trim_end_matches(".m4s").parse().expect("a number"),
            offset: offset.parse().expect("a number"),
            length: length.parse().expect("a number"),
            duration: attribute(line, "DURATION").parse().expect("a number"),
        }
    })
}
