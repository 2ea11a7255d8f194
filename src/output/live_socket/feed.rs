//! The messages for one client: the frames since the last keyframe, then each frame as soon as it arrives.
//!
//! A client that is too slow gets no frames until the next keyframe. It learns at once that it misses frames of video,
//! so that it shows what it has, and before the keyframe it learns how many it has missed. No message waits for a slow
//! client, except the one that is being sent. In the meantime, [`LiveFeed::discard_late`] drops the frames that become too
//! old.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backlog::{Acknowledged, Backlog, MAX_AGE, MAX_WAIT};
use super::codecs::{ChosenAudio, ClientCodecs};
use super::mp4::Mp4Writer;
use super::plain::{self, PlainPlayer};
use super::protocol::{MessageFormat, ServerMessage, Watch};
use super::raw;
use crate::base::counters::Counters;
use crate::base::error::{Error, ErrorKind};
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::Gap;
use crate::media::mp4::track::Mp4Error;
use crate::stream::playable::{PlayableMedia, PlayableReader};

/// The largest number of bytes of frames by which the feed can be behind the hub. As a rule, the feed is not behind,
/// because it takes all frames that a joiner gets at once, and drops frames that are too old.
const MAX_BEHIND: usize = 16 * 1024 * 1024;

/// The shortest time without video before a keyframe that counts as a gap. At low frame rates, a gap is at least as long
/// as [`GAP_FRAMES`] frames.
const MIN_GAP: Duration = Duration::from_secs(1);
const GAP_FRAMES: u32 = 3;

/// A message for a client.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The description of the frames that follow.
    Media {
        /// The text message.
        text: String,
        /// The MIME type for Media Source Extensions; `None` if frames are raw.
        mime: Option<String>,
    },
    /// A text message.
    Text(String),
    /// A binary message, in two parts.
    Bytes([Bytes; 2]),
}

/// The messages of one stream for one client.
#[derive(Debug)]
pub(crate) struct LiveFeed {
    media: PlayableMedia,
    reader: PlayableReader,
    form: MessageFormat,
    codecs: ClientCodecs,
    wants_audio: bool,
    /// `None` for players that follow the protocol of the live socket.
    plain: Option<PlainPlayer>,
    joined_at: Instant,
    /// True until the first keyframe after joining.
    is_joining: bool,
    /// Frames that have been read, but not sent: what the hub had when the client joined, and at most one more.
    ahead: VecDeque<Arc<Frame>>,
    /// Messages that have been made, but not sent: the messages of one frame.
    made: VecDeque<Outgoing>,
    /// The description that the client has; `None` before the first keyframe.
    current: Option<Described>,
    /// The number of the last message with a frame.
    number: u32,
    backlog: Backlog,
    /// `None` if the client does not skip.
    skip: Option<Skip>,
    counters: Counters,
}

/// The messages so far of a feed that has ended.
#[derive(Debug)]
pub(crate) struct Past {
    /// Messages that have not been sent.
    made: VecDeque<Outgoing>,
    current: Option<Described>,
    number: u32,
}

/// A client's way to the next keyframe, because it has missed frames.
#[derive(Debug)]
struct Skip {
    since: Instant,
    /// The number of missed frames of video that the client was not told of.
    frames: u64,
    /// True if the client was told that it misses frames.
    is_announced: bool,
}

/// What the client was told about the frames, and the state of writing them.
#[derive(Debug)]
struct Described {
    format: Arc<Format>,
    audio: Option<ChosenAudio>,
    /// The last frame of video; `None` before the first one.
    last: Option<Arc<Frame>>,
    /// `None` if frames are raw.
    mp4: Option<Mp4Writer>,
}

impl LiveFeed {
    /// Creates the messages with what `watch` requests, beginning with the last keyframe of `media`. The client
    /// acknowledges messages through `acknowledged`.
    pub(crate) fn new(
        media: &PlayableMedia,
        watch: &Watch,
        acknowledged: Acknowledged,
        counters: Counters,
    ) -> Self {
        Self {
            media: media.clone(),
            reader: media.read(MAX_BEHIND),
            form: watch.format,
            codecs: ClientCodecs::parse(&watch.codecs),
            wants_audio: watch.audio,
            plain: None,
            joined_at: Instant::now(),
            is_joining: true,
            ahead: VecDeque::new(),
            made: VecDeque::new(),
            current: None,
            number: 0,
            backlog: Backlog::new(acknowledged),
            skip: None,
            counters,
        }
    }

    /// Makes the messages for a player that does not follow the protocol of the live socket; see [`PlainPlayer`].
    pub(crate) fn for_plain_player(self, player: PlainPlayer) -> Self {
        Self { plain: Some(player), ..self }
    }

    /// Makes the messages that follow those of another feed, whose stream has ended.
    pub(crate) fn continuing(self, past: Past) -> Self {
        let Past { made, current, number } = past;
        let skip = Skip { since: Instant::now(), frames: 0, is_announced: true };
        Self { made, current, number, skip: Some(skip), ..self }
    }

    /// Stops reading. Returns what a feed needs that continues the messages.
    pub(crate) fn into_past(self) -> Past {
        Past { made: self.made, current: self.current, number: self.number }
    }

    /// Returns the next message; `None` when the stream has ended. Error: the client cannot decode the video, or the
    /// video cannot be sent. Can be cancelled and called again without losing a message.
    pub(crate) async fn next(&mut self) -> Result<Option<Outgoing>, Error> {
        loop {
            if let Some(message) = self.made.pop_front() {
                return Ok(Some(message));
            }
            if self.announce_skip() {
                continue;
            }
            if self.ahead.is_empty() && !self.read().await {
                return Ok(None);
            }
            if self.is_joining {
                self.prepare_burst().await;
            }
            if let Some(frame) = self.ahead.pop_front() {
                self.take(&frame)?;
            }
        }
    }

    /// Prepares the frames that a plain player gets at once.
    async fn prepare_burst(&mut self) {
        let Some(player) = self.plain else { return };
        let until = self.joined_at + plain::AUDIO_WITHIN;
        while self.media.flow().is_some_and(|flow| flow.format.awaits_audio) {
            if !matches!(timeout_at(until, self.read()).await, Ok(true)) {
                break;
            }
        }
        let frames = std::mem::take(&mut self.ahead);
        match player.burst(frames) {
            Ok(burst) => self.ahead = burst,
            Err(too_long) => {
                // Some players give up before a keyframe that is ten seconds away.
                if self.skip.is_none() {
                    self.reader.need_keyframe();
                }
                for frame in &too_long {
                    self.miss(frame);
                }
            }
        }
    }

    /// Drops frames that become older than [`MAX_AGE`]. Must run while a message is being sent. Never returns, and can
    /// be cancelled at any time.
    pub(crate) async fn discard_late(&mut self) -> Infallible {
        loop {
            let Some(oldest) = self.ahead.front() else {
                if !self.read().await {
                    // The stream has ended; the view notices this, too.
                    return std::future::pending().await;
                }
                continue;
            };
            sleep_until(self.waits_since(oldest) + MAX_AGE).await;
            if let Some(frame) = self.ahead.pop_front() {
                self.miss(&frame);
            }
        }
    }

    /// Reads at least one frame. When the client has just joined, reads all frames that the hub has, because the hub
    /// keeps them only for a short time. Returns false when the stream has ended.
    async fn read(&mut self) -> bool {
        let mut next = self.reader.next().await;
        loop {
            match next {
                Ok(Some(frame)) => {
                    let is_of_joiner = frame.received_at < self.joined_at;
                    self.ahead.push_back(frame);
                    if !is_of_joiner {
                        return true;
                    }
                }
                Ok(None) => return !self.ahead.is_empty(),
                Err(Gap(missed)) => self.count_missed(missed),
            }
            match self.reader.next().now_or_never() {
                Some(following) => next = following,
                None if self.ahead.is_empty() => next = self.reader.next().await,
                None => return true,
            }
        }
    }

    /// Makes the messages with a frame, unless the client does not get it.
    fn take(&mut self, frame: &Arc<Frame>) -> Result<(), Error> {
        let now = Instant::now();
        let is_video = frame.track == Track::Video;
        // Audio alone never makes a client skip, because the picture would stop until the next keyframe.
        let is_late = is_video && now.saturating_duration_since(self.waits_since(frame)) > MAX_AGE;
        let skips_for = self.skip.as_ref().map(|skip| now.saturating_duration_since(skip.since));
        if frame.is_entry_point() && skips_for.is_some_and(|time| time >= MAX_WAIT) {
            self.backlog.forget();
        }
        let is_too_slow = is_video && self.backlog.is_too_long(now);
        if is_late || is_too_slow || (self.skip.is_some() && !frame.is_entry_point()) {
            self.miss(frame);
            return Ok(());
        }
        if frame.is_entry_point() {
            self.is_joining = false;
            self.note_gap(frame);
            self.end_skip(frame).map_err(unusable)?;
            self.describe(frame)?;
        }
        self.add(frame, now).map_err(unusable)
    }

    /// Returns the time since when a frame could have been sent.
    fn waits_since(&self, frame: &Frame) -> Instant {
        frame.received_at.max(self.joined_at)
    }

    /// Notes that the client does not get this frame. If the frame is video, the client gets nothing until the next
    /// keyframe.
    fn miss(&mut self, frame: &Frame) {
        if frame.track == Track::Video {
            self.count_missed(1);
        }
    }

    fn count_missed(&mut self, frames: u64) {
        let begin = || Skip { since: Instant::now(), frames: 0, is_announced: false };
        self.skip.get_or_insert_with(begin).frames += frames;
        self.counters.live_frames_skipped(frames);
    }

    /// Begins a skip before this keyframe if the stream has no video for some time before it: the camera has paused, or
    /// the hub has kept only the keyframe of a group of pictures that is too long. Players cannot play across such a gap,
    /// and silence for the whole gap would be thousands of messages.
    fn note_gap(&mut self, keyframe: &Frame) {
        let Some(last) = self.current.as_ref().and_then(|current| current.last.as_ref()) else {
            return;
        };
        let gap = keyframe.decode_time.saturating_sub(last.decode_time + last.duration);
        let is_same_clock = last.format.epoch == keyframe.format.epoch;
        if !is_same_clock || gap < MIN_GAP.max(last.duration * GAP_FRAMES) || self.skip.is_some() {
            return;
        }
        let frames = gap.as_nanos() / last.duration.as_nanos().max(1);
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        self.skip = Some(Skip { since: Instant::now(), frames, is_announced: false });
    }

    /// Tells the client that it misses frames, if the client has not been told. Returns whether a message was made.
    fn announce_skip(&mut self) -> bool {
        let has_media = self.current.is_some();
        let skip = self.skip.as_mut().filter(|skip| has_media && !skip.is_announced);
        let Some(skip) = skip else { return false };
        skip.is_announced = true;
        self.made.push_back(gap(std::mem::take(&mut skip.frames)));
        true
    }

    /// Ends a skip with a keyframe: tells the client of the missed frames that it was not told of.
    fn end_skip(&mut self, keyframe: &Frame) -> Result<(), Mp4Error> {
        let Some(skip) = self.skip.take() else { return Ok(()) };
        if self.plain.is_some() {
            self.continue_times(keyframe)?;
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        if let Some(mp4) = &mut current.mp4 {
            mp4.skip();
        }
        if skip.frames > 0 || !skip.is_announced {
            self.made.push_back(gap(skip.frames));
        }
        Ok(())
    }

    /// Makes the messages with a frame of a described track.
    fn add(&mut self, frame: &Arc<Frame>, now: Instant) -> Result<(), Mp4Error> {
        let is_video = frame.track == Track::Video;
        let chosen = self.plain.and_then(|_| self.chosen_audio(&frame.format));
        let Some(current) = &mut self.current else { return Ok(()) };
        let is_of_audio = current.audio.as_ref().is_some_and(|it| it.track == frame.track);
        // A plain player gets silence until audio of another kind is described, and its times never go back.
        let is_described = self.plain.is_none()
            || chosen == current.audio
                && current.mp4.as_ref().is_none_or(|it| it.shift().from <= frame.decode_time);
        let is_wanted = is_video || is_of_audio && is_described;
        if !is_wanted || frame.format.epoch != current.format.epoch {
            return Ok(());
        }
        let first = self.number.wrapping_add(1);
        let mut add = |message: [Bytes; 2], number: &mut u32| {
            *number = number.wrapping_add(1);
            self.made.push_back(Outgoing::Bytes(message));
        };
        let number = &mut self.number;
        match &mut current.mp4 {
            None => {
                // Only the audio that a joiner gets at once is old. Later audio is played even if more audio waits.
                let can_be_old = is_video || frame.received_at < self.joined_at;
                let is_old =
                    can_be_old && self.ahead.iter().any(|later| later.track == frame.track);
                add(raw::message(frame, first, is_old), number);
            }
            Some(mp4) => {
                if is_video {
                    add(mp4.video(frame, first)?, number);
                }
                for sound in mp4.sounds((!is_video).then_some(frame)) {
                    let message = mp4.audio(&sound, number.wrapping_add(1))?;
                    add(message, number);
                }
            }
        }
        // Only pictures are acknowledged by all clients.
        if is_video {
            current.last = Some(Arc::clone(frame));
            self.backlog.sent(first, now);
        }
        Ok(())
    }
}

/// Returns the message about this number of missed frames.
fn gap(frames: u64) -> Outgoing {
    Outgoing::Text(ServerMessage::Gap { frames }.text())
}

/// Returns the error of video that cannot be written.
fn unusable(error: Mp4Error) -> Error {
    Error::new(ErrorKind::SourceUnsupported, "the camera's video cannot be sent to players")
        .caused_by(error)
}

mod description;

#[cfg(test)]
mod tests;
