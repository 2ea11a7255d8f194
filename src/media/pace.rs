//! Measures how fast a camera's clock runs, and computes the rate that corrects it. Pure.
//!
//! A frame's *lateness* is the time at which it arrived minus its own time. Networks delay frames by different
//! amounts, so only the frame with the least lateness in each second counts. If the least lateness grows or
//! shrinks steadily, the camera's clock runs at a wrong rate.
//!
//! The *epoch's clock* shows the corrected times: it runs with the camera's clock, at the rate that this module
//! computes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two measurements.
const WINDOW: Duration = Duration::from_secs(1);
/// The number of measurements that are kept.
const KEPT: usize = 12;
/// The smallest number of measurements that can show a wrong rate.
const NEEDED: usize = 6;
/// The smallest error of a clock that is corrected. The clocks of healthy cameras have much smaller errors, to which
/// players adapt.
const LEAST_ERROR: f64 = 0.02;
/// The error counts as steady if the median and the mean error differ by at most this fraction of the median, or by at
/// most half of [`LEAST_ERROR`]. They differ more if the lateness jumps, for example because the network is congested.
const MAX_SPREAD: f64 = 0.3;
/// The lowest and the highest speed of the epoch's clock relative to the camera's clock.
const RATES: (f64, f64) = (0.5, 2.0);
/// While a clock is corrected, lateness is removed in about this number of seconds.
const RECOVERY: f64 = 10.0;
/// The largest change of the rate for the removal of lateness, as a fraction of the rate.
const MAX_RECOVERY: f64 = 0.1;

/// The pace of one track.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    /// The rate without the removal of lateness; `None` until the camera's clock has been found to be wrong.
    measured: Option<f64>,
    base: Option<Base>,
    current: Option<Window>,
    windows: VecDeque<Window>,
    /// The lateness on the epoch's clock when the corrections began. The corrections keep the lateness at this value.
    wanted: Option<f64>,
}

/// The frame from which lateness counts.
#[derive(Debug, Clone, Copy)]
struct Base {
    arrived: Instant,
    camera: i64,
    epoch: i64,
}

/// The frame with the least lateness in a window. All times are in seconds.
#[derive(Debug, Clone, Copy)]
struct Window {
    began: f64,
    arrived: f64,
    /// The lateness on the camera's clock.
    lateness: f64,
    /// The lateness on the epoch's clock.
    behind: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rate: 1.0,
            measured: None,
            base: None,
            current: None,
            windows: VecDeque::new(),
            wanted: None,
        }
    }
}

impl Pace {
    /// Returns the speed of the epoch's clock relative to the camera's clock.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Forgets all measurements, because the camera's clock was set. The rate stays the same.
    pub(super) fn forget(&mut self) {
        self.base = None;
        self.current = None;
        self.windows.clear();
        self.wanted = None;
    }

    /// Returns by how many nanoseconds a frame with the time `epoch` is less late than the least late of the other
    /// frames. Returns the largest number if there are no other frames.
    pub(super) fn earliness(&self, epoch: i64, arrived: Instant) -> i64 {
        let (Some(base), Some(least)) = (self.base, self.least_behind()) else { return i64::MAX };
        let passed = nanos(arrived.saturating_duration_since(base.arrived));
        let behind = passed.saturating_sub(epoch.saturating_sub(base.epoch));
        #[expect(clippy::cast_possible_truncation, reason = "seconds")]
        let least = (least * 1e9) as i64;
        least.saturating_sub(behind)
    }

    fn least_behind(&self) -> Option<f64> {
        let all = self.windows.iter().chain(&self.current);
        all.map(|window| window.behind).min_by(f64::total_cmp)
    }

    /// Adds a measurement: the times of a frame on both clocks, and its arrival. Returns true if the rate has changed.
    pub(super) fn note(&mut self, camera: i64, epoch: i64, arrived: Instant) -> bool {
        let base = *self.base.get_or_insert(Base { arrived, camera, epoch });
        let at = arrived.saturating_duration_since(base.arrived).as_secs_f64();
        let lateness = at - seconds(camera.saturating_sub(base.camera));
        let behind = at - seconds(epoch.saturating_sub(base.epoch));
        let Some(current) = &mut self.current else {
            self.current = Some(Window { began: at, arrived: at, lateness, behind });
            return false;
        };
        if at - current.began < WINDOW.as_secs_f64() {
            if behind < current.behind {
                *current = Window { arrived: at, lateness, behind, ..*current };
            }
            return false;
        }
        let finished =
            std::mem::replace(current, Window { began: at, arrived: at, lateness, behind });
        self.windows.push_back(finished);
        if self.windows.len() > KEPT {
            self.windows.pop_front();
        }
        self.correct(finished.behind)
    }

    /// Updates the rate after a window with this lateness on the epoch's clock. Returns true if the rate has
    /// changed.
    fn correct(&mut self, behind: f64) -> bool {
        let before = self.rate;
        // If lateness grows by 0.1 s per second, the camera's clock runs at 0.9 times the right rate.
        let measured = self.error().map(|error| 1.0 / (1.0 - error).max(0.01));
        self.measured = measured.or(self.measured);
        if let Some(measured) = self.measured {
            let wanted = *self.wanted.get_or_insert(behind);
            let more = ((behind - wanted) / RECOVERY).clamp(-MAX_RECOVERY, MAX_RECOVERY);
            self.rate = (measured * (1.0 + more)).clamp(RATES.0, RATES.1);
        }
        (self.rate - before).abs() > f64::EPSILON
    }

    /// Returns the number of seconds by which the lateness grows per second; `None` if the lateness does not change
    /// steadily, or if the change is too small for a first correction.
    fn error(&self) -> Option<f64> {
        if self.windows.len() < NEEDED {
            return None;
        }
        let growth = |from: &Window, to: &Window| {
            (to.lateness - from.lateness) / (to.arrived - from.arrived).max(0.001)
        };
        let pairs = self.windows.iter().zip(self.windows.iter().skip(1));
        let mut errors: Vec<f64> = pairs.map(|(from, to)| growth(from, to)).collect();
        errors.sort_by(f64::total_cmp);
        let median = *errors.get(errors.len() / 2)?;
        let mean = growth(self.windows.front()?, self.windows.back()?);
        let is_steady = (mean - median).abs() <= (median.abs() * MAX_SPREAD).max(LEAST_ERROR / 2.0);
        let is_large = mean.abs().min(median.abs()) > LEAST_ERROR;
        (is_steady && (is_large || self.measured.is_some())).then_some(mean)
    }
}

/// Returns a duration in nanoseconds.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds suffice")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
