//! The RTP times of a session's frames.
//!
//! All times of a session are on one clock, which begins with the session and does not jump back, although each epoch
//! of a stream has a clock of its own. While a session catches up, as at its beginning, its frames follow each other
//! closely, so that the player shows only the newest.

use std::time::{Duration, Instant};

/// The distance of frames while the session catches up.
const CLOSE: Duration = Duration::from_micros(100);
/// The time before which a session's clock does not begin, so that audio can be before the first picture.
const BEGIN: Duration = Duration::from_secs(1);
/// The most by which a clock can be off the time at which frames arrive before it is set again. Cameras send frames in
/// bursts, so a smaller difference is usual.
const MAX_DRIFT: Duration = Duration::from_secs(2);
/// The longest gap or overlap between two packets of audio that is removed. The times of packets are rounded, and the
/// clocks of a camera's audio and video differ a little.
const MAX_GAP: Duration = Duration::from_millis(10);

/// A number that is not the number of any epoch.
const OTHER_STREAM: u64 = u64::MAX;

/// The clock of a session.
#[derive(Debug)]
pub(super) struct Timeline {
    began_at: Instant,
    /// The last picture; `None` before the first.
    last: Option<Last>,
    /// The time of the last packet of audio.
    last_audio: Duration,
    /// The end of that packet; `None` if its duration is not known.
    audio_end: Option<Duration>,
    /// Frames that arrived until this time are late, and follow each other closely.
    catches_up_until: Instant,
    is_catching_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    epoch: u64,
    input: Duration,
    output: Duration,
}

/// The time of a frame as it arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) epoch: u64,
    /// The time of presentation, on the clock of the epoch.
    pub(super) time: Duration,
    pub(super) received_at: Instant,
}

impl Timeline {
    /// Creates the clock of a session that begins to send now. The frames that arrived before `now` are late.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            last: None,
            last_audio: Duration::ZERO,
            audio_end: None,
            catches_up_until: now,
            is_catching_up: true,
        }
    }

    /// Notes that the session has missed frames. The frames that arrived before `now` are late.
    pub(super) fn catch_up(&mut self, now: Instant) {
        (self.catches_up_until, self.is_catching_up) = (now, true);
    }

    /// Notes that the next frames are from another stream, whose epochs have clocks of their own.
    pub(super) fn switch(&mut self) {
        if let Some(last) = &mut self.last {
            last.epoch = OTHER_STREAM;
        }
    }

    /// Returns the time of a picture.
    pub(super) fn picture(&mut self, frame: Arrival, now: Instant) -> Duration {
        let is_late = self.is_catching_up && frame.received_at <= self.catches_up_until;
        let real = |at: Instant| BEGIN + at.saturating_duration_since(self.began_at);
        let output = match self.last {
            None => real(now),
            Some(last) if is_late => last.output + CLOSE,
            Some(last) if last.epoch == frame.epoch && frame.time >= last.input => {
                let next = last.output + frame.time.saturating_sub(last.input);
                let arrival = real(frame.received_at);
                let is_near = next < arrival + MAX_DRIFT && arrival < next + MAX_DRIFT;
                if is_near { next } else { arrival }
            }
            Some(_) => real(frame.received_at),
        };
        let output = self.last.map_or(output, |last| output.max(last.output + CLOSE));
        self.is_catching_up = is_late;
        self.last = Some(Last { epoch: frame.epoch, input: frame.time, output });
        output
    }

    /// Returns the time of a packet of audio; `None` while there is no picture to which it belongs, and while the
    /// session catches up. `duration` is the length of the packet if it is known. A packet that begins almost at the end of
    /// its predecessor begins exactly there, because players fill even the smallest gap.
    pub(super) fn audio(&mut self, frame: Arrival, duration: Option<Duration>) -> Option<Duration> {
        let last = self.last.filter(|last| last.epoch == frame.epoch && !self.is_catching_up)?;
        let output = (last.output + frame.time).checked_sub(last.input)?;
        let is_near = |end: &Duration| end.abs_diff(output) <= MAX_GAP;
        let output = self.audio_end.filter(is_near).unwrap_or(output);
        (output > self.last_audio).then(|| {
            self.last_audio = output;
            self.audio_end = duration.map(|duration| output + duration);
            output
        })
    }

    /// Returns the moment at which a time of this clock was, or will be.
    pub(super) fn moment(&self, time: Duration) -> Instant {
        self.began_at + time.saturating_sub(BEGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns a frame that arrives when it is shown.
    fn frame(start: Instant, epoch: u64, time: u32) -> Arrival {
        Arrival { epoch, time: MS * time, received_at: start + MS * time }
    }

    #[test]
    fn late_frames_are_close_together_and_later_ones_keep_their_distance() {
        let start = Instant::now();
        let now = start + MS * 2000;
        let mut timeline = Timeline::new(now);
        let mut times: Vec<_> =
            (0..=50).map(|n| timeline.picture(frame(start, 1, n * 40), now)).collect();
        assert_eq!(times[0], BEGIN);
        assert!(times.windows(2).all(|pair| pair[1] == pair[0] + CLOSE));
        assert_eq!(
            timeline.audio(frame(start, 1, 2000), None),
            None,
            "audio waits until it has caught up"
        );
        times = (51..60).map(|n| timeline.picture(frame(start, 1, n * 40), now)).collect();
        assert!(times.windows(2).all(|pair| pair[1] == pair[0] + MS * 40));
        let audio = timeline.audio(frame(start, 1, 59 * 40 + 7), None).expect("caught up");
        assert_eq!(audio, times[8] + MS * 7);
        assert_eq!(
            timeline.audio(frame(start, 1, 59 * 40 + 7), None),
            None,
            "not the same time twice"
        );
    }

    #[test]
    fn times_continue_over_epochs_and_after_missed_frames() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start);
        let first = timeline.picture(frame(start, 1, 0), start);
        let restarted = Arrival { epoch: 2, time: MS * 90_000, received_at: start + MS * 5000 };
        assert_eq!(timeline.audio(restarted, None), None, "audio of another epoch");
        assert_eq!(timeline.picture(restarted, start + MS * 5000), first + MS * 5000);
        let before = timeline.picture(frame(start, 3, 5000), start + MS * 5000);
        assert_eq!(before, first + MS * 5000 + CLOSE, "never back");
        timeline.catch_up(start + MS * 8000);
        let late = timeline.picture(frame(start, 3, 7000), start + MS * 8000);
        assert_eq!(late, before + CLOSE);
        let late = timeline.picture(frame(start, 3, 7040), start + MS * 8000);
        assert_eq!(late, before + CLOSE * 2);
        // The clock is 3 s late by now, so it is set.
        let next = timeline.picture(frame(start, 3, 8040), start + MS * 8040);
        assert_eq!(next, BEGIN + MS * 8040);
        assert_eq!(timeline.moment(next), start + MS * 8040);
    }

    #[test]
    fn packets_of_audio_follow_each_other_without_gaps() {
        let start = Instant::now();
        let mut timeline = Timeline::new(start);
        timeline.picture(frame(start, 1, 0), start);
        timeline.picture(frame(start, 1, 40), start + MS * 40);
        let mut audio = |micros: u64| {
            let time = Duration::from_micros(micros);
            let arrival = Arrival { epoch: 1, time, received_at: start + time };
            timeline.audio(arrival, Some(MS * 20)).expect("a time")
        };
        let first = audio(40_000);
        assert_eq!(audio(60_001), first + MS * 20);
        assert_eq!(audio(79_999), first + MS * 40);
        assert_eq!(audio(109_000), first + MS * 60, "a drift");
        assert_eq!(audio(140_000), first + MS * 100, "a packet is missing");
    }
}
