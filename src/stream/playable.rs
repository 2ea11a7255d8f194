//! The frames that players can play: the stream's frames, or the frames of its rendition in H.264.
//!
//! The camera's option `video`, the setting `HEVC` and the format of the video decide which frames players get.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::rendition::{Rendition, RunningRendition};
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::camera::options::VideoOption;
use crate::camera::plan::{self, Hevc};
use crate::media::codec::VideoCodec;
use crate::media::flow::Flow;
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::{FrameHub, Gap, HubReader, ReadFrom};

/// The playable frames of one stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlayableMedia(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: FrameHub,
    rendition: Rendition,
    hevc: Hevc,
    option: Mutex<VideoOption>,
    /// The error of video that is not playable and must not be converted; otherwise `None`.
    errors: watch::Sender<Option<Error>>,
}

/// A consumer's position in the playable frames.
#[derive(Debug)]
pub(crate) struct PlayableReader {
    media: PlayableMedia,
    /// The stream's frames. They are read even while the reader returns the rendition's frames, because
    /// they show when the format of the video changes.
    frames: HubReader,
    /// The format of the stream's last frame of video.
    format: Option<Arc<Format>>,
    used: Used,
    audience: Audience,
    max_bytes: usize,
}

/// The kind of consumer for which a reader chooses frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Players, which decode the frames at once.
    Players,
    /// Recordings, which keep H.264 and H.265 as the camera sends them.
    Recordings,
}

/// The frames that a reader returns.
#[derive(Debug)]
enum Used {
    /// The stream's frames.
    Stream,
    /// The rendition's frames.
    Rendition { frames: HubReader, _running: Arc<RunningRendition> },
    /// No frames.
    Nothing,
}

/// The treatment of the stream's video for players.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Players get the video as it is.
    AsIs,
    /// Players get the rendition.
    Convert,
    /// Players cannot play the video, and the video must not be converted.
    Refuse,
}

impl PlayableMedia {
    /// Creates the playable frames of the stream that is published in `hub`. `hevc` is the treatment of
    /// H.265 from cameras whose option `video` is `auto`.
    pub(super) fn new(hub: FrameHub, rendition: Rendition, hevc: Hevc) -> Self {
        let (option, errors) = (Mutex::default(), watch::Sender::new(None));
        Self(Arc::new(Inner { hub, rendition, hevc, option, errors }))
    }

    /// Sets the camera's option `video`. It takes effect at the next change of the stream's format.
    pub(super) fn set_option(&self, option: VideoOption) {
        *lock(&self.0.option) = option;
    }

    /// Returns a reader, which begins with the last keyframe and can fall behind by at most `max_bytes` of frames.
    pub(crate) fn read(&self, max_bytes: usize) -> PlayableReader {
        self.read_for(Audience::Players, max_bytes)
    }

    /// Returns a reader like [`PlayableMedia::read`], but of the frames for recordings: H.264 and H.265 as the camera
    /// sends them, and the rendition instead of Motion JPEG, which MP4 players do not play.
    pub(crate) fn read_as_sent(&self, max_bytes: usize) -> PlayableReader {
        self.read_for(Audience::Recordings, max_bytes)
    }

    fn read_for(&self, audience: Audience, max_bytes: usize) -> PlayableReader {
        PlayableReader {
            audience,
            frames: self.0.hub.read(ReadFrom::LastKeyframe, max_bytes),
            media: self.clone(),
            format: None,
            used: Used::Stream,
            max_bytes,
        }
    }

    /// Returns the flow of frames to players: the rendition's flow if the rendition runs and has published
    /// video, otherwise the stream's flow. Returns `None` before the first frame of video.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.0.rendition.flow().or_else(|| self.0.hub.flow())
    }

    /// Returns the codec of the video that players get; `None` before the first frame of video, and if the video is not
    /// playable.
    pub(crate) fn codec(&self) -> Option<VideoCodec> {
        let format = self.0.hub.flow()?.format;
        match self.treatment(&format) {
            Treatment::AsIs => Some(format.codec()),
            Treatment::Convert => Some(VideoCodec::H264),
            Treatment::Refuse => None,
        }
    }

    /// Returns the errors that keep video from players: either the video is not playable and must not be
    /// converted, or the transcoder has failed.
    pub(crate) fn errors(&self) -> PlayableErrors {
        PlayableErrors { refused: self.0.errors.subscribe(), rendition: self.0.rendition.errors() }
    }

    /// Returns a receiver of the transcoder's last error, which is `None` if the transcoder has worked since, or does
    /// not run.
    pub(crate) fn conversion_error(&self) -> watch::Receiver<Option<Error>> {
        self.0.rendition.errors()
    }

    /// Waits for a limited time until the transcoder has ended. All readers must have been dropped.
    pub(super) async fn finish(&self) {
        self.0.rendition.finish().await;
    }

    fn treatment(&self, format: &Format) -> Treatment {
        treatment(format, *lock(&self.0.option), self.0.hevc)
    }
}

/// Returns the treatment of video of this format.
fn treatment(format: &Format, option: VideoOption, hevc: Hevc) -> Treatment {
    let picture = &format.picture;
    let (depths, sampling) =
        ((picture.luma_bit_depth, picture.chroma_bit_depth), picture.chroma_format);
    // Browsers decode H.264 only with 8 bits and 4:2:0. Many decoders cannot decode fields, and no browser
    // deinterlaces.
    let is_usual = (depths, sampling) == ((8, 8), 1) && !picture.is_interlaced;
    match (option, format.codec(), hevc) {
        _ if format.is_converted => Treatment::AsIs,
        (VideoOption::Copy, VideoCodec::Mjpeg, _) => Treatment::Refuse,
        (VideoOption::Copy, VideoCodec::H264 | VideoCodec::H265, _)
        | (VideoOption::Auto, VideoCodec::H265, Hevc::Copy) => Treatment::AsIs,
        (VideoOption::Auto, VideoCodec::H264, _) if is_usual => Treatment::AsIs,
        (VideoOption::H264 | VideoOption::Auto, ..) => Treatment::Convert,
    }
}

impl PlayableReader {
    /// Returns the next frame; `None` when the stream has ended. Can be cancelled and called again
    /// without losing a frame.
    pub(crate) async fn next(&mut self) -> Result<Option<Arc<Frame>>, Gap> {
        loop {
            let next = match &mut self.used {
                Used::Rendition { frames, .. } => tokio::select! {
                    next = frames.next() => return next,
                    next = self.frames.next() => next,
                },
                Used::Stream | Used::Nothing => self.frames.next().await,
            };
            if let Ok(Some(frame)) = &next {
                self.note(frame);
            }
            if matches!(self.used, Used::Stream) || matches!(next, Ok(None)) {
                return next;
            }
        }
    }

    /// Notes that the reader needs a keyframe. The rendition has a keyframe where the stream has one.
    pub(crate) fn need_keyframe(&self) {
        self.frames.need_keyframe();
    }

    /// If the format of the stream's video has changed, decides which frames the reader returns from now on.
    fn note(&mut self, frame: &Frame) {
        let is_same = |format: &Arc<Format>| Arc::ptr_eq(format, &frame.format);
        if frame.track != Track::Video || self.format.as_ref().is_some_and(is_same) {
            return;
        }
        self.format = Some(Arc::clone(&frame.format));
        let treatment = match self.audience {
            Audience::Players => self.media.treatment(&frame.format),
            Audience::Recordings if frame.format.codec() == VideoCodec::Mjpeg => Treatment::Convert,
            Audience::Recordings => Treatment::AsIs,
        };
        if self.audience == Audience::Players {
            let error = (treatment == Treatment::Refuse).then(plan::not_playable);
            self.media.0.errors.send_if_modified(|last| {
                let is_change = last.is_some() || error.is_some();
                *last = error;
                is_change
            });
        }
        match (treatment, &self.used) {
            (Treatment::AsIs, _) => self.used = Used::Stream,
            (Treatment::Convert, Used::Rendition { .. }) => {}
            (Treatment::Convert, Used::Stream | Used::Nothing) => {
                let running = self.media.0.rendition.run();
                let frames = running.read(self.max_bytes);
                self.used = Used::Rendition { frames, _running: running };
            }
            (Treatment::Refuse, _) => self.used = Used::Nothing,
        }
    }
}

/// The errors that keep video from players.
pub(crate) struct PlayableErrors {
    refused: watch::Receiver<Option<Error>>,
    rendition: watch::Receiver<Option<Error>>,
}

impl PlayableErrors {
    /// Waits for the next error, and returns it. Returns `None` if players get video again after an error.
    /// Dropping the future loses no error.
    pub(crate) async fn next(&mut self) -> Option<Error> {
        let (Ok(()), errors) = (tokio::select! {
            changed = self.refused.changed() => (changed, &mut self.refused),
            changed = self.rendition.changed() => (changed, &mut self.rendition),
        }) else {
            // The senders are gone, which happens only when the stream ends.
            return std::future::pending().await;
        };
        errors.borrow_and_update().clone()
    }

    /// Waits until the video turns out to be not playable, although it must not be converted, and returns the error.
    /// Errors of the transcoder do not count, because the transcoder starts again.
    pub(crate) async fn refusal(&mut self) -> Error {
        loop {
            if self.refused.changed().await.is_err() {
                return std::future::pending().await;
            }
            let error = self.refused.borrow_and_update().clone();
            if let Some(error) = error {
                return error;
            }
        }
    }
}

/// Playable frames for tests of their consumers.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::ingest::rendition::testing::NoTranscoder;
    use crate::media::frame_budget::FrameBudget;

    /// Returns the playable frames of the stream that is published in `hub`. No video is converted.
    pub(crate) fn playable(hub: &FrameHub) -> PlayableMedia {
        let (transcoder, frames) = (Arc::new(NoTranscoder), FrameBudget::new(u64::MAX));
        let rendition = Rendition::new(transcoder, hub.clone(), frames, Arc::default());
        PlayableMedia::new(hub.clone(), rendition, Hevc::Copy)
    }
}

#[cfg(test)]
mod tests;
