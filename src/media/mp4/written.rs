//! Reading fragments that [`fragments`](super::fragments) has written, to find out how far an interrupted process got.

use mp4_atom::{Atom as _, Decode as _, Ftyp, Header, Mdat, Moof, Moov, Traf};

use super::track::{AUDIO, SYNC_SAMPLE, VIDEO};

/// A complete fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrittenFragment {
    /// Length in bytes.
    pub(crate) length: usize,
    /// The samples of the video track; `None` if there are none.
    pub(crate) video: Option<WrittenRun>,
    /// The samples of the audio track; `None` if there are none.
    pub(crate) audio: Option<WrittenRun>,
}

/// Consecutive samples of a track.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrittenRun {
    /// The decode time of the first sample, in ticks of the track's time scale.
    pub(crate) begin: u64,
    /// The decode time at which the last sample ends, in the same unit.
    pub(crate) end: u64,
    /// True if the first sample is a keyframe.
    pub(crate) is_keyframe: bool,
}

/// Reads the fragment at the beginning of `bytes`. Returns `None` if it is incomplete or damaged.
pub(crate) fn read_fragment(bytes: &[u8]) -> Option<WrittenFragment> {
    let (head, rest) = split_box(bytes, Moof::KIND)?;
    let (_, rest) = split_box(rest, Mdat::KIND)?;
    let moof = Moof::decode(&mut &*head).ok()?;
    let track = |id| moof.traf.iter().find(|track| track.tfhd.track_id == id).map(run);
    Some(WrittenFragment {
        length: bytes.len() - rest.len(),
        video: track(VIDEO).map_or(Some(None), |run| run.map(Some))?,
        audio: track(AUDIO).map_or(Some(None), |run| run.map(Some))?,
    })
}

/// Returns the time scale of the audio track of an init segment; `None` if there is no audio track, or if the init
/// segment is damaged.
pub(crate) fn audio_timescale(init: &[u8]) -> Option<u32> {
    let (_, rest) = split_box(init, Ftyp::KIND)?;
    let moov = Moov::decode(&mut &*rest).ok()?;
    let audio = moov.trak.iter().find(|track| track.tkhd.track_id == AUDIO)?;
    Some(audio.mdia.mdhd.timescale)
}

/// Splits `bytes` after the first box; `None` if this box is incomplete or has another kind.
fn split_box(bytes: &[u8], kind: mp4_atom::FourCC) -> Option<(&[u8], &[u8])> {
    let mut body = bytes;
    let header = Header::decode(&mut body).ok().filter(|header| header.kind == kind)?;
    let head = bytes.len() - body.len();
    bytes.split_at_checked(head.checked_add(header.size?)?)
}

/// Returns the samples of a track; `None` if the track is damaged.
fn run(track: &Traf) -> Option<WrittenRun> {
    let begin = track.tfdt.as_ref()?.base_media_decode_time;
    let mut samples = track.trun.iter().flat_map(|run| run.samples.iter());
    let first = samples.next()?;
    let durations = std::iter::once(first).chain(samples).map(|sample| sample.duration);
    let end = durations
        .map(|ticks| ticks.map(u64::from))
        .try_fold(begin, |time, ticks| ticks.and_then(|ticks| time.checked_add(ticks)));
    Some(WrittenRun { begin, end: end?, is_keyframe: first.flags == Some(SYNC_SAMPLE) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::aac::AacConfig;
    use crate::media::mp4::fragments::{Sample, SampleRun, fragment};
    use crate::media::mp4::init::{AudioConfig, init_segment};

    fn written() -> Vec<u8> {
        let sample = |duration, is_keyframe| Sample {
            duration,
            composition_offset: -3,
            is_keyframe,
            data: b"data",
        };
        let (video, audio) = ([sample(3600, true), sample(1800, false)], [sample(1024, true)]);
        let video = SampleRun { decode_time: 90_000, samples: &video };
        let audio = SampleRun { decode_time: 7, samples: &audio };
        fragment(1, video, audio).expect("a fragment")
    }

    #[test]
    fn a_complete_fragment_is_read() {
        let mut bytes = written();
        let length = bytes.len();
        bytes.extend_from_slice(b"the beginning of the next one");
        let read = read_fragment(&bytes).expect("a fragment");
        assert_eq!(read.length, length);
        let video = WrittenRun { begin: 90_000, end: 95_400, is_keyframe: true };
        assert_eq!(read.video, Some(video));
        assert_eq!(read.audio.map(|run| (run.begin, run.end)), Some((7, 1031)));
    }

    #[test]
    fn the_time_scale_of_the_audio_is_read_from_the_init_segment() {
        let config = AacConfig::low_complexity(16_000, 1).expect("a configuration");
        let init = init_segment(None, Some(&AudioConfig::Aac(config))).expect("an init segment");
        assert_eq!(audio_timescale(&init), Some(16_000));
        assert_eq!(audio_timescale(&init[..init.len() - 1]), None);
    }

    #[test]
    fn an_incomplete_or_damaged_fragment_is_not_read() {
        let bytes = written();
        for length in 0..bytes.len() {
            assert_eq!(read_fragment(&bytes[..length]), None, "{length} bytes");
        }
        for at in 0..bytes.len() - 12 {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                // Some damage cannot be noticed, but none may cause a panic.
                assert!(read_fragment(&damaged).is_none_or(|read| read.length <= bytes.len()));
            }
        }
    }
}
