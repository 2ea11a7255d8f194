//! Sending a session's pictures and sound.

use std::time::{Duration, Instant};

use str0m::Input;
use str0m::media::{MediaTime, Pt};

use super::{Session, failed};
use crate::media::frame::{Format, Frame, Track};
use crate::output::webrtc::frames::{
    Frames, arrival, can_send_sets, h264_profile, media_time, sound_duration, with_start_codes,
};
use crate::output::webrtc::lag;
use crate::output::webrtc::offer::{AudioSection, SoundWay};
use crate::output::webrtc::opus::packet::{self, OpusPacket};
use crate::output::webrtc::outcome::{SEVERAL_SETS, SessionEnd};
use crate::output::webrtc::timeline::Arrival;

impl Session {
    /// Sends a frame, if the viewer gets frames of its track.
    pub(super) fn send(&mut self, frame: &Frame) -> Result<(), SessionEnd> {
        match frame.track {
            Track::Video => self.send_picture(frame),
            Track::Audio => self.send_audio(frame),
            Track::Aac => Ok(()),
        }
    }

    fn send_picture(&mut self, frame: &Frame) -> Result<(), SessionEnd> {
        if self.order.note(frame) {
            return Err(SessionEnd::Reordered(frame.format.epoch));
        }
        let (now, received_at) = (Instant::now(), frame.received_at.into_std());
        let age = now.saturating_duration_since(received_at);
        if frame.is_keyframe {
            self.keyframes.note_keyframe(received_at);
        }
        // A connection that is too slow would show older and older pictures.
        let is_tcp = self.packets.outbox().is_some();
        if is_tcp && !self.awaits_keyframe && self.lag.note(age, now) {
            self.capacity.note_skip();
            self.skip();
            self.awaits_new = true;
        }
        if self.awaits_keyframe {
            if !frame.is_keyframe || self.awaits_new && age >= lag::OLD {
                return Ok(());
            }
            (self.awaits_keyframe, self.awaits_new) = (false, false);
            self.keyframes.begin(received_at, now);
        } else {
            self.keyframes.note_other();
        }
        let format = &frame.format;
        if !can_send_sets(format) {
            return Err(SessionEnd::Unsupported(SEVERAL_SETS));
        }
        let profile = h264_profile(&format.parameter_sets);
        let section = &self.negotiated.video;
        let Some(payload_type) = section.payload_type(format.codec(), profile) else {
            return Err(SessionEnd::Unsupported(
                "the player does not accept the codec of the video",
            ));
        };
        let mid = section.mid;
        self.choose_sound(format);
        let Some(timeline) = &mut self.timeline else { return Ok(()) };
        let time = timeline.picture(arrival(frame), Instant::now());
        let moment = timeline.moment(time);
        let Some(writer) = self.negotiated.rtc.writer(mid) else { return Ok(()) };
        let writer = writer.playout_delay(MediaTime::ZERO, MediaTime::ZERO);
        writer
            .write(payload_type, moment, media_time(time, 90_000), with_start_codes(frame))
            .map_err(failed)?;
        self.handle(Input::Timeout(Instant::now()))
    }

    /// Starts and ends the conversion of the sound to Opus, as the viewer needs it.
    fn choose_sound(&mut self, format: &Format) {
        let Some(section) = &self.negotiated.audio else { return };
        if section.way(format) != Some(SoundWay::AsOpus) {
            self.opus = None;
        } else if self.opus.is_none() {
            self.opus = self.frames.as_ref().map(Frames::opus);
        }
    }

    fn send_audio(&mut self, frame: &Frame) -> Result<(), SessionEnd> {
        let Some(section) = &self.negotiated.audio else { return Ok(()) };
        let Some(format) = &frame.format.audio else { return Ok(()) };
        let Some((payload_type, rate)) = section.payload_type(format) else { return Ok(()) };
        let duration = sound_duration(format, &frame.data);
        self.send_sound(payload_type, rate, arrival(frame), duration, &frame.data)
    }

    /// Sends a packet of sound that was converted for the viewer.
    pub(super) fn send_opus(&mut self, packet: &OpusPacket) -> Result<(), SessionEnd> {
        let section = self.negotiated.audio.as_ref();
        let Some((payload_type, rate)) = section.and_then(AudioSection::opus) else {
            return Ok(());
        };
        let OpusPacket { arrival, data } = packet;
        self.send_sound(payload_type, rate, *arrival, Some(packet::PACKET), data)
    }

    fn send_sound(
        &mut self,
        payload_type: Pt,
        rate: u64,
        arrival: Arrival,
        duration: Option<Duration>,
        data: &[u8],
    ) -> Result<(), SessionEnd> {
        let Some(section) = &self.negotiated.audio else { return Ok(()) };
        let Some(timeline) = self.timeline.as_mut().filter(|_| !self.awaits_keyframe) else {
            return Ok(());
        };
        let Some(time) = timeline.audio(arrival, duration) else { return Ok(()) };
        let moment = timeline.moment(time);
        let Some(writer) = self.negotiated.rtc.writer(section.mid) else { return Ok(()) };
        writer.write(payload_type, moment, media_time(time, rate), data).map_err(failed)?;
        self.handle(Input::Timeout(Instant::now()))
    }
}
