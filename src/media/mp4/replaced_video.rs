//! Recorded media with other video: the init segment, and fragments with the recorded audio.

use bytes::Bytes;
use mp4_atom::{Decode as _, Encode as _, Ftyp, Moov};

use super::fragments::{Sample, SampleRun, fragment};
use super::init::init_segment;
use super::recorded_frames::RecordedFrame;
use super::track::{Mp4Error, VIDEO};
use crate::media::parameter_set::sets::ParameterSets;

/// Returns an init segment with the audio of the recorded one, and with video that has these parameter sets.
pub(crate) fn replaced_init(mut recorded: &[u8], sets: &ParameterSets) -> Result<Bytes, Mp4Error> {
    let video = init_segment(Some(sets), None)?;
    let mut video: &[u8] = &video;
    Ftyp::decode(&mut video)?;
    let video = Moov::decode(&mut video)?;
    let file_type = Ftyp::decode(&mut recorded)?;
    let mut moov = Moov::decode(&mut recorded)?;
    moov.trak.retain(|track| track.tkhd.track_id != VIDEO);
    moov.trak = video.trak.into_iter().chain(moov.trak).collect();
    let mut bytes = Vec::new();
    file_type.encode(&mut bytes)?;
    moov.encode(&mut bytes)?;
    Ok(bytes.into())
}

/// Returns a fragment with this video and with recorded audio.
pub(crate) fn replaced_fragment(
    video: SampleRun<'_>,
    sounds: &[RecordedFrame],
) -> Result<Bytes, Mp4Error> {
    let samples: Vec<_> = sounds
        .iter()
        .map(|(sound, data)| Sample {
            duration: sound.duration,
            composition_offset: 0,
            is_keyframe: true,
            data,
        })
        .collect();
    let decode_time = sounds.first().map_or(0, |(sound, _)| sound.decode_time);
    let audio = SampleRun { decode_time, samples: &samples };
    Ok(fragment(1, video, audio)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::aac::AacConfig;
    use crate::media::frame::testing;
    use crate::media::mp4::init::AudioConfig;
    use crate::media::mp4::recorded::{describe_init, fragment_frames};
    use crate::media::mp4::recorded_frames::{format_of_init, sounds_of_fragments};

    #[test]
    fn the_audio_of_the_init_segment_is_kept() {
        let format = testing::format(1);
        let aac = AudioConfig::Aac(AacConfig::low_complexity(16_000, 1).expect("AAC"));
        let recorded = init_segment(Some(&format.parameter_sets), Some(&aac)).expect("a segment");
        let replaced = replaced_init(&recorded, &format.parameter_sets).expect("an init segment");
        assert_eq!(describe_init(&replaced), describe_init(&recorded));
        assert_eq!(
            format_of_init(&replaced).expect("a format").parameter_sets,
            format.parameter_sets
        );
        for length in 0..recorded.len() {
            assert!(replaced_init(&recorded[..length], &format.parameter_sets).is_err());
        }
    }

    #[test]
    fn the_audio_of_fragments_is_kept() {
        let sample =
            |data, duration| Sample { duration, composition_offset: 0, is_keyframe: true, data };
        let (picture, sounds) = ([sample(b"old", 3600)], [sample(b"one", 7), sample(b"two", 8)]);
        let audio = SampleRun { decode_time: 48, samples: &sounds };
        let video = SampleRun { decode_time: 90, samples: &picture };
        let recorded = fragment(9, video, audio).expect("a fragment");
        let recorded = sounds_of_fragments(recorded.into()).expect("sounds");
        let replaced = [sample(b"replaced", 3600)];
        let video = SampleRun { decode_time: 91, samples: &replaced };
        let fragment = replaced_fragment(video, &recorded).expect("a fragment");
        assert!(fragment.ends_with(b"replacedonetwo"));
        let moof = u32::from_be_bytes(*fragment.first_chunk().expect("a size")) as usize;
        let tracks = fragment_frames(&fragment[..moof], 0).expect("frames");
        assert_eq!(tracks[0].frames[0].decode_time, 91);
        let times: Vec<_> =
            tracks[1].frames.iter().map(|it| (it.decode_time, it.duration)).collect();
        assert_eq!(times, [(48, 7), (55, 8)]);
    }
}
