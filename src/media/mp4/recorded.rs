//! Reading a recorded file that an interrupted process has left: its beginning, and its complete fragments.

use bytes::Bytes;
use mp4_atom::{Codec, Decode as _, Ftyp, Moof, Moov};

use super::frame_table::{FramesOfTrack, TableFrame};
use super::track::{AUDIO, SYNC_SAMPLE, VIDEO};
use crate::media::aac::AacConfig;
use crate::media::codec::{h264_name, h265_name};
use crate::media::opus::OpusConfig;

/// Bytes of a box's size and type, including a size of 64 bits.
pub(crate) const BOX_HEAD: usize = 16;

/// The size and the type of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxHead {
    /// The type, for example `moof`.
    pub(crate) kind: [u8; 4],
    /// Size of the whole box in bytes.
    pub(crate) size: u64,
}

/// Reads the head of a box from the first bytes of the box, of which [`BOX_HEAD`] are enough. Returns `None` if the head
/// is incomplete, or if the box has no size of its own and so reaches to the end of the file.
pub(crate) fn box_head(bytes: &[u8]) -> Option<BoxHead> {
    let (size, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (size, least) = match u32::from_be_bytes(*size) {
        1 => (u64::from_be_bytes(*rest.first_chunk()?), 16),
        size => (size.into(), 8),
    };
    (size >= least).then_some(BoxHead { kind: *kind, size })
}

/// The description of the media in an init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitDescription {
    /// The RFC 6381 codecs of the tracks, separated by commas.
    pub(crate) codecs: String,
    /// Width of the picture in pixels.
    pub(crate) width: u16,
    /// Height of the picture in pixels.
    pub(crate) height: u16,
    /// Ticks per second of the video track.
    pub(crate) video_timescale: u32,
    /// Ticks per second of the audio track; `None` without audio.
    pub(crate) audio_timescale: Option<u32>,
}

/// Reads an init segment, which is `ftyp` and `moov`. Returns `None` if it is damaged, or if it has no video in H.264 or
/// H.265.
pub(crate) fn describe_init(mut init: &[u8]) -> Option<InitDescription> {
    Ftyp::decode(&mut init).ok()?;
    let moov = Moov::decode(&mut init).ok()?;
    let track = |id| moov.trak.iter().find(|track| track.tkhd.track_id == id);
    let video = track(VIDEO)?;
    let (visual, mut codecs) = match video.mdia.minf.stbl.stsd.codecs.first()? {
        Codec::Avc1(entry) => {
            let avcc = &entry.avcc;
            let level = avcc.avc_level_indication;
            let name = h264_name(avcc.avc_profile_indication, avcc.profile_compatibility, level);
            (&entry.visual, name)
        }
        Codec::Hvc1(entry) => (&entry.visual, h265_name(&entry.hvcc)),
        _ => return None,
    };
    let audio = track(AUDIO);
    let sound = audio.and_then(|audio| match audio.mdia.minf.stbl.stsd.codecs.first()? {
        Codec::Mp4a(entry) => {
            let config = &entry.esds.es_desc.dec_config.dec_specific.as_ref()?.raw;
            Some(AacConfig::parse(config)?.codec())
        }
        Codec::Opus(_) => Some(OpusConfig::CODEC.to_owned()),
        _ => None,
    });
    if let Some(sound) = sound {
        codecs = format!("{codecs},{sound}");
    }
    Some(InitDescription {
        codecs,
        width: visual.width,
        height: visual.height,
        video_timescale: video.mdia.mdhd.timescale,
        audio_timescale: audio.map(|audio| audio.mdia.mdhd.timescale),
    })
}

/// Reads the frames of a fragment: the video first, then the audio, if there is any. `moof` is the whole box, which begins
/// at the position `offset` in the file. Returns `None` if the box is damaged. The ticks per second are not in the
/// box, so they are zero in the result.
pub(crate) fn fragment_frames(moof: &[u8], offset: u64) -> Option<Vec<FramesOfTrack>> {
    let moof = Moof::decode(&mut &*moof).ok()?;
    let mut tracks = Vec::new();
    for id in [VIDEO, AUDIO] {
        let Some(track) = moof.traf.iter().find(|track| track.tfhd.track_id == id) else {
            continue;
        };
        let mut decode_time = track.tfdt.as_ref()?.base_media_decode_time;
        let mut frames = Vec::new();
        for run in &track.trun {
            let from = u64::try_from(run.data_offset?).ok()?;
            let mut position = offset.checked_add(from)?;
            for sample in &run.samples {
                let (size, duration) = (sample.size?, sample.duration?);
                frames.push(TableFrame {
                    offset: position,
                    size,
                    decode_time,
                    duration,
                    composition_offset: i32::try_from(sample.cts.unwrap_or(0)).ok()?,
                    is_keyframe: id == AUDIO || sample.flags == Some(SYNC_SAMPLE),
                });
                position = position.checked_add(size.into())?;
                decode_time = decode_time.checked_add(duration.into())?;
            }
        }
        tracks.push(FramesOfTrack { track_id: id, timescale: 0, frames });
    }
    (!tracks.is_empty()).then_some(tracks)
}

/// Returns the SHA-256 digest of an init segment. Files with the same digest have the same parameter sets.
pub(crate) fn init_digest(init: &Bytes) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(init).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;
    use crate::media::mp4::fragments::{Sample, SampleRun, fragment, fragment_head};
    use crate::media::mp4::init::{AudioConfig, init_segment};
    use crate::media::mp4::track::VIDEO_TIMESCALE;

    #[test]
    fn the_head_of_a_box_is_read() {
        let head = |kind: &[u8; 4], size| Some(BoxHead { kind: *kind, size });
        assert_eq!(box_head(b"\0\0\0\x10moof"), head(b"moof", 16));
        assert_eq!(box_head(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0"), head(b"mdat", 1 << 32));
        for bad in
            [&b"\0\0\0\x10moo"[..], b"\0\0\0\0mdat", b"\0\0\0\x07moof", b"\0\0\0\x01mdat\0\0"]
        {
            assert_eq!(box_head(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_media_of_an_init_segment_is_described() {
        let format = testing::format(1);
        let aac = AudioConfig::Aac(AacConfig::low_complexity(16_000, 1).expect("AAC"));
        let init = init_segment(Some(&format.parameter_sets), Some(&aac)).expect("an init segment");
        let description = describe_init(&init).expect("a description");
        assert_eq!(description.codecs, format!("{},mp4a.40.2", format.picture.codec));
        assert_eq!((description.width, description.height), (640, 360));
        let timescales = (description.video_timescale, description.audio_timescale);
        assert_eq!(timescales, (VIDEO_TIMESCALE, Some(16_000)));
        for length in 0..init.len() {
            assert_eq!(describe_init(&init[..length]), None, "{length} bytes");
        }
        let silent = init_segment(Some(&format.parameter_sets), None).expect("an init segment");
        let silent_description = describe_init(&silent).expect("a description");
        assert_eq!(silent_description.codecs, format.picture.codec);
        assert_ne!(init_digest(&silent), init_digest(&init));
    }

    #[test]
    fn the_frames_of_a_fragment_are_read() {
        let sample = |data, is_keyframe| Sample {
            duration: 3600,
            composition_offset: -9,
            is_keyframe,
            data,
        };
        let (pictures, sounds) =
            ([sample(b"keyframe", true), sample(b"frame", false)], [sample(b"sound", true)]);
        let video = SampleRun { decode_time: 90, samples: &pictures };
        let audio = SampleRun { decode_time: 48, samples: &sounds };
        let bytes = fragment(1, video, audio).expect("a fragment");
        let head = fragment_head(1, video, audio).expect("a head").len();
        let moof = &bytes[..head - 8];
        let tracks = fragment_frames(moof, 1000).expect("frames");
        let video = &tracks[0].frames;
        assert_eq!((tracks[0].track_id, tracks[1].track_id), (VIDEO, AUDIO));
        let expected = TableFrame {
            offset: 1000 + head as u64,
            size: 8,
            decode_time: 90,
            duration: 3600,
            composition_offset: -9,
            is_keyframe: true,
        };
        assert_eq!(video[0], expected);
        let second = (video[1].offset, video[1].decode_time, video[1].is_keyframe);
        assert_eq!(second, (expected.offset + 8, 3690, false));
        assert_eq!(tracks[1].frames[0].offset, expected.offset + 13);
        for length in 0..moof.len() {
            assert_eq!(fragment_frames(&moof[..length], 0), None, "{length} bytes");
        }
    }
}
