//! The descriptions of a feed: when a client needs a new one, and the times in the messages that follow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Described, LiveFeed, Outgoing, unusable};
use crate::base::error::Error;
use crate::media::frame::{Format, Frame};
use crate::media::mp4::track::Mp4Error;
use crate::output::live_socket::codecs::ChosenAudio;
use crate::output::live_socket::mp4::{Mp4Writer, Shift};
use crate::output::live_socket::protocol::{MediaDescription, MessageFormat, ServerMessage};
use crate::output::live_socket::{plain, raw};

impl LiveFeed {
    /// Describes the frames that begin with this keyframe, unless the client has the same description. A description
    /// changes only with a keyframe, because a decoder that begins anew needs one.
    pub(super) fn describe(&mut self, keyframe: &Frame) -> Result<(), Error> {
        let format = self.newest_format(keyframe);
        let chosen = self.chosen_audio(&format);
        let audio = match (self.plain, &self.current) {
            (Some(_), Some(current)) => plain::audio(current.audio.as_ref(), chosen),
            _ => chosen,
        };
        let is_new_epoch = self.current.as_ref().is_some_and(|it| it.format.epoch != format.epoch);
        let is_same = self.current.as_ref().is_some_and(|current| {
            current.format.parameter_sets == format.parameter_sets && current.audio == audio
        });
        if is_same && !is_new_epoch {
            return Ok(());
        }
        if is_same && self.plain.is_some() {
            self.continue_times(keyframe).map_err(unusable)?;
            if let Some(current) = &mut self.current {
                current.format = format;
            }
            return Ok(());
        }
        self.codecs.ensure_decodes_video(&format)?;
        let shift = self.shift(keyframe).map_err(unusable)?;
        let (description, mime, mp4) = match self.form {
            MessageFormat::Raw => (raw::describe(&format, audio.as_ref()), None, None),
            MessageFormat::Mp4 => {
                let (writer, mime, init) =
                    Mp4Writer::new(&format, audio.as_ref(), shift).map_err(unusable)?;
                (MediaDescription::Mp4 { mime: mime.clone() }, Some(mime), Some((writer, init)))
            }
        };
        let message = ServerMessage::Media { epoch: format.epoch, media: description };
        self.made.push_back(Outgoing::Media { text: message.text(), mime });
        let (mp4, init) = mp4.unzip();
        self.made.extend(init.map(|init| Outgoing::Bytes([init, Bytes::new()])));
        self.current = Some(Described { format, audio, last: None, mp4 });
        Ok(())
    }

    /// Returns the audio that the client gets.
    pub(super) fn chosen_audio(&self, format: &Format) -> Option<ChosenAudio> {
        if self.wants_audio { self.codecs.audio(format, self.form) } else { None }
    }

    /// Returns the times in messages of frames that begin with this keyframe and with a new description.
    fn shift(&mut self, keyframe: &Frame) -> Result<Shift, Mp4Error> {
        if self.plain.is_none() {
            return Ok(Shift::default());
        }
        self.continue_times(keyframe)?;
        let mp4 = self.current.as_ref().and_then(|it| it.mp4.as_ref());
        let first = Shift { from: keyframe.decode_time, to: Duration::ZERO };
        Ok(mp4.map_or(first, Mp4Writer::shift))
    }

    /// Returns the newest description of the video that begins with this keyframe. It may already contain audio that
    /// was not known when the keyframe arrived.
    fn newest_format(&self, keyframe: &Frame) -> Arc<Format> {
        let own = &keyframe.format;
        let newest = self.media.flow().map(|flow| flow.format);
        let is_of_same_video = |format: &Arc<Format>| {
            format.epoch == own.epoch
                && format.is_converted == own.is_converted
                && format.parameter_sets == own.parameter_sets
        };
        newest.filter(is_of_same_video).unwrap_or_else(|| Arc::clone(own))
    }

    /// Lets the times in messages of this keyframe and of later frames follow those so far. Makes silence if the audio so
    /// far has ended before the video.
    pub(super) fn continue_times(&mut self, keyframe: &Frame) -> Result<(), Mp4Error> {
        let Some(mp4) = self.current.as_mut().and_then(|it| it.mp4.as_mut()) else { return Ok(()) };
        for silence in mp4.silence_to_end() {
            self.number = self.number.wrapping_add(1);
            self.made.push_back(Outgoing::Bytes(mp4.audio(&silence, self.number)?));
        }
        mp4.set_shift(Shift { from: keyframe.decode_time, to: mp4.end() });
        mp4.skip();
        Ok(())
    }
}
