//! Whether the network between the manager and a viewer is fast enough for the video, and whether it loses packets
//! although it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The share of packets whose loss shows that the network is too slow. Bad but fast networks lose up to 5 %.
const MAX_LOSS: f32 = 0.1;
/// The number of reports in a row that must show such a loss. There is a report every second.
const REPORTS: u32 = 3;

/// A network is too slow if the estimate of its rate is below this share of the rate that is sent. The packets of a
/// keyframe are sent at once, and their delays make the library estimate half of the rate that is sent even if the network
/// is five times as fast. A network with more than half of the rate, but too slow, loses packets.
const MIN_SHARE: f64 = 0.5;
/// The growth of the round-trip time, and the share of lost packets, that show that packets wait for the network. Without
/// such a sign, a low estimate shows only that less was sent before: the estimate follows a camera whose rate jumps only
/// slowly.
const MIN_QUEUE: Duration = Duration::from_millis(100);
const MIN_LOSS: f32 = 0.02;
/// The number of reports with a loss, among the last [`LOSS_WINDOW`] reports, that show that the network loses packets all
/// the time. A network that loses 2 % does so in most seconds, even at the rate of a sub stream.
const LOSSY_REPORTS: usize = 3;
const LOSS_WINDOW: usize = 10;
/// The time without a loss after which packets are no longer sent twice. While they are, a network that loses 2 % still
/// loses both copies of a packet about once a minute.
const REPEAT_TIME: Duration = Duration::from_mins(2);
/// The highest rate, in bits per second, that is sent twice. Sub streams have lower rates.
const MAX_REPEATED: f64 = 1e6;
/// The sum of the losses of these reports above which packets are not sent twice, because more packets could cause more
/// losses. It is 5 % on average.
const MAX_REPEATED_LOSS: f32 = 0.5;

/// The number of reports over which the rate that is sent is measured. Keyframes make the rate of a single second uneven.
const WINDOW: usize = 4;

/// What the library knows about the network, once per second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// The estimate of the network's rate, in bits per second, from the delays and the losses that the viewer reports.
    pub(super) estimate: f64,
    /// The bytes of media that were sent in all.
    pub(super) sent: u64,
    /// The round-trip time; `None` if it is not known.
    pub(super) rtt: Option<Duration>,
    /// The share of packets that were lost; `None` if it is not known.
    pub(super) loss: Option<f32>,
}

/// What is known about the capacity of the network.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// The bytes that were sent in all, at the times of the last reports.
    sent: VecDeque<(Instant, u64)>,
    /// The shortest round-trip time.
    shortest_rtt: Option<Duration>,
    /// The number of reports in a row with an estimate below the rate that is sent.
    short_reports: u32,
    /// The number of reports in a row with a high loss.
    lossy_reports: u32,
    is_short: bool,
    /// The losses of the last reports.
    losses: VecDeque<f32>,
    /// The highest loss since the last report.
    loss: f32,
    /// The time until which packets are sent twice; `None` if they are sent once.
    repeat_until: Option<Instant>,
}

impl Capacity {
    /// Notes the share of packets that were lost in the last second; `None` if the viewer has not reported it.
    pub(super) fn note_loss(&mut self, loss: Option<f32>) {
        match loss {
            Some(loss) if loss > MAX_LOSS => self.lossy_reports += 1,
            Some(_) => self.lossy_reports = 0,
            None => {}
        }
        self.loss = self.loss.max(loss.unwrap_or_default());
        self.is_short |= self.lossy_reports >= REPORTS;
    }

    /// Notes a report.
    pub(super) fn note_report(&mut self, report: &Report, at: Instant) {
        let Report { estimate, sent, rtt, loss } = *report;
        let shortest = self.shortest_rtt.into_iter().chain(rtt).min();
        self.shortest_rtt = shortest;
        let queue = rtt.zip(shortest).map(|(rtt, shortest)| rtt.saturating_sub(shortest));
        let has_queue = queue.is_some_and(|queue| queue >= MIN_QUEUE);
        let is_waiting = has_queue || loss.is_some_and(|loss| loss >= MIN_LOSS);
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
        if is_waiting && estimate < rate * MIN_SHARE {
            self.short_reports += 1;
        } else {
            self.short_reports = 0;
        }
        self.is_short |= self.short_reports >= REPORTS;
        self.choose_repeats(has_queue || rate > MAX_REPEATED, loss, at);
    }

    /// Chooses whether packets are sent twice from now on. A player gets a lost packet again only after a round trip, and
    /// after several if the request or the packet is lost again, which interrupts the picture.
    fn choose_repeats(&mut self, is_forbidden: bool, loss: Option<f32>, at: Instant) {
        let loss = std::mem::take(&mut self.loss).max(loss.unwrap_or_default());
        if self.losses.len() == LOSS_WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
        let sum: f32 = self.losses.iter().sum();
        let lossy = self.losses.iter().filter(|loss| **loss > 0.0).count();
        if is_forbidden || sum > MAX_REPEATED_LOSS {
            self.repeat_until = None;
        } else if lossy >= LOSSY_REPORTS || loss > 0.0 && self.repeat_until.is_some() {
            self.repeat_until = Some(at + REPEAT_TIME);
        } else if self.repeat_until.is_some_and(|until| until <= at) {
            self.repeat_until = None;
        }
    }

    /// Forgets the losses, because they were those of other frames with another rate.
    pub(super) fn forget_losses(&mut self) {
        self.losses.clear();
        (self.loss, self.repeat_until) = (0.0, None);
    }

    /// Returns whether packets are to be sent twice, because the network loses some, but has room for more.
    pub(super) fn needs_repeats(&self) -> bool {
        self.repeat_until.is_some()
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

    /// Returns the report of a second in which a stream of 4 Mbit/s is sent. `rtt` is in milliseconds.
    fn report(second: u64, estimate: f64, rtt: u64) -> Report {
        let rtt = Some(Duration::from_millis(rtt));
        Report { estimate: estimate * 1e6, sent: second * 500_000, rtt, loss: None }
    }

    #[test]
    fn only_an_estimate_that_stays_below_the_rate_shows_that_the_network_is_too_slow() {
        let start = Instant::now();
        let is_short = |estimates: &[f64]| {
            let mut capacity = Capacity::default();
            capacity.note_report(&report(0, 9.0, 20), start);
            for (second, estimate) in (1..).zip(estimates) {
                let at = start + Duration::from_secs(second);
                capacity.note_report(&report(second, *estimate, 200), at);
            }
            capacity.take_shortage()
        };
        assert!(is_short(&[1.0, 1.0, 1.0]));
        assert!(!is_short(&[1.0, 1.0]), "for 2 s only");
        assert!(!is_short(&[1.0, 1.0, 5.0, 1.0, 1.0, 4.5, 1.0]));
        assert!(!is_short(&[2.1; 20]), "keyframes");
        let mut capacity = Capacity::default();
        for second in 0..20_u64 {
            let rtt = if second == 0 { 20 } else { 200 };
            capacity.note_report(&report(second, 1.0, rtt), start + Duration::from_secs(second));
            if second % 3 == 0 {
                capacity.restart();
            }
        }
        assert!(!capacity.take_shortage(), "the session begins again and again");
    }

    #[test]
    fn a_low_estimate_without_a_queue_or_a_loss_shows_nothing() {
        let start = Instant::now();
        let is_short = |rtt: u64, loss: Option<f32>| {
            let mut capacity = Capacity::default();
            for second in 0..10_u64 {
                let rtt = if second == 0 { 30 } else { rtt };
                let report = Report { loss, ..report(second, 0.3, rtt) };
                capacity.note_report(&report, start + Duration::from_secs(second));
            }
            capacity.take_shortage()
        };
        assert!(!is_short(80, Some(0.01)), "the camera sends more than before");
        assert!(is_short(180, Some(0.0)), "packets wait");
        assert!(is_short(30, Some(0.05)), "packets are lost");
    }

    /// Notes `reports` reports of a stream with this rate in Mbit/s, and this loss in every report.
    fn note_lossy(
        capacity: &mut Capacity,
        reports: u64,
        from: (u64, Instant),
        rate: f64,
        loss: f32,
    ) {
        for second in from.0..from.0 + reports {
            let at = from.1 + Duration::from_secs(second);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let sent = (rate * 125_000.0) as u64 * second;
            let rtt = Some(Duration::from_millis(50));
            capacity.note_loss(Some(loss));
            capacity.note_report(&Report { estimate: 9e6, sent, rtt, loss: Some(0.0) }, at);
        }
    }

    #[test]
    fn packets_are_sent_twice_while_a_network_with_room_loses_some() {
        let start = Instant::now();
        let needs_repeats = |rate: f64, loss: f32| {
            let mut capacity = Capacity::default();
            note_lossy(&mut capacity, 20, (0, start), rate, loss);
            capacity.needs_repeats()
        };
        assert!(needs_repeats(0.5, 0.02));
        assert!(!needs_repeats(0.5, 0.0), "no loss");
        assert!(!needs_repeats(0.5, 0.08), "too much loss");
        assert!(!needs_repeats(4.0, 0.02), "a main stream");
        let mut capacity = Capacity::default();
        note_lossy(&mut capacity, 5, (0, start), 0.5, 0.0);
        note_lossy(&mut capacity, 2, (5, start), 0.5, 0.02);
        assert!(!capacity.needs_repeats(), "a single bad moment");
        note_lossy(&mut capacity, 1, (7, start), 0.5, 0.02);
        assert!(capacity.needs_repeats());
        note_lossy(&mut capacity, 119, (8, start), 0.5, 0.0);
        assert!(capacity.needs_repeats(), "the copies hide the losses");
        note_lossy(&mut capacity, 1, (127, start), 0.5, 0.01);
        note_lossy(&mut capacity, 119, (128, start), 0.5, 0.0);
        assert!(capacity.needs_repeats(), "the network still loses packets");
        note_lossy(&mut capacity, 2, (247, start), 0.5, 0.0);
        assert!(!capacity.needs_repeats());
    }

    #[test]
    fn losses_of_other_frames_do_not_cause_second_copies() {
        let start = Instant::now();
        let mut capacity = Capacity::default();
        note_lossy(&mut capacity, 10, (0, start), 0.5, 0.02);
        capacity.forget_losses();
        note_lossy(&mut capacity, 20, (10, start), 0.5, 0.0);
        assert!(!capacity.needs_repeats());
        note_lossy(&mut capacity, 3, (30, start), 0.5, 0.02);
        assert!(capacity.needs_repeats());
    }

    #[test]
    fn packets_are_not_sent_twice_while_packets_wait_in_the_network() {
        let start = Instant::now();
        let mut capacity = Capacity::default();
        note_lossy(&mut capacity, 10, (0, start), 0.5, 0.02);
        assert!(capacity.needs_repeats());
        let rtt = Some(Duration::from_millis(160));
        let report = Report { estimate: 9e6, sent: 625_000, rtt, loss: Some(0.02) };
        capacity.note_report(&report, start + Duration::from_secs(10));
        assert!(!capacity.needs_repeats());
    }
}
