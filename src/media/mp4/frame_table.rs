//! The table of a recorded file's frames, which is the last box of a closed file. It makes exports possible that do not
//! read all fragments.
//!
//! The box has the type `uuid`, so that players skip it. After its extended type, it contains the version of its form
//! (1) and the number of tracks, each in a byte. For each track follow, as numbers of variable length (LEB128): the
//! track's number, its ticks per second, the number of its frames, and the number of bytes of its frames. Then the
//! frames follow.
//!
//! For a frame, the first number is its size, times four, plus two for a keyframe, plus one if four differences with a
//! sign follow: position minus the end of the previous frame of the track, decode time minus the end of the previous
//! frame, duration minus the previous duration, and composition offset minus the previous one. Without them, all
//! four differences are zero.

use super::fragments::SampleRun;
use super::track::{AUDIO, VIDEO};
use crate::base::varint;

/// The extended type of the box.
const EXTENDED_TYPE: [u8; 16] = *b"frame-table\0\x9e\x4b\x07\xd1";
/// Bytes before the tracks: size, type, extended type, version and number of tracks.
const HEAD: usize = 8 + 16 + 2;
/// The version of the form.
const VERSION: u8 = 1;
/// The largest number of tracks: video and audio.
const MAX_TRACKS: u8 = 2;

/// A frame of a recorded file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TableFrame {
    /// Position of the frame's data in the file, in bytes.
    pub offset: u64,
    /// Size of the frame's data in bytes.
    pub size: u32,
    /// Decode time, in ticks of the track.
    pub decode_time: u64,
    /// The time until the next frame, in ticks of the track.
    pub duration: u32,
    /// Presentation time minus decode time, in ticks of the track.
    pub composition_offset: i32,
    /// True if decoding can begin with the frame.
    pub is_keyframe: bool,
}

impl TableFrame {
    /// Returns the position after the frame's data.
    fn end(&self) -> u64 {
        self.offset.wrapping_add(self.size.into())
    }

    /// Returns the decode time that the next frame should have.
    fn end_time(&self) -> u64 {
        self.decode_time.wrapping_add(self.duration.into())
    }
}

/// The frames of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FramesOfTrack {
    /// Number of the track in the file.
    pub track_id: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// The frames in the order of decoding.
    pub frames: Vec<TableFrame>,
}

/// Makes the table of a growing file. Uses about five bytes of memory per frame.
#[derive(Debug)]
pub(crate) struct FrameTableWriter {
    tracks: Vec<TrackWriter>,
}

#[derive(Debug)]
struct TrackWriter {
    track_id: u32,
    timescale: u32,
    count: u64,
    last: TableFrame,
    bytes: Vec<u8>,
}

impl FrameTableWriter {
    /// Creates the table of a file with a video track and, if `audio_timescale` is given, an audio track. The argument
    /// `video_timescale` is the number of ticks per second of the video track.
    pub(crate) fn new(video_timescale: u32, audio_timescale: Option<u32>) -> Self {
        let track = |track_id, timescale| TrackWriter {
            track_id,
            timescale,
            count: 0,
            last: TableFrame::default(),
            bytes: Vec::new(),
        };
        let audio = audio_timescale.map(|timescale| track(AUDIO, timescale));
        let tracks = std::iter::once(track(VIDEO, video_timescale)).chain(audio).collect();
        Self { tracks }
    }

    /// Adds frames, with the numbers of their tracks, whose positions count from the position `base` in the file.
    pub(crate) fn add_all(&mut self, base: u64, frames: &[(u32, TableFrame)]) {
        for (track_id, frame) in frames {
            self.add(*track_id, TableFrame { offset: base.saturating_add(frame.offset), ..*frame });
        }
    }

    /// Adds a frame to the track with this number. Does nothing if there is no such track.
    pub(crate) fn add(&mut self, track_id: u32, frame: TableFrame) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.track_id == track_id) {
            track.add(frame);
        }
    }

    /// Returns the box.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(b"uuid");
        bytes.extend_from_slice(&EXTENDED_TYPE);
        bytes.push(VERSION);
        bytes.push(u8::try_from(self.tracks.len()).unwrap_or(MAX_TRACKS));
        for track in &self.tracks {
            varint::write(&mut bytes, track.track_id.into());
            varint::write(&mut bytes, track.timescale.into());
            varint::write(&mut bytes, track.count);
            varint::write(&mut bytes, track.bytes.len() as u64);
            bytes.extend_from_slice(&track.bytes);
        }
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = bytes.first_chunk_mut() {
            *place = size;
        }
        bytes
    }
}

impl TrackWriter {
    fn add(&mut self, frame: TableFrame) {
        let last = std::mem::replace(&mut self.last, frame);
        let differences = [
            difference(frame.offset, last.end()),
            difference(frame.decode_time, last.end_time()),
            i64::from(frame.duration) - i64::from(last.duration),
            i64::from(frame.composition_offset) - i64::from(last.composition_offset),
        ];
        let has_differences = differences != [0; 4];
        let flags = u64::from(frame.is_keyframe) << 1 | u64::from(has_differences);
        varint::write(&mut self.bytes, u64::from(frame.size) << 2 | flags);
        if has_differences {
            for one in differences {
                varint::write_signed(&mut self.bytes, one);
            }
        }
        self.count += 1;
    }
}

/// Returns the frames of a fragment, with the numbers of their tracks. Positions count from the beginning of the media
/// data.
pub(crate) fn frames_of_fragment(
    video: &SampleRun<'_>,
    audio: &SampleRun<'_>,
) -> Vec<(u32, TableFrame)> {
    let mut frames = Vec::with_capacity(video.samples.len() + audio.samples.len());
    let mut offset = 0_u64;
    for (track_id, run) in [(VIDEO, video), (AUDIO, audio)] {
        let mut decode_time = run.decode_time;
        for sample in run.samples {
            let frame = TableFrame {
                offset,
                size: u32::try_from(sample.data.len()).unwrap_or(u32::MAX),
                decode_time,
                duration: sample.duration,
                composition_offset: sample.composition_offset,
                is_keyframe: sample.is_keyframe,
            };
            offset += u64::from(frame.size);
            decode_time = frame.end_time();
            frames.push((track_id, frame));
        }
    }
    frames
}

/// Returns the difference of two numbers. [`sum`] restores the first number.
fn difference(number: u64, from: u64) -> i64 {
    number.wrapping_sub(from).cast_signed()
}

fn sum(number: u64, difference: i64) -> u64 {
    number.wrapping_add(difference.cast_unsigned())
}

/// Returns true if a box that begins with these bytes can be a table of frames. 24 bytes are enough.
pub(crate) fn is_frame_table(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"uuid") && head.get(8..24) == Some(&EXTENDED_TYPE)
}

/// Reads the box of a table: the video first, then the audio, if there is any. Returns `None` if the box is incomplete or
/// damaged.
pub(crate) fn read_frame_table(bytes: &[u8]) -> Option<Vec<FramesOfTrack>> {
    let size = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?;
    let (head, mut rest) = bytes.get(..size)?.split_at_checked(HEAD)?;
    let &[version, count] = head.last_chunk()?;
    if !is_frame_table(head) || version != VERSION || count > MAX_TRACKS {
        return None;
    }
    let tracks = (0..count).map(|_| read_track(&mut rest)).collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(tracks)
}

fn read_track(bytes: &mut &[u8]) -> Option<FramesOfTrack> {
    let track_id = u32::try_from(varint::read(bytes)?).ok()?;
    let timescale = u32::try_from(varint::read(bytes)?).ok()?;
    let count = usize::try_from(varint::read(bytes)?).ok()?;
    let length = usize::try_from(varint::read(bytes)?).ok()?;
    let (mut encoded, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    // Each frame has at least one byte, so that a damaged number cannot make the list larger.
    let mut frames = Vec::with_capacity(count.min(length));
    let mut last = TableFrame::default();
    while !encoded.is_empty() {
        last = read_frame(&mut encoded, &last)?;
        frames.push(last);
    }
    (frames.len() == count).then_some(FramesOfTrack { track_id, timescale, frames })
}

fn read_frame(bytes: &mut &[u8], last: &TableFrame) -> Option<TableFrame> {
    let head = varint::read(bytes)?;
    let mut differences = [0; 4];
    if head & 1 != 0 {
        for one in &mut differences {
            *one = varint::read_signed(bytes)?;
        }
    }
    let [position, time, duration, composition] = differences;
    Some(TableFrame {
        offset: sum(last.end(), position),
        size: u32::try_from(head >> 2).ok()?,
        decode_time: sum(last.end_time(), time),
        duration: u32::try_from(i64::from(last.duration).checked_add(duration)?).ok()?,
        composition_offset: i32::try_from(
            i64::from(last.composition_offset).checked_add(composition)?,
        )
        .ok()?,
        is_keyframe: head & 2 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::mp4::fragments::{Sample, fragment_head};

    fn frame(offset: u64, size: u32, decode_time: u64, duration: u32) -> TableFrame {
        TableFrame { offset, size, decode_time, duration, ..TableFrame::default() }
    }

    #[test]
    fn frames_are_read_as_they_were_added() {
        let mut table = FrameTableWriter::new(90_000, Some(48_000));
        let video = [
            TableFrame { is_keyframe: true, composition_offset: -5, ..frame(900, 70_000, 7, 3600) },
            frame(70_900, 200, 3607, 3600),
            frame(71_100, 0, 7207, u32::MAX),
            TableFrame { composition_offset: i32::MIN, ..frame(5, u32::MAX, 3, 0) },
            frame(u64::MAX, 1, u64::MAX, 1),
        ];
        let audio = [frame(100, 300, 0, 1024), frame(400, 300, 1024, 1024)];
        for frame in video {
            table.add(VIDEO, frame);
        }
        for frame in audio {
            table.add(AUDIO, frame);
        }
        table.add(3, video[0]);
        let bytes = table.finish();
        let expected = vec![
            FramesOfTrack { track_id: VIDEO, timescale: 90_000, frames: video.to_vec() },
            FramesOfTrack { track_id: AUDIO, timescale: 48_000, frames: audio.to_vec() },
        ];
        assert!(is_frame_table(&bytes[..24]));
        assert_eq!(read_frame_table(&bytes).as_ref(), Some(&expected));
        assert_eq!(read_frame_table(&[&bytes[..], b"more"].concat()), Some(expected));
        for length in 0..bytes.len() {
            assert_eq!(read_frame_table(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn the_frames_of_a_fragment_are_where_the_fragment_has_them() {
        let sample =
            |data, is_keyframe| Sample { duration: 3600, composition_offset: 9, is_keyframe, data };
        let (pictures, sounds) =
            ([sample(b"keyframe", true), sample(b"frame", false)], [sample(b"sound", true)]);
        let video = SampleRun { decode_time: 90, samples: &pictures };
        let audio = SampleRun { decode_time: 48, samples: &sounds };
        let mut file = fragment_head(1, video, audio).expect("a fragment");
        let mut table = FrameTableWriter::new(90_000, Some(48_000));
        table.add_all(file.len() as u64, &frames_of_fragment(&video, &audio));
        file.extend_from_slice(b"keyframeframesound");
        let tracks = read_frame_table(&table.finish()).expect("a table");
        let mut data = Vec::new();
        for frame in tracks.iter().flat_map(|track| &track.frames) {
            let begin = usize::try_from(frame.offset).expect("a position");
            data.push(&file[begin..begin + frame.size as usize]);
        }
        assert_eq!(data, [&b"keyframe"[..], b"frame", b"sound"]);
        assert_eq!(tracks[0].frames[1].decode_time, 3690);
        assert_eq!(tracks[1].frames[0].decode_time, 48);
    }

    #[test]
    fn a_minute_needs_a_few_kilobytes() {
        let mut table = FrameTableWriter::new(90_000, None);
        for number in 0..1500_u32 {
            let is_first = number % 25 == 0;
            let gap = if is_first { 500 } else { 0 };
            let offset = u64::from(number) * 20_000 + u64::from(number / 25) * 500 + gap;
            table.add(VIDEO, frame(offset, 20_000, u64::from(number) * 3600, 3600));
        }
        let length = table.finish().len();
        assert!(length < 5_200, "{length} bytes");
    }

    #[test]
    fn damage_is_found_or_harmless() {
        let mut table = FrameTableWriter::new(90_000, Some(8000));
        for number in 0..20 {
            table.add(VIDEO, frame(number * 100, 100, number * 3600, 3600));
        }
        let bytes = table.finish();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let tracks = read_frame_table(&damaged).unwrap_or_default();
                assert!(tracks.iter().all(|track| track.frames.len() <= bytes.len()));
            }
        }
    }
}
