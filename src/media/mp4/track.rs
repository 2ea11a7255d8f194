//! Constants and errors that init segments and fragments share.

/// Number of the video track.
pub(super) const VIDEO: u32 = 1;
/// Number of the audio track.
pub(super) const AUDIO: u32 = 2;

/// Ticks per second of the video track, as in RTP. The audio track has one tick per sample.
pub const VIDEO_TIMESCALE: u32 = 90000;
/// Ticks of the video track in a millisecond.
pub(super) const TICKS_PER_MS: i64 = VIDEO_TIMESCALE as i64 / 1000;

/// The flags of a sample that is decoded without other samples: `sample_depends_on` is 2 (ISO/IEC 14496-12,
/// 8.8.3.1).
pub(super) const SYNC_SAMPLE: u32 = 0x0200_0000;
/// The flags of any other sample: `sample_depends_on` is 1, and `sample_is_non_sync_sample` is set.
pub(super) const OTHER_SAMPLE: u32 = 0x0101_0000;

/// The reason why MP4 cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Mp4Error {
    /// There is neither video nor audio.
    #[error("an init segment needs a track")]
    NoTrack,
    /// The sequence parameter set is missing or damaged, or another set that the codec needs is missing.
    /// Motion JPEG has no sets, so its init segment always fails with this error.
    #[error("the video has no usable parameter sets")]
    NoParameterSets,
    /// A fragment of 2 GiB or more.
    #[error("the fragment is too large")]
    TooLarge,
    /// A field that does not fit into its box.
    #[error("cannot write the MP4 box: {0}")]
    Box(#[from] mp4_atom::Error),
}
