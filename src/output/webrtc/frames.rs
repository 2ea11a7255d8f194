//! The frames of a session, and the form in which str0m takes them.

use std::sync::Arc;
use std::time::Duration;

use str0m::media::{Frequency, MediaTime};

use super::timeline::Arrival;
use crate::media::codec::VideoCodec;
use crate::media::frame::Frame;
use crate::media::hub::{Gap, HubReader};
use crate::media::nal::Framing;
use crate::media::parameter_set::sets::ParameterSets;
use crate::stream::playable::PlayableReader;

/// The start code in front of each NAL unit.
const START_CODE: &[u8] = &[0, 0, 0, 1];

/// The frames of a session.
pub(crate) enum Frames {
    /// The frames that players can play.
    Playable(PlayableReader),
    /// The frames as the camera sends them.
    Original(HubReader),
}

impl Frames {
    /// Returns the next frame; `None` when the stream has ended. Can be cancelled without losing a frame.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Frame>>, Gap> {
        match self {
            Self::Playable(reader) => reader.next().await,
            Self::Original(reader) => reader.next().await,
        }
    }

    /// Notes that the session needs a keyframe.
    pub(super) fn need_keyframe(&self) {
        match self {
            Self::Playable(reader) => reader.need_keyframe(),
            Self::Original(reader) => reader.need_keyframe(),
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

/// Returns the profile of H.264; `None` for other codecs.
pub(super) fn h264_profile(sets: &ParameterSets) -> Option<u8> {
    let set = (sets.codec() == VideoCodec::H264).then(|| sets.units().next())??;
    set.get(1).copied()
}

/// Returns a picture as NAL units with start codes. A keyframe follows its parameter sets.
pub(super) fn with_start_codes(frame: &Frame) -> Arc<[u8]> {
    let sets = frame.format.parameter_sets.units().filter(|_| frame.is_keyframe);
    let units = sets.map(|set| &**set).chain(Framing::Lengths(4).units(&frame.data));
    let mut bytes = Vec::with_capacity(frame.data.len() + 256);
    for unit in units {
        bytes.extend_from_slice(START_CODE);
        bytes.extend_from_slice(unit);
    }
    bytes.into()
}
