//! Makes the frames of a rendition. The video comes from a transcoder, and the audio comes from the source. Pure.
//!
//! The frames have the epoch, the times and the dates of the source's frames, so that players show the
//! rendition at the times at which they would show the source.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::media::error::MediaError;
use crate::media::frame::{Format, Frame, Track};
use crate::media::nut::stream::NutItem;
use crate::media::video_track::{Picture, VideoTrack};

/// The most bytes of audio that wait for the video of the same time: 16 seconds at 256 kbit/s.
const MAX_AUDIO: usize = 512 * 1024;

/// Makes the frames of one run of a transcoder.
#[derive(Debug)]
pub struct RenditionDemuxer {
    /// The format of the source's last frame of video.
    source: Arc<Format>,
    /// The version of the next format.
    version: u32,
    video: Option<VideoTrack>,
    format: Option<Arc<Format>>,
    /// The time and the date of the source's last frame of video.
    dated: Option<(Duration, SystemTime)>,
    /// The audio that waits until the transcoder has written the video of the same time.
    audio: VecDeque<Arc<Frame>>,
    audio_bytes: usize,
}

impl RenditionDemuxer {
    /// Creates a demuxer. `source` describes the first frame that the transcoder gets. `version` is higher
    /// than the version of any earlier format of the rendition in the same epoch.
    pub fn new(source: &Arc<Format>, version: u32) -> Self {
        Self {
            source: Arc::clone(source),
            version,
            video: None,
            format: None,
            dated: None,
            audio: VecDeque::new(),
            audio_bytes: 0,
        }
    }

    /// Notes a frame of the source's video, which the transcoder gets.
    pub fn note_video(&mut self, frame: &Frame) {
        self.dated = Some((frame.presentation_time, frame.taken_at));
        if Arc::ptr_eq(&self.source, &frame.format) {
            return;
        }
        let before = std::mem::replace(&mut self.source, Arc::clone(&frame.format));
        if self.format.is_some() && !has_same_audio(&before, &self.source) {
            self.update_format();
        }
    }

    /// Takes a frame of the source's audio, which [`RenditionDemuxer::take_video`] returns with the video of the
    /// same time. If more than [`MAX_AUDIO`] bytes of audio wait, drops the oldest.
    pub fn take_audio(&mut self, frame: Arc<Frame>) {
        self.audio_bytes += frame.data.len();
        self.audio.push_back(frame);
        while self.audio_bytes > MAX_AUDIO {
            self.next_audio();
        }
    }

    /// Takes an item that the transcoder wrote and that was read at `now`. If the item is a picture, appends
    /// the audio up to this picture and then the picture's frame to `frames`. Does not append anything while the
    /// properties of the pictures are unknown. Fails if the item describes streams, and none of them is video that
    /// the manager can use.
    pub fn take_video(
        &mut self,
        item: NutItem,
        now: Instant,
        frames: &mut Vec<Frame>,
    ) -> Result<(), MediaError> {
        match item {
            NutItem::Streams(streams) => {
                self.video = Some(VideoTrack::new(&streams)?);
            }
            NutItem::Packet(packet) => {
                let video = self.video.as_mut();
                // The transcoder keeps the times, which are on the epoch's clock.
                if let Some(picture) = video.and_then(|video| video.take(packet, |time| time)) {
                    self.add(picture, now, frames);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, picture: Picture, now: Instant, frames: &mut Vec<Frame>) {
        if self.format.is_none() || picture.is_change {
            self.update_format();
        }
        let Some(format) = &self.format else { return };
        let frame = Frame {
            format: Arc::clone(format),
            track: Track::Video,
            decode_time: picture.times.decode,
            presentation_time: picture.times.presentation,
            duration: picture.times.duration,
            is_keyframe: picture.is_keyframe,
            received_at: now,
            taken_at: self.date(picture.times.presentation),
            data: picture.data,
        };
        let format = Arc::clone(format);
        let is_due = |audio: &Arc<Frame>| audio.decode_time <= frame.decode_time;
        while self.audio.front().is_some_and(is_due) {
            let audio = self.next_audio();
            frames.extend(audio.map(|audio| published_at(now, &audio, &format)));
        }
        frames.push(frame);
    }

    fn next_audio(&mut self) -> Option<Arc<Frame>> {
        let audio = self.audio.pop_front()?;
        self.audio_bytes -= audio.data.len();
        Some(audio)
    }

    /// Estimates when the camera took the frame that is shown at `time`.
    fn date(&self, time: Duration) -> SystemTime {
        let Some((noted, date)) = self.dated else { return SystemTime::UNIX_EPOCH };
        let (later, earlier) = (time.saturating_sub(noted), noted.saturating_sub(time));
        date.checked_add(later).and_then(|date| date.checked_sub(earlier)).unwrap_or(date)
    }

    fn update_format(&mut self) {
        let Some(video) = &self.video else { return };
        let Some(picture) = video.picture_parameters().cloned() else { return };
        self.format = Some(Arc::new(Format {
            epoch: self.source.epoch,
            version: self.version,
            is_converted: true,
            parameter_sets: video.parameter_sets().clone(),
            picture,
            audio: self.source.audio.clone(),
            aac: self.source.aac.clone(),
            awaits_audio: self.source.awaits_audio,
        }));
        self.version = self.version.saturating_add(1);
    }
}

fn has_same_audio(one: &Format, other: &Format) -> bool {
    let audio = |format: &Format| (format.audio.clone(), format.aac.clone(), format.awaits_audio);
    audio(one) == audio(other)
}

/// Returns a frame of audio with the rendition's format. Like the video, the frame arrives when the rendition publishes
/// it. Otherwise consumers would take the time of the conversion for a delay of their own.
fn published_at(now: Instant, audio: &Frame, format: &Arc<Format>) -> Frame {
    Frame { format: Arc::clone(format), received_at: now, ..audio.clone() }
}
