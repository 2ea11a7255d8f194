//! Where the ingest leaves its fragments and every consumer of the stream finds them.
//!
//! Publishing never waits: the queue is a ring, and a consumer that is slower than the ring is
//! long loses what it has not read and is told so. Consumers must not be able to slow the ingest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;

use crate::base::atomic_instant::AtomicInstant;
use crate::base::lock::lock;
use crate::media::fragment::{Fragment, InitSegment};

/// Fragments that a consumer may be behind: about three seconds at 100 ms each.
const RING: usize = 32;
/// The picture must advance by this much to count as a sign of life. Sound alone, or a camera whose
/// clock stands still, is none.
const SIGN_OF_LIFE: Duration = Duration::from_millis(100);
/// Rates are taken over the last fragments of at least this much playing time.
const RATE_WINDOW: Duration = Duration::from_secs(4);

/// One per stream, for all its generations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FragmentHub {
    sender: broadcast::Sender<Arc<Fragment>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    last_progress: AtomicInstant,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    init: Option<Arc<InitSegment>>,
    window: VecDeque<Measure>,
    last_keyframe: Option<Duration>,
    gop: Option<Duration>,
    /// How far the picture has advanced since the last sign of life.
    advanced: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    duration: Duration,
    bytes: u64,
    frames: u32,
}

/// What flows through the hub now.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The init segment of the last fragment.
    pub init: Arc<InitSegment>,
    /// Bits per second over the last seconds.
    pub bit_rate: f64,
    /// Frames per second over the last seconds.
    pub frame_rate: f64,
    /// From the last keyframe but one to the last; `None` before the second one.
    pub gop: Option<Duration>,
}

impl Default for FragmentHub {
    fn default() -> Self {
        let shared = Shared { last_progress: AtomicInstant::now(), recent: Mutex::default() };
        Self { sender: broadcast::Sender::new(RING), shared: Arc::new(shared) }
    }
}

impl FragmentHub {
    /// Hands a fragment to all consumers. Never waits.
    pub fn publish(&self, fragment: Fragment) {
        let mut recent = lock(&self.shared.recent);
        if recent.add(&fragment) {
            self.shared.last_progress.touch();
        }
        drop(recent);
        // No consumer is no error.
        let _ = self.sender.send(Arc::new(fragment));
    }

    /// Whether a consumer is so far behind that it should have its turn before more is published.
    pub fn is_crowded(&self) -> bool {
        self.sender.len() >= RING / 2
    }

    /// A consumer's end, which yields the fragments published from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Fragment>> {
        self.sender.subscribe()
    }

    /// When the picture last advanced. Before the first one: when the hub was made.
    pub fn last_progress(&self) -> &AtomicInstant {
        &self.shared.last_progress
    }

    /// What flows now; `None` before the first fragment.
    pub fn flow(&self) -> Option<Flow> {
        lock(&self.shared.recent).flow()
    }
}

impl Recent {
    /// Takes note of a fragment. True when it is a sign of life.
    fn add(&mut self, fragment: &Fragment) -> bool {
        if self.init.as_ref().is_none_or(|init| init.generation != fragment.init.generation) {
            self.init = Some(Arc::clone(&fragment.init));
            self.window.clear();
            (self.last_keyframe, self.gop) = (None, None);
        }
        if fragment.is_keyframe {
            let before = self.last_keyframe.replace(fragment.decode_time);
            self.gop = before.and_then(|before| fragment.decode_time.checked_sub(before));
        }
        self.window.push_back(Measure {
            duration: fragment.duration,
            bytes: fragment.bytes.len() as u64,
            frames: fragment.frames,
        });
        while self.window.len() > 1 {
            let rest: Duration = self.window.iter().skip(1).map(|measure| measure.duration).sum();
            // The second condition bounds the window when fragments claim no duration at all.
            if rest < RATE_WINDOW && self.window.len() <= 4 * RING {
                break;
            }
            self.window.pop_front();
        }
        self.advanced += fragment.duration;
        let is_alive = self.advanced >= SIGN_OF_LIFE;
        if is_alive {
            self.advanced = Duration::ZERO;
        }
        is_alive
    }

    fn flow(&self) -> Option<Flow> {
        let init = Arc::clone(self.init.as_ref()?);
        let seconds: f64 = self.window.iter().map(|measure| measure.duration.as_secs_f64()).sum();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let bytes: u64 = self.window.iter().map(|measure| measure.bytes).sum();
        let frames: u64 = self.window.iter().map(|measure| u64::from(measure.frames)).sum();
        #[expect(clippy::cast_precision_loss, reason = "rates, and what came in a few seconds")]
        let (bits, frames) = (bytes as f64 * 8.0, frames as f64);
        let (bit_rate, frame_rate) = (per_second(bits), per_second(frames));
        Some(Flow { init, bit_rate, frame_rate, gop: self.gop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fragment::testing;

    #[tokio::test(start_paused = true)]
    async fn only_a_picture_that_advances_is_a_sign_of_life() {
        let hub = FragmentHub::default();
        let init = testing::init(7);
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..50 {
            hub.publish(testing::fragment(&init, false, 0, 0));
            hub.publish(testing::fragment(&init, false, 0, 1));
        }
        assert_eq!(hub.last_progress().age(), Duration::from_secs(5));
        hub.publish(testing::fragment(&init, false, 0, 200));
        assert_eq!(hub.last_progress().age(), Duration::ZERO);
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let hub = FragmentHub::default();
        assert!(hub.flow().is_none());
        let init = testing::init(7);
        for number in 0..100 {
            hub.publish(testing::fragment(&init, number % 10 == 0, number * 200, 200));
        }
        let flow = hub.flow().expect("a flow");
        assert_eq!(flow.gop, Some(Duration::from_secs(2)));
        assert!((flow.frame_rate - 25.0).abs() < 0.01, "{}", flow.frame_rate);
        assert!((200.0..320.0).contains(&flow.bit_rate), "{}", flow.bit_rate);
    }
}
