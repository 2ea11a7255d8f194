//! Init segments and fragments of MP4, as FFmpeg writes them.
//!
//! Reads codecs and picture size from a `moov`; reads time, duration and whether a keyframe comes first
//! from a `moof`. The module [`reader`](super::reader) cuts the byte stream into boxes. A hostile box
//! causes a [`MediaError`], never a panic: mp4-atom checks every length, and this module limits the
//! number of samples, which mp4-atom does not.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mp4_atom::{Codec, Decode, Moof, Moov, Stsd, Traf, Trak, Trun, TrunSamples, Visual};
use serde::Serialize;

use crate::media::codec::{h264_name, h265_name};
use crate::media::parameter_set::{Format, NalUnits};

/// The largest number of video samples in one run of a fragment. Real fragments have far fewer.
const MAX_SAMPLES: usize = 100_000;

/// The longest duration of a fragment; longer ones are reduced to it. When a camera's clock jumps,
/// FFmpeg may state durations of centuries, and sums of durations must not overflow.
const MAX_DURATION: Duration = Duration::from_mins(1);

/// The latest decode time; later ones are reduced to it, so that consumers can add durations. No clock
/// that counts from 1970 reaches these hundred years before 2070.
const MAX_DECODE_TIME: Duration = Duration::from_hours(100 * 365 * 24);

/// Why bytes are not the fragmented MP4 that was expected.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A malformed box.
    #[error("malformed MP4 box: {0}")]
    Box(#[from] mp4_atom::Error),
    /// A box that claims to be larger than any real one.
    #[error("MP4 box {kind:?} of {size} bytes is too large")]
    TooLarge {
        /// The box's four letters.
        kind: String,
        /// Its claimed size in bytes.
        size: u64,
    },
    /// Video of a codec that no browser plays in HLS.
    #[error("the video is neither H.264 nor H.265")]
    NotPlayable,
    /// H.265 under the name `hev1`, which only some players accept. All that play H.265 accept `hvc1`.
    #[error("the video is H.265")]
    Hevc,
    /// The size or profile of the camera's pictures changed in mid-stream.
    #[error("the camera changed its picture's size or profile")]
    PictureChanged,
    /// A box in the wrong place, or a missing one.
    #[error("unexpected MP4: {0}")]
    Unexpected(&'static str),
    /// Reading failed or ended in the middle of a box.
    #[error("reading the MP4 stream failed: {0}")]
    Read(#[from] std::io::Error),
}

/// The codec and the size of the video track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VideoTrack {
    /// The codec in the form of RFC 6381, such as `avc1.42C01E`.
    pub codec: String,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// The init segment of one epoch: `ftyp` and `moov`.
#[derive(Debug)]
pub struct InitSegment {
    /// Number of the epoch.
    pub epoch: u64,
    /// `ftyp` and `moov` as FFmpeg wrote them.
    pub bytes: Bytes,
    /// The video track.
    pub video: VideoTrack,
    /// The codec of the audio track in the form of RFC 6381; `None` without audio in AAC.
    pub audio_codec: Option<String>,
    video_id: u32,
    video_timescale: u32,
    nal_units: NalUnits,
    defaults: Defaults,
}

/// The properties of samples for which a fragment states none.
#[derive(Debug, Clone, Copy)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// One `moof` and `mdat`. Contains a reference to its init segment, so that even a consumer that joined
/// late or missed fragments can use it.
#[derive(Debug)]
pub struct Fragment {
    /// The init segment of the fragment's epoch, which decoding requires.
    pub init: Arc<InitSegment>,
    /// `moof` and `mdat` as FFmpeg wrote them.
    pub bytes: Bytes,
    /// Whether the fragment begins with a keyframe, at which decoding can begin.
    pub is_keyframe: bool,
    /// Decode time of the first video sample on the clock of the epoch, at most a hundred years.
    /// Meaningless if `frames` is zero.
    pub decode_time: Duration,
    /// Playing time of the video samples, at most a minute; zero without video.
    pub duration: Duration,
    /// Number of video samples.
    pub frames: u32,
    /// The format of the pictures from here on, if the fragment begins with a keyframe that contains
    /// it.
    pub format: Option<Format>,
    /// When the fragment was completely read.
    pub received_at: SystemTime,
}

impl InitSegment {
    /// Parses an init segment whose `moov` box begins at `moov_offset` and extends to the end of
    /// `bytes`.
    pub fn parse(epoch: u64, bytes: Bytes, moov_offset: usize) -> Result<Self, MediaError> {
        let mut body = bytes
            .get(moov_offset..)
            .ok_or(MediaError::Unexpected("an init segment without moov"))?;
        let moov = Moov::decode(&mut body)?;
        let video = moov.trak.iter().find_map(|track| Some((track, video_track(stsd(track))?)));
        let (track, video) = video.ok_or(MediaError::NotPlayable)?;
        let (video, nal_units) = video?;
        let timescale = track.mdia.mdhd.timescale;
        if timescale == 0 {
            return Err(MediaError::Unexpected("a video track with time scale 0"));
        }
        let audio_codec = moov.trak.iter().find_map(|track| audio_codec(stsd(track)));
        let video_id = track.tkhd.track_id;
        let defaults =
            moov.mvex.iter().flat_map(|mvex| &mvex.trex).find(|trex| trex.track_id == video_id);
        Ok(Self {
            epoch,
            video,
            audio_codec,
            video_id,
            video_timescale: timescale,
            nal_units,
            defaults: Defaults {
                duration: defaults.map_or(0, |trex| trex.default_sample_duration),
                size: defaults.map_or(0, |trex| trex.default_sample_size),
                flags: defaults.map_or(0, |trex| trex.default_sample_flags),
            },
            bytes,
        })
    }

    fn time(&self, ticks: u64) -> Duration {
        let scale = u64::from(self.video_timescale);
        let nanos = u128::from(ticks % scale) * 1_000_000_000 / u128::from(scale);
        // Less than a second, so the conversion does not fail.
        Duration::from_secs(ticks / scale) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}

impl Fragment {
    /// Parses a fragment: a `moof` and its `mdat`.
    pub fn parse(init: &Arc<InitSegment>, bytes: Bytes) -> Result<Self, MediaError> {
        let moof = Moof::decode(&mut bytes.as_ref())?;
        let video = moof.traf.iter().find(|traf| traf.tfhd.track_id == init.video_id);
        let samples = video.map(|traf| VideoSamples::read(init, traf)).transpose()?;
        let samples = samples.unwrap_or_default();
        let keyframe = samples.first_bytes.filter(|_| samples.first_is_sync);
        let format = keyframe.and_then(|range| init.nal_units.format(bytes.get(range)?));
        Ok(Self {
            init: Arc::clone(init),
            format,
            bytes,
            is_keyframe: samples.first_is_sync,
            decode_time: init.time(samples.decode_time).min(MAX_DECODE_TIME),
            duration: init.time(samples.duration).min(MAX_DURATION),
            frames: samples.count,
            received_at: SystemTime::now(),
        })
    }
}

/// The video samples of one fragment, in ticks of the track's time scale.
#[derive(Default)]
struct VideoSamples {
    decode_time: u64,
    duration: u64,
    count: u32,
    first_is_sync: bool,
    /// Byte range of the first sample, relative to the beginning of the `moof`.
    first_bytes: Option<Range<usize>>,
}

impl VideoSamples {
    fn read(init: &InitSegment, traf: &Traf) -> Result<Self, MediaError> {
        let defaults = Defaults {
            duration: traf.tfhd.default_sample_duration.unwrap_or(init.defaults.duration),
            size: traf.tfhd.default_sample_size.unwrap_or(init.defaults.size),
            flags: traf.tfhd.default_sample_flags.unwrap_or(init.defaults.flags),
        };
        let mut samples = Self {
            decode_time: traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time),
            ..Self::default()
        };
        for run in &traf.trun {
            samples.add(run, defaults)?;
        }
        Ok(samples)
    }

    fn add(&mut self, run: &Trun, defaults: Defaults) -> Result<(), MediaError> {
        if run.samples.len() > MAX_SAMPLES {
            return Err(MediaError::Unexpected("more samples than a fragment can have"));
        }
        let count = u32::try_from(run.samples.len()).unwrap_or(u32::MAX);
        if self.count == 0
            && let Some(first) = run.samples.get(0)
        {
            self.first_is_sync = is_sync(first.flags.unwrap_or(defaults.flags));
            self.first_bytes = sample_bytes(run, first.size.unwrap_or(defaults.size));
        }
        self.count = self.count.saturating_add(count);
        let run_duration = match &run.samples {
            TrunSamples::Inherited { .. } => u64::from(count) * u64::from(defaults.duration),
            TrunSamples::Explicit(entries) => entries
                .iter()
                .map(|entry| u64::from(entry.duration.unwrap_or(defaults.duration)))
                .sum(),
        };
        self.duration = self.duration.saturating_add(run_duration);
        Ok(())
    }
}

/// Returns the byte range of a run's first sample, relative to the beginning of the `moof`, which is
/// the base of FFmpeg's offsets (`default_base_moof`).
fn sample_bytes(run: &Trun, size: u32) -> Option<Range<usize>> {
    let begin = usize::try_from(run.data_offset?).ok()?;
    Some(begin..begin.checked_add(usize::try_from(size).ok()?)?)
}

/// Returns whether a sample is a keyframe: bit 16 is `sample_is_non_sync_sample` (ISO/IEC 14496-12,
/// 8.8.3.1).
fn is_sync(flags: u32) -> bool {
    flags & 0x0001_0000 == 0
}

fn stsd(track: &Trak) -> &Stsd {
    &track.mdia.minf.stbl.stsd
}

/// Returns a track's video; `None` if the track is not H.264 or H.265.
fn video_track(stsd: &Stsd) -> Option<Result<(VideoTrack, NalUnits), MediaError>> {
    stsd.codecs.iter().find_map(|codec| match codec {
        Codec::Avc1(avc1) => {
            let length_size = usize::from(avc1.avcc.length_size);
            let nal_units = NalUnits { is_hevc: false, length_size };
            let set = &avc1.avcc;
            let name = h264_name(
                set.avc_profile_indication,
                set.profile_compatibility,
                set.avc_level_indication,
            );
            Some(Ok((track(&avc1.visual, name), nal_units)))
        }
        Codec::Hvc1(hvc1) => {
            let length_size = usize::from(hvc1.hvcc.length_size_minus_one) + 1;
            let nal_units = NalUnits { is_hevc: true, length_size };
            Some(Ok((track(&hvc1.visual, h265_name(&hvc1.hvcc)), nal_units)))
        }
        Codec::Hev1(_) => Some(Err(MediaError::Hevc)),
        _ => None,
    })
}

fn track(visual: &Visual, codec: String) -> VideoTrack {
    VideoTrack { codec, width: visual.width, height: visual.height }
}

fn audio_codec(stsd: &Stsd) -> Option<String> {
    stsd.codecs.iter().find_map(|codec| match codec {
        // AAC-LC, which FFmpeg encodes and cameras send.
        Codec::Mp4a(_) => Some("mp4a.40.2".to_owned()),
        _ => None,
    })
}

/// Artificial fragments, for tests of their consumers.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn init(epoch: u64) -> Arc<InitSegment> {
        Arc::new(InitSegment {
            epoch,
            bytes: Bytes::from(format!("init {epoch}")),
            video: VideoTrack { codec: "avc1.42C01E".into(), width: 640, height: 360 },
            audio_codec: None,
            video_id: 1,
            video_timescale: 1000,
            nal_units: NalUnits { is_hevc: false, length_size: 4 },
            defaults: Defaults { duration: 40, size: 0, flags: 0 },
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
            bytes: Bytes::from(format!("[{begin_ms}]")),
            is_keyframe,
            decode_time: Duration::from_millis(begin_ms),
            duration: Duration::from_millis(ms),
            frames: 5,
            format: None,
            received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + begin_ms + ms),
        }
    }
}
