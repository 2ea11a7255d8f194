//! Whether the network between the manager and a viewer is fast enough for the video.

use std::collections::VecDeque;
use std::time::Instant;

/// The share of packets whose loss shows that the network is too slow. Bad but fast networks lose up to 5 %.
const MAX_LOSS: f32 = 0.1;
/// The number of reports in a row that must show such a loss. There is a report every second.
const REPORTS: u32 = 3;

/// A network is too slow if the estimate of its rate is below this share of the rate that is sent. The packets of a
/// keyframe are sent at once, and their delays make the library estimate half of the rate that is sent even if the network
/// is five times as fast. A network with more than half of the rate, but too slow, loses packets.
const MIN_SHARE: f64 = 0.5;
/// The number of reports over which the rate that is sent is measured. Keyframes make the rate of a single second uneven.
const WINDOW: usize = 4;

/// What is known about the capacity of the network.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// The bytes that were sent in all, at the times of the last reports.
    sent: VecDeque<(Instant, u64)>,
    /// The number of reports in a row with an estimate below the rate that is sent.
    short_reports: u32,
    /// The number of reports in a row with a high loss.
    lossy_reports: u32,
    is_short: bool,
}

impl Capacity {
    /// Notes the share of packets that were lost in the last second; `None` if the viewer has not reported it.
    pub(super) fn note_loss(&mut self, loss: Option<f32>) {
        match loss {
            Some(loss) if loss > MAX_LOSS => self.lossy_reports += 1,
            Some(_) => self.lossy_reports = 0,
            None => {}
        }
        self.is_short |= self.lossy_reports >= REPORTS;
    }

    /// Notes the estimate of the network's rate, in bits per second, and the bytes of media that were sent in all. The
    /// library estimates the rate by the delays and the losses that the viewer reports.
    pub(super) fn note_estimate(&mut self, estimate: f64, sent: u64, at: Instant) {
        if self.sent.len() == WINDOW {
            self.sent.pop_front();
        }
        self.sent.push_back((at, sent));
        let Some((first_at, first)) = self.sent.front() else { return };
        let seconds = at.saturating_duration_since(*first_at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "the numbers of a few seconds are small")]
        let rate = sent.saturating_sub(*first) as f64 * 8.0 / seconds;
        if estimate < rate * MIN_SHARE {
            self.short_reports += 1;
        } else {
            self.short_reports = 0;
        }
        self.is_short |= self.short_reports >= REPORTS;
    }

    /// Forgets the rates, because the session sends many frames at once, or other frames.
    pub(super) fn restart(&mut self) {
        self.sent.clear();
        self.short_reports = 0;
    }

    /// Notes that frames were skipped because a connection was too slow.
    pub(super) fn note_skip(&mut self) {
        self.is_short = true;
    }

    /// Returns whether the network has turned out to be too slow since the last call.
    pub(super) fn take_shortage(&mut self) -> bool {
        let is_short = std::mem::take(&mut self.is_short);
        if is_short {
            self.lossy_reports = 0;
            self.restart();
        }
        is_short
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_loss_that_lasts_shows_that_the_network_is_too_slow() {
        let mut capacity = Capacity::default();
        for loss in [Some(0.5), Some(0.3), Some(0.05), Some(0.2), None, Some(0.2)] {
            capacity.note_loss(loss);
            assert!(!capacity.take_shortage(), "{loss:?}");
        }
        capacity.note_loss(Some(0.2));
        assert!(capacity.take_shortage());
        assert!(!capacity.take_shortage(), "reported once");
        capacity.note_skip();
        assert!(capacity.take_shortage());
    }

    #[test]
    fn only_an_estimate_that_stays_below_the_rate_shows_that_the_network_is_too_slow() {
        let start = Instant::now();
        // A stream of 4 Mbit/s.
        let is_short = |estimates: &[f64]| {
            let mut capacity = Capacity::default();
            for (second, estimate) in (0..).zip(estimates) {
                let at = start + Duration::from_secs(second);
                capacity.note_estimate(estimate * 1e6, second * 500_000, at);
            }
            capacity.take_shortage()
        };
        assert!(is_short(&[1.0, 1.0, 1.0, 1.0]));
        assert!(!is_short(&[1.0, 1.0, 1.0]), "for 2 s only");
        assert!(!is_short(&[1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 4.5, 1.0]));
        assert!(!is_short(&[2.1; 20]), "keyframes");
        let mut capacity = Capacity::default();
        for second in 0..20_u64 {
            let at = start + Duration::from_secs(second);
            capacity.note_estimate(1e6, second * 500_000, at);
            if second % 3 == 0 {
                capacity.restart();
            }
        }
        assert!(!capacity.take_shortage(), "the session begins again and again");
    }
}
