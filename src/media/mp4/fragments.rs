//! Fragments: `moof` and `mdat`.
//!
//! The boxes are written field by field. Their sizes are calculated first, so that each fragment needs
//! only one allocation.

use std::time::{Duration, SystemTime};

use super::track::{AUDIO, Mp4Error, OTHER_SAMPLE, SYNC_SAMPLE, VIDEO};

/// One frame of a track, in ticks of the track's time scale.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The time until the next sample.
    pub duration: u32,
    /// The time of presentation minus the time of decoding.
    pub composition_offset: i32,
    /// True if decoding can begin here.
    pub is_keyframe: bool,
    /// The frame as MP4 stores it.
    pub data: &'a [u8],
}

/// Consecutive samples of a track. A track without samples is left out of the fragment.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleRun<'a> {
    /// The time of decoding of the first sample, in ticks of the track's time scale.
    pub decode_time: u64,
    /// The samples in the order of decoding.
    pub samples: &'a [Sample<'a>],
}

/// Returns a fragment with the samples of both tracks.
pub fn fragment(
    sequence_number: u32,
    video: SampleRun<'_>,
    audio: SampleRun<'_>,
) -> Result<Vec<u8>, Mp4Error> {
    let layout = Layout::new(&video, &audio)?;
    let mut bytes = Vec::with_capacity(layout.size());
    layout.write_head(sequence_number, &mut bytes);
    for sample in video.samples.iter().chain(audio.samples) {
        bytes.extend_from_slice(sample.data);
    }
    Ok(bytes)
}

/// Returns a fragment without the data of its samples. The caller must append the data of all video samples,
/// and then the data of all audio samples. With this function, a caller can write the data without copying it.
pub fn fragment_head(
    sequence_number: u32,
    video: SampleRun<'_>,
    audio: SampleRun<'_>,
) -> Result<Vec<u8>, Mp4Error> {
    let layout = Layout::new(&video, &audio)?;
    let mut bytes = Vec::with_capacity(layout.moof_size + HEADER);
    layout.write_head(sequence_number, &mut bytes);
    Ok(bytes)
}

/// Returns the same as [`fragment_head`], after a box `prft` with the time at which the camera took the first sample.
/// This sample is one of the video if there is any.
pub(crate) fn dated_fragment_head(
    sequence_number: u32,
    video: SampleRun<'_>,
    audio: SampleRun<'_>,
    taken_at: SystemTime,
) -> Result<Vec<u8>, Mp4Error> {
    let layout = Layout::new(&video, &audio)?;
    let dated = if video.samples.is_empty() { &layout.audio } else { &layout.video };
    let mut bytes = Vec::with_capacity(REFERENCE_TIME + layout.moof_size + HEADER);
    dated.write_reference_time(&mut bytes, taken_at);
    layout.write_head(sequence_number, &mut bytes);
    Ok(bytes)
}

/// Bytes of a `prft`.
const REFERENCE_TIME: usize = HEADER + 24;
/// Version 1 of `prft`, in which the time of the media has 64 bits, and the flags for the time at which the sample was
/// captured (ISO/IEC 14496-12, 8.16.5).
const CAPTURED: u32 = 0x0100_0018;
/// From 1900, with which NTP begins, to 1970, with which Unix time begins.
const NTP_TO_UNIX: Duration = Duration::from_hours(25_567 * 24);

/// Bytes of a box's size and kind.
const HEADER: usize = 8;
/// Bytes of a `moof` with its `mfhd`, without tracks.
const MOVIE: usize = HEADER + 16;
/// Bytes of a `traf` with `tfhd`, `tfdt`, and a `trun` without samples.
const TRACK: usize = HEADER + 16 + 20 + 20;

/// Flag of `tfhd`: data offsets count from the beginning of the `moof` (ISO/IEC 14496-12, 8.8.7.1).
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// Version 1 of `trun`, in which composition offsets have a sign (8.8.8.1).
const TRUN_VERSION_1: u32 = 0x0100_0000;
// Flags of `trun`: the fields that are present.
const HAS_DATA_OFFSET: u32 = 0x1;
const HAS_DURATION: u32 = 0x100;
const HAS_SIZE: u32 = 0x200;
const HAS_FLAGS: u32 = 0x400;
const HAS_COMPOSITION_OFFSET: u32 = 0x800;

/// A track of a fragment.
struct Track<'a> {
    id: u32,
    run: &'a SampleRun<'a>,
    /// True for the video track. Samples of audio have neither flags nor composition offsets, because all are
    /// keyframes, and their times of decoding and presentation are the same.
    is_video: bool,
    data_size: u64,
}

impl<'a> Track<'a> {
    fn new(id: u32, run: &'a SampleRun<'a>) -> Self {
        let data_size = run.samples.iter().map(|sample| sample.data.len() as u64).sum();
        Self { id, run, is_video: id == VIDEO, data_size }
    }

    /// Size of the `traf` in bytes.
    fn size(&self) -> usize {
        match self.run.samples.len() {
            0 => 0,
            count => TRACK + count * self.entry_size(),
        }
    }

    /// Size of a sample in the `trun`, in bytes.
    fn entry_size(&self) -> usize {
        if self.is_video { 16 } else { 8 }
    }

    /// Writes a `prft` for the first sample, which was taken at `taken_at` and is presented at the time in the box.
    fn write_reference_time(&self, bytes: &mut Vec<u8>, taken_at: SystemTime) {
        let offset = self.run.samples.first().map_or(0, |first| first.composition_offset);
        let presentation_time = self.run.decode_time.saturating_add_signed(offset.into());
        header(bytes, REFERENCE_TIME, *b"prft");
        number(bytes, CAPTURED);
        number(bytes, self.id);
        bytes.extend_from_slice(&ntp_time(taken_at).to_be_bytes());
        bytes.extend_from_slice(&presentation_time.to_be_bytes());
    }

    /// Writes the `traf`. The data of its samples begins `data_offset` bytes after the beginning of the `moof`.
    fn write(&self, bytes: &mut Vec<u8>, data_offset: u32) {
        let samples = self.run.samples;
        if samples.is_empty() {
            return;
        }
        header(bytes, self.size(), *b"traf");
        header(bytes, 16, *b"tfhd");
        number(bytes, DEFAULT_BASE_IS_MOOF);
        number(bytes, self.id);
        header(bytes, 20, *b"tfdt");
        number(bytes, 0x0100_0000); // version 1: 64 bits
        bytes.extend_from_slice(&self.run.decode_time.to_be_bytes());
        header(bytes, 20 + samples.len() * self.entry_size(), *b"trun");
        let of_video = if self.is_video { HAS_FLAGS | HAS_COMPOSITION_OFFSET } else { 0 };
        number(bytes, TRUN_VERSION_1 | HAS_DATA_OFFSET | HAS_DURATION | HAS_SIZE | of_video);
        number(bytes, saturating(samples.len()));
        number(bytes, data_offset);
        for sample in samples {
            number(bytes, sample.duration);
            number(bytes, saturating(sample.data.len()));
            if self.is_video {
                number(bytes, if sample.is_keyframe { SYNC_SAMPLE } else { OTHER_SAMPLE });
                bytes.extend_from_slice(&sample.composition_offset.to_be_bytes());
            }
        }
    }
}

/// The tracks of a fragment and the size of its `moof`. The whole fragment is smaller than 2 GiB.
struct Layout<'a> {
    video: Track<'a>,
    audio: Track<'a>,
    moof_size: usize,
}

impl<'a> Layout<'a> {
    fn new(video: &'a SampleRun<'a>, audio: &'a SampleRun<'a>) -> Result<Self, Mp4Error> {
        let (video, audio) = (Track::new(VIDEO, video), Track::new(AUDIO, audio));
        let moof_size = MOVIE + video.size() + audio.size();
        let layout = Self { video, audio, moof_size };
        // Data offsets are signed numbers of 32 bits.
        let size = (layout.moof_size + HEADER) as u64 + layout.data_size();
        if size > i32::MAX as u64 { Err(Mp4Error::TooLarge) } else { Ok(layout) }
    }

    fn data_size(&self) -> u64 {
        self.video.data_size + self.audio.data_size
    }

    fn size(&self) -> usize {
        self.moof_size + HEADER + usize::try_from(self.data_size()).unwrap_or(0)
    }

    /// Writes the `moof` and the header of the `mdat`.
    fn write_head(&self, sequence_number: u32, bytes: &mut Vec<u8>) {
        header(bytes, self.moof_size, *b"moof");
        header(bytes, 16, *b"mfhd");
        number(bytes, 0);
        number(bytes, sequence_number);
        let data_offset = saturating(self.moof_size + HEADER);
        self.video.write(bytes, data_offset);
        self.audio.write(bytes, data_offset + saturating(self.video.data_size));
        header(bytes, self.size() - self.moof_size, *b"mdat");
    }
}

/// Returns a time as NTP writes it: seconds since 1900 in the upper 32 bits, and the fraction of a second in the lower
/// ones. Zero for a time before 1900.
fn ntp_time(time: SystemTime) -> u64 {
    let since = time
        .checked_add(NTP_TO_UNIX)
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let since = since.unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() << 32) + fraction
}

fn header(bytes: &mut Vec<u8>, size: usize, kind: [u8; 4]) {
    number(bytes, saturating(size));
    bytes.extend_from_slice(&kind);
}

fn number(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

/// Converts a size. [`Layout::new`] has checked that all sizes fit.
fn saturating(size: impl TryInto<u32>) -> u32 {
    size.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_too_large_for_its_data_offsets_is_refused() {
        let data = vec![0; 64 * 1024 * 1024];
        let sample = Sample { duration: 1, composition_offset: 0, is_keyframe: true, data: &data };
        let size = |count: usize| {
            let samples = vec![sample; count];
            let video = SampleRun { decode_time: 0, samples: &samples };
            fragment_head(1, video, SampleRun::default()).map(|head| head.len())
        };
        assert_eq!(size(31).expect("less than 2 GiB"), MOVIE + TRACK + 31 * 16 + HEADER);
        assert!(matches!(size(32), Err(Mp4Error::TooLarge)));
    }

    #[test]
    fn a_dated_fragment_begins_with_the_time_at_which_its_first_sample_was_taken() {
        let sample =
            Sample { duration: 3600, composition_offset: 7, is_keyframe: true, data: b"data" };
        let samples = [sample];
        let (video, none) =
            (SampleRun { decode_time: 90_000, samples: &samples }, SampleRun::default());
        // 2036-02-07 06:28:15.5 is half a second before the seconds of NTP overflow.
        let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(2_085_978_495_500);
        for (track, video, audio) in [(1, video, none), (2, none, video)] {
            let head = dated_fragment_head(3, video, audio, taken_at).expect("a fragment");
            let (dated, fragment) = head.split_at(REFERENCE_TIME);
            let expected = [
                b"\0\0\0\x20prft\x01\0\0\x18\0\0\0".as_slice(),
                &[track],
                b"\xff\xff\xff\xff\x80\0\0\0",
                &90_007_u64.to_be_bytes(),
            ];
            assert_eq!(dated, expected.concat());
            assert_eq!(fragment, fragment_head(3, video, audio).expect("a fragment"));
        }
        assert_eq!(ntp_time(SystemTime::UNIX_EPOCH - NTP_TO_UNIX * 2), 0);
    }

    #[test]
    fn a_track_without_samples_is_left_out() {
        let head = fragment_head(1, SampleRun::default(), SampleRun::default());
        assert_eq!(head.expect("a fragment").len(), MOVIE + HEADER);
    }
}
