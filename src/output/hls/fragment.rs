//! A fragment of MP4 and the init segment that it needs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::media::frame::Format;
use crate::media::mp4::init::{AudioConfig, init_segment};
use crate::media::mp4::track::Mp4Error;

/// The identification of an init segment within a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitId {
    /// Number of the epoch.
    pub(crate) epoch: u64,
    /// Version of the description of the epoch's tracks.
    pub(crate) version: u32,
}

/// The end of a stream's media, from which later media can continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaEnd {
    /// The last init segment.
    pub(crate) init: InitId,
    /// The bytes of this init segment.
    pub(crate) init_bytes: Bytes,
    /// The end of the video, on the time line of the init segment.
    pub(crate) video: Duration,
    /// The end of the audio, on the same time line; `None` without audio.
    pub(crate) audio: Option<Duration>,
}

/// `ftyp` and `moov` for the fragments that follow.
#[derive(Debug)]
pub(crate) struct InitSegment {
    /// The identification of this init segment: the epoch and the version for which it was made.
    pub(crate) id: InitId,
    /// The bytes of both boxes.
    pub(crate) bytes: Bytes,
    /// The RFC 6381 codecs of the tracks, separated by commas.
    pub(crate) codecs: String,
    /// Width of the picture in pixels.
    pub(crate) width: u16,
    /// Height of the picture in pixels.
    pub(crate) height: u16,
}

/// One `moof` and `mdat` with video, and with the audio that the module `sound` selects for this video.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// The init segment that a decoder of the fragment needs.
    pub(crate) init: Arc<InitSegment>,
    /// Number of the epoch of the frames. The init segment may have been made for an earlier epoch.
    pub(crate) epoch: u64,
    /// The bytes of both boxes, in order. Media is not copied. Its slices share the memory of the frames.
    pub(crate) slices: Vec<Bytes>,
    /// True if the fragment begins with a keyframe.
    pub(crate) is_keyframe: bool,
    /// The distance from the first frame to the last keyframe; `None` if no frame after the first one is a keyframe.
    pub(crate) later_keyframe: Option<Duration>,
    /// Decode time of the first frame of video, on the time line of the init segment. This time line continues if a
    /// later epoch uses the same init segment.
    pub(crate) decode_time: Duration,
    /// Playing time of the video.
    pub(crate) duration: Duration,
    /// Number of frames of video.
    pub(crate) frames: u32,
    /// The end of the last audio, on the same time line; `None` without audio.
    pub(crate) audio_end: Option<Duration>,
    /// The longest time by which the audio is behind the end of the video. Zero without an audio track.
    pub(crate) audio_delay: Duration,
    /// An estimate of the time at which the camera took the first frame.
    pub(crate) taken_at: SystemTime,
}

impl Fragment {
    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }
}

impl InitSegment {
    /// Creates the init segment for frames of this `format`, with this `audio`.
    pub(crate) fn new(format: &Format, audio: Option<&AudioConfig>) -> Result<Self, Mp4Error> {
        let codecs = [Some(format.picture.codec.clone()), audio.map(AudioConfig::codec)];
        Ok(Self {
            id: InitId { epoch: format.epoch, version: format.version },
            bytes: init_segment(Some(&format.parameter_sets), audio)?,
            codecs: codecs.into_iter().flatten().collect::<Vec<_>>().join(","),
            width: format.picture.width,
            height: format.picture.height,
        })
    }
}

/// Fragments for tests. They contain no media.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn init(epoch: u64) -> Arc<InitSegment> {
        Arc::new(InitSegment {
            id: InitId { epoch, version: 0 },
            bytes: Bytes::from(format!("init {epoch}")),
            codecs: "avc1.42C01E".into(),
            width: 640,
            height: 360,
        })
    }

    pub(crate) fn fragment(
        init: &Arc<InitSegment>,
        is_keyframe: bool,
        begin_ms: u64,
        ms: u64,
    ) -> Fragment {
        Fragment {
            init: Arc::clone(init),
            epoch: init.id.epoch,
            slices: vec![Bytes::from("["), Bytes::from(format!("{begin_ms}]"))],
            is_keyframe,
            later_keyframe: None,
            decode_time: Duration::from_millis(begin_ms),
            duration: Duration::from_millis(ms),
            frames: 5,
            audio_end: None,
            audio_delay: Duration::ZERO,
            taken_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + begin_ms),
        }
    }
}
