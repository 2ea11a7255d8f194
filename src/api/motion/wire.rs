//! Output of requests about motion.

use serde::Serialize;
use utoipa::ToSchema;

use crate::analysis::report::rounded;
use crate::api::wire::seconds;
use crate::camera::id::Profile;
use crate::camera::motion::MotionSource;
use crate::motion::boxes::MotionBox;
use crate::service::analysing::{DecoderView, MotionView};

/// What moves in front of a camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MotionOutput {
    /// How motion is detected.
    source: MotionSource,
    /// The stream whose pictures are analysed; null if there are no pictures at the moment.
    profile: Option<Profile>,
    /// The largest number of pictures per second that are analysed: 5, or less while the machine is too busy; null if there
    /// are no pictures at the moment.
    pictures_per_second: Option<f64>,
    /// True while fewer than 5 pictures per second are analysed, because the machine is too busy. Motion is then found
    /// later, or missed if it is short.
    reduced: bool,
    /// Seconds since the frame of the last analysed picture arrived; null before the first picture.
    picture_age_seconds: Option<f64>,
    /// True until the event of the last motion ends. This is at least 10 s after the last picture that shows the motion.
    moving: bool,
    /// The boxes around what moves in the last picture. Empty while motion pauses.
    boxes: Vec<MotionBoxOutput>,
    /// The FFmpeg that decodes the analysed pictures; null if there are no pictures at the moment, and in the first second.
    decoder: Option<DecoderOutput>,
    /// The reason why there are no pictures; null if there are pictures, or if the reason is not known.
    error: Option<String>,
}

/// The resources that the FFmpeg that decodes the analysed pictures uses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MotionDecoder)]
pub(crate) struct DecoderOutput {
    /// Percent of one processor core over about the last five seconds.
    cpu_percent: f64,
    /// Memory in bytes, without the files of the program and its libraries.
    memory_bytes: u64,
    /// True if this FFmpeg makes live pictures for viewers as well. Its processor time contains that of their pictures.
    shared: bool,
}

/// A box in parts of the picture's width and height, from 0 to 1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MotionBox)]
pub(crate) struct MotionBoxOutput {
    /// The left border.
    left: f64,
    /// The upper border.
    top: f64,
    /// The width.
    width: f64,
    /// The height.
    height: f64,
}

impl MotionOutput {
    pub(super) fn new(view: MotionView) -> Self {
        let MotionView { source, status, decoder } = view;
        let status = status.unwrap_or_default();
        Self {
            source,
            profile: status.profile,
            pictures_per_second: status.rate.map(|rate| (rate * 100.0).round() / 100.0),
            reduced: status.is_reduced,
            picture_age_seconds: status.received_at.map(|at| seconds(at.elapsed())),
            moving: status.is_moving,
            boxes: status.boxes.into_iter().map(MotionBoxOutput::new).collect(),
            decoder: decoder.as_ref().map(DecoderOutput::new),
            error: status.error.map(|error| error.detail),
        }
    }
}

impl DecoderOutput {
    fn new(decoder: &DecoderView) -> Self {
        let DecoderView { usage, is_shared } = decoder;
        Self {
            cpu_percent: (usage.cpu_share * 10_000.0).round() / 100.0,
            memory_bytes: usage.memory,
            shared: *is_shared,
        }
    }
}

impl MotionBoxOutput {
    fn new(one: MotionBox) -> Self {
        let [left, top, width, height] = one.parts().map(rounded);
        Self { left, top, width, height }
    }
}
