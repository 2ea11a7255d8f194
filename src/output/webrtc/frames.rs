//! The frames of a session, and the form in which str0m takes them.

use std::sync::Arc;
use std::time::Duration;

use str0m::media::{Frequency, MediaTime};

use super::opus::{OpusEncoders, OpusReader};
use super::timeline::Arrival;
use crate::media::codec::VideoCodec;
use crate::media::frame::{AudioFormat, Format, Frame};
use crate::media::hub::{Gap, HubReader, ReadFrom};
use crate::media::nal::{Framing, SetKind};
use crate::media::parameter_set::sets::ParameterSets;
use crate::stream::handle::StreamHandle;
use crate::stream::playable::PlayableReader;

/// The start code in front of each NAL unit.
const START_CODE: &[u8] = &[0, 0, 0, 1];

/// The frames of a session.
pub(crate) struct Frames {
    source: Source,
    stream: StreamHandle,
    encoders: OpusEncoders,
}

enum Source {
    /// The frames that players can play.
    Playable(PlayableReader),
    /// The frames as the camera sends them.
    Original(HubReader),
}

impl Frames {
    /// Returns the frames of a stream, from the last keyframe on: as the camera sends them, or as all players can play
    /// them. A session that falls behind by more than `max_bytes` misses frames.
    pub(crate) fn new(
        stream: &StreamHandle,
        is_original: bool,
        max_bytes: usize,
        encoders: OpusEncoders,
    ) -> Self {
        let shared = stream.shared();
        let source = if is_original {
            Source::Original(shared.hub.read(ReadFrom::LastKeyframe, max_bytes))
        } else {
            Source::Playable(shared.media.read(max_bytes))
        };
        Self { source, stream: stream.clone(), encoders }
    }

    /// Returns the next frame; `None` when the stream has ended. Can be cancelled without losing a frame.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Frame>>, Gap> {
        match &mut self.source {
            Source::Playable(reader) => reader.next().await,
            Source::Original(reader) => reader.next().await,
        }
    }

    /// Returns the sound of the stream as Opus.
    pub(super) fn opus(&self) -> OpusReader {
        self.encoders.read(&self.stream)
    }

    /// Notes that the session needs a keyframe.
    pub(super) fn need_keyframe(&self) {
        match &self.source {
            Source::Playable(reader) => reader.need_keyframe(),
            Source::Original(reader) => reader.need_keyframe(),
        }
    }
}

/// Returns the times of a frame.
pub(super) fn arrival(frame: &Frame) -> Arrival {
    Arrival {
        epoch: frame.format.epoch,
        time: frame.presentation_time,
        received_at: frame.received_at.into_std(),
    }
}

/// Returns a time in units of a clock with this rate.
pub(super) fn media_time(time: Duration, rate: u64) -> MediaTime {
    let rate = match rate {
        8000 => Frequency::EIGHT_KHZ,
        48_000 => Frequency::FORTY_EIGHT_KHZ,
        _ => Frequency::NINETY_KHZ,
    };
    let units = time.as_nanos() * u128::from(rate.get()) / 1_000_000_000;
    MediaTime::new(u64::try_from(units).unwrap_or(u64::MAX), rate)
}

/// Returns the duration of a packet of G.711; `None` for other sound.
pub(super) fn sound_duration(format: &AudioFormat, data: &[u8]) -> Option<Duration> {
    let (AudioFormat::PcmMuLaw(rate) | AudioFormat::PcmALaw(rate)) = format else { return None };
    let samples = u32::try_from(data.len()).ok()?;
    Duration::from_secs(1).checked_mul(samples)?.checked_div(*rate)
}

/// Returns the profile of H.264; `None` for other codecs.
pub(super) fn h264_profile(sets: &ParameterSets) -> Option<u8> {
    let set = (sets.codec() == VideoCodec::H264).then(|| sets.units().next())??;
    set.get(1).copied()
}

/// Returns whether the library can send the parameter sets of this video. Of H.265, it sends only the last set of each
/// kind.
pub(crate) fn can_send_sets(format: &Format) -> bool {
    let kinds = [SetKind::Video, SetKind::Sequence, SetKind::Picture];
    format.codec() != VideoCodec::H265
        || kinds.iter().all(|kind| format.parameter_sets.of_kind(*kind).count() <= 1)
}

/// Returns a picture as NAL units with start codes. A keyframe follows its parameter sets.
pub(super) fn with_start_codes(frame: &Frame) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity(frame.data.len() + 256);
    let mut add = |unit: &[u8]| {
        bytes.extend_from_slice(START_CODE);
        bytes.extend_from_slice(unit);
    };
    if frame.is_keyframe {
        let sets = &frame.format.parameter_sets;
        match aggregated(sets) {
            Some(unit) => add(&unit),
            None => sets.units().for_each(|set| add(set)),
        }
    }
    Framing::Lengths(4).units(&frame.data).for_each(add);
    bytes.into()
}

/// Returns all parameter sets of H.264 as one unit (STAP-A: RFC 6184, 5.7.1), because of several sets of a kind, the
/// library sends only the last. Returns `None` for other codecs, and if the sets are too long for one packet.
fn aggregated(sets: &ParameterSets) -> Option<Vec<u8>> {
    /// The first byte: the highest importance, and the type 24.
    const HEAD: u8 = 0x78;
    /// The longest unit. Longer ones would not fit into a packet.
    const MAX_LENGTH: usize = 1000;
    if sets.codec() != VideoCodec::H264 {
        return None;
    }
    let mut unit = vec![HEAD];
    for set in sets.units() {
        unit.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
        unit.extend_from_slice(set);
    }
    (unit.len() <= MAX_LENGTH).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    #[test]
    fn all_parameter_sets_are_in_one_unit() {
        let second: &[u8] = b"\0\0\0\x01\x68\x5b\x83\xcb\x20";
        let extradata = [testing::PARAMETER_SETS, second].concat();
        let sets = ParameterSets::from_extradata(VideoCodec::H264, &extradata);
        assert_eq!(sets.units().count(), 3);
        let unit = aggregated(&sets).expect("a unit");
        assert_eq!(unit[0] & 0x1f, 24);
        let mut rest = &unit[1..];
        for set in sets.units() {
            let (length, after) = rest.split_at(2);
            assert_eq!(usize::from(u16::from_be_bytes([length[0], length[1]])), set.len());
            let (found, after) = after.split_at(set.len());
            assert_eq!(found, &set[..]);
            rest = after;
        }
        assert!(rest.is_empty());
        let in_start_codes: Vec<_> =
            Framing::StartCodes.units(&[START_CODE, &unit].concat()).map(<[u8]>::len).collect();
        assert_eq!(in_start_codes, [unit.len()], "nothing in it looks like a start code");
    }
}
